"""The tap process: relays, stamps and spools, nothing else. Started and steered by conformance.wire.tap.

    python -m conformance.wire.tap_process SPOOL_DIR

Requests come as JSON lines on stdin, answers go as JSON lines to stdout; at EOF of stdin it ends by itself.

What a relay cannot carry, so that neither side can see it of the other: TCP keep-alive probes (each side's are
answered by the relay's kernel), path MTU and MSS, the client's address, TCP_INFO (round-trip times, retransmissions),
urgent data, TCP Fast Open, segment boundaries, and the moment of an acknowledgement (the relay's kernel acknowledges
what the receiver has not read yet). A refused upstream is seen as accepted and then reset. On Unix sockets no RST can
be sent, only a close, and ancillary data (descriptors, credentials) is not passed on.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import monotonic_ns
from typing import Any, Final, TypeVar

from conformance.errors import UsageError
from conformance.wire.spool import Direction, RecordKind, SpoolThread, SpoolWriter, file_name
from conformance.wire.tap_address import Refusal, TcpAddress, TlsOptions, address_from_json, address_to_json
from conformance.wire.tap_collector import Collector
from conformance.wire.tap_listener import Tap
from conformance.wire.tap_selector import RelaySelector, ResetWatch
from conformance.wire.tap_tls import tls_sides
from conformance.wire.toxics import from_json

FLUSH_EVERY: Final = 0.1
"""Seconds records may wait in memory; what a killed tap process loses at most. Handing them over wakes the thread that
writes, which then contends with the relay for the interpreter: at 0.02 that took 5 % of the process's CPU
time (measured at 6000 POSTs a second)."""
LAG_EVERY: Final = 0.05
"""Seconds between two samples of the loop's lag."""
LAG_WORTH_NOTING: Final = 0.01
"""Seconds of lag recorded one by one; a hundred times the relay's own delay."""
LAG_MAX_EVERY: Final = 1.0
"""Seconds between two records of the largest lag."""

_T = TypeVar("_T")


class TapServer:
    """Carries out the requests."""

    def __init__(self, spool_dir: Path, selector: RelaySelector) -> None:
        self._dir = spool_dir
        self._thread = SpoolThread()
        self._taps: dict[str, Tap] = {}
        self._collectors: dict[str, Collector] = {}
        self._spools: dict[str, SpoolWriter] = {}
        self._watch = ResetWatch(asyncio.get_running_loop(), selector)
        self._commands: dict[str, Callable[..., Awaitable[Any]]] = {
            "open_tap": self.open_tap,
            "open_collector": self.open_collector,
            "set_upstream": self.set_upstream,
            "refuse": self.refuse,
            "close_port": self.close_port,
            "set_toxics": self.set_toxics,
            "sync": self.sync,
            "close": self.close,
        }

    async def handle(self, line: bytes) -> bytes:
        """Carry out one request line `{id, do, …}` and return the answer line `{id, ok | error}`."""
        request = json.loads(line)
        number, command = request.pop("id"), request.pop("do")
        try:
            answer = {"id": number, "ok": await self._commands[command](**request)}
        except (OSError, ValueError, UsageError) as error:
            text = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
            answer = {"id": number, "error": text}
        return json.dumps(answer).encode() + b"\n"

    async def open_tap(
        self, name: str, listen: dict[str, Any], upstream: dict[str, Any] | None, mode: str, tls: dict[str, Any]
    ) -> dict[str, Any] | None:
        """Open a tap; returns its address."""
        address = address_from_json(listen)
        if address is None:
            raise ValueError("no listen address was given")
        spool = self._new_spool(name, lines=False)
        try:
            there = address_from_json(upstream)
            tap = Tap(address, there, spool, self._watch, tls_sides(mode, TlsOptions(**tls), there))
        except (OSError, ValueError):
            self._discard(name)
            raise
        self._taps[name] = tap
        return address_to_json(tap.address)

    async def open_collector(self, name: str, listen: dict[str, Any]) -> dict[str, Any] | None:
        """Open a collector of stdio-tap records; returns its address."""
        address = address_from_json(listen)
        if not isinstance(address, TcpAddress):
            raise ValueError("a collector listens on TCP")  # noqa: TRY004 - a refused request, not a program's mistake
        spool = self._new_spool(name, lines=True)
        try:
            collector = Collector(address, spool)
        except OSError:
            self._discard(name)
            raise
        await collector.serve()
        self._collectors[name] = collector
        return address_to_json(collector.address)

    async def set_upstream(self, name: str, upstream: dict[str, Any]) -> None:
        """Set where later connections go."""
        address = address_from_json(upstream)
        if address is None:
            raise ValueError("no upstream address was given")
        _named(self._taps, name).set_upstream(address)

    async def refuse(self, name: str, why: str) -> None:
        """Refuse later connections."""
        _named(self._taps, name).set_upstream(Refusal(why))

    async def close_port(self, name: str) -> None:
        """Stop listening until an upstream is set."""
        _named(self._taps, name).close_port()

    async def set_toxics(self, name: str, toxics: list[dict[str, Any]]) -> None:
        """Replace the toxics."""
        _named(self._taps, name).set_toxics(from_json(toxics))

    async def sync(self, name: str) -> int:
        """Write out what is gathered and return the file's size."""
        spool = _named(self._spools, name)
        if name in self._collectors:
            await self._collectors[name].settle()
        size = spool.size  # now: more may be relayed while this is written
        await _written(spool.flush)
        return size

    async def close(self, name: str) -> None:
        """Close a tap or collector and its spool."""
        spool = _named(self._spools, name)
        (self._taps.pop(name) if name in self._taps else self._collectors.pop(name)).close()
        del self._spools[name]
        await _written(lambda done: spool.close(monotonic_ns(), done))

    async def stop(self) -> None:
        """Close everything in order."""
        for name in list(self._spools):
            await self.close(name)
        self._thread.stop()

    def flush(self) -> None:
        """Hand the gathered records to the writing thread."""
        for spool in self._spools.values():
            spool.flush()

    def lag(self, what: str, seconds: float, over: float) -> None:
        """Write a LAG record into every tap's spool."""
        payload = json.dumps({"what": what, "seconds": round(seconds, 6), "over": over}).encode()
        for name in self._taps:
            self._spools[name].record(monotonic_ns(), 0, Direction.NONE, RecordKind.LAG, payload)

    def _new_spool(self, name: str, *, lines: bool) -> SpoolWriter:
        if name in self._spools:
            raise ValueError(f"the name {name!r} is taken")
        self._spools[name] = SpoolWriter(self._thread, self._dir / file_name(name, lines=lines), lines=lines)
        return self._spools[name]

    def _discard(self, name: str) -> None:
        self._spools.pop(name).discard()


