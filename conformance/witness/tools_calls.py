"""Tools that talk to the client while their call runs: they ask it something, or report progress of many kinds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from conformance.witness.jsonrpc import JSON
from conformance.witness.tools import NONCE_META, Call, Specifics, Tool, progress

CLIENT_ANSWER: Final = 3.0
"""Seconds `ask_client` waits for the client's answer, which a driver gives in milliseconds."""

ODD_PROGRESS: Final[tuple[tuple[float, float | None], ...]] = (
    (1e-9, None),
    (0.1, 2.5),
    (0.30000000000000004, None),
    (1, None),
    (2.5, 2.5),
    (1e15, None),
)
"""(progress, total) as the specification allows and few servers send: floats, no total, a total that was too low
(basic/utilities/progress, Progress Flow)."""


def _sampling(nonce: str) -> Mapping[str, JSON]:
    return {"messages": [{"role": "user", "content": {"type": "text", "text": nonce}}], "maxTokens": 16}


def _roots(_nonce: str) -> Mapping[str, JSON]:
    return {}


def _elicitation(nonce: str) -> Mapping[str, JSON]:
    schema = {"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"]}
    return {"message": nonce, "requestedSchema": schema}


QUESTIONS: Final[Mapping[str, tuple[str, Callable[[str], Mapping[str, JSON]]]]] = MappingProxyType(
    {
        "sampling": ("sampling/createMessage", _sampling),
        "roots": ("roots/list", _roots),
        "elicitation": ("elicitation/create", _elicitation),
    },
)
"""What a client can be asked, by the capability it must have declared: the method, and its params from a nonce."""


async def _ask_client(call: Call) -> Specifics:
    kind, stream, nonce = call.arguments["kind"], call.arguments.get("stream", "post"), call.arguments["nonce"]
    session = call.session
    declared = kind in session.client.get("capabilities", {})
    if not declared:
        return {"kind": kind, "stream": stream, "declared": False, "answer": None}
    method, params = QUESTIONS[kind]
    own = session.listener if session.initialized.is_set() else None
    outlet = call.outlet if stream == "post" else own
    response = await session.ask(outlet, method, {**params(nonce), "_meta": {NONCE_META: nonce}}, CLIENT_ANSWER)
    answer = None if response is None else {"result" if response.ok else "error": response.body}
    return {"kind": kind, "stream": stream, "declared": True, "answer": answer}


async def _report(call: Call) -> Specifics:
    count = call.arguments.get("count")
    reports = ODD_PROGRESS if count is None else tuple((float(done), float(count)) for done in range(1, count + 1))
    if call.progress_token is None:
        return {"reports": 0}
    for done, total in reports:
        call.outlet.send(progress(call, done, total))
    return {"reports": len(reports)}


TOOLS: Final = (
    Tool(
        "ask_client",
        "Asks the client, if it declared that it can be asked: on the stream of this call (post) or the session's own.",
        _ask_client,
        {
            "kind": {"type": "string", "enum": sorted(QUESTIONS)},
            "stream": {"type": "string", "enum": ["get", "post"]},
        },
        ("kind",),
    ),
    Tool(
        "report",
        "Reports progress at once, if a progress token came: `count` times in steps of one, or a few odd values.",
        _report,
        {"count": {"type": "integer", "minimum": 1}},
    ),
)
