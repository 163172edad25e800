"""`mutants`: show that every rule can fail, and that nothing is said about what is healthy."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import typer

from conformance.commands import teaching
from conformance.commands.console import print_json, print_table, say
from conformance.commands.driving import records_of
from conformance.commands.records import REFERENCE_CLIENT
from conformance.errors import ExitCode, NothingRanError, UsageError
from conformance.mutation import GOOD, REFERENCES, Finding, Outcome, cell_of, judge_healthy, judge_mutant, undecided
from conformance.progress import Record
from conformance.report.files import usable_folder
from conformance.rules.all import rule_named
from conformance.running import WITNESS, Selection
from conformance.sharding import Shard
from conformance.spec.revisions import STREAMABLE_LEGACY
from conformance.stage.engine_probe import engine_answers
from conformance.stage.manifest import load_backend, load_target
from conformance.stage.manifest_tables import Needs
from conformance.stage.mutants import LATEST, Mutant, mutants
from conformance.stage.plan import Cell, RuntimeName
from conformance.stage.scenario import CLIENTS, DEFAULT_SUITES, EDGES, NETWORK, Scenario, scenarios

SPIN_UP = "spin_up"
APART = (CLIENTS, NETWORK)
"""Suites that a run drives only when it is asked to, and in which mutants are driven as in any other."""
MUTANT_MB: Final = 70
"""Memory counted for a reference gateway, mutated or not, in MB, of which it takes 40: there is work enough for 25 of
them at one time. Counted like the gateways on record they were 15, and two cores half idle."""
AGAIN_MB: Final = 400
"""Memory counted for one that is driven again, in MB: few at one time, so that the harness itself does not lag."""

EPILOG = teaching.epilog(
    ("mutants", "every mutant and both reference gateways"),
    ("mutants get_answers_400 --own-suites", "one of them, quickly: what it breaks elsewhere is not seen"),
    ("mutants --shard 2/8", "an eighth of them"),
    ("mutants --resume", "go on with a run that was interrupted"),
    codes=(0, 1, 2, 3, 4, 5),
)


def mutants_command(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]…", help="these only; see `list mutants`")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON array")] = False,
    own_suites: Annotated[
        bool, typer.Option("--own-suites", help="drive only the suites of the rules named for them: faster, shows less")
    ] = False,
    shard: Annotated[
        str, typer.Option(metavar="K/N", help="the K-th of N parts of them, so that several machines share the work")
    ] = "1/1",
    resume: Annotated[
        bool, typer.Option("--resume", help="continue an interrupted run of the same mutants in the same folder")
    ] = False,
    out: Annotated[Path, typer.Option(metavar="DIR", help="folder for the evidence")] = Path("reports/latest/mutants"),
) -> ExitCode:
    """Drive every mutant gateway and print which rules caught it and what it was classified as.

    A mutant is a reference gateway with one fault. It must fail the rules named for it, as the failure class named for
    it, and no other. The reference gateways and the benign variants must fail nothing.
    """
    chosen = Shard.parse(shard).of(_chosen(ids or []))
    if ids and not chosen:
        raise NothingRanError(f"--shard {shard} leaves none of these mutants; name more of them, or another part.")
    usable_folder(out)
    references = REFERENCES if not ids else ()
    findings: list[Finding] = []
    plain = [item for item in chosen if not _spins_up(item) and not item.scenario]
    for number, batch in enumerate(_batches(plain, references, own_suites=own_suites), 1):
        part = _Part("process", batch.revision, batch.suites, out / "process" / str(number))
        findings += _judged(part, [*_healthy(batch.sound), *map(_judge, batch.mutants)], resume=resume)
    findings += _behind_edges([item for item in chosen if item.scenario], references, out / "edges", resume=resume)
    spinning = [item for item in chosen if _spins_up(item)]
    healthy = ("terminating",) if not ids and not own_suites else ()
    if (spinning or healthy) and engine_answers():
        part = _Part("containers", LATEST, (SPIN_UP,), out / "containers")
        judges = [*_healthy(healthy, ", starting containers"), *map(_judge, spinning)]
        findings += _judged(part, judges, resume=resume)
    else:
        why = "no container engine answers"
        findings += [Finding(i.name, i.title, i.rules, i.failure_class, {}, Outcome.NOT_JUDGED, why) for i in spinning]
    _print(findings, as_json=as_json)
    if any(item.outcome is Outcome.NOT_JUDGED for item in findings):
        return ExitCode.CANNOT_JUDGE
    return ExitCode.OK if all(item.outcome in GOOD for item in findings) else ExitCode.UNEXPECTED


def _chosen(ids: Sequence[str]) -> tuple[Mutant, ...]:
    known = {item.id: item for item in mutants()}
    for name in ids:
        if name not in known:
            hint = teaching.nearest(name, tuple(known), "`list mutants` shows them.")
            raise UsageError(f"There is no mutant {name!r}; {hint}")
    return tuple(known[name] for name in ids) if ids else tuple(known.values())


@dataclass(frozen=True, slots=True)
class _Batch:
    """What is driven together: gateways, healthy ones among them, over some suites in one revision."""

    revision: str
    suites: tuple[str, ...]
    sound: tuple[str, ...] = ()
    mutants: tuple[Mutant, ...] = ()


def _batches(chosen: Sequence[Mutant], references: tuple[str, ...], *, own_suites: bool) -> list[_Batch]:
    """Return the batches: a revision each, and with `own_suites` also a batch for each set of suites.

    What is found by suites that are driven only when asked for has a batch of its own for each of them; real clients
    are stood for by the reference client there.
    """
    everything = tuple(suite for suite in DEFAULT_SUITES if suite != SPIN_UP)
    groups: dict[tuple[str, tuple[str, ...]], list[Mutant]] = defaultdict(list)
    for item in chosen:
        own = {rule.suite for rule in map(rule_named, item.rules) if rule is not None}
        suites = tuple(suite for suite in everything if suite in own) if own_suites and own else everything
        if len(own) == 1 and own <= set(APART):
            suites = tuple(own)
        groups[item.revision, suites].append(item)
    # HTTP+SSE is a transport of its own, and its rules hold in one revision only.
    apart = {revision for revision, _ in groups if revision not in STREAMABLE_LEGACY}
    healthy = [
        *((revision, everything) for revision in sorted({LATEST, *apart})),
        *((LATEST, (suite,)) for suite in APART),
    ]
    sound = [_Batch(*key, sound=references) for key in healthy if references and (own_suites or key not in groups)]
    return [
        *sound,
        *(
            _Batch(*key, () if own_suites or key not in healthy else references, tuple(items))
            for key, items in sorted(groups.items())
        ),
    ]


def _behind_edges(chosen: Sequence[Mutant], references: tuple[str, ...], out: Path, *, resume: bool) -> list[Finding]:
    """Drive those whose fault is an edge's, or shows behind one, and the references behind every healthy edge."""
    cells = {_cell(item.target, item.scenario, item.revision) for item in chosen}
    sound = [known.name for known in scenarios().values() if _edge_is_sound(known)]
    cells |= {_cell(name, scenario, LATEST) for name in references for scenario in sound}
    findings: list[Finding] = []
    for revision in sorted({cell.revision for cell in cells}):
        only = frozenset(cell for cell in cells if cell.revision == revision)
        part = _Part("process", revision, (EDGES,), out / revision, only)
        judges = _healthy(references if revision == LATEST else (), ", behind edges")
        judges += [_judge(item) for item in chosen if item.revision == revision]
        findings += _judged(part, judges, resume=resume)
    return findings


