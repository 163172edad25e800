"""What streams and handshakes took under load, and the success criteria of a write-up held against it.

Pure, over the evidence of three drives of one scenario: with the fault, without it, and straight at the backend, which
is the control. Asserted are ratios to the control alone; absolute figures are shown for what they are, one machine's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import ceil
from typing import Final

from conformance.evidence.events import JSON, Kind
from conformance.evidence.transcript import Exchange, Transcript

MEMORY: Final = "memory.sampled"
"""Stimulus that says how much memory the gateway's process holds: {bytes}."""

ALONE: Final = "alone"
"""Name of the client whose streams are open one at a time: when they start is measured there, before any load."""

EARLY: Final = 3.0
"""A first event without the fault takes at most this many times the control's; through a healthy proxy it takes 1.1 to
1.6 times as long, for the first event is due only after a wait of its own."""

LATE: Final = 4.0
"""With the fault it takes at least this many times the control's: a response that is whole takes ten times as long."""

SUCCESS: Final = 0.999
"""Share of the control's successes that the write-up wants, of handshakes and of streams."""

THREE: Final = "p50, p95, p99"


@dataclass(frozen=True, slots=True)
class Streams:
    """What a drive's streams were like. start and duration: seconds from the request; bytes, chunks: of each response.

    start: of the streams that were open alone; all else: of those under load. ended: how many streams ended how.
    concurrent: the most that were open at one time.
    """

    start: tuple[float, ...]
    duration: tuple[float, ...]
    bytes: tuple[int, ...]
    chunks: tuple[int, ...]
    completed: int
    concurrent: int
    ended: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Measured:
    """What one drive took. initializes: how many were sent, and answered with a result. memory: bytes, as sampled."""

    initializes: int
    initialized: int
    streams: Streams
    memory: tuple[int, ...]

    @property
    def initialize_share(self) -> float:
        """Share of handshakes that succeeded."""
        return self.initialized / self.initializes if self.initializes else 0.0

    @property
    def completed_share(self) -> float:
        """Share of streams that carried their answer."""
        return self.streams.completed / len(self.streams.duration) if self.streams.duration else 0.0

    @property
    def growth(self) -> float | None:
        """How many times its memory before the gateway held afterwards."""
        return self.memory[-1] / self.memory[0] if len(self.memory) > 1 else None


@dataclass(frozen=True, slots=True)
class Criterion:
    """One line of the table.

    asked: in the write-up's terms. measured: with the fault, without it, and straight at the backend. ratios: to the
    control. asserted: what must hold of them, empty for what is only shown.
    """

    name: str
    asked: str
    measured: tuple[str, ...]
    ratios: str = ""
    asserted: str = ""
    holds: bool | None = None

    def to_json(self) -> dict[str, JSON]:
        """Return its record."""
        return asdict(self)


def measured(transcript: Transcript) -> Measured:
    """Return what the drive behind a transcript took."""
    asked = [item for item in transcript.client() if item.rpc_method == "initialize"]
    return Measured(
        initializes=len(asked),
        initialized=sum(1 for item in asked if (answer := item.answer()) is not None and answer.result is not None),
        streams=_streams(transcript),
        memory=tuple(int(event.data["bytes"]) for event in transcript.stimuli(MEMORY)),
    )


def _streams(transcript: Transcript) -> Streams:
    alone = [item for item in transcript.client(ALONE) if item.rpc_method == "tools/call"]
    calls = [item for item in transcript.client() if item.rpc_method == "tools/call" and item not in alone]
    chunks = _chunks(transcript)
    carried = [_carried(call, chunks, transcript.end_of(call)) for call in calls]
    return Streams(
        start=tuple(call.beats[0].t - call.t for call in alone if call.beats),
        duration=tuple(transcript.end_of(call) - call.t for call in calls),
        bytes=tuple(sum(lengths) for lengths in carried),
        chunks=tuple(len(lengths) for lengths in carried),
        completed=sum(1 for call in calls if call.answer() is not None),
        concurrent=_most_at_once([(call.t, transcript.end_of(call)) for call in calls]),
        ended=dict(Counter(call.how for call in calls)),
    )