def _named(things: dict[str, _T], name: str) -> _T:
    if name not in things:
        raise ValueError(f"nothing of the name {name!r} is open")
    return things[name]


async def _written(write: Callable[[Callable[[], object]], None]) -> None:
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    write(lambda: loop.call_soon_threadsafe(done.set))
    await done.wait()


async def _flush_regularly(server: TapServer) -> None:
    while True:
        await asyncio.sleep(FLUSH_EVERY)
        server.flush()


async def _sample_lag(server: TapServer) -> None:
    loop = asyncio.get_running_loop()
    largest, since = 0.0, loop.time()
    while True:
        due = loop.time() + LAG_EVERY
        await asyncio.sleep(LAG_EVERY)
        now = loop.time()
        late = max(0.0, now - due)
        largest = max(largest, late)
        if late > LAG_WORTH_NOTING:
            server.lag("sample", late, LAG_EVERY)
        if now - since >= LAG_MAX_EVERY:
            server.lag("max", largest, round(now - since, 3))
            largest, since = 0.0, now


async def _serve(spool_dir: Path, selector: RelaySelector) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_die)
    server = TapServer(spool_dir, selector)
    requests = asyncio.StreamReader(limit=1 << 24)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(requests), sys.stdin)
    stopping = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopping.set)
    background = [asyncio.create_task(_flush_regularly(server)), asyncio.create_task(_sample_lag(server))]
    control = asyncio.create_task(_answer(requests, server))
    control.add_done_callback(lambda _: stopping.set())
    await stopping.wait()
    for task in background:
        task.cancel()
    await server.stop()
    if control.done():
        control.result()


def _die(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """End at a mistake of the program's own: evidence after it could be wrong, and a dead tap is noticed."""
    loop.default_exception_handler(context)
    sys.stderr.flush()
    os._exit(os.EX_SOFTWARE)


async def _answer(requests: asyncio.StreamReader, server: TapServer) -> None:
    while line := await requests.readline():
        os.write(1, await server.handle(line))


def main() -> None:
    """Serve until stdin ends or SIGTERM comes."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    selector = RelaySelector()
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        runner.run(_serve(Path(sys.argv[1]), selector))


if __name__ == "__main__":
    main()
