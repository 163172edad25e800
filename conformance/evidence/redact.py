"""Redaction on write (DESIGN: Secrets).

What the harness generated for a stage that it started stays plain, because rules need it. What a user supplied, and
everything that comes from a gateway the harness did not start, is replaced by a token that keeps facts and equality:

    redacted:9f2c41d07ab3e655;length=48;alphabet=hex;scheme=Bearer

Equal values give equal tokens within one run; the key never leaves the process.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from conformance.evidence.events import JSON
from conformance.evidence.spellings import SCHEME, any_spelling, secrets_in, spelled

_TOKEN: Final = re.compile(r"redacted:([0-9a-f]{16});length=(\d+);alphabet=([a-z0-9-]+)(?:;scheme=([A-Za-z0-9-]+))?")
_REFERENCE: Final = re.compile(r"((?:(?:[A-Za-z][A-Za-z0-9+.-]*:)?//[^/?#]*)?)(.*)", re.DOTALL)
"""Origin, where one is named, and the rest of a URI reference (RFC 3986, appendix B); it matches any text."""
_SHORTEST_SECRET: Final = 4
"""A supplied value shorter than this is not searched for inside other text: it would blot out innocent words."""

PLAIN_HEADERS: Final = frozenset(
    (
        "accept",
        "accept-encoding",
        "access-control-allow-credentials",
        "access-control-allow-headers",
        "access-control-allow-methods",
        "access-control-allow-origin",
        "access-control-expose-headers",
        "access-control-request-headers",
        "access-control-request-method",
        "allow",
        "cache-control",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "date",
        "host",
        "keep-alive",
        "mcp-protocol-version",
        "origin",
        "retry-after",
        "server",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "vary",
        "via",
        "x-accel-buffering",
    ),
)
"""Headers kept plain in traffic of a gateway that the harness did not start; all others become tokens."""

CONVERSATION_HEADERS: Final = frozenset(("mcp-session-id", "last-event-id"))
"""Headers that repeat what stands in bodies of a conversation between the harness and its witness."""

_CONTENT: Final = r"text|image|audio|resource(?:_link)?|tool_(?:use|result)|ref/(?:prompt|resource)"
PLAIN_VALUES: Final[Mapping[str, re.Pattern[str]]] = {
    key: re.compile(pattern)
    for key, pattern in (
        ("jsonrpc", r"[0-9.]{1,8}"),
        ("method", r"initialize|ping|[a-z]{1,16}(?:/[A-Za-z_]{1,24}){1,3}"),
        ("protocolVersion", r"[0-9.-]{1,10}|DRAFT-[0-9]{4}-v[0-9]+"),
        ("nonce", r"n-[0-9a-f]{16}"),
        ("level", r"debug|info|notice|warning|error|critical|alert|emergency"),
        ("type", rf"{_CONTENT}|object|array|string|number|integer|boolean|null"),
    )
}
"""By JSON member, the texts that are protocol vocabulary or the harness's own and stay plain in foreign traffic."""

_PLAIN_EVENTS: Final = frozenset({"message", "endpoint", "error", "ping", "heartbeat", "keepalive", "keep-alive"})
"""Types of an event stream's events that stay plain in foreign traffic."""

_NAME: Final = re.compile(r"[A-Za-z_$][A-Za-z0-9_$./:-]*")
_SHORTEST_CREDENTIAL: Final = 16


def credential_like(word: str) -> bool:
    """Whether a word of a path or a name could be a credential: of at least 16 characters, with a digit."""
    return len(word) >= _SHORTEST_CREDENTIAL and any(map(str.isdigit, word))


def _alphabet(value: str) -> str:
    for name, pattern in (
        ("decimal", r"[0-9]+"),
        ("hex", r"[0-9a-fA-F-]+"),
        ("base64", r"[A-Za-z0-9+/=_.-]+"),
        ("visible-ascii", r"[\x21-\x7e]+"),
    ):
        if re.fullmatch(pattern, value):
            return name
    return "other"


@dataclass(frozen=True, slots=True)
class Facts:
    """What a token still tells about the value it stands for. length: characters of the value without its scheme."""

    digest: str
    length: int
    alphabet: str
    scheme: str | None


def facts(value: str) -> Facts | None:
    """Return what the redaction token `value` tells, or None when `value` is plain."""
    match = _TOKEN.fullmatch(value)
    if match is None:
        return None
    return Facts(match.group(1), int(match.group(2)), match.group(3), match.group(4))


