"""The command line. Each command is a module of `conformance.commands`; this one gives them names and ends them well.

A HarnessError becomes one sentence and its exit code; anything else is a bug of the harness and says so.
"""

from __future__ import annotations

import errno
import inspect
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Annotated, Final

import typer
from rich.markup import escape
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
from conformance.program import PROGRAM

_INTERRUPTED_STATUS: Final = 130
"""What typer makes of Ctrl-C."""
_UNREAD_STATUS: Final = 128 + signal.SIGPIPE
"""What a shell makes of a program whose output nobody reads any more."""
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)
_PATIENT: Final = 2
"""Which signal of several is taken for impatience with an end that is under way."""
_TOLD: Final = {
    _PATIENT: b"interrupted already, and ending in order; one more signal ends at once\n",
    _PATIENT + 1: b"ended at once: reports may be missing, and what was started may be left\n",
}

app = typer.Typer(
    name=PROGRAM,
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
        print(f"{PROGRAM} {__version__}")
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
    # A docstring is plain text: what stands in brackets there is no markup.
    app.command(_name, help=escape(inspect.getdoc(_function) or ""), epilog=_epilog)(_function)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; argv: arguments after the program's name."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        with _interrupted_once():
            status = app(args=arguments or ["--help"], prog_name=PROGRAM, standalone_mode=False)
            sys.stdout.flush()
    except HarnessError as error:
        say_error(str(error))
        return error.exit_code
    except TyperException as error:
        said = " ".join(error.format_message().split()).rstrip(".")
        say_error(f"{said}; see `{PROGRAM} {_command_in(arguments)}--help`.")
        return ExitCode.USAGE
    except (KeyboardInterrupt, Abort):
        return ExitCode.INTERRUPTED
    except (BrokenPipeError, SystemExit):  # the latter is what typer and rich make of the former
        _write_no_more()
        return _UNREAD_STATUS
    except Exception as error:  # noqa: BLE001 - the last line before the user: whatever else happens is our bug
        if isinstance(error, OSError) and error.errno in _FULL:
            _write_no_more()
            say_error(f"{error.filename or 'The output'} cannot be written ({error.strerror}); make room for it.")
            return ExitCode.CANNOT_JUDGE
        traceback.print_exc()
        say("error: this is a bug in the harness, not a finding; please report it with the lines above")
        return ExitCode.CANNOT_JUDGE
    return ExitCode.INTERRUPTED if status == _INTERRUPTED_STATUS else ExitCode(status or 0)


def _write_no_more() -> None:
    """Let what is still to be written to standard output go nowhere: the interpreter would fail on it as it ends."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def _interrupted_once() -> Iterator[None]:
    """Within, SIGTERM ends a command as Ctrl-C does: in order, with nothing left of what it had started.

    Also where SIGINT itself is ignored, as a shell without job control has it for what it starts with `&`. Who sends
    one signal soon sends another (nox, a CI's runner): the second leaves that end its time, a third does not.
    """
    came = 0

    def interrupt(_number: int, _frame: object) -> None:
        nonlocal came
        came += 1
        if came in _TOLD:
            os.write(2, _TOLD[came])  # printing is not for handlers of signals
        if came != _PATIENT:
            raise KeyboardInterrupt

    before = {signal.SIGTERM: signal.signal(signal.SIGTERM, interrupt)}
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        before[signal.SIGINT] = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _command_in(arguments: Sequence[str]) -> str:
    return next((f"{word} " for word in arguments if word in COMMANDS), "")


def say_error(text: str) -> None:
    """Print an error; what follows its sentence (a log's last lines, say) stays on lines of its own."""
    for number, line in enumerate(text.splitlines()):
        say(line if number else f"error: {line}")


if __name__ == "__main__":
    sys.exit(main())
