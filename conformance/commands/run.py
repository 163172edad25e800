"""`run`: what was typed, understood and checked, handed to the run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, Literal

import typer

from conformance.commands import choosing, teaching
from conformance.commands.console import say
from conformance.commands.first_baseline import refuse_unwritable
from conformance.commands.first_baseline import write_baseline as write_first_baseline
from conformance.commands.one_sided import announce
from conformance.commands.runtime_choice import choose_runtime, engine_trouble, warn_of_engine_access
from conformance.errors import CannotJudgeError, ExitCode, UsageError
from conformance.execution import execute
from conformance.report.files import usable_folder
from conformance.running import Selection
from conformance.stage.manifest import BackendManifest, TargetManifest, target_from_command
from conformance.stage.plan import RuntimeName, UrlTarget
from conformance.stage.scenario import ASKED_FOR

EPILOG = teaching.epilog(
    ("run", "judge the three pinned gateways before the witness and server-everything"),
    ("run --target my-gateway.toml --suite get_sse --fail-on must", "one suite on your own gateway"),
    (
        "run --command 'my-gateway --port {port} --upstream {backend_url}' --write-baseline baseline.toml",
        "start it from a command line and write down what it fails",
    ),
    ("run --target all --resume", "continue a run that was interrupted, in the same folder"),
    ("run --target my-gateway.toml --client claude-code", "what a real client makes of it; `list clients` names them"),
    ("run --target my-gateway.toml --edge nginx", "behind a proxy, in replicas; `list edges` names them"),
    (
        "run --url https://gateway.example/mcp --header-env Authorization=GATEWAY_AUTH",
        "judge one that runs already, from its clients' side only",
    ),
    (
        "run --url http://127.0.0.1:8080/mcp --witness-listen 127.0.0.1:8900",
        "from both sides: its upstream is to be http://127.0.0.1:8900/mcp",
    ),
    codes=(0, 1, 2, 3, 4, 5),
)
_GATEWAYS: Final = "What is judged"
_RUNNING: Final = "A gateway that already runs"
_STARTED: Final = "A gateway that the harness starts from a command line"
_EXTENT: Final = "How much, and how"
_COUNTS: Final = "What counts"
_OUTPUT: Final = "What is left"

COMMAND_TARGET: Final = "command"
"""Name of the target that `--command` makes."""
IMAGE_TARGET: Final = "image"
"""Name of the target that `--image` makes."""


class Runtime(StrEnum):
    """How gateways and backends are run."""

    CONTAINERS = "containers"
    PROCESS = "process"


class FailOn(StrEnum):
    """From which level on a failure fails the run."""

    MUST = "must"
    SHOULD = "should"
    PRACTICE = "practice"


@dataclass(frozen=True, slots=True)
class Subject:
    """What is judged, as far as it depends on which of --target, --url and --command was given."""

    targets: tuple[TargetManifest, ...]
    backends: tuple[BackendManifest, ...]
    url: UrlTarget | None = None
    secret_env: tuple[str, ...] = ()


def run(
    target: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME|FILE.toml",
            help="gateway to judge; repeatable; `all`: every one with a baseline",
            rich_help_panel=_GATEWAYS,
        ),
    ] = None,
    url: Annotated[
        str | None, typer.Option(metavar="URL", help="judge a gateway that already runs", rich_help_panel=_RUNNING)
    ] = None,
    header_env: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VARIABLE",
            help="with --url: send this header, its value from the environment",
            rich_help_panel=_RUNNING,
        ),
    ] = None,
    allow_destructive: Annotated[
        bool,
        typer.Option(
            "--allow-destructive",
            help="with --url: also scenarios that could harm the gateway",
            rich_help_panel=_RUNNING,
        ),
    ] = False,
    witness_listen: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="with --url: serve the witness here for the gateway's upstream, so that both sides are seen; what "
            "they say to each other is then kept in the evidence",
            rich_help_panel=_RUNNING,
        ),
    ] = None,
    command: Annotated[
        str | None,
        typer.Option(
            metavar="'…'",
            help="start the gateway by this command line; placeholders {host} {port} {backend_url} {backend_command} "
            "{config_dir}",
            rich_help_panel=_STARTED,
        ),
    ] = None,
    image: Annotated[
        str | None,
        typer.Option(
            metavar="NAME:TAG",
            help="start the gateway from this image, in a container; --command then holds the arguments of its "
            "ENTRYPOINT",
            rich_help_panel=_STARTED,
        ),
    ] = None,
    env: Annotated[
        list[str] | None,
        typer.Option(
            metavar="K=V",
            help="with --command or --image: set a variable; K alone passes yours on, as a secret",
            rich_help_panel=_STARTED,
        ),
    ] = None,
    path: Annotated[
        str,
        typer.Option(metavar="/PATH", help="with --command or --image: path of its endpoint", rich_help_panel=_STARTED),
    ] = "/mcp",
    backend: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="MCP server behind the gateway; repeatable; default: witness, everything",
            rich_help_panel=_GATEWAYS,
        ),
    ] = None,
    revision: Annotated[
        list[str] | None,
        typer.Option(metavar="DATE", help="protocol revision; repeatable; default 2025-11-25", rich_help_panel=_EXTENT),
    ] = None,
    suite: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help=f"this suite only; repeatable; default: all but {', '.join(ASKED_FOR)}",
            rich_help_panel=_EXTENT,
        ),
    ] = None,
    client: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="drive suite clients with this real client; repeatable; `all`: every one; without --suite that suite "
            "alone",
            rich_help_panel=_EXTENT,
        ),
    ] = None,
    edge: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="drive suite edges with this proxy before the gateway; repeatable; `all`: every one; without --suite "
            "that suite alone",
            rich_help_panel=_EXTENT,
        ),
    ] = None,
    rule: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="this rule only; repeatable", rich_help_panel=_EXTENT)
    ] = None,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick",
            help="no wait over 2 s, no gateway started for one scenario alone, the witness only; no badge",
            rich_help_panel=_EXTENT,
        ),
    ] = False,
    long: Annotated[
        bool, typer.Option("--long", help="also what waits for five minutes", rich_help_panel=_EXTENT)
    ] = False,
    runtime: Annotated[
        Runtime | None,
        typer.Option(help="default: containers where an engine answers, else process", rich_help_panel=_EXTENT),
    ] = None,
    baseline: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="known failures; default: baseline.toml beside the manifest", rich_help_panel=_COUNTS
        ),
    ] = None,
    write_baseline: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="after the run, write its failures here as a baseline", rich_help_panel=_COUNTS
        ),
    ] = None,
    fail_on: Annotated[
        FailOn, typer.Option(help="lowest level whose failures fail the run", rich_help_panel=_COUNTS)
    ] = FailOn.PRACTICE,
    keep: Annotated[
        bool, typer.Option("--keep", help="leave the stage up and print its URLs and logs", rich_help_panel=_OUTPUT)
    ] = False,
    out: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            help="folder for the reports; those of an earlier run in it are replaced, other files stay",
            rich_help_panel=_OUTPUT,
        ),
    ] = Path("reports/latest"),
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="continue the interrupted run in that folder: what it recorded is kept, the rest is driven",
            rich_help_panel=_OUTPUT,
        ),
    ] = False,
) -> ExitCode:
    """Start gateways and MCP servers, drive them, and judge what was seen on both sides.

    Without --target, --url, --command or --image: the three pinned gateways.
    """
    _one_of({"--target": target, "--url": url, "--image" if image else "--command": image or command})
    _goes_with(
        "--url",
        url,
        {
            "--header-env": header_env,
            "--allow-destructive": allow_destructive,
            "--witness-listen": witness_listen,
        },
    )
    _goes_with("--command or --image", image or command, {"--env": env, "--path": path != "/mcp"})
    if url is not None and resume:
        raise UsageError("--resume continues a run of gateways that the harness starts; leave it out with --url.")
    if url is not None and (backend or runtime):
        raise UsageError("--url judges what already runs; leave out --backend and --runtime.")
    rules = choosing.chosen_rules(rule or ())
    asked = choosing.chosen_asked(suite or (), clients=client or (), edges=edge or ())
    revisions = choosing.chosen_revisions(revision or ())
    if url is not None:
        subject = _running(url, header_env or [], witness_listen or "")
    elif command is not None or image is not None:
        subject = _started(command or "", env or [], path, backend or [], image)
    else:
        subject = Subject(choosing.chosen_targets(target or []), choosing.chosen_backends(backend or []))
    expectations = choosing.chosen_expectations(subject.targets, baseline, fail_on.value)
    usable_folder(out)
    if write_baseline is not None:
        if len(subject.targets) > 1:
            raise UsageError("--write-baseline speaks of one target; select one with --target.")
        refuse_unwritable(write_baseline)
    selection = Selection(
        targets=subject.targets,
        backends=subject.backends,
        runtime=_runtime(runtime, subject, command, image),
        out=out,
        revisions=revisions,
        suites=asked.suites,
        clients=asked.clients,
        edges=asked.edges,
        rules=tuple(item.id for item in rules),
        quick=quick,
        long=long,
        url=subject.url,
        secret_env=subject.secret_env,
        keep=keep,
        resume=resume,
        allow_destructive=allow_destructive,
        expectations=expectations,
    )
    if subject.url is not None:
        announce(subject.url, selection, say)
    warn_of_engine_access(selection, say)
    status = execute(selection)
    if write_baseline is not None and status is not ExitCode.INTERRUPTED:
        written = write_first_baseline(write_baseline, out / "report.jsonl")
        say(f"wrote {written} known failures to {write_baseline}; the next run takes them with --baseline")
    return status


def _running(url: str, header_env: Sequence[str], witness_listen: str) -> Subject:
    found = choosing.url_target(url, header_env, witness_listen)
    backends = choosing.chosen_backends(("witness",)) if witness_listen else ()
    return Subject((), backends, found, tuple(found.header_env.values()))


def _started(command: str, env: Sequence[str], path: str, backends: Sequence[str], image: str | None) -> Subject:
    variables, secret = choosing.command_environment(env)
    name = IMAGE_TARGET if image else COMMAND_TARGET
    made = target_from_command(name, command, env=variables, path=path, image=image)
    return Subject((made,), choosing.chosen_backends(backends, default=("witness",)), None, secret)


def _runtime(asked: Runtime | None, subject: Subject, command: str | None, image: str | None) -> RuntimeName:
    """Return the runtime asked for, else the one that suits. Raises UsageError, and CannotJudgeError without engine."""
    if image is not None:
        if asked is Runtime.PROCESS:
            raise UsageError("--image runs in a container; leave out --runtime process.")
        if why := engine_trouble(say):
            raise CannotJudgeError(f"--image needs a container engine, and {why}; `doctor` says what to type.")
        return "containers"
    if command is not None and asked is Runtime.CONTAINERS:
        raise UsageError("--command starts a program of this machine; add --image, or write a target file (`init`).")
    if asked is not None:
        name: Literal["containers", "process"] = asked.value
        return name
    return "process" if subject.url is not None or command is not None else choose_runtime(say)


def _one_of(options: dict[str, object]) -> None:
    given = [name for name, value in options.items() if value]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} exclude each other; give one of them.")


def _goes_with(owner: str, given: object, options: dict[str, object]) -> None:
    for name, value in options.items():
        if value and not given:
            raise UsageError(f"{name} goes with {owner}; add that or leave it out.")
