"""Making text that a gateway, a server or a log sent safe to show: on a terminal, in Markdown and in GitHub's log.

HTML needs nothing from here but `shown`: the templates escape by themselves.
"""

from __future__ import annotations

import re
from typing import Final

LONGEST: Final = 600
"""Characters of one foreign sentence that a report shows; evidence files have the rest."""

_NAMED: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
# C0, DEL and C1 drive terminals; separators break lines; bidirectional and zero-width marks make text read as something
# else (Unicode TR 36); lone surrogates cannot be written as UTF-8.
_HIDDEN: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]",
)
_MARKDOWN: Final = re.compile(r"([\\`*_\[\]~|#$!])")
_HTML: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;"}
_URL: Final = re.compile(r"(?i)\b(https?|ftp):(?=//)|\bwww\.")


def shown(text: str, *, longest: int = LONGEST) -> str:
    """Return `text` on one line with every control, bidirectional and invisible character spelled out."""
    cut = text if len(text) <= longest else f"{text[:longest]}… ({len(text)} characters)"
    return _HIDDEN.sub(lambda match: _spelled(match.group()), cut)


def shown_lines(text: str) -> str:
    """Return `text` as `shown` does, of any length and with its line ends kept; for code blocks."""
    return "\n".join(shown(line, longest=len(line)) for line in text.split("\n"))


def _spelled(character: str) -> str:
    code = ord(character)
    if character in _NAMED:
        return _NAMED[character]
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def markdown(text: str) -> str:
    """Return `text` as plain inline Markdown: no markup, HTML, table cell, mention or link can begin in it."""
    plain = _MARKDOWN.sub(r"\\\1", shown(text))
    plain = "".join(_HTML.get(character, character) for character in plain)
    return _URL.sub(lambda match: match.group().replace(":", "&#58;").replace(".", "&#46;"), plain)


def code(text: str) -> str:
    """Return `text` as an inline code span that its own backticks cannot end; also inside a table cell."""
    plain = shown(text) or " "
    if "|" in plain:
        return markdown(text)  # a pipe ends a table cell even inside a code span
    fence = "`" * (_longest_run(plain) + 1)
    return f"{fence} {plain} {fence}" if "`" in plain else f"{fence}{plain}{fence}"


def fenced(text: str, language: str = "text") -> str:
    """Return `text` as a fenced code block that its own backticks cannot end."""
    plain = shown_lines(text)
    fence = "`" * max(3, _longest_run(plain) + 1)
    return f"{fence}{language}\n{plain}\n{fence}"


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall(r"`+", text)), default=0)


def command_data(text: str) -> str:
    """Return `text` as the message of a GitHub workflow command."""
    return shown(text).replace("%", "%25")


def command_property(text: str) -> str:
    """Return `text` as a property's value of a GitHub workflow command."""
    return command_data(text).replace(":", "%3A").replace(",", "%2C")


def file_name(text: str) -> str:
    """Return `text` as a file name that stays in its folder."""
    return re.sub(r"[^A-Za-z0-9._-]|^[.-]", "_", text) or "_"
