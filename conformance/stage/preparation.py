"""What is done around a gateway's start that is more than its command.

That is `start.before`, `start.requests` and `registration`: programs that create its users or sign a token, and
requests that log in or register the backend. They are manifest data, carried out in both runtimes. The requests go to
the gateway's own address and through no tap, so nothing of them is judged.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import httpx

from conformance.errors import PreparationError
from conformance.evidence.members import member
from conformance.evidence.redact import Redactor
from conformance.stage.placeholders import Values, expand, expand_argv, expand_json, names_in
from conformance.stage.readiness import until
from conformance.wire.http_client import http_client

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from conformance.stage.manifest import TargetManifest
    from conformance.stage.manifest_tables import Request
    from conformance.stage.runtime import OnEvent
    from conformance.wire.tap_address import TcpAddress

REQUEST_SECONDS: Final = 30.0
"""Longest that a running gateway may take for one request about its configuration, ending its backends included."""

SHOWN: Final = 300
"""Characters of an answer that are shown when it is not a success."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command of `start.before` with nothing left to fill in. save: the secret its last line becomes, if any."""

    argv: tuple[str, ...]
    save: str | None


@dataclass(slots=True)
class Preparation:
    """The preparation of one start. saved: secrets that its commands and requests have given so far.

    begun, done: whether the requests were begun and all of them succeeded.
    """

    target: TargetManifest
    values: Values
    secrets: Mapping[str, str]
    saved: dict[str, str] = field(default_factory=dict)
    begun: bool = False
    done: bool = False

    def commands(self) -> tuple[Command, ...]:
        """Return the commands of `start.before`. Raises UsageError for a placeholder without a value."""
        known = {**self.values, **self.secrets}
        return tuple(Command(expand_argv(one.command, known), one.save) for one in self.target.start.before)

    def keep(self, name: str, output: str) -> None:
        """Keep the last line that a command printed as a secret. Raises PreparationError when it printed nothing."""
        lines = [line.strip() for line in output.splitlines() if line.strip()]
        if not lines:
            raise self.failed(f"the command that gives {name} printed nothing", "start.before")
        self.saved[name] = lines[-1]

    def headers(self) -> dict[str, str]:
        """Return the headers that each request to the gateway needs, as far as the secrets in them are known."""
        return known_headers(self.target.endpoint.headers, {**self.secrets, **self.saved})

    def at(self, address: TcpAddress) -> Callable[[OnEvent], Awaitable[Mapping[str, str]]]:
        """Return `requests` at that address, for the gateway's readiness probe."""
        return lambda on_event: self.requests(address, on_event)

    def require_done(self, why: str | None) -> None:
        """Raise PreparationError where the requests were begun and did not come to an end. why: what was waited for."""
        if self.begun and not self.done:
            raise self.failed(f"its requests did not come to an end ({why})", "start.requests")

    async def requests(self, address: TcpAddress, on_event: OnEvent) -> Mapping[str, str]:
        """Make the requests of `start.requests` and `registration`, return `headers()`. Raises PreparationError."""
        self.begun = True
        await self._each(address, self.target.start.requests, on_event, "start.requests")
        await self.register(address, on_event)
        self.done = True
        return self.headers()

    async def register(self, address: TcpAddress, on_event: OnEvent) -> None:
        """Make the requests of `registration` alone, of a gateway that runs. Raises PreparationError when one fails."""
        await self._each(address, self.target.registration, on_event, "registration")

    async def _each(self, address: TcpAddress, requests: Iterable[Request], on_event: OnEvent, where: str) -> None:
        # Whoever waits for the gateway bounds the whole wait; a limit per request would call a slow start a failed one.
        async with http_client(base_url=f"http://{address}") as client:
            for request in requests:
                await self._succeed(client, request, on_event, where)

    async def ask(self, address: TcpAddress, asked: Sequence[Request]) -> None:
        """Make requests of a gateway that runs, one after another. Raises PreparationError when one fails."""
        async with http_client(base_url=f"http://{address}", timeout=REQUEST_SECONDS) as client:
            for request in asked:
                succeeded, what = await self._sent(client, request)
                if not succeeded:
                    raise self.failed(f"{request.method} {request.path} {what}", "spin_up.revoke")

    async def _succeed(self, client: httpx.AsyncClient, request: Request, on_event: OnEvent, where: str) -> None:
        """Send a request, again and again if the manifest says so, until its answer is a success. where: it says so."""
        what = f"{request.method} {request.path} of {self.target.title}'s preparation"
        trouble = await until(what, lambda: self._sent(client, request), on_event, once=not request.repeat)
        if trouble is not None:
            raise self.failed(f"{request.method} {request.path} {trouble}", where)

    async def _sent(self, client: httpx.AsyncClient, request: Request) -> tuple[bool, str]:
        """Send a request once and keep what it saves; return whether it succeeded, and what came of it."""
        known = {**self.values, **self.secrets, **self.saved}
        try:
            response = await client.request(
                request.method,
                expand(request.path, known),
                headers={name: expand(value, known) for name, value in request.headers.items()},
                json=expand_json(request.body, known),
            )
        except httpx.HTTPError as error:
            return False, f"was not answered ({type(error).__name__}: {self.shown(str(error))})"
        if response.status_code not in request.statuses:
            return False, f"was answered {response.status_code} {self.shown(response.text)}"
        for name, path in request.save.items():
            value = _member(response, path)
            if value is None:
                return False, f"was answered {response.status_code} without {path}: {self.shown(response.text)}"
            self.saved[name] = value
        return True, f"was answered {response.status_code}"

    def failed(self, what: str, where: str) -> PreparationError:
        """Return the error that says what did not succeed and which table of the manifest to correct."""
        return PreparationError(f"{self.target.title} could not be prepared: {what}; correct {where} in its manifest.")

    def shown(self, text: str) -> str:
        """Return the beginning of what the gateway said, escaped and without secrets."""
        redactor = Redactor(supplied=(*self.secrets.values(), *self.saved.values()))
        return json.dumps(redactor.text(text)[:SHOWN])


def known_headers(headers: Mapping[str, str], secrets: Mapping[str, str]) -> dict[str, str]:
    """Return `headers` with the secrets in place; none whose secret is unknown, the gateway never having got so far."""
    return {name: expand(value, secrets) for name, value in headers.items() if names_in(value) <= secrets.keys()}


def _member(response: httpx.Response, path: str) -> str | None:
    """Return a string member of a JSON answer, named by the path that leads to it; None where there is none."""
    try:
        value: Any = response.json()
    except ValueError:
        return None
    found = member(value, path)
    return found if isinstance(found, str) and found else None
