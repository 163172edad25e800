"""How a text may hold a secret: the parts that a supplied value is made of, and the ways each may be spelled."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator
from functools import lru_cache
from html.entities import codepoint2name
from typing import Final
from urllib.parse import unquote

SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9-]*) +(\S.*)", re.DOTALL)
"""An authentication scheme, and the credential after it."""

USERINFO: Final = re.compile(r"://[^/?#@\s]*:([^/?#@\s]+)@")
"""The password in a URL such as postgres://user:password@host/."""

_SHORTEST_PART: Final = 8
_SHORTEST_BASE64: Final = 6
_PAIR: Final = re.compile(r'(?:^|[;,&?\s])([^=;,&?\s]+)="?([^;,&"\s]+)')
_LINE_END: Final = re.compile(r"\r?\n|\r|\\n")
_PLACES: Final = frozenset({"host", "realm", "uri", "domain", "path"})
"""Names of pairs that say where, and are no secret: to replace `localhost` would blot out innocent words."""

_ONE_WAY: Final = re.compile(r"[A-Za-z0-9._-]+")
"""Characters that nothing escapes."""


def secrets_in(value: str) -> Iterator[str]:
    """Yield what is secret in a supplied value: all of it but scheme and blanks around it, then its parts.

    Parts are: what Basic encodes and the password of it, the password in a URL, and of at least 8 characters each line
    of several, and each value of a cookie or of another `name=value`.
    """
    value = value.strip()
    match = SCHEME.fullmatch(value)
    bare = match.group(2) if match else value
    yield bare
    if match and match.group(1).lower() == "basic" and ":" in (pair := _decoded(bare)):
        yield pair
        yield pair.partition(":")[2]
    for password in USERINFO.findall(bare):
        yield password
        yield unquote(password)
    lines = _LINE_END.split(bare)
    parts = [line.strip() for line in lines] if len(lines) > 1 else []
    parts += [part for name, part in _PAIR.findall(bare) if name.lower() not in _PLACES]
    yield from (part for part in parts if len(part) >= _SHORTEST_PART)


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4)).decode()
    except (binascii.Error, ValueError):
        return ""


def spelled(secret: str) -> Iterator[tuple[str, str]]:
    """Yield what to look for where a secret may stand, plain or within base64, and a part of it that nothing encodes.

    Where that part is not, `any_spelling` need not search.
    """
    for text in dict.fromkeys((secret, *_in_base64(secret.encode(errors="surrogatepass")))):
        yield text, max(_ONE_WAY.findall(text), key=len, default="")


@lru_cache(maxsize=4096)
def any_spelling(text: str) -> re.Pattern[str]:
    """Return what finds `text` as it is and escaped for a URL, for JSON or for HTML, wholly or in part."""
    return re.compile("".join(map(_ways, text)))


def _in_base64(secret: bytes) -> Iterator[str]:
    """Yield what stands in base64 wherever the secret begins, of its first and last character only whole ones."""
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for before in range(3):
            coded = encode(bytes(before) + secret).decode()
            core = coded[-(-before * 8 // 6) : (before + len(secret)) * 8 // 6]
            if len(core) >= _SHORTEST_BASE64:
                yield core


def _ways(character: str) -> str:
    """Return a pattern for one character, plain or escaped; JSON may itself stand in a string of JSON."""
    if _ONE_WAY.fullmatch(character):
        return re.escape(character)
    coded = character.encode(errors="surrogatepass")
    units = character.encode("utf-16-be", errors="surrogatepass").hex()
    unicode = "".join(rf"\\{{1,4}}u{units[at : at + 4]}" for at in range(0, len(units), 4))
    name = codepoint2name.get(ord(character), "apos" if character == "'" else "")
    ways = {
        r"\\{0,4}" + re.escape(character) if character in "\"'/" else re.escape(character),
        re.escape(coded.decode("latin-1")),  # as a header's bytes are read
        f"(?i:{''.join(f'%{byte:02x}' for byte in coded)})",
        f"(?i:{unicode})",
        f"&#0{{0,4}}{ord(character)};",
        f"(?i:&#x0{{0,4}}{ord(character):x};)",
    }
    if name:
        ways.add(f"&{name};")
    if character == "\\":
        ways.add(r"\\{2,4}")
    elif len(escaped := json.dumps(character)[1:-1]) == len(r"\n"):
        ways.add(rf"\\{{1,4}}{re.escape(escaped[1])}")
    if character == " ":
        ways.add(r"\+")
    return f"(?:{'|'.join(sorted(ways, key=lambda way: (len(way), way), reverse=True))})"
