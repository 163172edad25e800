"""One request of the evidence as a curl command."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Final

from conformance.evidence.redact import facts
from conformance.evidence.transcript import Exchange

_SHOWN: Final = ("accept", "content-type", "mcp-protocol-version", "authorization", "last-event-id", "origin")
_BY_CURL: Final = {"accept": "Accept:", "content-type": "Content-Type:"}
"""Headers that curl sends by itself, each with what makes it send none."""
_CREDENTIAL: Final = "authorization"
"""Header whose value is the run's own, be it redacted or generated: a variable stands for each."""
_LONGEST_BODY: Final = 4000
"""Characters of a body that are typed out; a longer one is to be taken from the evidence."""
_REDACTED: Final = re.compile(r"redacted:([0-9a-f]{16});length=\d+;alphabet=[a-z0-9-]+(?:;scheme=[A-Za-z0-9-]+)?")


def in_double_quotes(text: str) -> str:
    """Return text as it is written between double quotes in a shell, which expands nothing in it then."""
    return re.sub(r'([\\$`"])', r"\\\1", text)


def curl(exchange: Exchange, issued: Mapping[str, str], extra: str = "-i", url: str = "$GATEWAY") -> str:
    """Return the command that makes one request.

    issued: the variable that holds each session id or credential. url: as it is written between double quotes.
    """
    words = ["curl", "-sN", extra, "-X", shlex.quote(exchange.method), f'"{url}"']
    body = _body(exchange)
    for name in _SHOWN:
        if exchange.headers.get(name) in issued:
            words += ["-H", f'"{name}: ${issued[exchange.headers[name]]}"']
        elif name in exchange.headers:
            words += ["-H", _header(name, exchange.headers[name])]
        elif name in _BY_CURL and (body or name == "accept"):
            words += ["-H", f"'{_BY_CURL[name]}'"]
    session = exchange.headers.get("mcp-session-id")
    if session is not None:
        known = issued.get(session)
        words += ["-H", f'"Mcp-Session-Id: ${known}"' if known else _header("Mcp-Session-Id", session)]
    if len(body) > _LONGEST_BODY:
        words += ["--data-binary", "@body.json"]
    elif body:
        words += ["--data-binary", _REDACTED.sub(lambda found: f"'\"${_variable(found)}\"'", shlex.quote(body))]
    return " ".join(words)


def long_body(exchange: Exchange) -> list[str]:
    """Return the comment that goes before a request's command where its body is in the evidence; else nothing."""
    length = len(_body(exchange))
    if length <= _LONGEST_BODY:
        return []
    return [f"# body.json: {length} characters: event {exchange.seq} of the evidence has it"]


def opening(
    exchange: Exchange, issued: Mapping[str, str], variable: str, url: str = "$GATEWAY", *, shown: bool = False
) -> str:
    """Return the command that makes an initialize and keeps the session id it gets in a shell variable.

    shown: whether the answer is to be seen, too.
    """
    session = "tr -d '\\r' | awk 'tolower($1) == \"mcp-session-id:\" {print $2}'"
    extra, seen = ("-i", " | tee -a /dev/stderr") if shown else ("-D - -o /dev/null", "")
    return f"{variable}=$({curl(exchange, issued, extra, url)}{seen} | {session})"


def credentials(exchanges: Iterable[Exchange]) -> dict[str, str]:
    """Return the shell variable that holds each credential of some requests: AUTHORIZATION, then AUTHORIZATION_2."""
    values = dict.fromkeys(item.headers[_CREDENTIAL] for item in exchanges if _CREDENTIAL in item.headers)
    return {
        value: f"AUTHORIZATION_{number}" if number > 1 else "AUTHORIZATION" for number, value in enumerate(values, 1)
    }


def placeholders(exchanges: Iterable[Exchange]) -> list[str]:
    """Return one line for each variable that stands for a credential or a redacted value in some requests' commands."""
    lines: list[str] = []
    named: dict[str, str] = {}
    shown = tuple(exchanges)
    for value, variable in credentials(shown).items():
        told = facts(value)
        scheme = (told.scheme or "") if told else value.partition(" ")[0] if " " in value else ""
        form = f"{scheme} ..." if scheme else "..."
        about = (
            f"redacted: {told.length} characters, {told.alphabet}"
            if told
            else "what the gateway takes from its clients"
        )
        lines.append(f"{variable}='{form}'  # {about}")
    for item in shown:
        for name in _SHOWN:
            told = facts(item.headers.get(name, ""))
            if told is not None and name != _CREDENTIAL:
                named[name.upper().replace("-", "_")] = f"{told.length} characters, {told.alphabet}"
        for found in _REDACTED.finditer(_body(item)):
            if (told := facts(found.group(0))) is not None:
                named[_variable(found)] = f"{told.length} characters, {told.alphabet}"
    return [*lines, *(f"{name}='...'  # redacted: {said}" for name, said in named.items())]


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
