"""What a server may say to throw the harness off: it is kept as evidence, and nothing of it ends a drive or a run."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from conformance.errors import EvidenceError
from conformance.evidence.log import read_evidence
from conformance.evidence.redact import Redactor
from conformance.stage.engine_child import Engine
from conformance.stage.plan import Cell, Plan
from conformance.stage.readiness import _if_answer
from conformance.wire.content_coding import LIMIT, ContentDecoder
from conformance.wire.driver import McpClient, tool_names
from conformance.wire.sse import SseEvent, SseParser

RESULT: Mapping[str, Any] = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "serverInfo": {"name": "s", "version": "1"},
}


@asynccontextmanager
async def answering(*heads: bytes, result: Mapping[str, Any] = RESULT) -> AsyncIterator[tuple[McpClient, list[bytes]]]:
    """Run a server that answers each request with a result and one of `heads` (the last again); yield a client."""
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "result": result}).encode()
        head = heads[min(len(asked), len(heads)) - 1]
        writer.write(head + b"Connection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        host, port = listening.sockets[0].getsockname()
        client = McpClient("a", f"http://{host}:{port}/mcp", revision="2025-11-25", record=lambda *_, **__: None)
        try:
            yield client, asked
        finally:
            await client.close()


OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def test_a_session_id_goes_back_as_it_came() -> None:
    async def drive() -> list[bytes]:
        async with answering(OK + b"Mcp-Session-Id: sess-\xc3\xa9\r\n") as (client, asked):
            await client.connect()
        return asked

    assert b"\r\nMcp-Session-Id: sess-\xc3\xa9\r\n" in asyncio.run(drive())[1]


@pytest.mark.parametrize("version", ["2026-\ud800", "2026-é"])
def test_a_version_that_is_no_text_ends_no_drive(version: str) -> None:
    async def drive() -> list[bytes]:
        async with answering(OK, result={**RESULT, "protocolVersion": version}) as (client, asked):
            assert (await client.connect()).status == 200
        return asked

    assert len(asyncio.run(drive())) == 2


def test_a_pause_that_is_no_number_is_waited_a_second_for() -> None:
    async def drive() -> int | None:
        too_many = b"HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json\r\nRetry-After: \xc2\xb2\r\n"
        async with answering(too_many) as (client, _):
            return (await client.initialize()).status

    assert asyncio.run(drive()) == 429


def test_what_is_no_http_is_not_quoted() -> None:
    async def drive() -> str:
        async with answering(OK + b"X-Echo : Bearer secret-1234\r\n") as (client, _):
            return (await client.initialize()).trouble

    assert asyncio.run(drive()) == "RemoteProtocolError: illegal header line"


@pytest.mark.parametrize("tools", [5, True, "echo", {"name": "echo"}, None])
def test_tools_that_are_no_list_have_no_names(tools: Any) -> None:
    assert tool_names({"tools": tools}) == []


def test_a_pause_of_thousands_of_digits_is_for_ever() -> None:
    (event,) = SseParser().feed(b"retry: " + b"9" * 5000 + b"\n\n")
    assert isinstance(event, SseEvent)
    assert event.retry == 10**18


@pytest.mark.parametrize("text", ['{"id": [1], "result": {}}', "[" * 100_000])
def test_an_answer_to_the_probe_is_none_of_these(text: str) -> None:
    assert _if_answer(text) is None


def test_evidence_that_is_nested_too_deeply_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "evidence.jsonl"
    file.write_text('{"seq": 0, "data": ' + "[" * 100_000 + "\n", encoding="utf-8")
    with pytest.raises(EvidenceError, match="nested too deeply"):
        read_evidence(file)


def test_a_coded_body_that_grows_without_end_is_read_up_to_a_limit() -> None:
    bomb = zlib.compress(bytes(LIMIT + 1000))
    decoder = ContentDecoder("deflate")
    assert len(decoder.feed(bomb)) == LIMIT
    assert not decoder.reads
    assert decoder.feed(b"more") == b"more"


class Broken(Engine):
    """An engine whose drives end in trouble that quotes a secret, and whose writing may break."""

    def __init__(self, tmp_path: Path, *, write: Exception | None = None) -> None:
        plan = Plan("r", str(tmp_path), str(tmp_path), "process", (CELL,))
        self.told: list[str] = []
        redactor = Redactor(supplied=("supersecret-token-123",))
        super().__init__(plan, SimpleNamespace(name="process"), None, redactor, {}, self.tell, None)
        self.write, self.footer = write, ""

    def tell(self, what: str, **detail: Any) -> None:
        self.told.append(f"{what}: {detail.get('error', '')}")

    async def _drive(self, stage: Any, scenario: Any) -> bool:
        raise ValueError("Illegal header value Bearer supersecret-token-123")

    async def _write(self, stage: Any, scenario: Any, error: str) -> None:
        if self.write is not None:
            raise self.write
        self.footer = error


CELL = Cell("terminating", "process", "witness", "2025-11-25", "2025-11-25", "ping")
INSTANCE: Any = SimpleNamespace(tool_names=None, meta_tool=None, target=None, healthy=True)


def test_trouble_that_quotes_a_secret_is_written_without_it(tmp_path: Path) -> None:
    engine = Broken(tmp_path)
    asyncio.run(engine.cell(CELL, INSTANCE))
    assert "Illegal header value Bearer" in engine.footer
    assert "supersecret" not in engine.footer + "".join(engine.told)


def test_what_one_cell_saw_ends_no_other(tmp_path: Path) -> None:
    engine = Broken(tmp_path, write=RecursionError("nested too deeply for supersecret-token-123"))
    assert asyncio.run(engine.cell(CELL, INSTANCE)) is False
    header, *_, footer = read_evidence(engine.plan.evidence_file(CELL))
    assert header.data["cell"] == CELL.id
    assert footer.data["error"].startswith("RecursionError: nested too deeply")
    assert "supersecret" not in footer.data["error"]
