"""What to type to see a whole sequence again: every request of every client in order, each session in a variable."""

from __future__ import annotations

from typing import Final

from conformance.diagnosis.reproduce_curl import curl, long_body, opening
from conformance.evidence.transcript import Exchange, Transcript

_SETTLE: Final = "sleep 1  # let the stream open"


def reproduce_sequence(transcript: Transcript) -> tuple[str, ...]:
    """Return shell commands, in order; the gateway's URL is GATEWAY, the n-th session of client A is SESSION_A_n.

    A GET stream stays open beside what follows it until the client closed it.
    """
    lines = ["GATEWAY=http://HOST:PORT/mcp  # the gateway under test"]
    sessions: dict[str, str] = {}
    streams: dict[str, str] = {}
    steps = [(item.t, item, False) for item in transcript.client()]
    steps += [(item.t_end, item, True) for item in transcript.client() if item.t_end is not None and _left(item)]
    for _, item, closed in sorted(steps, key=lambda step: (step[0], step[2])):
        client = item.tap.removeprefix("client:").upper()
        if closed:
            lines.append(f"kill ${streams[item.id]}  # {client} closes its stream")
            continue
        lines += long_body(item)
        if _stays_open(item):
            streams[item.id] = f"STREAM_{client}_{len(streams) + 1}"
            lines += [f"{curl(item, sessions)} & {streams[item.id]}=$!", _SETTLE]
        elif (issued := _issued(item, sessions)) is not None:
            sessions[issued] = f"SESSION_{client}_{1 + _count(sessions, client)}"
            lines.append(opening(item, sessions, sessions[issued]))
        else:
            lines.append(curl(item, sessions))
    lines += [f"kill ${name}" for key, name in streams.items() if not _closed(transcript, key)]
    return tuple(lines)


def _stays_open(item: Exchange) -> bool:
    return item.method == "GET" and item.status == 200 and item.is_stream


def _left(item: Exchange) -> bool:
    return _stays_open(item) and item.how == "abandoned"


def _closed(transcript: Transcript, exchange: str) -> bool:
    return any(item.id == exchange and _left(item) and item.t_end is not None for item in transcript.client())


def _issued(item: Exchange, known: dict[str, str]) -> str | None:
    """Return the session id that an initialize was given, None where it is none or no new one."""
    value = item.response_headers.get("mcp-session-id")
    return value if item.rpc_method == "initialize" and value is not None and value not in known else None


def _count(sessions: dict[str, str], client: str) -> int:
    return sum(name.startswith(f"SESSION_{client}_") for name in sessions.values())
