"""What to type to see a failure again: curl, the witness where the backend's side matters, and replay."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from typing import Final

from conformance.evidence.redact import facts
from conformance.evidence.transcript import Exchange, Transcript
from conformance.rules.get_sse_http_sse_evidence import old_sessions

_SHOWN: Final = ("accept", "content-type", "mcp-protocol-version", "authorization", "last-event-id", "origin")
_LONGEST_BODY: Final = 4000
"""Characters of a body that are typed out; a longer one is to be taken from the evidence."""
_MOST: Final = 3
"""Decisive requests that are shown, the last ones."""
_OLD_TRANSPORT: Final = {
    "SSE": "SSE=http://HOST:PORT/sse  # its HTTP+SSE endpoint; leave the GET open",
    "ENDPOINT": "ENDPOINT=...  # the URI that the endpoint event on that stream names",
}
"""Variables of the old transport, each with the line that sets it."""
_REDACTED: Final = re.compile(r"redacted:([0-9a-f]{16});length=\d+;alphabet=[a-z0-9-]+(?:;scheme=[A-Za-z0-9-]+)?")


def reproduce(transcript: Transcript, decisive: tuple[int, ...], rule_id: str, evidence: str) -> tuple[str, ...]:
    """Return shell commands, in order.

    Session ids become the shell variable SESSION and redacted values variables that a comment describes; the gateway's
    URL is GATEWAY. evidence: the file's name, for the command that judges it again.
    """
    wanted = frozenset(decisive)
    subjects = [item for item in transcript.client() if wanted & frozenset(item.events)][-_MOST:]
    answers = (item.response_headers.get("mcp-session-id") for item in transcript.client())
    issued = dict.fromkeys((session for session in answers if session), "SESSION")
    sent = [curl(item, issued, url=_url(transcript, item)) for item in subjects]
    requests = _prologue(transcript, subjects, issued) + sent
    lines: list[str] = []
    script = transcript.header.get("witness_script")
    if script and "/witness/" in str(transcript.header.get("cell")) and transcript.header.get("backend_tapped"):
        witness = f"mcp-gateway-conformance witness --script {shlex.quote(str(script))} --listen 127.0.0.1:9000"
        lines.append(f"{witness}  # the backend: point the gateway at it")
    if requests:
        lines.append("GATEWAY=http://HOST:PORT/mcp  # the gateway under test")
        lines += [said for name, said in _OLD_TRANSPORT.items() if any(f"${name}" in line for line in requests)]
        lines += _placeholders(transcript, subjects)
    replayed = f"mcp-gateway-conformance replay {shlex.quote(evidence)} --rule {shlex.quote(rule_id)}"
    return (*lines, *requests, replayed)


def _opened(transcript: Transcript, subject: Exchange) -> Exchange | None:
    """Return the initialize before a request, whose session it uses."""
    before = (item for item in transcript.client() if item.tap == subject.tap and item.t < subject.t)
    return next((item for item in before if item.rpc_method == "initialize"), None)


def _prologue(transcript: Transcript, subjects: list[Exchange], issued: Mapping[str, str]) -> list[str]:
    """Return the initialize whose session the last of `subjects` uses, and the notification after it."""
    opened = _opened(transcript, subjects[-1]) if subjects else None
    if opened is not None and _url(transcript, opened) != "$GATEWAY":
        return []  # the session of the old transport is its stream
    if opened is None or opened in subjects:
        return []
    lines = [opening(opened, issued, "SESSION")]
    told = next(
        (
            item
            for item in transcript.client()
            if item.tap == opened.tap and opened.t < item.t and item.rpc_method == "notifications/initialized"
        ),
        None,
    )
    if told is not None and told not in subjects and told.t < subjects[-1].t:
        lines.append(curl(told, issued))
    return lines


def _url(transcript: Transcript, exchange: Exchange) -> str:
    """Return the variable that holds the URL of a request: the endpoint's, or one of the old transport's two."""
    old = {stream.stream.tap for stream in old_sessions(transcript)}
    if exchange.tap not in old:
        return "$GATEWAY"
    return "$SSE" if exchange.method == "GET" else "$ENDPOINT"


def opening(exchange: Exchange, issued: Mapping[str, str], variable: str) -> str:
    """Return the command that makes an initialize and keeps the session id it gets in a shell variable."""
    session = "tr -d '\\r' | awk 'tolower($1) == \"mcp-session-id:\" {print $2}'"
    return f"{variable}=$({curl(exchange, issued, extra='-D - -o /dev/null')} | {session})"


def curl(exchange: Exchange, issued: Mapping[str, str], extra: str = "-i", url: str = "$GATEWAY") -> str:
    """Return the command that makes one request. issued: the shell variable that holds each session id."""
    words = ["curl", "-sN", extra, "-X", shlex.quote(exchange.method), f'"{url}"']
    for name in _SHOWN:
        if name in exchange.headers:
            words += ["-H", _header(name, exchange.headers[name])]
    session = exchange.headers.get("mcp-session-id")
    if session is not None:
        known = issued.get(session)
        words += ["-H", f'"Mcp-Session-Id: ${known}"' if known else _header("Mcp-Session-Id", session)]
    body = _body(exchange)
    if len(body) > _LONGEST_BODY:
        words += ["--data-binary", f"@body.json  # {len(body)} characters: event {exchange.seq} of the evidence has it"]
    elif body:
        words += ["--data-binary", _REDACTED.sub(lambda found: f"'\"${_variable(found)}\"'", shlex.quote(body))]
    return " ".join(words)


def _body(exchange: Exchange) -> str:
    posted = exchange.request if exchange.wrapped is None else exchange.wrapped
    return json.dumps(posted) if posted is not None else exchange.request_body


def _header(name: str, value: str) -> str:
    if (told := facts(value)) is not None:
        scheme = f"{told.scheme} " if told.scheme else ""
        return f'"{name}: {scheme}${name.upper().replace("-", "_")}"'
    return shlex.quote(f"{name}: {value}")


def _variable(found: re.Match[str]) -> str:
    return f"VALUE_{found.group(1)[:6].upper()}"


def _placeholders(transcript: Transcript, subjects: list[Exchange]) -> list[str]:
    """Return one comment for each variable that stands for a redacted value."""
    shown = [*subjects, *filter(None, [_opened(transcript, subjects[-1])])]
    named: dict[str, str] = {}
    for item in shown:
        for name in _SHOWN:
            told = facts(item.headers.get(name, ""))
            if told is not None:
                named[name.upper().replace("-", "_")] = f"{told.length} characters, {told.alphabet}"
        for found in _REDACTED.finditer(_body(item)):
            if (told := facts(found.group(0))) is not None:
                named[_variable(found)] = f"{told.length} characters, {told.alphabet}"
    return [f"{name}='...'  # redacted: {said}" for name, said in named.items()]
