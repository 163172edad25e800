"""The jinja2 templates: what they print is escaped unless a filter says that it already is."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Final
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from conformance.report import escape

_CODE: Final = Markup("<code>{}</code>")
_SHORT_ISSUE: Final = re.compile(r"[\w.-]+/[\w.-]+#\d+", re.ASCII)
_ISSUE_ADDRESS: Final = re.compile(r"https://[\w./-]+(#[\w-]+)?", re.ASCII)


class Raw(str):
    """Markdown that a filter has already made safe."""

    __slots__ = ()


@cache
def markdown_templates() -> Environment:
    """Return the environment of the Markdown templates: every printed value becomes plain inline text.

    Filters: `code` (inline span), `fenced` (block), `path` (relative link), `issue` (a baseline's issue, as the link it
    is), `raw` (this program's own Markdown).
    """
    environment = Environment(
        loader=PackageLoader("conformance.report"),
        autoescape=False,  # noqa: S701 - Markdown: `finalize` escapes every value, for HTML as well
        finalize=_plain,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
    )
    environment.filters["code"] = lambda text: Raw(escape.code(str(text)))
    environment.filters["fenced"] = lambda text, language="text": Raw(escape.fenced(str(text), language))
    environment.filters["path"] = lambda text: Raw(quote(str(text)))
    environment.filters["issue"] = _issue
    environment.filters["raw"] = Raw
    return environment


def _issue(text: str) -> Raw:
    linked = _SHORT_ISSUE.fullmatch(text) or _ISSUE_ADDRESS.fullmatch(text)
    return Raw(text if linked else escape.markdown(text))


def _plain(value: Any) -> Any:
    return value if isinstance(value, Raw) else escape.markdown(str(value))


@cache
def html_templates() -> Environment:
    """Return the environment of the HTML templates: jinja2 escapes markup, `shown_lines` what is invisible.

    Filter: `prose` (text of the catalogue, whose code spans become `<code>`).
    """
    environment = Environment(
        loader=PackageLoader("conformance.report"),
        autoescape=True,
        finalize=lambda value: escape.shown_lines(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
    )
    environment.filters["prose"] = _prose
    return environment


def _prose(text: str) -> Markup:
    pieces = escape.shown_lines(text).split("`")
    return Markup("").join(_CODE.format(piece) if odd % 2 else piece for odd, piece in enumerate(pieces))
