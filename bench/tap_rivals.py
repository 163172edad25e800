"""Small POSTs a second on kept-alive connections: direct, through the recording tap, HAProxy (TCP) and mitmproxy.

All ways are measured in one run, in short rounds and in turn, so that whatever else the machine does hits each of them.
Read the ratios, not the absolute numbers: those are this machine's. The tap and mitmproxy record every byte, HAProxy
none. Beside the rate stands the CPU time that a proxy takes for a POST, which other load hardly changes.

What the tap must keep up with is HAProxy as it is by default, with a thread for each core, in MCP requests (tools/call)
that the witness answers. Before a bare server, which answers without a look at what was asked, the proxies' own limits
show; HAProxy with one thread, as the tap has itself, tells what the second thread makes there.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.http_load import answering, posts_per_second, witness  # noqa: E402 - runs from a checkout without installing
from bench.measuring import Spread, cpu_seconds, machine  # noqa: E402
from bench.rivals import Way, haproxy, mitmproxy  # noqa: E402
from conformance.errors import HarnessError  # noqa: E402
from conformance.evidence.events import JSON  # noqa: E402
from conformance.wire.tap import TapProcess  # noqa: E402
from conformance.wire.tap_address import TcpAddress  # noqa: E402

WANTED: Final = 0.9
"""Least share of HAProxy's MCP requests a second that the recording tap must carry."""
TAP, HAPROXY, HAPROXY_NARROW, MITMPROXY, DIRECT = "tap", "haproxy", "haproxy-narrow", "mitmproxy", "direct"
WAYS: Final = (DIRECT, TAP, HAPROXY, HAPROXY_NARROW, MITMPROXY)
MEANING: Final = "median (smallest … largest)"
SLOWER: Final = 10
"""Of the POSTs of a round, mitmproxy gets one in so many, and the witness too: they are slower by more than that."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """A server to put the ways before. share: of the POSTs of a round, it gets one in so many."""

    title: str
    run: Callable[[], AbstractContextManager[TcpAddress]]
    share: int


WITNESS, BARE = "witness", "bare"
UPSTREAMS: Final = {
    WITNESS: Upstream("MCP requests to the witness", witness, SLOWER),
    BARE: Upstream("POSTs to a bare server", answering, 1),
}


@dataclass(frozen=True, slots=True)
class Rate:
    """What one way carried in one round. cpu: seconds of the proxy's CPU time per POST, 0 where there is no proxy."""

    posts_per_second: float
    cpu: float


@contextlib.asynccontextmanager
async def tapped(upstream: TcpAddress, folder: Path) -> AsyncIterator[Way]:
    """Run the tap, recording, while the block runs."""
    taps = await TapProcess.start(folder / "spool")
    try:
        address = await taps.open_tap(TAP, listen=TcpAddress("127.0.0.1", 0), upstream=upstream)
        assert isinstance(address, TcpAddress)
        yield Way(address, taps.pid)
    finally:
        await taps.stop()


