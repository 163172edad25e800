"""`search`: let Hypothesis look for a sequence of lifecycle steps that a gateway answers as no session should be."""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from conformance.commands import choosing, teaching
from conformance.commands.console import print_json, print_line, print_section, say
from conformance.commands.one_sided import refuse_unreachable
from conformance.commands.run import FailOn, Runtime
from conformance.commands.runtime_choice import choose_runtime
from conformance.errors import ExitCode, UsageError
from conformance.evidence.events import JSON
from conformance.program import PROGRAM, typed_again
from conformance.progress import Record
from conformance.report.files import usable_folder
from conformance.running import WITNESS
from conformance.search.child import LIFECYCLE, OUTCOME, REGISTRATION, Asked
from conformance.search.running import Quarry, run_search
from conformance.spec.catalogue import Level
from conformance.stage.manifest import target_from_command

EPILOG = teaching.epilog(
    ("search --target my-gateway.toml", "200 sequences of steps by up to three clients, legal and illegal"),
    (
        "search --target my-gateway.toml --seed 7 --examples 1000 --seconds 900",
        "more of them, drawn the same each time",
    ),
    (
        "search --url https://gateway.example/mcp --header-env Authorization=GATEWAY_AUTH",
        "one that runs already; it is not replaced by a fresh one, so earlier sequences may have left their mark",
    ),
    (
        "search --target contextforge --over registration",
        "servers registered, disabled, enabled and removed while sessions are open",
    ),
    codes=(0, 1, 2, 3, 4),
)
_LEVELS: Final = {
    FailOn.MUST: (Level.MUST,),
    FailOn.SHOULD: (Level.MUST, Level.SHOULD, Level.MAY),
    FailOn.PRACTICE: (Level.MUST, Level.SHOULD, Level.MAY, Level.PRACTICE),
}


class Over(StrEnum):
    """What is searched."""

    LIFECYCLE = LIFECYCLE
    REGISTRATION = REGISTRATION


_TOLD_EVERY: Final = 25
"""Sequences between two lines of progress."""


def search(
    target: Annotated[str | None, typer.Option(metavar="NAME|FILE.toml", help="gateway to search")] = None,
    url: Annotated[str | None, typer.Option(metavar="URL", help="search a gateway that already runs")] = None,
    header_env: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VARIABLE", help="with --url: send this header, its value from the environment"),
    ] = None,
    command: Annotated[
        str | None, typer.Option(metavar="'…'", help="start the gateway by this command line, as `run` does")
    ] = None,
    backend: Annotated[
        str | None, typer.Option(metavar="NAME", help="MCP server behind the gateway; default: witness")
    ] = None,
    revision: Annotated[str, typer.Option(metavar="DATE", help="protocol revision")] = choosing.DEFAULT_REVISIONS[0],
    over: Annotated[
        Over, typer.Option(help="sequences of requests in sessions, or of changes of what is registered with it")
    ] = Over.LIFECYCLE,
    seed: Annotated[
        int | None, typer.Option(metavar="N", help="draw the same sequences again; without it a new seed, printed")
    ] = None,
    examples: Annotated[int, typer.Option(metavar="N", min=1, help="sequences that are drawn")] = 200,
    seconds: Annotated[float, typer.Option(metavar="N", min=1, help="begin no sequence later than this")] = 300.0,
    fail_on: Annotated[FailOn, typer.Option(help="lowest level of departures that are looked for")] = FailOn.PRACTICE,
    runtime: Annotated[
        Runtime | None, typer.Option(help="default: containers where an engine answers, else process")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the outcome as one JSON object")] = False,
    out: Annotated[Path, typer.Option(metavar="DIR", help="folder for search.json and the evidence")] = Path(
        "reports/latest/search"
    ),
) -> ExitCode:
    """Look for sequences of requests after which a gateway's sessions are not where the specification has them.

    Draws initialize, calls, GET streams, DELETE, ended and invented ids of several clients in any order, compares each
    answer with the lifecycle tables (docs/lifecycle.md), and shrinks what departs to the shortest sequence that does,
    one for each kind of departure. A departure counts when it comes again on a fresh instance of the gateway.

    With --over registration servers are registered with it, enabled, disabled and removed instead, in any order and by
    who may and who may not, as [registry] in its manifest says; what open and new sessions are shown and served is
    compared with the model, in which a change made twice is as made once and nobody else's changes anything.
    """
    if over is Over.REGISTRATION and target is None:
        raise UsageError("--over registration needs --target: how it registers servers stands in its manifest.")
    quarry = _quarry(target, url, header_env or [], command, backend, revision, runtime)
    usable_folder(out)
    used = secrets.randbelow(1 << 32) if seed is None else seed
    say(f"seed: {used}  (--seed {used} draws the same sequences again)")
    levels = tuple(str(level) for level in _LEVELS[fail_on])
    outcome = run_search(quarry, Asked(over.value, used, examples, seconds, levels), out, _progress())
    if as_json:
        print_json(outcome)
    else:
        _print(outcome, out)
    if outcome["found"]:
        return ExitCode.UNEXPECTED
    return ExitCode.CANNOT_JUDGE if outcome["unrepeated"] or not outcome["examined"] else ExitCode.OK