@dataclass(frozen=True, slots=True)
class Redactor:
    """Replaces secrets in everything that is about to be written.

    supplied: values the user gave. foreign: the traffic is not the harness's own stage, so keep vocabulary only.
    own_conversation: of foreign traffic, what the harness and its witness say to each other stays plain: bodies, and
    the headers that name their sessions and events. Every other header is the deployment's.
    own: values the harness made itself (nonces, client names), plain even in foreign traffic.
    """

    supplied: tuple[str, ...] = ()
    foreign: bool = False
    own_conversation: bool = False
    own: Collection[str] = ()
    key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    _spellings: tuple[tuple[str, str, str], ...] = field(init=False, repr=False, compare=False)
    """Of each supplied secret what to look for, a part of it that is always there, and its token."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "_spellings", tuple(self._spelled()))

    def token(self, value: str) -> str:
        """Return the token for `value`, splitting off an authentication scheme such as `Bearer`."""
        match = SCHEME.fullmatch(value)
        scheme, bare = (match.group(1), match.group(2)) if match else (None, value)
        digest = hmac.new(self.key, bare.encode(errors="surrogatepass"), hashlib.sha256).hexdigest()[:16]
        tail = f";scheme={scheme}" if scheme else ""
        return f"redacted:{digest};length={len(bare)};alphabet={_alphabet(bare)}{tail}"

    def _spelled(self) -> Iterable[tuple[str, str, str]]:
        known = dict.fromkeys(secret for value in self.supplied for secret in secrets_in(value))
        for secret in sorted(known, key=len, reverse=True):  # the whole of a secret before its parts
            if len(secret) >= _SHORTEST_SECRET:
                token = self.token(secret)
                yield from ((text, anchor, token) for text, anchor in spelled(secret))

    def text(self, value: str) -> str:
        """Return `value` with every supplied secret in it replaced, whatever its spelling."""
        for text, anchor, token in self._spellings:
            if anchor in value:  # every string of the evidence is searched: the quick look first
                value = any_spelling(text).sub(token, value)
        return value

    def header(self, name: str, value: str) -> str:
        """Return what may be written of one HTTP header's value."""
        known = name.lower() in PLAIN_HEADERS or (self.own_conversation and name.lower() in CONVERSATION_HEADERS)
        if self.foreign and name.lower() == "location":
            return self._reference(value)
        if self.foreign and not known:
            return self.token(value)
        return self.text(value)

    def _reference(self, value: str) -> str:
        """Return what may be written of a foreign URI reference: where it leads, as a target is written."""
        parts = _REFERENCE.fullmatch(value)
        origin, path = parts.groups() if parts else ("", value)
        return self.token(value) if "@" in origin else self.text(origin) + self.target(path)

    def name(self, value: str) -> str:
        """Return what may be written of the name of a header or a JSON member; foreign, only what looks like a name."""
        if not self.foreign or self.own_conversation:
            return self.text(value)
        plain = not value or (_NAME.fullmatch(value) is not None and not credential_like(value))
        return self.text(value) if plain else self.token(value)

    def event(self, value: str) -> str:
        """Return what may be written of the type of an event stream's event."""
        return self.text(value) if value in _PLAIN_EVENTS else self.body(value)

    def target(self, value: str) -> str:
        """Return what may be written of a request target: a foreign query string becomes a token.

        So does each word of a foreign path that could be a credential or a session's id.
        """
        if not self.foreign:
            return self.text(value)
        path, mark, query = value.partition("?")
        if not self.own_conversation:
            words = (self.token(word) if credential_like(word) else word for word in path.split("/"))
            path = "/".join(words)
        return self.text(path) + (f"?{self.token(query)}" if mark else "")

    def json(self, value: JSON, key: str = "") -> JSON:
        """Return what may be written of a JSON value; structure, numbers and vocabulary stay."""
        if not self.foreign and not self._spellings:
            return value
        if isinstance(value, str):
            vocabulary = PLAIN_VALUES.get(key)
            plain = self.own_conversation or value in self.own or (vocabulary and vocabulary.fullmatch(value))
            return self.token(value) if self.foreign and not plain else self.text(value)
        if isinstance(value, Mapping):
            return {self.name(str(name)): self.json(member, str(name)) for name, member in value.items()}
        if isinstance(value, list | tuple):
            return [self.json(member, key) for member in value]
        return value

    def body(self, value: str) -> str:
        """Return what may be written of a body that is not JSON; a foreign one is reduced to its token."""
        return self.token(value) if self.foreign and not self.own_conversation and value else self.text(value)

    def plain(self, value: Any) -> JSON:
        """Return `value` with supplied secrets replaced; for what the harness itself reports (argv, inspect, logs)."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(str(name)): self.plain(member) for name, member in value.items()}
        if isinstance(value, list | tuple):
            return [self.plain(member) for member in value]
        return value
