"""What the relay tap adds: latency of small exchanges and throughput of bulk, against a direct connection.

Both ways are measured in one run, round by round in turn, so that whatever else the machine does hits both. Read the
ratios, not the absolute numbers: those are this machine's.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.measuring import Spread  # noqa: E402 - runs from a checkout without installing
from conformance.wire.tap import TapProcess, TcpAddress  # noqa: E402

PING: Final = b"x" * 512
"""As long as a small JSON-RPC request with its HTTP head."""
BULK_READ: Final = 1 << 18
COMMAND: Final = 16


@dataclass(frozen=True, slots=True)
class Round:
    """One round on one way. Seconds; bytes per second."""

    p50: float
    p99: float
    throughput: float


def serve(listener: socket.socket) -> None:
    """Serve in a process of its own: a command is `p` (echo pings) or `b` (send so many bytes), then a number."""
    while True:
        sock, _ = listener.accept()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with sock:
            command = read_exactly(sock, COMMAND).decode().split()
            if command[0] == "p":
                for _ in range(int(command[1])):
                    sock.sendall(read_exactly(sock, len(PING)))
            else:
                send_bulk(sock, int(command[1]))


def send_bulk(sock: socket.socket, count: int) -> None:
    """Send `count` bytes."""
    block = bytes(BULK_READ)
    for sent in range(0, count, BULK_READ):
        sock.sendall(block[: count - sent])


def read_exactly(sock: socket.socket, count: int) -> bytes:
    """Return exactly `count` bytes. Raises EOFError at the end of the stream."""
    got = b""
    while len(got) < count:
        data = sock.recv(count - len(got))
        if not data:
            raise EOFError("the other side ended")
        got += data
    return got


def connected(address: TcpAddress, command: str) -> socket.socket:
    """Return a connection on which the command was sent."""
    sock = socket.create_connection((address.host, address.port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(command.ljust(COMMAND).encode())
    return sock


def measure(address: TcpAddress, pings: int, bulk: int) -> Round:
    """Return one round through that address."""
    with connected(address, f"p {pings}") as sock:
        took = []
        for _ in range(pings):
            start = time.perf_counter()
            sock.sendall(PING)
            read_exactly(sock, len(PING))
            took.append(time.perf_counter() - start)
    cuts = statistics.quantiles(took, n=100)
    with connected(address, f"b {bulk}") as sock:
        got, start = 0, time.perf_counter()
        while got < bulk:
            got += len(sock.recv(BULK_READ))
        seconds = time.perf_counter() - start
    return Round(cuts[49], cuts[98], bulk / seconds)


@contextlib.contextmanager
def server() -> Iterator[TcpAddress]:
    """Run the server while the block runs."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        process = multiprocessing.get_context("fork").Process(target=serve, args=(listener,), daemon=True)
        process.start()
        try:
            yield TcpAddress(*listener.getsockname())
        finally:
            process.terminate()
            process.join()


async def compare(direct: TcpAddress, rounds: int, pings: int, bulk: int) -> list[tuple[Round, Round]]:
    """Return (direct, tapped) per round, after one round that warms up; whichever goes first alternates."""
    pairs: list[tuple[Round, Round]] = []
    with tempfile.TemporaryDirectory() as folder:
        taps = await TapProcess.start(Path(folder) / "spool")
        for number in range(rounds + 1):
            name = f"tap{number}"
            tapped = await taps.open_tap(name, listen=TcpAddress("127.0.0.1", 0), upstream=direct)
            assert isinstance(tapped, TcpAddress)
            order = (direct, tapped) if number % 2 else (tapped, direct)
            found = {way: await asyncio.to_thread(measure, way, pings, bulk) for way in order}
            await taps.close_tap(name)
            taps.spool_path(name).unlink()  # each holds the whole bulk
            if number:
                pairs.append((found[direct], found[tapped]))
        await taps.stop()
    return pairs


def summarize(pairs: list[tuple[Round, Round]]) -> dict[str, Spread]:
    """Return the ratios and the added latency (milliseconds)."""
    return {
        "p50_ratio": Spread.of([tapped.p50 / direct.p50 for direct, tapped in pairs]),
        "p99_ratio": Spread.of([tapped.p99 / direct.p99 for direct, tapped in pairs]),
        "throughput_ratio": Spread.of([tapped.throughput / direct.throughput for direct, tapped in pairs]),
        "p50_added_ms": Spread.of([tapped.p50 - direct.p50 for direct, tapped in pairs]).scaled(1e3),
        "p99_added_ms": Spread.of([tapped.p99 - direct.p99 for direct, tapped in pairs]).scaled(1e3),
        "direct_p50_ms": Spread.of([direct.p50 for direct, _ in pairs]).scaled(1e3),
        "direct_throughput_mb_s": Spread.of([direct.throughput for direct, _ in pairs]).scaled(1e-6),
    }


MEANING: Final = {
    "p50_ratio": "small exchange, median: tapped / direct",
    "p99_ratio": "small exchange, 99th percentile: tapped / direct",
    "throughput_ratio": "bulk: tapped / direct",
    "p50_added_ms": "added to a small exchange, median, ms",
    "p99_added_ms": "added to a small exchange, 99th percentile, ms",
    "direct_p50_ms": "(direct, median, ms)",
    "direct_throughput_mb_s": "(direct, MB/s)",
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="example: python bench/tap_overhead.py --rounds 9\n"
        "An exchange is 512 bytes there and 512 back, so it passes the tap twice. Every byte is spooled, as in a run.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=7, help="rounds per way (default 7, plus one to warm up)")
    parser.add_argument("--pings", type=int, default=2000, help="small exchanges per round (default 2000)")
    parser.add_argument("--bulk-mb", type=int, default=64, help="megabytes of bulk per round (default 64)")
    parser.add_argument("--json", action="store_true", help="print one JSON object: median, smallest, largest of each")
    chosen = parser.parse_args()
    with server() as direct:
        found = summarize(asyncio.run(compare(direct, chosen.rounds, chosen.pings, chosen.bulk_mb * 1_000_000)))
    if chosen.json:
        print(json.dumps({name: spread.to_json() for name, spread in found.items()}))
        return
    print(f"{chosen.rounds} rounds, direct and tapped in turn; median (smallest … largest)")
    for name, spread in found.items():
        print(f"  {MEANING[name]:<50}{spread}")


if __name__ == "__main__":
    main()
