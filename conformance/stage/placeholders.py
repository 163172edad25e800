"""The placeholders of manifests, such as `{port}`: finding them and replacing them.

A placeholder is a name in braces with nothing else between them, so JSON and YAML text in a manifest keeps its own
braces; `{{name}}` stands for a literal `{name}`. Names in capitals are the manifest's own secrets.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Final, TypeAlias

from conformance.errors import UsageError
from conformance.evidence.events import JSON

GATEWAY_PLACEHOLDERS: Final = frozenset(
    {"host", "port", "backend_url", "backend_command", "config_dir", "folder", "python", "node", "node_modules"}
)
"""What a target manifest may use. `{folder}` is the manifest's own, `{node_modules}` that of its npm packages; an image
has the folder of a manifest among the fixtures only."""

TWO_PLACEHOLDERS: Final = GATEWAY_PLACEHOLDERS | {"second_backend_url"}
"""What the start before two backends may use: also the second one's URL."""

SPIN_UP_PLACEHOLDERS: Final = GATEWAY_PLACEHOLDERS | {"image"}
"""What a target's `spin_up.command` may use: also the backend's container image."""

REGISTRY_PLACEHOLDERS: Final = frozenset({"server", "server_url", "server_id"})
"""What the requests of `registry` may use beside the gateway's secrets: a server's name, URL and id."""

BACKEND_PLACEHOLDERS: Final = frozenset(
    {"host", "port", "config_dir", "folder", "python", "node", "node_modules", "script"}
)
"""What a backend manifest may use; `{script}` is the name of the witness's script, `{folder}` the manifest's own, whose
Python modules are in every image; `{node_modules}` as for a target."""

CLIENT_PLACEHOLDERS: Final = frozenset({"config_dir", "folder", "python", "node", "node_modules", "revision"})
"""What a client manifest may use; `{revision}` is the one that the client is to propose."""

EDGE_PLACEHOLDERS: Final = frozenset({"host", "port", "config_dir"})
"""What an edge manifest's start may use; its configuration is a template with names of its own (`edge_config.py`)."""

Values: TypeAlias = Mapping[str, str | Sequence[str]]
"""Replacement of each name: text, or an argument list."""

_PLACEHOLDER = re.compile(r"\{\{([A-Za-z_][A-Za-z0-9_]*)\}\}|\{([A-Za-z_][A-Za-z0-9_]*)\}")


def names_in(text: str) -> frozenset[str]:
    """Return the placeholder names that `text` uses."""
    return frozenset(match[2] for match in _PLACEHOLDER.finditer(text) if match[2] is not None)


def strings_in(value: JSON) -> Iterator[str]:
    """Yield every string of a JSON value, the names of members aside."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for member in value.values():
            yield from strings_in(member)
    elif isinstance(value, list | tuple):
        for member in value:
            yield from strings_in(member)


def check(text: str, allowed: Iterable[str], where: str) -> None:
    """Raise ValueError naming the first placeholder of `text` that is not in `allowed`, and the nearest that is."""
    known = sorted(allowed)
    for name in sorted(names_in(text).difference(known)):
        near = get_close_matches(name, known, n=1)
        remedy = (
            f"did you mean {{{near[0]}}}?"
            if near
            else f"known are {', '.join(f'{{{one}}}' for one in known) or 'none'}."
        )
        raise ValueError(f"unknown placeholder {{{name}}} in {where}; {remedy}")


def expand(text: str, values: Values) -> str:
    """Return `text` with each placeholder replaced; an argument list becomes one shell-quoted string.

    Raises UsageError for a placeholder without a value, such as `{backend_url}` where the backend speaks stdio.
    """

    def replacement(match: re.Match[str]) -> str:
        name = match[2]
        if name is None:
            return f"{{{match[1]}}}"
        if name not in values:
            raise UsageError(f"{{{name}}} has no value in this set-up: use a backend and a runtime that supply it.")
        value = values[name]
        return value if isinstance(value, str) else shlex.join(value)

    return _PLACEHOLDER.sub(replacement, text)


def expand_json(value: JSON, values: Values) -> JSON:
    """Return a JSON value with the placeholders of its strings replaced. Raises UsageError as `expand` does."""
    if isinstance(value, str):
        return expand(value, values)
    if isinstance(value, Mapping):
        return {name: expand_json(member, values) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [expand_json(member, values) for member in value]
    return value


def expand_argv(argv: Sequence[str], values: Values) -> tuple[str, ...]:
    """Return `argv` expanded; an argument list that stands alone as an element becomes several elements."""
    expanded: list[str] = []
    for element in argv:
        whole = _PLACEHOLDER.fullmatch(element)
        value = values.get(whole[2]) if whole and whole[2] else None
        if value is not None and not isinstance(value, str):
            expanded.extend(value)
        else:
            expanded.append(expand(element, values))
    return tuple(expanded)
