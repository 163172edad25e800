"""`witness`: the scripted MCP server, started by hand, as diagnoses ask for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from conformance.commands import teaching
from conformance.commands.console import print_table
from conformance.errors import ExitCode
from conformance.witness import SCRIPTS, Face, find_script, run_http, run_stdio

EPILOG = teaching.epilog(
    ("witness --script get_405 --listen 127.0.0.1:8900", "serve it at http://127.0.0.1:8900/mcp until Ctrl-C"),
    ("witness --show --face stdio", "serve it on stdin and stdout, and print what comes in"),
    ("witness --list", "the scripts, and what each does"),
    codes=(0, 3, 4),
)


def witness(
    script: Annotated[str, typer.Option(metavar="NAME", help="how it behaves")] = "correct",
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="where it listens; port 0 takes a free one")
    ] = "127.0.0.1:0",
    face: Annotated[
        Face, typer.Option(help="transport; stdio serves one client, on stdin; sse is HTTP+SSE alone")
    ] = Face.HTTP,
    show: Annotated[
        bool, typer.Option("--show", help="print on standard error what comes in, with its session")
    ] = False,
    show_scripts: Annotated[bool, typer.Option("--list", help="list the scripts and end")] = False,
) -> ExitCode:
    """Serve MCP as the witness: correct by default, misbehaving only as its script says.

    Put it behind a gateway to see what the gateway makes of it. The line with "ready" on standard error has its URL.
    """
    if show_scripts:
        rows = [(item.name, item.description, item.failure_class or "") for item in SCRIPTS.values()]
        print_table(f"{len(rows)} scripts", ["script", "what it does", "failure class"], rows)
        return ExitCode.OK
    chosen = replace(find_script(script, face), shown=show)
    status = run_stdio(chosen) if face is Face.STDIO else run_http(listen, chosen, face)
    return ExitCode(status)