async def compare(before: Upstream, rounds: int, posts: int, connections: int) -> list[dict[str, Rate]]:
    """Return what each way carried, per round, after one round that warms up. The order changes: see `in_turn`."""
    found: list[dict[str, Rate]] = []
    posts = max(connections, posts // before.share)
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        upstream = stack.enter_context(before.run())
        ways = {
            DIRECT: Way(upstream),
            TAP: await stack.enter_async_context(tapped(upstream, folder)),
            HAPROXY: stack.enter_context(haproxy(upstream, folder, threads=os.cpu_count() or 1)),
            HAPROXY_NARROW: stack.enter_context(haproxy(upstream, folder, threads=1)),
            MITMPROXY: stack.enter_context(mitmproxy(upstream, folder)),
        }
        for number in range(rounds + 1):
            rates = {}
            for name in in_turn(list(ways), number):
                count = max(connections, posts // SLOWER if name == MITMPROXY else posts)
                rates[name] = await asyncio.to_thread(measure, ways[name], connections, count)
            if number:
                found.append(rates)
    return found


def measure(way: Way, connections: int, posts: int) -> Rate:
    """Return what one way carries now."""
    before = cpu_seconds(way.pid) if way.pid is not None else 0.0
    rate = posts_per_second(way.address, connections, posts)
    after = cpu_seconds(way.pid) if way.pid is not None else 0.0
    return Rate(rate, (after - before) / posts)


def in_turn(ways: Sequence[str], number: int) -> list[str]:
    """Return the ways, begun with another one each round; once each has been first, the other way round."""
    begin, reverse = number % len(ways), number // len(ways) % 2
    order = [*ways[begin:], *ways[:begin]]
    return order[::-1] if reverse else order


def summarize(rounds: Sequence[Mapping[str, Rate]]) -> dict[str, Spread]:
    """Return each way's POSTs a second, the ratios within each round, and the proxies' CPU time per POST (µs)."""
    rates = {name: [rates[name].posts_per_second for rates in rounds] for name in WAYS}
    pairs = ((TAP, HAPROXY), (TAP, HAPROXY_NARROW), (TAP, MITMPROXY), (TAP, DIRECT), (HAPROXY, DIRECT))
    ratios = {f"{one}/{other}": [a / b for a, b in zip(rates[one], rates[other], strict=True)] for one, other in pairs}
    cpu = {f"{name} CPU µs": [rates[name].cpu * 1e6 for rates in rounds] for name in WAYS[1:]}
    return {name: Spread.of(values) for name, values in (rates | ratios | cpu).items()}


Found: TypeAlias = Mapping[str, Mapping[int, Mapping[str, Spread]]]
"""By upstream, by number of connections: what was found."""


def carried(found: Found, upstream: str) -> float:
    """Return the least share of HAProxy's rate that the tap carried before an upstream, over the connections."""
    return min(spreads[f"{TAP}/{HAPROXY}"].median for spreads in found[upstream].values())


def to_json(found: Found) -> dict[str, JSON]:
    """Return what was found as JSON: by upstream, by number of connections, the spread of each rate and ratio."""
    return {
        "machine": machine(),
        "wanted_of_haproxy": WANTED,
        "carried_of_haproxy": {upstream: carried(found, upstream) for upstream in found},
        "enough": carried(found, WITNESS) >= WANTED,
        "before": {
            upstream: {
                str(count): {name: spread.to_json() for name, spread in spreads.items()}
                for count, spreads in by_count.items()
            }
            for upstream, by_count in found.items()
        },
    }


def main() -> int:
    """Measure and print; 0 when the tap carries enough, 1 when it does not, 3 when nothing could be measured."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="example: python bench/tap_rivals.py --rounds 128\n"
        "HAProxy comes from the distribution (apt-get install haproxy); mitmproxy is installed by this program.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=64, help="rounds per way (default 64, plus one to warm up)")
    parser.add_argument(
        "--posts",
        type=int,
        default=1000,
        help="POSTs per round and way (default 1000, of the witness a tenth: some 30 ms, so that few are interrupted)",
    )
    parser.add_argument(
        "--connections", type=int, nargs="+", default=[1, 16], help="connections at once, one run each (default 1 16)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object: median, smallest, largest of each")
    chosen = parser.parse_args()
    try:
        found = {
            name: {
                count: summarize(asyncio.run(compare(before, chosen.rounds, chosen.posts, count)))
                for count in chosen.connections
            }
            for name, before in UPSTREAMS.items()
        }
    except HarnessError as error:
        print(error, file=sys.stderr)
        return int(error.exit_code)
    told = to_json(found)
    if chosen.json:
        print(json.dumps(told))
    else:
        show(found, told)
    return 0 if told["enough"] else 1


def show(found: Found, told: Mapping[str, JSON]) -> None:
    """Print a table for each upstream and number of connections, and what they come to."""
    for upstream, by_count in found.items():
        for count, spreads in by_count.items():
            many = f"{count} connection{'s' * (count > 1)}"
            print(f"{UPSTREAMS[upstream].title}, {many}; a second, ratios, CPU time for each;", MEANING)
            for name, spread in spreads.items():
                print(f"  {name:<20}{spread}")
    print(f"load {told['machine']['load_1min']} on {told['machine']['cores']} cores")
    for upstream, ratio in told["carried_of_haproxy"].items():
        word = "at least" if ratio >= WANTED else "LESS THAN"
        print(f"{UPSTREAMS[upstream].title}: the tap carries {word} {WANTED:g} of what HAProxy carries ({ratio:.3f})")


if __name__ == "__main__":
    sys.exit(main())
