"""The witness's tools that talk to the client while their call runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from conformance.witness.tools_calls import ODD_PROGRESS, QUESTIONS
from tests.test_witness_stdio import Child, request, stdio_witness
from tests.witness_process import initialize_params

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def child() -> Iterator[Child]:
    with stdio_witness() as child:
        yield child


def opened(child: Child, **capabilities: Any) -> None:
    child.ask("initialize", {**initialize_params(), "capabilities": capabilities}, "init")
    child.write({"jsonrpc": "2.0", "method": "notifications/initialized"})


def call(tool: str, *, token: Any = None, **arguments: Any) -> dict[str, Any]:
    meta = {} if token is None else {"_meta": {"progressToken": token}}
    return request("tools/call", {"name": tool, "arguments": {"nonce": "n-1", **arguments}, **meta}, 7)


@pytest.mark.parametrize("kind", sorted(QUESTIONS))
@pytest.mark.parametrize("stream", ["get", "post"])
def test_the_client_is_asked_what_it_declared(child: Child, kind: str, stream: str) -> None:
    opened(child, **{kind: {}})
    child.write(call("ask_client", kind=kind, stream=stream))
    asked = child.read()
    assert asked["method"] == QUESTIONS[kind][0]
    assert "n-1" in str(asked["params"])
    child.write({"jsonrpc": "2.0", "id": asked["id"], "result": {"said": "yes"}})
    facts = child.read()["result"]["structuredContent"]
    assert facts["declared"] is True
    assert facts["answer"] == {"result": {"said": "yes"}}


def test_an_error_of_the_client_is_told(child: Child) -> None:
    opened(child, roots={})
    child.write(call("ask_client", kind="roots"))
    error = {"code": -32601, "message": "no"}
    child.write({"jsonrpc": "2.0", "id": child.read()["id"], "error": error})
    assert child.read()["result"]["structuredContent"]["answer"] == {"error": error}


def test_the_client_is_not_asked_what_it_did_not_declare(child: Child) -> None:
    opened(child, roots={})
    child.write(call("ask_client", kind="sampling"))
    facts = child.read()["result"]["structuredContent"]
    assert (facts["declared"], facts["answer"]) == (False, None)


@pytest.mark.parametrize(
    ("arguments", "wanted"), [({}, list(ODD_PROGRESS)), ({"count": 3}, [(1.0, 3.0), (2.0, 3.0), (3.0, 3.0)])]
)
def test_progress_is_reported_before_the_answer(
    child: Child, arguments: dict[str, Any], wanted: list[tuple[float, float | None]]
) -> None:
    opened(child)
    child.write(call("report", token="t", **arguments))
    seen = [child.read()["params"] for _ in wanted]
    assert [(each["progress"], each.get("total")) for each in seen] == wanted
    assert {each["progressToken"] for each in seen} == {"t"}
    assert child.read()["result"]["structuredContent"]["reports"] == len(wanted)


def test_no_progress_is_reported_unasked(child: Child) -> None:
    opened(child)
    child.write(call("report", count=3))
    assert child.read()["result"]["structuredContent"]["reports"] == 0
