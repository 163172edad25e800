"""Content codings of response bodies (RFC 9110 section 8.4.1), undone as the bytes come.

A client that offers one may get it: what the message says is then read all the same, and when each part could be read.
"""

from __future__ import annotations

import zlib
from typing import Final

_WINDOW_BITS: Final = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}

LIMIT: Final = 1 << 26
"""Bytes that are made of one coded body: four times the largest payload of a scenario. A kilobyte can say a million."""


def is_plain(coding: str) -> bool:
    """Whether a Content-Encoding leaves the body as it is."""
    return coding.strip().lower() in ("", "identity")


class ContentDecoder:
    """Undoes one coding. What is not of that coding comes out as it went in, from the first byte that shows it on.

    So does what comes after the first LIMIT bytes of what it says.
    """

    def __init__(self, coding: str) -> None:
        bits = _WINDOW_BITS.get(coding.strip().lower())
        self._inflating = zlib.decompressobj(bits) if bits is not None else None
        self._left = LIMIT

    @property
    def reads(self) -> bool:
        """Whether this coding is known and the body so far was of it."""
        return self._inflating is not None

    def feed(self, data: bytes) -> bytes:
        """Return what a reader of the body has after these bytes that it had not before."""
        if self._inflating is None:
            return data
        try:
            read = self._inflating.decompress(data, self._left)
        except zlib.error:
            self._inflating = None
            return data
        self._left -= len(read)
        if not self._left:
            self._inflating = None
        return read
