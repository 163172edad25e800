"""Family get_sse: the standalone GET stream (2025-11-25 basic/transports, Listening for Messages from the Server)."""

from __future__ import annotations

from conformance.evidence.transcript import Exchange
from conformance.rules.base import Inputs, Level, Side, charge, fail, rule
from conformance.rules.preconditions import GET_IN_SESSION, session_gets
from conformance.rules.verdicts import Pass, Verdict

SUITE = "get_sse"


def _neither_stream_nor_405(exchange: Exchange) -> bool:
    return not (exchange.status == 405 or (exchange.status == 200 and exchange.is_stream))


@rule(
    id="MGC301",
    title="GET is answered with an event stream or 405",
    suite=SUITE,
    level=Level.MUST,
    side=Side.SERVER,
    requirements=("GET-03",),
    when=GET_IN_SESSION,
    failure_classes=("get-sse-wrong-status",),
)
def get_is_a_stream_or_405(inputs: Inputs) -> Verdict:
    """Judge the status and media type of a GET in an initialized session.

    What it checks: every GET by an initialized client is answered 200 text/event-stream, or 405.
    Why it matters: clients open this stream right after initialize; anything else reads as a broken connection.
    A failing exchange: GET /mcp → 400 {"error": {"message": "Missing session ID"}}
    A conforming exchange: GET /mcp → 405, or GET /mcp → 200 text/event-stream
    Known gaps: a second GET on one session may also be answered 409; it is judged by another rule.
    """
    gets = list(session_gets(inputs.through))
    for get in gets[:1]:
        if _neither_stream_nor_405(get):
            said = (
                "no response headers" if get.status is None else f"{get.status} {get.content_type or 'no media type'}"
            )
            return fail(
                "GET in an initialized session is answered 200 text/event-stream or 405",
                f"GET was answered {said}",
                get,
                charged_to=charge(inputs, get, _neither_stream_nor_405),
            )
    return Pass(f"GET was answered {gets[0].status} {gets[0].content_type}", gets[0].events)
