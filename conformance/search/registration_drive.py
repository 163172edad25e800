"""Driving one sequence of registrations: each change through a tap, then what sessions see of it. It never judges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID, uuid5

from conformance import timing
from conformance.errors import CannotJudgeError
from conformance.evidence.members import text_at
from conformance.search.registration_model import (
    BEGIN,
    CALLED,
    CLERK,
    LISTED,
    OPEN,
    STEP,
    State,
    expected,
    open_to_both,
)
from conformance.search.registration_steps import SERVERS, By, Change, Step, Steps
from conformance.stage.instance import BACKEND_TAP, SECOND_TAP
from conformance.stage.manifest import TargetManifest
from conformance.stage.manifest_registry import Registry
from conformance.stage.manifest_tables import Sentinel
from conformance.stage.placeholders import expand, expand_json
from conformance.stage.stage import Stage
from conformance.wire.driver import McpClient, Reply

URLS: Final = dict(zip(SERVERS, ("backend_url", "second_backend_url"), strict=True))
"""The stage's name for the URL of each server."""
TAPS: Final = dict(zip(SERVERS, (BACKEND_TAP, SECOND_TAP), strict=True))
UNKNOWN_ID: Final = uuid5(UUID("6f1f1c0e-5b1c-4a52-9a62-0c8e6a3d7f10"), "a server that was never registered").hex
"""As random as the ids of others, and always the same, so that a sequence can be told again."""


@dataclass(frozen=True, slots=True)
class Before:
    """What is known of the gateway and its backend, and what the manifest says of registrations."""

    target: TargetManifest
    registry: Registry
    sentinel: Sentinel

    @classmethod
    def of(cls, stage: Stage) -> Before:
        """Return it for a stage. Raises CannotJudgeError or UsageError where it cannot be searched."""
        target, backend = stage.instance.target, stage.instance.backend
        if target is None or backend is None or target.registry is None:
            raise CannotJudgeError("registrations can be searched before a target with [registry] only.")
        if backend.sentinel.nonce_argument is None:
            raise CannotJudgeError(f"{backend.title} has no tool that takes a nonce; search before the witness.")
        return cls(target, target.registry, backend.sentinel)

    def tool(self, server: str) -> str:
        """Return the name under which the sentinel's tool of a server is listed."""
        return self.target.tool_name(self.sentinel.tool, self.registry.pattern.replace("{server}", server))

    @property
    def statuses(self) -> dict[str, list[int]]:
        """What each status means: the successes of each change, and what is said of others."""
        said = self.registry
        named = {"refused": said.refused, "absent": said.absent, "repeated": said.repeated}
        named |= {name: request.statuses for name, request in said.changes.items()}
        return {name: list(statuses) for name, statuses in named.items()}


@dataclass(slots=True)
class Clerk:
    """Sends the requests that change what is registered. ids: what the gateway called each server, by its name."""

    client: McpClient
    before: Before
    values: Mapping[str, str | Sequence[str]]
    ids: dict[str, str] = field(default_factory=dict)

    async def make(self, step: Step) -> Reply:
        """Ask for a change and keep the id that a server is given."""
        request = self.before.registry.changes[step.change]
        known = {
            **self.values,
            "server": step.server,
            "server_url": self.values[URLS[step.server]],
            "server_id": self.ids.get(step.server, step.server if self._by_name else UNKNOWN_ID),
        }
        own = {name: expand(value, known) for name, value in request.headers.items()}
        other = {name: expand(value, known) for name, value in self.before.registry.other_headers.items()}
        shown: dict[By, dict[str, str]] = {By.OWNER: own, By.OTHER: {**own, **other}, By.NOBODY: {}}
        headers = {**dict.fromkeys((*own, *self.before.target.endpoint.headers)), **shown[step.by]}
        reply = await self.client.send(
            request.method,
            path=expand(request.path, known),
            body=expand_json(request.body, known),
            headers=headers,
            deadline=timing.ANSWER,
        )
        if step.change is Change.ADD and reply.status in request.statuses and (found := self._id_in(reply)):
            self.ids[step.server] = found
        return reply

    @property
    def _by_name(self) -> bool:
        return not self.before.registry.id_in

    def _id_in(self, reply: Reply) -> str:
        return text_at(reply.messages[0], self.before.registry.id_in) if reply.messages and not self._by_name else ""


async def hire(stage: Stage, before: Before, ids: Mapping[str, str] | None = None) -> Clerk:
    """Return a clerk with a tap of its own. ids: of servers that are registered already."""
    return Clerk(await stage.client(CLERK), before, stage.instance.told, dict(ids or {}))


async def drive(stage: Stage, before: Before, sequence: Steps) -> Clerk:
    """Make the changes one after the other; list and call the tools after each. Return who made them."""
    opened = await stage.connected(OPEN)
    clerk = await hire(stage, before)
    tools = {server: before.tool(server) for server in SERVERS}
    urls = {server: clerk.values[url] for server, url in URLS.items()}
    told = {"tools": tools, "taps": TAPS, "urls": urls, "id_in": before.registry.id_in}
    stage.step(BEGIN, statuses=before.statuses, tool=before.sentinel.tool, **told)
    for number, step in enumerate(sequence, start=1):
        stage.step(STEP, number=number, server=step.server, change=str(step.change), by=str(step.by))
        await clerk.make(step)
        await _look(stage, opened, tools, sequence[:number], f"new{number}")
        for server, tool in tools.items():
            nonce = stage.nonce()
            stage.step(CALLED, server=server, nonce=nonce)
            arguments = {**before.sentinel.arguments, str(before.sentinel.nonce_argument): nonce}
            await opened.call(tool, arguments, deadline=timing.LIFECYCLE_ANSWER)
    return clerk


async def listed(stage: Stage, name: str) -> tuple[str, ...]:
    """Return what tools/list shows to a new session."""
    client = await stage.connected(name)
    names = await client.tools()
    await client.delete()
    return names


async def _look(stage: Stage, opened: McpClient, tools: Mapping[str, str], made: Steps, name: str) -> None:
    """List the tools in the open session and in a new one; again for as long as a change may take to show.

    What is to be seen tells only when to stop looking.
    """
    states, last = expected(made), made[-1]
    free = last.server if open_to_both(expected(made[:-1])[last.server], last) else None
    wanted = {tools[server] for server, state in states.items() if state is State.ENABLED and server != free}
    unwanted = {tools[server] for server, state in states.items() if state is not State.ENABLED and server != free}
    for number in range(timing.REGISTRATION_LOOKS):
        if number:
            await stage.wait(timing.REGISTRATION_SHOWS / (timing.REGISTRATION_LOOKS - 1), "the change comes to show")
        stage.step(LISTED)
        shown = (await opened.tools(), await listed(stage, f"{name}-{number}"))
        if all(wanted <= set(names) and not unwanted & set(names) for names in shown):
            return
