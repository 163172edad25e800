"""`replay`: stored evidence judged again, without network or engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from conformance.commands import teaching
from conformance.commands.choosing import chosen_rules
from conformance.commands.console import print_json, print_line, print_section, print_table, say
from conformance.diagnosis.classify import Classified
from conformance.errors import EvidenceError, ExitCode, NothingRanError, UsageError
from conformance.execution import exit_code
from conformance.expectations import Expectations
from conformance.judging import Judgement, applicable, cell_of, judge_files, transcript
from conformance.rules.all import rules
from conformance.rules.base import Rule
from conformance.rules.verdicts import Fail, NotExercised, Pass
from conformance.running import Judged
from conformance.stage.plan import DIRECT, Cell
from conformance.stage.scenario import scenarios

EPILOG = teaching.epilog(
    ("replay reports/latest/evidence", "judge everything that the last run recorded again"),
    ("replay reports/latest/evidence/CELL.jsonl --rule MGC301", "judge one cell by one rule"),
    codes=(0, 1, 3, 4, 5),
)


def replay(
    evidence: Annotated[list[Path], typer.Argument(metavar="EVIDENCE…", help="evidence files, or folders of them")],
    rule: Annotated[list[str] | None, typer.Option(metavar="ID", help="judge by this rule only; repeatable")] = None,
    control: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="the control run's evidence, if it does not lie beside the file"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="the results as one JSON array")] = False,
) -> ExitCode:
    """Judge stored evidence again, without network or engine.

    No baseline is applied: every failure that is the target's counts. A file that cannot be judged is named and the
    others are judged.
    """
    chosen = chosen_rules(rule or ())
    files = [file for path in evidence for file in _files(path)]
    if control is not None and len(files) != 1:
        raise UsageError(f"--control goes with one evidence file, and there are {len(files)}; judge them one by one.")
    judged: list[Judgement] = []
    trouble: list[str] = []
    for file in files:
        try:
            judged += judge_again(file, chosen, control)
        except EvidenceError as error:
            trouble.append(str(error))
            say(f"error: {error}")
    if as_json:
        print_json([item.to_json() for item in judged])
    else:
        _print(judged)
    if not judged and not trouble:
        raise NothingRanError("No rule applies to this evidence; name one with --rule to see what it lacks.")
    expectations = Expectations()
    records = [{**item.to_json(), "expectation": expectations.outcome(item).expectation} for item in judged]
    return exit_code(Judged("", (), tuple(records), tuple(trouble), interrupted=False))


def judge_again(file: Path, chosen: Sequence[Rule], control: Path | None) -> list[Judgement]:
    """Return the verdicts on one evidence file: by the chosen rules, else by those its scenario exercises.

    Evidence of no known scenario is judged by every rule that finds something to judge in it. Raises EvidenceError.
    """
    header = transcript(file).header
    cell = cell_of(header)
    beside = file.parent / f"{cell.control.slug}.jsonl"
    control = control or (beside if cell.target != DIRECT and beside.is_file() else None)
    if control is not None:
        transcript(control)  # a control that cannot be read is named as such, not as each rule's trouble
    scenario = scenarios().get(cell.scenario)
    if chosen:
        return [judge_files(cell, rule, file, control) for rule in chosen]
    if scenario is not None:
        found = applicable(rules(), scenario.brings, cell.revision)
        return [judge_files(cell, rule, file, control) for rule in found]
    every = (judge_files(cell, rule, file, control) for rule in rules() if cell.revision in rule.revisions)
    return [item for item in every if not isinstance(item.verdict, NotExercised)]


def _files(path: Path) -> Iterator[Path]:
    """Yield the evidence files that `path` names; of a folder, those of cells, and not those of their controls."""
    if not path.is_dir():
        yield path
        return
    found = sorted(path.glob("*.jsonl"))
    if not found:
        raise EvidenceError(f"{path} holds no evidence; name a folder such as reports/latest/evidence.")
    yield from (file for file in found if not file.name.startswith(f"{DIRECT}__"))


def _print(judged: Sequence[Judgement]) -> None:
    cells: dict[Cell, list[Judgement]] = {}
    for item in judged:
        cells.setdefault(item.cell, []).append(item)
    for cell, items in cells.items():
        rows = [(item.verdict.name, item.rule.id, str(item.rule.level), item.rule.title) for item in items]
        print_table(cell.id, ["verdict", "rule", "level", "title"], rows)
        for item in items:
            _print_reason(item)
        print_line("")


def _print_reason(item: Judgement) -> None:
    record = item.to_json()
    if isinstance(item.verdict, Fail):
        lines = [
            f"expected: {record['expected']}",
            f"observed: {record['observed']}",
            f"charged to: {record['charged_to']}; decisive events: {', '.join(map(str, record['events']))}",
            *_class_lines(item.classified),
        ]
        print_section(f"{item.rule.id} fails", "\n".join(lines))
    elif not isinstance(item.verdict, Pass):
        print_section(f"{item.rule.id} {item.verdict.name}", str(record["observed"]))


def _class_lines(found: Classified | None) -> Iterator[str]:
    if found is None:
        return
    yield f"failure class: {found.failure_class} (confidence {found.confidence:g})"
    for separation in found.separations:
        yield f"  {'not' if separation.made else 'perhaps'} {separation.neighbour}: {separation.says}"
