"""The witness's tools whose results and errors carry all that a message may carry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from conformance.witness.tools_messages import DATA, ERROR_CODE, META, STRANGER
from tests.test_witness_stdio import Child, request, stdio_witness
from tests.witness_process import initialize_params

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def child() -> Iterator[Child]:
    with stdio_witness() as child:
        child.ask("initialize", initialize_params(), "init")
        child.write({"jsonrpc": "2.0", "method": "notifications/initialized"})
        yield child


def called(child: Child, tool: str) -> dict[str, Any]:
    child.write(request("tools/call", {"name": tool, "arguments": {"nonce": "n-1"}}, 7))
    return child.read()


def test_a_rich_result_and_its_log_message_carry_what_nobody_knows(child: Child) -> None:
    log = called(child, "rich")["params"]
    assert (log["_meta"], log[STRANGER], log["data"]) == (META, "told", {"nonce": "n-1"})
    result = child.read()["result"]
    assert result["_meta"] == META
    assert STRANGER in result
    assert all(STRANGER in item for item in result["content"])
    assert result["structuredContent"]["data"] == DATA


def test_a_rejected_call_has_an_error_of_its_own_with_data(child: Child) -> None:
    error = called(child, "reject")["error"]
    assert error["code"] == ERROR_CODE
    assert "n-1" in error["message"]
    assert error["data"]
