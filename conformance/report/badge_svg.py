"""A badge as a picture of its own, for where no badge service can be asked."""

from __future__ import annotations

from typing import Final

import anybadge

_COLOURS: Final = {"brightgreen": "#2f8a1b", "red": "#c5432e"}
"""The endpoint's colours by name, dark enough for white letters (contrast of 4.5, WCAG 2.2)."""


def svg(label: str, message: str, colour: str) -> str:
    """Return the badge as SVG; equal badges are equal files. colour: as the endpoint's JSON names it."""
    made = anybadge.Badge(label, message, default_color=_COLOURS[colour])
    made.mask_str = "round"  # numbered through all badges of a process otherwise
    return str(made.badge_svg_text)
