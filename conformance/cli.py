"""The command line. Each command is a module of `conformance.commands`; this one gives them names and ends them well.

A HarnessError becomes one sentence and its exit code; anything else is a bug of the harness and says so.
"""

from __future__ import annotations

import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Final

import typer
from typer.exceptions import Abort, TyperException

from conformance import __version__
from conformance.commands import (
    broken_releases,
    build_base,
    doctor,
    explain,
    fleet_latest,
    init,
    listing,
    matrix,
    merge,
    mutants,
    replay,
    replays,
    run,
    search,
    stability,
    teaching,
    witness,
)
from conformance.commands.console import say
from conformance.errors import ExitCode, HarnessError

_INTERRUPTED_STATUS: Final = 130
"""What typer makes of Ctrl-C."""

app = typer.Typer(
    name=teaching.PROGRAM,
    help="Judge MCP gateways: start them before MCP servers, watch both sides, say what is broken, where and why.",
    epilog=teaching.epilog(
        ("run", "judge the three pinned gateways"),
        ("run --target my-gateway.toml", "judge your own; `init` writes such a file"),
        codes=(0, 1, 2, 3, 4, 5),
    ),
    rich_markup_mode="rich",
    add_completion=False,
)


def _show_version(asked: bool) -> None:
    if asked:
        print(f"{teaching.PROGRAM} {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    _version: Annotated[
        bool, typer.Option("--version", help="show the version and end", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Take the options that stand before any command."""


COMMANDS: Final[Mapping[str, tuple[Callable[..., ExitCode], str]]] = {
    "run": (run.run, run.EPILOG),
    "matrix": (matrix.matrix, matrix.EPILOG),
    "merge": (merge.merge, merge.EPILOG),
    "list": (listing.listing, listing.EPILOG),
    "explain": (explain.explain, explain.EPILOG),
    "replay": (replay.replay, replay.EPILOG),
    "witness": (witness.witness, witness.EPILOG),
    "search": (search.search, search.EPILOG),
    "mutants": (mutants.mutants_command, mutants.EPILOG),
    "broken-releases": (broken_releases.broken_releases_command, broken_releases.EPILOG),
    "replays": (replays.replays_command, replays.EPILOG),
    "fleet-latest": (fleet_latest.fleet_latest, fleet_latest.EPILOG),
    "stability": (stability.stability_command, stability.EPILOG),
    "init": (init.init, init.EPILOG),
    "doctor": (doctor.doctor, doctor.EPILOG),
    "build-base": (build_base.build_base, build_base.EPILOG),
}
"""Function and closing text of each command, in the order of the help page."""

for _name, (_function, _epilog) in COMMANDS.items():
    app.command(_name, epilog=_epilog)(_function)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; argv: arguments after the program's name."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        with _terminated_like_interrupted():
            status = app(args=arguments or ["--help"], prog_name=teaching.PROGRAM, standalone_mode=False)
    except HarnessError as error:
        say_error(str(error))
        return error.exit_code
    except TyperException as error:
        said = " ".join(error.format_message().split()).rstrip(".")
        say_error(f"{said}; see `{teaching.PROGRAM} {_command_in(arguments)}--help`.")
        return ExitCode.USAGE
    except (KeyboardInterrupt, Abort):
        return ExitCode.INTERRUPTED
    except Exception:  # noqa: BLE001 - the last line before the user: whatever else happens is our bug
        traceback.print_exc()
        say("error: this is a bug in the harness, not a finding; please report it with the lines above")
        return ExitCode.CANNOT_JUDGE
    return ExitCode.INTERRUPTED if status == _INTERRUPTED_STATUS else ExitCode(status or 0)


@contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """Within, SIGTERM ends a command as Ctrl-C does: in order, with nothing left of what it had started.

    Also where SIGINT itself is ignored, as a shell without job control has it for what it starts with `&`.
    """
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _command_in(arguments: Sequence[str]) -> str:
    return next((f"{word} " for word in arguments if word in COMMANDS), "")


def say_error(text: str) -> None:
    """Print an error; what follows its sentence (a log's last lines, say) stays on lines of its own."""
    for number, line in enumerate(text.splitlines()):
        say(line if number else f"error: {line}")


if __name__ == "__main__":
    sys.exit(main())