def _cell(target: str, scenario: str, revision: str) -> Cell:
    return Cell(target, "process", WITNESS, revision, revision, scenario)


def _edge_is_sound(scenario: Scenario) -> bool:
    return scenario.edge is not None and not scenario.edge.fault and not scenario.client


def _spins_up(mutant: Mutant) -> bool:
    """Whether a mutant differs in how it starts containers: it is then judged by suite spin_up, in containers."""
    if mutant.benign:
        return load_target(mutant.target).container.spin_up
    found = [rule_named(rule_id) for rule_id in mutant.rules]
    return bool(found) and all(rule is not None and rule.suite == SPIN_UP for rule in found)


@dataclass(frozen=True, slots=True)
class _Part:
    """What is driven in one run, but for the gateways. only: of the cells that are chosen by it, those alone."""

    runtime: RuntimeName
    revision: str
    suites: tuple[str, ...]
    out: Path
    only: frozenset[Cell] | None = None


@dataclass(frozen=True, slots=True)
class _Judge:
    """How the records of one target are judged."""

    target: str
    judge: Callable[[Sequence[Record]], Finding]


def _healthy(names: Iterable[str], where: str = "") -> list[_Judge]:
    return [_Judge(name, partial(judge_healthy, name, f"healthy{where}")) for name in names]