def _quarry(
    target: str | None,
    url: str | None,
    header_env: list[str],
    command: str | None,
    backend: str | None,
    revision: str,
    runtime: Runtime | None,
) -> Quarry:
    given = [name for name, value in {"--target": target, "--url": url, "--command": command}.items() if value]
    if len(given) != 1:
        raise UsageError("Give one of --target, --url and --command; `list targets` shows what there is.")
    if header_env and url is None:
        raise UsageError("--header-env goes with --url; add that or leave it out.")
    if url is not None and (backend or runtime):
        raise UsageError("--url searches what already runs; leave out --backend and --runtime.")
    if command is not None and runtime is Runtime.CONTAINERS:
        raise UsageError("--command starts a process of this machine; leave out --runtime containers.")
    (spoken,) = choosing.chosen_revisions([revision])
    if url is not None:
        found = choosing.url_target(url, header_env)
        refuse_unreachable(url, say)
        return Quarry(None, None, found, "process", spoken, tuple(found.header_env.values()))
    (behind,) = choosing.chosen_backends([backend or WITNESS])
    if command is not None:
        return Quarry(target_from_command("command", command, env={}, path="/mcp"), behind, None, "process", spoken)
    (manifest,) = choosing.chosen_targets([str(target)])
    return Quarry(manifest, behind, None, runtime.value if runtime else choose_runtime(say), spoken)


def _progress() -> Callable[[Record], None]:
    """Return what tells the person how far the search has come."""

    def tell(line: Record) -> None:
        if line["what"] == "installing":
            say(str(line["line"]))
        elif line["what"] == "searching" and line["driven"] % _TOLD_EVERY == 0:
            say(f"{line['driven']} sequences driven")
        elif line["what"] == "departs":
            say(f"departs in {line['steps']} step(s): {line['kind']}; looking for fewer")

    return tell


def _print(outcome: dict[str, JSON], out: Path) -> None:
    for item in outcome["found"]:
        basis = "; ".join([", ".join([item["level"], *item["requirements"]]), item["source"]])
        print_line(f"{item['kind']}  ({basis})", "bold")
        steps = "\n".join(f"{number}. {step['says']}" for number, step in enumerate(item["steps"], start=1))
        print_section(f"shortest sequence, {len(item['steps'])} step(s)", steps)
        print_section("expected", item["expected"])
        print_section("observed", item["observed"])
        evidence = out / item["evidence"]
        judged_again = f"{PROGRAM} replay {shlex.quote(str(evidence))}  # what the rules say of it"
        commands = [_typed(line) for line in (*item["reproduction"], judged_again)]
        print_section("to see it again", "\n".join(commands))
        print_line("")
    for item in outcome["unrepeated"]:
        print_line(f"did not come again on a fresh instance: {', '.join(item['kinds'])}")
    for kind, times in outcome["charged_to_backend"].items():
        print_line(f"the backend's own, {times} time(s): {kind}")
    late = ", out of time" if outcome["out_of_time"] else ""
    say(
        f"{outcome['examined']} different sequences in {outcome['seconds']} s{late}; "
        f"{len(outcome['found'])} kind(s) of departure; seed {outcome['seed']}; {out / OUTCOME}"
    )


def _typed(command: str) -> str:
    """Return a command of the outcome, which is independent of this machine, as it can be typed here."""
    return command.replace(f"{PROGRAM} ", f"{typed_again()} ", 1) if command.startswith(PROGRAM) else command
