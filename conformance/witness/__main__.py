"""Command line: `python -m conformance.witness --face FACE --script NAME [--listen HOST:PORT] [--json-only]`."""

from __future__ import annotations

import argparse
import dataclasses
import sys

from conformance.errors import HarnessError
from conformance.witness import SCRIPTS, Face, find_script, run_http, run_stdio


def main(argv: list[str] | None = None) -> int:
    """Run the witness; return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m conformance.witness",
        description="A scripted MCP server: correct by default, misbehaving only as its script says.",
        epilog="scripts:\n" + "\n".join(f"  {name:26} {script.description}" for name, script in SCRIPTS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--face", choices=[str(face) for face in Face], default="http", help="transport (%(default)s)")
    parser.add_argument("--script", default="correct", metavar="NAME", help="behaviour (%(default)s)")
    parser.add_argument("--listen", default="127.0.0.1:0", metavar="HOST:PORT", help="HTTP address (%(default)s)")
    parser.add_argument("--json-only", action="store_true", help="answer POST with application/json, not with streams")
    options = parser.parse_args(argv)
    try:
        face = Face(options.face)
        script = find_script(options.script, face)
        if options.json_only:
            script = dataclasses.replace(script, json_answers=True)
        return run_stdio(script) if face is Face.STDIO else run_http(options.listen, script, face)
    except HarnessError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