def _judge(mutant: Mutant) -> _Judge:
    judge = partial(judge_healthy, mutant.target, mutant.title) if mutant.benign else partial(judge_mutant, mutant)
    return _Judge(mutant.target, judge)


def _judged(part: _Part, judges: Sequence[_Judge], *, resume: bool) -> list[Finding]:
    """Drive a part and judge it. What was too poor to decide by is driven again, once, with few beside it.

    So many gateways at one time make the harness itself lag now and then, and it says so.
    """
    records = _drive(part, [item.target for item in judges], MUTANT_MB, resume=resume)
    of = [(item.judge(records[item.target]), records[item.target]) for item in judges]
    poor = frozenset(cell for finding, found in of for cell in undecided(finding, found))
    if poor:
        say(f"{len(poor)} cell(s) were too poor to decide by; they are driven again, with few beside them")
        again = replace(part, out=part.out.with_name(f"{part.out.name}-again"), only=poor)
        for target, latest in _drive(again, sorted({cell.target for cell in poor}), AGAIN_MB, resume=False).items():
            records[target] = [*(item for item in records[target] if cell_of(item) not in poor), *latest]
    return [item.judge(records[item.target]) for item in judges]


def _drive(part: _Part, names: Iterable[str], memory_mb: int, *, resume: bool) -> dict[str, list[Record]]:
    """Drive gateways and return their records by name. memory_mb: counted for each of them, in MB."""
    needs = Needs(memory_mb=memory_mb)
    selection = Selection(
        targets=tuple(load_target(name).model_copy(update={"needs": needs}) for name in dict.fromkeys(names)),
        backends=(load_backend(WITNESS),),
        runtime=part.runtime,
        out=part.out,
        suites=part.suites,
        revisions=(part.revision,),
        clients=(REFERENCE_CLIENT,),
        only=part.only,
        resume=resume,
    )
    records: dict[str, list[Record]] = defaultdict(list)
    for record in records_of(selection):
        records[str(record["target"])].append(record)
    return records


def _print(findings: Sequence[Finding], *, as_json: bool) -> None:
    if as_json:
        print_json([item.to_json() for item in findings])
        return
    rows = [
        (
            item.target,
            str(item.outcome),
            ", ".join(item.caught_by) or "-",
            ", ".join(sorted(set(item.caught_by.values()))) or "-",
            item.title,
        )
        for item in findings
    ]
    print_table("mutants", ("gateway", "outcome", "caught by", "classified as", "fault"), rows)
    for item in findings:
        if item.outcome not in GOOD:
            say(f"{item.target}: {item.outcome}: {item.detail}")
    caught = [item for item in findings if item.expected]
    healthy = [item for item in findings if not item.expected]
    say(
        f"{sum(item.outcome is Outcome.CAUGHT for item in caught)} of {len(caught)} faults caught and classified; "
        f"{sum(item.outcome is Outcome.CLEAN for item in healthy)} of {len(healthy)} healthy gateways clean"
    )
