"""`explain`: one rule, requirement or failure class in full."""

from __future__ import annotations

from typing import Annotated

import typer

from conformance.commands import teaching
from conformance.commands.console import print_line, print_section
from conformance.diagnosis.failure_classes import FailureClass, failure_classes
from conformance.errors import ExitCode, UsageError
from conformance.rules.all import rule_named, rules
from conformance.rules.base import DOCSTRING_HEADINGS, Rule
from conformance.spec.catalogue import Requirement, excuses, requirements
from conformance.stage.mutants import mutants

EPILOG = teaching.epilog(
    ("explain MGC301", "what a rule checks, a failing and a conforming exchange, its gaps"),
    ("explain get-sse-dead-stream", "a failure class: symptoms, cause, remedy, and how to rule out its neighbours"),
)


def explain(
    identifier: Annotated[str, typer.Argument(metavar="ID", help="id of a rule, a requirement or a failure class")],
) -> ExitCode:
    """Explain a rule, a requirement or a failure class."""
    requirement = {row.id: row for row in requirements()}.get(identifier)
    failure_class = {known.id: known for known in failure_classes()}.get(identifier)
    rule = rule_named(identifier)
    if rule is not None:
        _explain_rule(rule)
    elif requirement is not None:
        _explain_requirement(requirement)
    elif failure_class is not None:
        _explain_failure_class(failure_class)
    else:
        known = [*(item.id for item in rules()), *(row.id for row in requirements())]
        known += [item.id for item in failure_classes()]
        listed = "`list rules`, `list requirements` and `list failure-classes` show every id."
        raise UsageError(f"There is nothing called {identifier!r}; {teaching.nearest(identifier, known, listed)}")
    return ExitCode.OK


def _explain_rule(rule: Rule) -> None:
    print_line(f"{rule.id}  {rule.title}", "bold")
    print_line(f"{rule.level} · suite {rule.suite} · revisions {', '.join(rule.revisions)}")
    for heading, text in doc_sections(rule.doc):
        print_section(heading, text)
    print_section("Judged when there was", rule.when.missing)
    _bullets("Requirements", [f"{row.id}  {row.text}" for row in requirements() if row.id in rule.requirements])
    known = [f"{item.id}  {item.title}" for item in failure_classes() if item.id in rule.failure_classes]
    _bullets("Failure classes", known)
    _bullets("Mutants that fail it", [f"{item.id}  {item.title}" for item in mutants() if rule.id in item.rules])


def doc_sections(doc: str) -> list[tuple[str, str]]:
    """Return the headings of a rule's docstring with their text, in order."""
    sections: list[tuple[str, str]] = []
    for line in doc.splitlines():
        heading, colon, text = line.partition(":")
        if colon and heading in DOCSTRING_HEADINGS:
            sections.append((heading, text.strip()))
        elif sections and line.strip():
            sections[-1] = (sections[-1][0], f"{sections[-1][1]}\n{line.strip()}")
    return sections


def _explain_requirement(row: Requirement) -> None:
    print_line(f"{row.id}  {row.level}", "bold")
    print_section("What is asked", row.text)
    print_section("Source", row.source)
    print_section("Revisions", ", ".join(row.revisions))
    print_section("How it shows from outside", row.check)
    if row.note:
        print_section("Note", row.note)
    _bullets("Rules that cite it", [f"{rule.id}  {rule.title}" for rule in rules() if row.id in rule.requirements])
    _bullets("Mutants that violate it", [item.id for item in mutants() if row.id in item.requirements])
    if row.id in excuses():
        print_section("Excused", f"No rule will judge it: {excuses()[row.id]}.")


def _explain_failure_class(known: FailureClass) -> None:
    print_line(f"{known.id}  {known.title}", "bold")
    print_line(f"{known.severity} · family {known.family} · usually the {known.hop}; can be {', '.join(known.hops)}")
    _bullets("What users see", known.symptoms)
    print_section("Why", known.why)
    print_section("On the wire", known.signature)
    print_section("Remedy", known.remedy)
    _bullets("Told apart from", [f"{item.id}: {item.separated_by}" for item in known.neighbours])
    _bullets("Rules that find it", [f"{rule.id}  {rule.title}" for rule in rules() if known.id in rule.failure_classes])
    _bullets("Mutants that show it", [item.id for item in mutants() if item.failure_class == known.id])
    _bullets("Seen in", known.seen)


def _bullets(heading: str, items: list[str] | tuple[str, ...]) -> None:
    print_section(heading, "\n".join(f"- {item}" for item in items) or "none")
