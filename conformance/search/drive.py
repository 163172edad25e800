"""Driving one sequence of steps through client taps. It never judges: what came of it is read from the taps."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from uuid import UUID, uuid5

from conformance import timing
from conformance.errors import CannotJudgeError
from conformance.evidence.events import JSON
from conformance.search.model import BEGIN, STEP
from conformance.search.steps import LISTENS, Act, Steps
from conformance.stage.stage import Stage
from conformance.wire.driver import McpClient

_NAMESPACE = UUID("6f1f1c0e-5b1c-4a52-9a62-0c8e6a3d7f10")
UNKNOWN_ID = str(uuid5(_NAMESPACE, "a session id that was issued to nobody"))
"""As random as the ids of others, and always the same, so that a sequence can be told again."""

_WITHOUT: Mapping[str, str | None] = {"Mcp-Session-Id": None}
_UNKNOWN: Mapping[str, str | None] = {"Mcp-Session-Id": UNKNOWN_ID}
_STRANGERS = (
    Act.INITIALIZE,
    Act.INITIALIZE_MALFORMED,
    Act.LIST_WITHOUT_ID,
    Act.GET_WITHOUT_ID,
    Act.DELETE_WITHOUT_ID,
)
_IMPOSTORS = (Act.LIST_UNKNOWN_ID, Act.GET_UNKNOWN_ID, Act.DELETE_UNKNOWN_ID)
_DELETES = (Act.DELETE, Act.DELETE_WITHOUT_ID, Act.DELETE_UNKNOWN_ID)
_NOT_JSON = b'{"jsonrpc": "2.0", "id": 1, "method": '


class _Actor:
    """One client of a sequence, and the GET streams it holds open."""

    def __init__(self, stage: Stage, client: McpClient, tool: str) -> None:
        self._stage = stage
        self._client = client
        self._tool = tool
        self._streams = AsyncExitStack()

    async def do(self, act: Act) -> None:
        """Do one act and wait for its answer."""
        headers = _WITHOUT if act in _STRANGERS else _UNKNOWN if act in _IMPOSTORS else {}
        match act:
            case Act.INITIALIZE | Act.INITIALIZE_AGAIN:
                await self._initialize(headers)
            case Act.INITIALIZE_MALFORMED:
                await self._ask("initialize", headers)
            case Act.INITIALIZED:
                await self._post({"jsonrpc": "2.0", "method": "notifications/initialized"})
            case Act.PING:
                await self._ask("ping", headers)
            case Act.CALL:
                await self._call()
            case Act.MALFORMED:
                await self._post(_NOT_JSON)
            case Act.CLOSE:
                await self.close()
                await self._stage.wait(timing.CLOSE_NOTICED, "the server notices that its stream is closed")
            case _ if act in LISTENS:
                listening = self._client.listen(headers, deadline=timing.HEADERS_PROMPT)
                await self._streams.enter_async_context(listening)
            case _ if act in _DELETES:
                await self._client.send("DELETE", headers=headers, deadline=timing.LIFECYCLE_ANSWER)
            case _:
                await self._ask("tools/list", headers, {})

    async def close(self) -> None:
        """Close the GET streams."""
        await self._streams.aclose()

    async def _post(self, message: JSON) -> None:
        await self._client.post(message, deadline=timing.LIFECYCLE_ANSWER)

    async def _ask(self, method: str, headers: Mapping[str, str | None], params: JSON = None) -> None:
        await self._client.request(method, params, headers=headers, deadline=timing.LIFECYCLE_ANSWER)

    async def _initialize(self, headers: Mapping[str, str | None]) -> None:
        """Initialize; the session the client had is kept where the answer opens none."""
        before = self._client.session
        await self._client.initialize(headers=headers, deadline=timing.LIFECYCLE_ANSWER)
        self._client.session = self._client.session or before

    async def _call(self) -> None:
        spec = self._stage.instance.backend.sentinel if self._stage.instance.backend else None
        arguments = dict(spec.arguments) if spec else {}
        if spec and spec.nonce_argument is not None:
            arguments[spec.nonce_argument] = self._stage.nonce()
        await self._client.call(self._tool, arguments, deadline=timing.LIFECYCLE_ANSWER)


async def drive(stage: Stage, sequence: Steps, *, tool: str, issues_ids: bool) -> None:
    """Drive the steps one after the other, each client on connections of its own.

    tool: name of the tool that `call` calls. issues_ids: whether the gateway was seen to give session ids.
    """
    stage.step(BEGIN, issues_ids=issues_ids)
    actors: dict[str, _Actor] = {}
    try:
        for number, step in enumerate(sequence, start=1):
            if step.client not in actors:
                actors[step.client] = _Actor(stage, await stage.client(step.client), tool)
            stage.step(STEP, number=number, client=step.client, act=str(step.act))
            await actors[step.client].do(step.act)
    finally:
        for actor in actors.values():
            await actor.close()


async def look_around(stage: Stage) -> tuple[bool, str]:
    """Make a whole legal lifecycle; return whether the gateway issues session ids, and the name of the tool to call.

    The name is empty where it is not known which tool would be harmless. Raises CannotJudgeError when it is not served:
    nothing could be learnt from such a gateway.
    """
    client = await stage.client("scout")
    reply = await client.initialize()
    if reply.result(client.last_id) is None:
        raise CannotJudgeError(
            f"initialize was not answered ({reply.trouble or reply.status}); nothing can be searched."
        )
    issues = client.session is not None
    await client.initialized()
    listed = await client.request("tools/list", {})
    if listed.result(client.last_id) is None:
        raise CannotJudgeError(
            f"tools/list was not served ({listed.trouble or listed.status}); nothing can be searched."
        )
    spec = stage.instance.backend.sentinel if stage.instance.backend else None
    tool = await stage.tool(spec.tool, client) if spec and spec.method == "tools/call" else ""
    await client.delete()
    return issues, tool
