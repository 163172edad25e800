"""`init`: the scaffold of a target file."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Final

import typer

from conformance.commands import teaching
from conformance.commands.console import print_line
from conformance.errors import ExitCode, UsageError
from conformance.paths import ROOT, SCHEMAS
from conformance.program import typed_again

EPILOG = teaching.epilog(
    ("init", "write gateway.toml here"),
    ("init ci/my-gateway.toml", "write it there; then: run --target ci/my-gateway.toml"),
)

SCAFFOLD: Final = """\
# A target of mcp-gateway-conformance: how one gateway is installed and started.
# Every key is described in the harness's {schema}
# Judge it:  mcp-gateway-conformance run --target {file}

name = "my-gateway"       # small letters, digits, '.', '_', '-'
title = "My gateway"
version = "1.0.0"         # the version that [install] pins
# licence = "Apache-2.0"
# homepage = "where it is developed"

# What is installed from the package registries, exactly pinned. Leave it out for a program that is already on this
# machine (and then use --runtime process).
# [install]
# pypi = ["my-gateway==1.0.0"]
# npm = ["my-gateway@1.0.0"]
# python = ">=3.11"

# How it is started. Placeholders:
#   {{host}} {{port}}        where it must listen
#   {{backend_url}}        the MCP server's URL, for a gateway that fronts Streamable HTTP
#   {{backend_command}}    the command that starts the MCP server, for a gateway that fronts stdio: several arguments
#                        when it stands alone, one shell-quoted string inside a longer argument
#   {{config_dir}}         a private folder, for a gateway that reads files (see [[start.files]])
#   {{python}} {{node}}      the interpreters of the installed packages
[start]
command = ["my-gateway", "--host", "{{host}}", "--port", "{{port}}", "--upstream", "{{backend_url}}"]
# env = {{ MY_GATEWAY_LOG = "debug" }}

# [[start.files]]
# path = "{{config_dir}}/config.json"
# content = '{{"mcpServers": {{"backend": {{"url": "{{backend_url}}"}}}}}}'

# What has to be done around the start: a program before it, requests once the port answers. What they save is a secret.
# [[start.before]]
# command = ["my-gateway", "add-user", "alice", "{{TOKEN}}"]
# [[start.requests]]
# path = "/login"
# body = {{ user = "alice", password = "{{TOKEN}}" }}
# save = {{ SESSION = "access_token" }}      # that member of the JSON answer; use as {{SESSION}} in endpoint.headers

# [endpoint]
# path = "/mcp"
# headers = {{ Authorization = "Bearer {{TOKEN}}" }}
# other_headers = {{ Authorization = "Bearer {{OTHER_TOKEN}}" }}   # a second user's

# Made anew for each stage; use as {{TOKEN}} in [start] and in endpoint.headers.
# [secrets]
# TOKEN = "generate:hex:48"
# OTHER_TOKEN = "generate:hex:48"

# [ready]
# seconds = 30.0          # longest start-up that is waited for

# [needs]
# memory_mb = 150         # resident memory of the gateway and all it starts: heavy ones do not run together

# [claims]
# sessions = "stateful"   # or "stateless": what a claim promises and the gateway lacks is a failure
# relays_credentials = false
# request_timeout = 60.0    # seconds after which a call that its backend does not answer is ended with an error

# [tools]
# pattern = "backend_{{tool}}"   # how the gateway renames its backend's tools

# What it is known to fail goes into baseline.toml beside this file; --write-baseline writes a first one.
"""


def init(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="file to write; it must not exist")] = Path(
        "gateway.toml"
    ),
) -> ExitCode:
    """Write a target file to fill in; it explains the keys that most gateways need, and its schema all of them."""
    schema = SCHEMAS / "target.schema.json"
    text = SCAFFOLD.format(schema=schema.relative_to(ROOT), file=shlex.quote(str(file)))
    try:
        with file.open("x", encoding="utf-8") as scaffold:
            scaffold.write(text)
    except FileExistsError as error:
        raise UsageError(f"{file} exists and is left as it is; choose another name.") from error
    except OSError as error:
        raise UsageError(f"{file} cannot be written ({error.strerror}); choose a folder that is there.") from error
    print_line(f"wrote {file}; its schema is {schema}")
    print_line(f"next: fill in [start], then {typed_again()} run --target {shlex.quote(str(file))}")
    return ExitCode.OK
