"""Toxics: the faults a tap injects into the connections it relays, and their JSON form.

Toxics hold for the connections that are open when they are set and for later ones. `HalfClose`, and `Reset` without
`after_bytes`, act once, on the connections open at that moment. Those that need to know HTTP messages (marked HTTP)
pick up an open connection at the next message that starts with a read; before it, and where bytes are not HTTP/1, they
change nothing. Bytes a toxic holds are sent on when it is removed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, get_args

from conformance.errors import UsageError
from conformance.wire.spool import Direction


@dataclass(frozen=True, slots=True)
class Latency:
    """Each read, FIN and RST is passed on `seconds` later; gaps are kept."""

    seconds: float
    direction: Direction = Direction.DOWN


@dataclass(frozen=True, slots=True)
class IdleCut:
    """Close both sides of a connection on which no byte came from either for `seconds`, as middleboxes do."""

    seconds: float
    how: Literal["rst", "fin"] = "rst"


@dataclass(frozen=True, slots=True)
class BufferUntilEnd:
    """Hold each message, head included, until it is complete (HTTP), or until FIN. 64 MiB at most, then released."""

    direction: Direction = Direction.DOWN


@dataclass(frozen=True, slots=True)
class BufferBytes:
    """Hold bytes until `count` are gathered, the message is complete (HTTP) or FIN comes."""

    count: int
    direction: Direction = Direction.DOWN


@dataclass(frozen=True, slots=True)
class Reset:
    """Reset both sides: once `after_bytes` more bytes went in `direction`; None: now, what is open."""

    after_bytes: int | None = None
    direction: Direction = Direction.DOWN


@dataclass(frozen=True, slots=True)
class HalfClose:
    """Send FIN in `direction` now and discard what the sender sends afterwards."""

    direction: Direction = Direction.DOWN


@dataclass(frozen=True, slots=True)
class SlowRead:
    """Read no faster than this from the sender (kernel buffers still take what they take)."""

    bytes_per_second: int
    direction: Direction = Direction.DOWN


@dataclass(frozen=True, slots=True)
class Blackhole:
    """Bytes, FIN and RST in `direction` vanish."""

    direction: Direction = Direction.DOWN


@dataclass(frozen=True, slots=True)
class DropSseComments:
    """Take comments out of event streams (HTTP): a server's keep-alives never arrive."""


@dataclass(frozen=True, slots=True)
class StripHeader:
    """Take every header of this name out of message heads (HTTP)."""

    name: str
    direction: Direction = Direction.DOWN


@dataclass(frozen=True, slots=True)
class EngineDenied:
    """Answer every POST as a container engine does that lacks permission: 403 with a JSON message (HTTP)."""


Toxic: TypeAlias = (
    Latency
    | IdleCut
    | BufferUntilEnd
    | BufferBytes
    | Reset
    | HalfClose
    | SlowRead
    | Blackhole
    | DropSseComments
    | StripHeader
    | EngineDenied
)

_BY_NAME: Final[dict[str, Any]] = {kind.__name__: kind for kind in get_args(Toxic)}


def to_json(toxics: Sequence[Toxic]) -> list[dict[str, Any]]:
    """Return the JSON list: one object per toxic, `toxic` names it, directions are `up` and `down`."""
    return [{"toxic": type(toxic).__name__, **_fields(toxic)} for toxic in toxics]


def _fields(toxic: Toxic) -> dict[str, Any]:
    fields = dataclasses.asdict(toxic)
    return {key: value.name.lower() if isinstance(value, Direction) else value for key, value in fields.items()}


def from_json(listed: Sequence[dict[str, Any]]) -> tuple[Toxic, ...]:
    """Return the toxics of a JSON list; raises UsageError for one that does not exist."""
    return tuple(_one(dict(item)) for item in listed)


def _one(item: dict[str, Any]) -> Toxic:
    name = item.pop("toxic", None)
    if name not in _BY_NAME:
        raise UsageError(f"There is no toxic {name!r}; there are {', '.join(_BY_NAME)}.")
    try:
        if "direction" in item:
            item["direction"] = {"up": Direction.UP, "down": Direction.DOWN}[item["direction"]]
        toxic: Toxic = _BY_NAME[name](**item)
    except (TypeError, KeyError) as error:
        raise UsageError(f"The toxic {name} does not take {item!r}.") from error
    return toxic
