"""`replays`: rebuild the field failures from real parts, diagnose them, apply the remedy, and write a page of each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from conformance.commands import teaching
from conformance.commands.console import print_json, print_table, say
from conformance.commands.driving import records_of
from conformance.commands.runtime_choice import engine_trouble
from conformance.errors import ExitCode, UsageError
from conformance.evidence.events import JSON
from conformance.replays.catalogue import Cause, Condition, replays
from conformance.replays.driving import selection_of
from conformance.replays.findings import Asserted, Assertion, State, trouble
from conformance.replays.record import replay_record
from conformance.report.files import usable_folder
from conformance.report.replays import write_replay
from conformance.stage.plan import RuntimeName

_OF_CAUSES = tuple(item for item in Assertion if item is not Assertion.TRIED)

EPILOG = teaching.epilog(
    ("replays", "every cause of every field failure; the parts are installed on first use"),
    ("replays --replay R1", "one of them"),
    ("replays --replay R1c --replay R5", "one cause of one, and another"),
    ("replays --list", "what there is, without driving anything"),
    codes=(0, 1, 2, 3, 4, 5),
)


def replays_command(
    replay: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="this replay, or one of its causes (R1c); repeatable")
    ] = None,
    list_only: Annotated[bool, typer.Option("--list", help="list replays and causes and end")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON array")] = False,
    out: Annotated[Path, typer.Option(metavar="DIR", help="folder for pages and evidence")] = Path(
        "reports/latest/replays"
    ),
) -> ExitCode:
    """Replay failures from the field on real parts.

    Each cause is driven twice, without and with its remedy, in the same scenario. Three things are asserted of it, each
    by a pytest item of its own: the failure is seen; the diagnosis names the true cause and hop, and not the wrong ones
    that come to mind; with the remedy the scenario passes. Each replay gets a page (R1.html) and its record (R1.json).
    What this machine cannot have is not exercised and says why; it never passes.
    """
    chosen = _chosen(replay or [])
    names = {cause.name for cause in chosen}
    whole = [known for known in replays() if names >= {cause.name for cause in known.causes}]
    tried = [item for known in whole for item in known.tried]
    if list_only:
        _list(chosen, as_json=as_json)
        return ExitCode.OK
    usable_folder(out)
    found: dict[str, list[Asserted]] = {}
    evidence: dict[str, Path] = {}
    for runtime in dict.fromkeys(cause.runtime for cause in chosen):
        evidence[runtime] = out.resolve() / "evidence" / runtime / "evidence"
        causes = [item for item in chosen if item.runtime == runtime]
        found |= _drive(causes, runtime, evidence[runtime].parent, tried if runtime == "process" else ())
    records = [
        replay_record(item, found, evidence, out.resolve())
        for item in replays()
        if any(cause.name in found for cause in item.causes)
    ]
    pages = [write_replay(item, out) for item in records]
    if as_json:
        print_json(records)
    else:
        _print(chosen, tried, found, pages)
    return _status([item for causes in found.values() for item in causes])


def _chosen(names: Sequence[str]) -> tuple[Cause, ...]:
    known = {cause.name: cause for item in replays() for cause in item.causes}
    wholes: dict[str, tuple[Cause, ...]] = {item.id: item.causes for item in replays()}
    chosen: dict[str, Cause] = {}
    for name in names or wholes:
        causes = wholes.get(name) or ((known[name],) if name in known else ())
        if not causes:
            hint = teaching.nearest(name, (*wholes, *known), "`replays --list` shows them.")
            raise UsageError(f"There is no replay {name!r}; {hint}")
        chosen |= {cause.name: cause for cause in causes}
    return tuple(chosen.values())


def _drive(
    causes: Sequence[Cause], runtime: RuntimeName, out: Path, tried: Sequence[Condition]
) -> dict[str, list[Asserted]]:
    """Drive causes that share a runtime, and conditions; return the assertions on each, by its name."""
    why = engine_trouble(say) if runtime == "containers" else ""
    if why:
        return {item.name: list(trouble(item, why, State.NOT_EXERCISED)) for item in causes}
    found: dict[str, list[Asserted]] = defaultdict(list)
    for record in records_of(selection_of(causes, runtime, out, tried)):
        asserted = Asserted(Assertion(record["assertion"]), State(record["verdict"]), str(record["observed"]))
        found[str(record["cause"])].append(asserted)
    unreported = [Asserted(Assertion.TRIED, State.TROUBLE, "pytest reported nothing of this condition")]
    return {
        **{item.name: _whole(item, found[item.name]) for item in causes},
        **{item.name: found[item.name] or unreported for item in tried},
    }


def _whole(cause: Cause, found: Sequence[Asserted]) -> list[Asserted]:
    """Return all assertions on a cause in order; one that pytest reported nothing of is trouble, never silence."""
    reported = {item.assertion: item for item in found}
    return [reported.get(item.assertion, item) for item in trouble(cause, "pytest reported nothing of this assertion")]


def _status(found: Sequence[Asserted]) -> ExitCode:
    states = {item.state for item in found}
    if State.FAILS in states:
        return ExitCode.UNEXPECTED
    if State.TROUBLE in states:
        return ExitCode.CANNOT_JUDGE
    return ExitCode.OK if State.HOLDS in states else ExitCode.NOTHING_RAN


def _list(causes: Sequence[Cause], *, as_json: bool) -> None:
    if as_json:
        print_json([_listed(cause) for cause in causes])
        return
    rows = [(item.name, f"{item.failure_class} at the {item.hop}", item.runtime, item.title) for item in causes]
    print_table("replays", ("cause", "is diagnosed as", "runtime", "what fails"), rows)


def _listed(cause: Cause) -> dict[str, JSON]:
    whole = next(item for item in replays() if item.id == cause.replay)
    return {
        "replay": whole.id,
        "title": whole.title,
        "cause": cause.name,
        "what": cause.title,
        "failure_class": cause.failure_class,
        "hop": cause.hop,
        "runtime": cause.runtime,
    }


def _print(
    causes: Sequence[Cause],
    tried: Sequence[Condition],
    found: Mapping[str, Sequence[Asserted]],
    pages: Sequence[Path],
) -> None:
    rows = []
    for cause in causes:
        states = {item.assertion: str(item.state) for item in found[cause.name]}
        named = f"{cause.failure_class} at the {cause.hop}"
        rows.append((cause.name, *(states.get(item, "-") for item in _OF_CAUSES), named, cause.title))
    print_table("replays", ("cause", *(str(item) for item in _OF_CAUSES), "true cause", "what fails"), rows)
    for condition in tried:
        say(f"{condition.name}: {found[condition.name][0].detail}")
    for cause in causes:
        for item in found[cause.name]:
            if item.state is not State.HOLDS:
                say(f"{cause.name} {item.assertion}: {item.state}: {item.detail}")
    for page in pages:
        say(f"page: {page}")
    whole = [item for causes in found.values() for item in causes]
    say(f"{sum(item.state is State.HOLDS for item in whole)} of {len(whole)} assertions hold")
