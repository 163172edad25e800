"""`list`: what there is to run, to judge and to find."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Final, TypeAlias

import typer

from conformance.commands import records, teaching
from conformance.commands.console import print_json, print_table
from conformance.errors import ExitCode, UsageError
from conformance.evidence.events import JSON

EPILOG = teaching.epilog(
    ("list rules", "every rule with its level, what it cites and which mutants it must catch"),
    ("list failure-classes --json", "every known way of failing, as one JSON array"),
)


class What(StrEnum):
    """What can be listed."""

    TARGETS = "targets"
    SUITES = "suites"
    CLIENTS = "clients"
    EDGES = "edges"
    RULES = "rules"
    REQUIREMENTS = "requirements"
    FAILURE_CLASSES = "failure-classes"
    MUTANTS = "mutants"


Record: TypeAlias = Mapping[str, JSON]


@dataclass(frozen=True, slots=True)
class Listing:
    """One list: its records, and the columns (after the id) that people are shown."""

    records: Callable[[], list[dict[str, JSON]]]
    columns: Mapping[str, Callable[[Record], str]]


def _text(key: str) -> Callable[[Record], str]:
    return lambda record: str(record[key] or "")


def _joined(key: str) -> Callable[[Record], str]:
    return lambda record: ", ".join(record[key])


def _longest_wait(record: Record) -> str:
    return f"{max((scenario['seconds'] for scenario in record['scenarios']), default=0.0):g} s"


LISTINGS: Final[Mapping[What, Listing]] = {
    What.TARGETS: Listing(
        records.target_records,
        {
            "version": _text("version"),
            "title": _text("title"),
            "fronts": _joined("fronts"),
            "baseline": lambda record: "yes" if record["baseline"] else "no",
            "homepage": _text("homepage"),
        },
    ),
    What.SUITES: Listing(
        records.suite_records,
        {
            "rules": lambda record: str(len(record["rules"])),
            "scenarios": lambda record: str(len(record["scenarios"])),
            "longest wait": _longest_wait,
        },
    ),
    What.CLIENTS: Listing(
        records.client_records,
        {
            "version": _text("version"),
            "title": _text("title"),
            "steps": _joined("steps"),
            "homepage": _text("homepage"),
        },
    ),
    What.EDGES: Listing(
        records.edge_records,
        {
            "version": _text("version"),
            "title": _text("title"),
            "from": _text("from"),
            "cannot": _joined("cannot"),
            "homepage": _text("homepage"),
        },
    ),
    What.RULES: Listing(
        records.rule_records,
        {
            "level": _text("level"),
            "suite": _text("suite"),
            "title": _text("title"),
            "requirements": _joined("requirements"),
            "mutants": _joined("mutants"),
        },
    ),
    What.REQUIREMENTS: Listing(
        records.requirement_records,
        {
            "level": _text("level"),
            "coverage": _text("coverage"),
            "rules": _joined("rules"),
            "excused": _text("excused"),
            "text": _text("text"),
        },
    ),
    What.FAILURE_CLASSES: Listing(
        records.failure_class_records,
        {"hop": _text("hop"), "severity": _text("severity"), "title": _text("title"), "mutants": _joined("mutants")},
    ),
    What.MUTANTS: Listing(
        records.mutant_records,
        {
            "rules": _joined("rules"),
            "failure class": lambda record: "benign" if record["benign"] else str(record["failure_class"]),
            "title": _text("title"),
        },
    ),
}


def listing(
    what: Annotated[str, typer.Argument(metavar="|".join(What), help="what to list")],
    as_json: Annotated[bool, typer.Option("--json", help="one JSON array on standard output")] = False,
) -> ExitCode:
    """List targets, suites, clients, edges, rules, requirements, failure classes or mutants.

    `explain ID` says more of a rule, a requirement or a failure class.
    """
    known = [item.value for item in What]
    if what not in known:
        listed = f"known are {', '.join(known)}."
        raise UsageError(f"There is no list of {what!r}; {teaching.nearest(what, known, listed)}")
    chosen = LISTINGS[What(what)]
    found = chosen.records()
    if as_json:
        print_json(found)
    else:
        rows = [[str(record["id"]), *(cell(record) for cell in chosen.columns.values())] for record in found]
        print_table(f"{len(found)} {what.replace('-', ' ')}", ["id", *chosen.columns], rows)
    return ExitCode.OK