def _chunks(transcript: Transcript) -> dict[tuple[str, int], list[tuple[float, int]]]:
    """Return time and length of what came down each connection."""
    found: dict[tuple[str, int], list[tuple[float, int]]] = {}
    for event in transcript.of(Kind.CHUNK):
        if event.data["dir"] == "down":
            place = (str(event.data["tap"]), int(event.data["conn"]))
            found.setdefault(place, []).append((event.t, int(event.data["length"])))
    return found


def _carried(call: Exchange, chunks: dict[tuple[str, int], list[tuple[float, int]]], until: float) -> list[int]:
    return [length for t, length in chunks.get((call.tap, call.conn), ()) if call.t <= t <= until]


def _most_at_once(calls: Sequence[tuple[float, float]]) -> int:
    """Return the most calls that were under way at one time. calls: begin and end of each, in seconds."""
    steps = sorted([(begin, 1) for begin, _ in calls] + [(end, -1) for _, end in calls])
    most = now = 0
    for _, step in steps:
        now += step
        most = max(most, now)
    return most


def percentile(values: Iterable[float], share: float) -> float:
    """Return the value below which a share (0 to 1) of the values lies, the nearest rank; 0.0 of none."""
    ordered = sorted(values)
    return ordered[max(0, ceil(share * len(ordered)) - 1)] if ordered else 0.0


def criteria(failing: Measured, remedied: Measured, control: Measured) -> tuple[Criterion, ...]:
    """Return the write-up's success criteria, measured with the fault, without it and straight at the backend."""
    sides = (failing, remedied, control)
    starts = [percentile(side.streams.start, 0.5) for side in sides]
    late, early = (_ratio(value, starts[2]) for value in starts[:2])
    return (
        Criterion(
            "the stream starts",
            "within 100 ms",
            tuple(f"p50 {value:.3f} s" for value in starts),
            ratios=f"{late:.1f} and {early:.1f} times the control's",
            asserted=f"with the fault at least {LATE:g} times, without at most {EARLY:g} times the control's",
            holds=late >= LATE and early <= EARLY,
        ),
        _share(
            "initialize succeeds",
            "99.9 % of 1,000",
            [side.initialize_share for side in sides],
            tuple(f"{side.initialized} of {side.initializes}" for side in sides),
        ),
        _share(
            "streams carry their answer",
            "100 at one time",
            [side.completed_share for side in sides],
            tuple(f"{side.streams.completed}, {side.streams.concurrent} at once" for side in sides),
        ),
        Criterion("memory", "stable", tuple(_grown(side.growth) for side in sides)),
        Criterion("duration of a stream", THREE, tuple(_three(side.streams.duration, " s") for side in sides)),
        Criterion("bytes of a stream", THREE, tuple(_three(side.streams.bytes) for side in sides)),
        Criterion("chunks of a stream", THREE, tuple(_three(side.streams.chunks) for side in sides)),
        Criterion("how streams ended", "reason", tuple(_ends(side.streams.ended) for side in sides)),
    )


def _share(name: str, asked: str, shares: Sequence[float], said: tuple[str, ...]) -> Criterion:
    """Return a criterion on a share of successes: without the fault it must be the control's."""
    ratio = _ratio(shares[1], shares[2])
    return Criterion(
        name,
        asked,
        said,
        ratios=f"{_ratio(shares[0], shares[2]):.3f} and {ratio:.3f} of the control's",
        asserted=f"without the fault at least {SUCCESS} of the control's",
        holds=ratio >= SUCCESS,
    )


def _grown(growth: float | None) -> str:
    return "not sampled" if growth is None else f"{growth:.2f} times what it was"


def _three(values: Iterable[float], unit: str = "") -> str:
    found = list(values)
    return ", ".join(f"{percentile(found, share):.4g}" for share in (0.5, 0.95, 0.99)) + unit


def _ends(ended: Mapping[str, int]) -> str:
    return ", ".join(f"{how}: {count}" for how, count in sorted(ended.items()))


def _ratio(value: float, control: float) -> float:
    return value / control if control else 0.0
