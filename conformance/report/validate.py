"""Checking report and evidence files against the published schemas in `reports/schema/`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeAlias

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from conformance.errors import EvidenceError
from conformance.evidence.events import JSON
from conformance.paths import SCHEMAS
from conformance.report.escape import shown

SchemaName: TypeAlias = Literal["report", "evidence"]


@cache
def validator(name: SchemaName) -> Draft202012Validator:
    """Return the validator for one line of a file of this sort."""
    schema: dict[str, Any] = json.loads((SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8"))
    return Draft202012Validator(schema)


def trouble(name: SchemaName, record: Mapping[str, JSON]) -> str:
    """Say what about a record departs from the schema, in one sentence; empty when nothing does."""
    error = best_match(validator(name).iter_errors(record))
    return f"{error.json_path}: {shown(error.message)}" if error else ""


def validate_file(name: SchemaName, path: Path) -> int:
    """Return the number of lines of a file whose every line conforms.

    Raises EvidenceError naming the first line that does not.
    """
    number = 0
    for number, record in _records(path):
        if said := trouble(name, record):
            raise EvidenceError(f"{path} line {number} does not conform to the {name} schema: {said}")
    return number


def _records(path: Path) -> Iterator[tuple[int, Mapping[str, JSON]]]:
    with path.open(encoding="utf-8", newline="\n") as file:
        for number, line in enumerate(file, start=1):
            try:
                yield number, json.loads(line)
            except ValueError as error:
                raise EvidenceError(f"{path} line {number} is not JSON; the file was cut off or is foreign") from error
