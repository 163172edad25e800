"""Reading the project's own TOML tables: every cell is checked, and a mistake is named with its file, row and key."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from conformance.errors import CannotJudgeError

_Member = TypeVar("_Member", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Row:
    """One table of a TOML file. where: file and row, as error sentences name them. cells: the table as parsed."""

    where: str
    cells: Mapping[str, Any]

    def text(self, key: str, *, default: str | None = None) -> str:
        """Return a string that is not empty, or `default` where the key is absent and a default is given."""
        if default is not None and key not in self.cells:
            return default
        value = self.cells.get(key)
        if not isinstance(value, str) or not value.strip():
            raise self.error(f"`{key}` must be a string that is not empty")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """Return an array of different strings, at least one."""
        value = self.cells.get(key)
        if not isinstance(value, list) or not value or not all(isinstance(item, str) and item for item in value):
            raise self.error(f"`{key}` must be an array of at least one string")
        if len(set(value)) < len(value):
            raise self.error(f"`{key}` names something twice")
        return tuple(value)

    def member(self, key: str, vocabulary: type[_Member]) -> _Member:
        """Return the string as a member of a closed vocabulary."""
        return self._member(key, self.text(key), vocabulary)

    def members(self, key: str, vocabulary: type[_Member]) -> tuple[_Member, ...]:
        """Return an array of strings as members of a closed vocabulary."""
        return tuple(self._member(key, item, vocabulary) for item in self.texts(key))

    def flag(self, key: str) -> bool:
        """Return a boolean."""
        value = self.cells.get(key)
        if not isinstance(value, bool):
            raise self.error(f"`{key}` must be true or false")
        return value

    def rows(self, key: str) -> tuple[Row, ...]:
        """Return an array of tables, none where the key is absent."""
        value = self.cells.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise self.error(f"`{key}` must be an array of tables")
        return tuple(Row(f"{self.where}, {key} {item.get('id', number)}", item) for number, item in enumerate(value, 1))

    def allow_only(self, *keys: str) -> None:
        """Refuse a key that is not one of `keys`, so that a misspelling is not silently ignored."""
        if unknown := sorted(set(self.cells) - set(keys)):
            raise self.error(f"unknown key `{unknown[0]}`; known are {', '.join(keys)}")

    def error(self, what: str) -> CannotJudgeError:
        """Return the error that names this row."""
        return CannotJudgeError(f"{self.where}: {what}.")

    def _member(self, key: str, value: str, vocabulary: type[_Member]) -> _Member:
        try:
            return vocabulary(value)
        except ValueError:
            known = ", ".join(vocabulary)
            raise self.error(f"`{key}` is {value!r}, which is none of {known}") from None


def read(path: Path) -> Row:
    """Return the whole TOML file as one row.

    Raises CannotJudgeError when the file is missing or is not TOML.
    """
    try:
        return Row(path.name, tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CannotJudgeError(f"{path}: cannot be read as TOML ({error}); reinstall the package.") from error


def refuse_duplicates(where: str, ids: Iterable[str]) -> None:
    """Raise CannotJudgeError when an id occurs twice."""
    seen: set[str] = set()
    for row_id in ids:
        if row_id in seen:
            raise CannotJudgeError(f"{where}: the id {row_id} occurs twice; ids are permanent and used once.")
        seen.add(row_id)
