"""The published revisions of the Model Context Protocol, oldest first, and the two eras they fall into.

Source: specification repository, docs/learn/versioning. *Legacy* revisions open with the `initialize` handshake and
have sessions; *modern* ones are stateless and describe each request in `_meta`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Revision(StrEnum):
    """A published revision, spelled as on the wire. Members are in order of publication."""

    V2024_11_05 = "2024-11-05"
    V2025_03_26 = "2025-03-26"
    V2025_06_18 = "2025-06-18"
    V2025_11_25 = "2025-11-25"
    V2026_07_28 = "2026-07-28"


REVISIONS: Final = tuple(Revision)
"""Every revision, oldest first."""

LEGACY: Final = (Revision.V2024_11_05, Revision.V2025_03_26, Revision.V2025_06_18, Revision.V2025_11_25)
"""Revisions with the handshake."""

MODERN: Final = (Revision.V2026_07_28,)
"""Revisions without sessions or handshake."""

STREAMABLE_LEGACY: Final = (Revision.V2025_03_26, Revision.V2025_06_18, Revision.V2025_11_25)
"""Legacy revisions that know Streamable HTTP: one endpoint for POST, GET and DELETE. (2024-11-05 has HTTP+SSE.)"""


def is_legacy(revision: Revision) -> bool:
    """Return whether `revision` opens with the `initialize` handshake."""
    return revision in LEGACY
