"""The witness's tool that cannot be stopped."""

from __future__ import annotations

from tests.test_witness_stdio import request, stdio_witness
from tests.witness_process import initialize_params


def test_it_answers_though_it_was_cancelled() -> None:
    with stdio_witness() as child:
        child.ask("initialize", initialize_params(), "init")
        child.write({"jsonrpc": "2.0", "method": "notifications/initialized"})
        child.write(request("tools/call", {"name": "unstoppable", "arguments": {"nonce": "n-1", "seconds": 0.2}}, 7))
        child.write({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}})
        answer = child.read()
    assert answer["id"] == 7
    assert answer["result"]["structuredContent"]["cancelled"] <= 1
    assert answer["result"]["structuredContent"]["seconds"] == 0.2
