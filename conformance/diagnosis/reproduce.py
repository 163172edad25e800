"""What to type to see a failure again: curl, the witness where the backend's side matters, and replay."""

from __future__ import annotations

import json
import shlex
from typing import Final

from conformance.evidence.redact import facts
from conformance.evidence.transcript import Exchange, Transcript

_SHOWN: Final = ("accept", "content-type", "mcp-protocol-version", "authorization", "last-event-id", "origin")
_LONGEST_BODY: Final = 2000


def reproduce(transcript: Transcript, decisive: tuple[int, ...], rule_id: str, evidence: str) -> tuple[str, ...]:
    """Return commands, in order. Session ids become the shell variable SESSION, redacted values named variables."""
    wanted = frozenset(decisive)
    subjects = [item for item in transcript.client() if wanted & frozenset(item.events)]
    lines: list[str] = []
    script = transcript.header.get("witness_script")
    if script and transcript.header.get("backend_tapped"):
        lines.append(
            f"mcp-gateway-conformance witness --script {script} --listen 127.0.0.1:9000  # then point the gateway at it"
        )
    if subjects:
        lines.append("GATEWAY=http://HOST:PORT/mcp  # the gateway under test")
        lines += _prologue(transcript, subjects[-1])
        lines += [_curl(item) for item in subjects[-3:]]
    replayed = f"mcp-gateway-conformance replay {shlex.quote(evidence)} --rule {rule_id}"
    return (*lines, replayed)


def _prologue(transcript: Transcript, subject: Exchange) -> list[str]:
    """Return the initialize whose session the subject uses, and the notification after it."""
    before = [item for item in transcript.client() if item.tap == subject.tap and item.t < subject.t]
    opened = next((item for item in before if item.rpc_method == "initialize"), None)
    if opened is None:
        return []
    take = (
        "SESSION=$(" + _curl(opened, extra="-D - -o /dev/null") + " | tr -d '\\r' | sed -n 's/^mcp-session-id: //Ip')"
    )
    told = next((item for item in before if item.rpc_method == "notifications/initialized"), None)
    return [take, *([_curl(told)] if told else [])]


def _curl(exchange: Exchange, extra: str = "-i") -> str:
    words = ["curl", "-sN", *extra.split(), "-X", exchange.method, '"$GATEWAY"']
    for name in _SHOWN:
        if name in exchange.headers:
            words += ["-H", _header(name, exchange.headers[name])]
    if "mcp-session-id" in exchange.headers:
        known = exchange.response_headers.get("mcp-session-id") or exchange.status not in (400, 404)
        words += [
            "-H",
            '"Mcp-Session-Id: $SESSION"' if known else _header("Mcp-Session-Id", exchange.headers["mcp-session-id"]),
        ]
    if exchange.request is not None:
        words += ["--data-binary", _body(exchange)]
    elif exchange.request_body:
        words += ["--data-binary", shlex.quote(exchange.request_body[:_LONGEST_BODY])]
    return " ".join(words)


def _body(exchange: Exchange) -> str:
    text = json.dumps(exchange.request, ensure_ascii=False)
    return shlex.quote(text) if len(text) <= _LONGEST_BODY else "@BODY  # too long to print: it stands in the evidence"


def _header(name: str, value: str) -> str:
    if (told := facts(value)) is not None:
        scheme = f"{told.scheme} " if told.scheme else ""
        return f'"{name}: {scheme}${name.upper().replace("-", "_")}"'
    return shlex.quote(f"{name}: {value}")
