"""What to type to see a sequence of registrations again: the changes, and what sessions see after the last."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final
from urllib.parse import unquote

from conformance.diagnosis.reproduce_curl import credentials, curl, in_double_quotes, opening, placeholders
from conformance.evidence.events import JSON, Event
from conformance.evidence.members import text_at
from conformance.evidence.transcript import Exchange, Transcript
from conformance.search.registration_model import BEGIN, CLERK, LISTED, OPEN, STEP
from conformance.search.registration_steps import Change

_PORT: Final = 9001


def reproduction(transcript: Transcript) -> tuple[str, ...]:
    """Return shell commands, in order; the gateway's address is ROOT. They need curl and jq."""
    begun = transcript.stimuli(BEGIN)[0].data
    last = transcript.stimuli(LISTED)[-1]
    opened = [item for item in transcript.client(OPEN) if item.method == "POST"]
    changes = list(transcript.client(CLERK))
    seen = [item for item in _seen(transcript) if item.t > last.t]
    held = credentials((*changes, *opened, *seen))
    lines = ["ROOT=http://HOST:PORT  # the gateway under test, with nothing registered"]
    for number, (server, url) in enumerate(begun["urls"].items()):
        where = f"127.0.0.1:{_PORT + number}"
        lines.append(f"{_variable(server)}={_path_of(url, f'http://{where}')}")
        lines.append(f"mcp-gateway-conformance witness --listen {where} &  # the server {server}")
    lines += placeholders((*changes, *opened, *seen))
    sessions = dict(held)
    lines += _in_sessions([item for item in opened if item.t < _first(transcript)], sessions, "OPEN")
    lines += _changes(transcript, begun, changes, held)
    lines.append("# what the open session sees, and a new one")
    return (*lines, *_in_sessions(seen, sessions, "NEW"))


def _first(transcript: Transcript) -> float:
    return transcript.stimuli(BEGIN)[0].t


def _seen(transcript: Transcript) -> list[Exchange]:
    """Return what sessions did to see what came of a step: all but the clerk's requests."""
    return [item for item in transcript.client() if item.tap != f"client:{CLERK}" and item.method == "POST"]


def _in_sessions(items: list[Exchange], sessions: dict[str, str], name: str) -> list[str]:
    """Return the commands of one kind of session; each new session's id is kept in a variable."""
    lines = []
    for item in items:
        issued = item.response_headers.get("mcp-session-id")
        if item.rpc_method == "initialize" and issued is not None and issued not in sessions:
            sessions[issued] = f"{name}_{1 + sum(value.startswith(name) for value in sessions.values())}"
            lines.append(opening(item, sessions, sessions[issued], _at(item)))
        else:
            lines.append(curl(item, sessions, url=_at(item)))
    return lines


def _changes(
    transcript: Transcript, begun: Mapping[str, JSON], changes: list[Exchange], held: Mapping[str, str]
) -> list[str]:
    """Return the commands that change what is registered; ids that the gateway gives are kept in variables."""
    ids: dict[str, str] = {}
    lines = []
    urls = {json.dumps(url)[1:-1]: f"'\"${_variable(server)}\"'" for server, url in begun["urls"].items()}
    for number, event in enumerate(transcript.stimuli(STEP), start=1):
        item = next((item for item in changes if item.t >= event.t), None)
        if item is None:
            break
        lines.append(f"# {number}. {event.data['by']}: {event.data['change']} {event.data['server']}")
        line = curl(item, held, url=_at(item, ids))
        for value, told in (*urls.items(), *((json.dumps(given), f'"\'"${name}"\'"') for given, name in ids.items())):
            line = line.replace(value, told)
        given = _given(item, begun["id_in"], event)
        if given:
            variable = ids[given] = f"ID_{event.data['server'].upper()}"
            line = f"{variable}=$({line.replace(' -i ', ' ', 1)} | tee /dev/stderr | jq -r .{begun['id_in']})"
        lines.append(line)
    return lines


def _given(item: Exchange, id_in: str, event: Event) -> str:
    """Return the id that the gateway gave a server, empty where it gave none."""
    added = event.data["change"] == Change.ADD and item.status in (200, 201)
    return text_at(item.body, id_in) if added and id_in else ""


def _at(item: Exchange, ids: Mapping[str, str] = MappingProxyType({})) -> str:
    """Return a request's URL. ids: the variable that holds each id which may be a segment of its path."""
    segments = item.target.split("/")
    known = (ids.get(unquote(segment)) for segment in segments)
    return "$ROOT" + "/".join(
        f"${name}" if name else in_double_quotes(segment) for name, segment in zip(known, segments, strict=True)
    )


def _variable(server: str) -> str:
    return f"SERVER_{server.upper()}"


def _path_of(url: str, root: str) -> str:
    return f"{root}/{url.partition('://')[2].partition('/')[2]}"
