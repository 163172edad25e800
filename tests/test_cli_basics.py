"""What holds for every command: help that teaches, errors in one sentence, exit codes."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cli_setup import cli, program
from typer.main import get_command

from conformance import __version__
from conformance.cli import COMMANDS, app, main
from conformance.commands import explain
from conformance.commands.console import print_json
from conformance.errors import ExitCode
from conformance.paths import ROOT


@pytest.mark.parametrize("command", COMMANDS)
def test_help_teaches(capsys, command):
    shown = cli(capsys, command, "--help")
    assert shown.code == 0
    examples = re.findall(r"^ *mcp-gateway-conformance \S", shown.out, re.MULTILINE)
    assert len(examples) >= 2
    assert "Exit codes" in shown.out


@pytest.mark.parametrize("command", COMMANDS)
def test_no_word_in_brackets_is_lost_from_a_help_text(capsys, command):
    declared = get_command(app).commands[command]
    options = " ".join(item.help or "" for item in declared.params)
    written = re.findall(r"\[[a-z/][^\]]*\]", f"{COMMANDS[command][0].__doc__} {options}")
    shown = re.sub(r"[│\s]+", " ", cli(capsys, command, "--help").out)
    assert [word for word in written if word not in shown] == []


def test_search_names_the_table_of_the_manifest(capsys):
    assert "[registry]" in cli(capsys, "search", "--help").out


@pytest.mark.parametrize("arguments", [(), ("--help",), ("run", "--help"), ("list", "rules"), ("explain", "MGC301")])
def test_no_colour_under_no_color(arguments):
    shown = program(*arguments, NO_COLOR="1", FORCE_COLOR="", TERM="xterm-256color")
    assert shown.code == 0
    assert "\x1b[3" not in shown.out
    assert "\x1b[9" not in shown.out


def test_without_arguments_the_help_is_shown(capsys):
    assert "run" in cli(capsys).out


def test_version(capsys):
    assert cli(capsys, "--version").out.split() == ["mcp-gateway-conformance", __version__]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("list",), "Missing argument"),
        (("run", "--targt", "x"), "--target"),
        (("rum",), "No such command"),
        (("explain",), "Missing argument"),
        (("run", "--fail-on", "never"), "must"),
        (("run", "--runtime", "vm"), "containers"),
    ],
)
def test_usage_is_exit_code_4_and_one_sentence(capsys, arguments, said):
    assert said in cli(capsys, *arguments).sentence(ExitCode.USAGE)


def test_no_json_drives_a_terminal(capsys):
    sent = {"observed": "1\ud800 \x7f\x9b31m\u202e é"}
    print_json(sent)
    said = capsys.readouterr().out
    assert "\x7f" not in said
    assert said.isascii()
    assert json.loads(said) == sent


def test_a_bug_says_that_it_is_one(capsys, monkeypatch):
    def broken():
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(explain, "requirements", broken)
    shown = cli(capsys, "explain", "MGC301")
    assert shown.code == ExitCode.CANNOT_JUDGE
    assert "ZeroDivisionError: oops" in shown.err
    assert "this is a bug in the harness" in shown.err


@pytest.fixture(params=[signal.SIG_IGN, signal.default_int_handler], ids=["ignored", "as usual"])
def interrupts(request):
    """Ctrl-C as a shell without job control leaves it for what it starts with `&`, and as usual."""
    before = signal.signal(signal.SIGINT, request.param)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_second_signal_leaves_the_end_its_time_and_a_third_does_not(monkeypatch, capfd):
    ended = []

    def interrupted():
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            signal.raise_signal(signal.SIGTERM)
            ended.append("in order")
            signal.raise_signal(signal.SIGTERM)
            ended.append("never")

    monkeypatch.setattr(explain, "requirements", interrupted)
    assert main(["explain", "MGC301"]) == ExitCode.INTERRUPTED
    assert ended == ["in order"]
    assert [line.partition(" ")[0] for line in capfd.readouterr().err.splitlines()] == ["interrupted", "ended"]


@pytest.mark.parametrize("arguments", ["list rules --json", "--version", "explain initialize-hang"])
def test_a_full_disk_is_one_sentence(arguments):
    typed = [sys.executable, "-m", "conformance", *arguments.split()]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(typed, stdout=full, stderr=subprocess.PIPE, text=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stderr) == (
        ExitCode.CANNOT_JUDGE,
        "error: The output cannot be written (No space left on device); make room for it.\n",
    )


@pytest.mark.parametrize("arguments", ["list rules --json", "--version", "explain initialize-hang"])
def test_output_that_nobody_reads_ends_quietly(arguments):
    typed = [sys.executable, "-m", "conformance", *arguments.split()]
    with subprocess.Popen(typed, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as started:
        started.stdout.close()
        assert started.stderr.read() == b""
    assert started.returncode == 128 + signal.SIGPIPE


def test_interrupted(monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(explain, "requirements", interrupted)
    assert main(["explain", "MGC301"]) == ExitCode.INTERRUPTED


@pytest.mark.usefixtures("interrupts")
def test_a_command_that_is_terminated_ends_as_an_interrupted_one(monkeypatch):
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(explain, "requirements", lambda: signal.raise_signal(signal.SIGTERM))
    assert main(["explain", "MGC301"]) == ExitCode.INTERRUPTED
    assert signal.getsignal(signal.SIGTERM) == before
