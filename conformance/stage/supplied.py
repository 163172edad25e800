"""What a user supplied that is to be written nowhere: from the environment, in a manifest, in a URL."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from conformance.evidence.redact import credential_like
from conformance.evidence.spellings import USERINFO
from conformance.stage.placeholders import names_in

if TYPE_CHECKING:
    from conformance.evidence.events import JSON
    from conformance.stage.plan import Plan

_CREDENTIAL: Final = re.compile(
    r"TOKEN|SECRET|KEY|PASS|PWD|CRED|AUTH|COOKIE|BEARER|PRIVATE|DSN|JWT|(?<![A-Z])PAT(?![A-Z])", re.IGNORECASE
)
"""Names of variables, headers and parameters whose values are taken for secrets."""

_SETTING: Final = re.compile(
    r"|true|false|yes|no|on|off|none|null|enabled|disabled|optional|required|basic|bearer|oauth2?|[0-9]{1,5}",
    re.IGNORECASE,
)
"""Values that are none under such a name; to replace them would blot out innocent words."""

_TABLES: Final = frozenset({"env", "headers", "other_headers", "body"})
"""Tables of a manifest whose values may be credentials."""

_SHORTEST_PARAMETER: Final = 8


def is_credential(name: str, value: str) -> bool:
    """Whether the value of a variable, header or parameter is taken for a secret: by its name, or as a URL with one."""
    named = _CREDENTIAL.search(name) is not None and _SETTING.fullmatch(value) is None
    return named or USERINFO.search(value) is not None


def supplied_by(plan: Plan) -> tuple[str, ...]:
    """Return the secrets that the user gave for a plan: in variables, literally in manifests, and in the URL."""
    named = (os.environ.get(name, "") for name in plan.secret_env)
    written = (value for target in plan.targets.values() for value in _literal(target))
    found = (*named, *written, *(_in_url(plan.url.url) if plan.url is not None else ()))
    return tuple(value for value in dict.fromkeys(found) if value)


def _literal(data: JSON, table: str = "") -> Iterator[str]:
    """Yield the credentials of a manifest that are neither made by the harness nor saved from an answer."""
    if isinstance(data, Mapping):
        for name, value in data.items():
            if not isinstance(value, str):
                yield from _literal(value, table if table in _TABLES else str(name))
            elif table in _TABLES and is_credential(str(name), value) and not names_in(value):
                yield value
    elif isinstance(data, list | tuple):
        for item in data:
            yield from _literal(item, table)


def _in_url(url: str) -> Iterator[str]:
    """Yield what may be a credential in a URL: the longer values of its query, and such words of its path."""
    parts = urlsplit(url)
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if len(value) >= _SHORTEST_PARAMETER or is_credential(name, value):
            yield value
        elif credential_like(name):
            yield name
    yield from (word for word in map(unquote, parts.path.split("/")) if credential_like(word))
