"""Following what the engine child says it is doing: JSON lines appended to one file, read as they come."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeAlias

from conformance.evidence.events import JSON

Record: TypeAlias = dict[str, JSON]
_POLL: Final = 0.1
"""Seconds between two looks at the file."""


class Follower:
    """Calls `tell` in a thread of its own with each line of `file`, while the `with` block runs."""

    def __init__(self, file: Path, tell: Callable[[Record], None]) -> None:
        self._file = file
        self._tell = tell
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> Self:
        """Begin to follow."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        """Stop following."""
        self._done.set()
        self._thread.join()

    def _follow(self) -> None:
        position, left = 0, ""
        while not self._done.wait(_POLL):
            try:
                with self._file.open(encoding="utf-8") as file:
                    file.seek(position)
                    left += file.read()
                    position = file.tell()
            except FileNotFoundError:
                continue  # not begun yet, or the run's folder is already cleaned away
            *lines, left = left.split("\n")
            for line in lines:
                self._tell(json.loads(line))
