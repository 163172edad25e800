"""A sentinel exchange that fails: what is said of it, and what the evidence keeps."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace

import pytest

from conformance import timing
from conformance.errors import CannotJudgeError
from conformance.evidence.events import JSON, Kind, Point
from conformance.evidence.log import Observation
from conformance.stage.backend_seen import Asked, how_far, reached
from conformance.wire.driver import Reply
from conformance.wire.refused import met_with
from tests.stage_setup import standing

CALL = {"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {"name": "echo", "arguments": {"nonce": "n-1"}}}
STREAM = {"content-type": "text/event-stream; charset=utf-8"}


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply(trouble="ReadError: "), "was not answered (ReadError)"),
        (Reply(404), "was answered 404, which holds no result"),
        (
            Reply(200, STREAM, trouble="gave up after 20 s"),
            "200 text/event-stream, which did not come to its end (gave",
        ),
        (Reply(400, {}, ({"id": None, "error": {"code": -32600, "message": "no"}},)), "the JSON-RPC error -32600"),
        (Reply(400, {}, ({"error": {"code": "secret"}},)), "the JSON-RPC error without a code"),
        (Reply(200, {}, ({"id": 1, "result": {"isError": True}},)), "with a result that says isError"),
    ],
)
def test_what_a_request_was_met_with_is_told_without_the_server_s_words(reply: Reply, said: str) -> None:
    assert said in met_with(reply)


def seen(t_ns: int, kind: Kind, **data: JSON) -> Observation:
    return Observation(t_ns, Point.BACKEND_TAP, kind, {"exchange": "e1", **data})


REQUEST = seen(5, Kind.HTTP_REQUEST_BODY, message=CALL)
REFUSED = seen(6, Kind.HTTP_RESPONSE, status=400)


@pytest.mark.parametrize(
    ("observations", "said"),
    [
        ([REQUEST, REFUSED], "the backend received it and answered 400"),
        ([REQUEST], "the backend received it and did not answer"),
        ([seen(5, Kind.STDIO_FRAME, message=CALL)], "the backend received it"),
        ([seen(5, Kind.HTTP_REQUEST_BODY, message={**CALL, "params": {}}), REFUSED], "it did not reach the backend"),
        ([seen(5, Kind.CONN_FAILED, error="ECONNREFUSED")], "not the gateway's fault"),
        ([seen(1, Kind.HTTP_REQUEST_BODY, message=CALL)], "it did not reach the backend"),
        ([seen(5, Kind.HTTP_REQUEST_BODY, message=[CALL])], "it did not reach the backend"),
    ],
    ids=["refused", "silent", "stdio", "another's call", "no backend", "an earlier one", "no message"],
)
def test_how_far_the_request_came_is_read_from_the_backend_s_side(observations: list[Observation], said: str) -> None:
    assert reached(Asked("tools/call echo", "n-1"), observations, 2).endswith(said)


def test_nothing_is_told_of_a_backend_that_nobody_knows() -> None:
    alone = SimpleNamespace(backend=None, target=None, attached=object())
    straight = SimpleNamespace(backend=object(), target=None, attached=None)
    for instance in (alone, straight):
        assert asyncio.run(how_far(instance, Asked("tools/list"), 0)) == ""


def test_what_failed_is_the_gateway_s_and_in_the_evidence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "SENTINEL", 2.0)

    async def fail() -> tuple[str, list[Observation]]:
        async with standing("passthrough", tmp_path) as stage:
            await stage.stop_backend()
            stage.recorder.observations.clear()
            with pytest.raises(CannotJudgeError) as raised:
                await stage.sentinel("before")
            return str(raised.value), stage.recorder.observations

    said, kept = asyncio.run(fail())
    assert said.startswith("the gateway did not pass the sentinel exchange before the scenario: ")
    assert said.endswith("; the backend could not be connected to, which is not the gateway's fault")
    done = sorted((item for item in kept if item.kind is Kind.STIMULUS), key=lambda item: item.t_ns)
    assert done[0].data["name"] == "sentinel.begin"
    assert done[-1].data == {"name": "sentinel", "when": "before", "ok": False, "detail": done[-1].data["detail"]}
