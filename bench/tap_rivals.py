"""Small POSTs a second on kept-alive connections: direct, through the recording tap, HAProxy (TCP) and mitmproxy.

All ways are measured in one run, round by round in turn, so that whatever else the machine does hits each of them. Read
the ratios, not the absolute numbers: those are this machine's. The tap and mitmproxy record every byte, HAProxy none.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.http_load import answering, posts_per_second  # noqa: E402 - runs from a checkout without installing
from bench.measuring import Spread, machine  # noqa: E402
from bench.rivals import haproxy, mitmproxy  # noqa: E402
from conformance.errors import HarnessError  # noqa: E402
from conformance.evidence.events import JSON  # noqa: E402
from conformance.wire.tap import TapProcess  # noqa: E402
from conformance.wire.tap_address import TcpAddress  # noqa: E402

WANTED: Final = 0.9
"""Least share of HAProxy's POSTs a second that the recording tap must carry."""
TAP, HAPROXY, MITMPROXY, DIRECT = "tap", "haproxy", "mitmproxy", "direct"
SLOWER: Final = 10
"""Of the POSTs of a round, mitmproxy gets one in so many: it is slower by more than that."""


@contextlib.asynccontextmanager
async def tapped(upstream: TcpAddress, folder: Path) -> AsyncIterator[TcpAddress]:
    """Run the tap, recording, while the block runs."""
    taps = await TapProcess.start(folder / "spool")
    try:
        address = await taps.open_tap(TAP, listen=TcpAddress("127.0.0.1", 0), upstream=upstream)
        assert isinstance(address, TcpAddress)
        yield address
    finally:
        await taps.stop()


async def compare(rounds: int, posts: int, connections: int) -> list[dict[str, float]]:
    """Return the POSTs a second of each way, per round, after one round that warms up. The order rotates."""
    found: list[dict[str, float]] = []
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        upstream = stack.enter_context(answering())
        ways = {
            DIRECT: upstream,
            TAP: await stack.enter_async_context(tapped(upstream, folder)),
            HAPROXY: stack.enter_context(haproxy(upstream, folder)),
            MITMPROXY: stack.enter_context(mitmproxy(upstream, folder)),
        }
        for number in range(rounds + 1):
            rates = {}
            for way in rotated(list(ways), number):
                count = max(connections, posts // SLOWER if way == MITMPROXY else posts)
                rates[way] = await asyncio.to_thread(posts_per_second, ways[way], connections, count)
            if number:
                found.append(rates)
    return found


def rotated(ways: Sequence[str], by: int) -> list[str]:
    """Return the ways, begun with another one each round."""
    start = by % len(ways)
    return [*ways[start:], *ways[:start]]


def summarize(rounds: Sequence[Mapping[str, float]]) -> dict[str, Spread]:
    """Return each way's POSTs a second, and the ratios within each round."""
    rates = {way: Spread.of([rates[way] for rates in rounds]) for way in (DIRECT, TAP, HAPROXY, MITMPROXY)}
    pairs = ((TAP, HAPROXY), (TAP, MITMPROXY), (TAP, DIRECT), (HAPROXY, DIRECT))
    return rates | {
        f"{one}/{other}": Spread.of([rates[one] / rates[other] for rates in rounds]) for one, other in pairs
    }


def to_json(found: Mapping[int, Mapping[str, Spread]]) -> dict[str, JSON]:
    """Return what was found as JSON: by number of connections, the spread of each rate and ratio."""
    ratios = [spreads[f"{TAP}/{HAPROXY}"].median for spreads in found.values()]
    return {
        "machine": machine(),
        "wanted_of_haproxy": WANTED,
        "enough": all(ratio >= WANTED for ratio in ratios),
        "connections": {
            str(count): {name: spread.to_json() for name, spread in spreads.items()} for count, spreads in found.items()
        },
    }


def main() -> int:
    """Measure and print; 0 when the tap carries enough, 1 when it does not, 3 when nothing could be measured."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="example: python bench/tap_rivals.py --rounds 9\n"
        "HAProxy comes from the distribution (apt-get install haproxy); mitmproxy is installed by this program.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=7, help="rounds per way (default 7, plus one to warm up)")
    parser.add_argument("--posts", type=int, default=5000, help="POSTs per round and way (default 5000)")
    parser.add_argument(
        "--connections", type=int, nargs="+", default=[1, 16], help="connections at once, one run each (default 1 16)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object: median, smallest, largest of each")
    chosen = parser.parse_args()
    try:
        found = {
            count: summarize(asyncio.run(compare(chosen.rounds, chosen.posts, count))) for count in chosen.connections
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


def show(found: Mapping[int, Mapping[str, Spread]], told: Mapping[str, JSON]) -> None:
    """Print a table for each number of connections."""
    for count, spreads in found.items():
        print(f"{count} connection{'s' * (count > 1)}; POSTs a second, then ratios; median (smallest … largest)")
        for name, spread in spreads.items():
            print(f"  {name:<16}{spread}")
    print(f"load {told['machine']['load_1min']} on {told['machine']['cores']} cores")
    print(f"the tap carries {'at least' if told['enough'] else 'LESS THAN'} {WANTED:g} of what HAProxy carries")


if __name__ == "__main__":
    sys.exit(main())
