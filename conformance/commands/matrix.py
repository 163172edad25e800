"""`matrix`: clients x gateways x backends, the whole or one shard of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from conformance.commands import choosing, teaching
from conformance.commands.console import say
from conformance.commands.merge import FLEET, merge_files
from conformance.commands.run import FailOn, Runtime
from conformance.commands.runtime_choice import choose_runtime
from conformance.errors import ExitCode
from conformance.matrix import plan_matrix, run_shard
from conformance.report.files import usable_folder, writable_folder
from conformance.report.shards import DRIVER
from conformance.running import Selection
from conformance.sharding import Shard
from conformance.stage.manifest import load_client
from conformance.stage.scenario import CLIENTS, DEFAULT_SUITES

EPILOG = teaching.epilog(
    ("matrix", "every gateway that has a baseline, into reports/fleet"),
    ("matrix --resume", "go on with one that was interrupted"),
    ("matrix --shard 2/8 --out shards", "an eighth of it; `merge shards/` puts the shards together"),
    codes=(0, 1, 2, 3, 4, 5),
)
REVISIONS: Final = ("2024-11-05", "2025-06-18", "2025-11-25")
"""What a fleet is driven on unless it is said otherwise; the oldest for gateways that serve HTTP+SSE."""


def matrix(
    target: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME|FILE.toml", help="gateway; repeatable; default: every one with a baseline"),
    ] = None,
    backend: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="MCP server; repeatable; default: witness, everything")
    ] = None,
    client: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="client; repeatable; `driver` is the harness itself; default: all"),
    ] = None,
    revision: Annotated[
        list[str] | None, typer.Option(metavar="DATE", help=f"repeatable; default: {', '.join(REVISIONS)}")
    ] = None,
    suite: Annotated[list[str] | None, typer.Option(metavar="NAME", help="this suite only; repeatable")] = None,
    shard: Annotated[
        str, typer.Option(metavar="K/N", help="the K-th of N parts, so that several machines share the work")
    ] = "1/1",
    resume: Annotated[
        bool, typer.Option("--resume", help="continue an interrupted run of the same shard in the same folder")
    ] = False,
    quick: Annotated[bool, typer.Option("--quick", help="no wait over 2 s, the witness only; no badge")] = False,
    runtime: Annotated[
        Runtime | None, typer.Option(help="default: containers where an engine answers, else process")
    ] = None,
    fail_on: Annotated[FailOn, typer.Option(help="lowest level whose failures fail the run")] = FailOn.PRACTICE,
    out: Annotated[Path, typer.Option(metavar="DIR", help="folder for evidence, reports and the shard file")] = Path(
        "reports/latest/matrix"
    ),
    into: Annotated[
        Path, typer.Option("--fleet", metavar="DIR", help="folder for the fleet's report, written by an unsharded run")
    ] = FLEET,
) -> ExitCode:
    """Drive clients x gateways x backends, judge everything, and write the fleet's report.

    A shard writes its shard file only; `merge` writes the report once all of them are there. Which shard a gateway
    falls into depends on what was asked for alone, and is the same on every machine. What does harm to a gateway is
    driven once, on the newest revision, and what leaves it whole shares one instance of it; real servers are asked on
    the newest revision alone. `run` drives everything on every revision and before every backend, and what does harm on
    a gateway of its own.
    """
    part = Shard.parse(shard)
    clients, suites = _clients(client or (), choosing.chosen_suites(suite or (*DEFAULT_SUITES, CLIENTS)))
    targets = choosing.chosen_targets(target or [choosing.ALL])
    usable_folder(out)
    if part.parts == 1:
        writable_folder(into, "--fleet")
    selection = Selection(
        targets=targets,
        backends=choosing.chosen_backends(backend or []),
        runtime=runtime.value if runtime is not None else choose_runtime(say),
        out=out,
        revisions=choosing.chosen_revisions(revision or REVISIONS),
        suites=suites,
        quick=quick,
        resume=resume,
        clients=clients,
        frugal=True,
        expectations=choosing.chosen_expectations(targets, None, fail_on.value),
    )
    planned = plan_matrix(selection, part.parts)
    say(
        f"shard {part} of plan {planned.plan.digest[:12]}: {', '.join(planned.plan.shares[part.part - 1]) or 'nothing'}"
    )
    file, status = run_shard(planned, part)
    say(f"wrote {file}")
    if part.parts > 1 or status is ExitCode.INTERRUPTED:
        return status
    return merge_files([file], into)


def _clients(names: Sequence[str], suites: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the real clients of those names, empty for all, and of the suites those that the named clients drive.

    Raises UsageError.
    """
    real = tuple(load_client(name).name for name in names if name != DRIVER)
    if not names:
        return (), tuple(suites)
    driven = (suite for suite in suites if (bool(real) if suite == CLIENTS else DRIVER in names))
    return real, tuple(driven)
