"""What starting a target comes to once its placeholders have values: argument list, environment, files."""

from __future__ import annotations

import secrets as random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from conformance.errors import UsageError
from conformance.stage.placeholders import Values, expand, expand_argv
from conformance.stage.scenario import SpinUp

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from conformance.stage.manifest import TargetManifest
    from conformance.stage.manifest_tables import StdioFace


AUTHORITY_FILE: Final = "authority.pem"
"""Name of the file, in `{config_dir}`, of a certificate authority that the target is to trust."""

TRUST_VARIABLES: Final = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
"""What names that file to programs: OpenSSL, Go and most of Python; `requests`; Node."""


@dataclass(frozen=True, slots=True)
class Launch:
    """A start with nothing left to fill in.

    env: only what the manifest sets. files: path and text of each.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    files: tuple[tuple[str, str], ...]


def generate_secrets(target: TargetManifest) -> dict[str, str]:
    """Return a fresh value for each secret of the manifest (`generate:hex:48`: 48 hex digits)."""
    return {name: _random_hex(int(recipe.rpartition(":")[2])) for name, recipe in target.secrets.items()}


def prepare(
    target: TargetManifest,
    values: Values,
    secrets: Mapping[str, str],
    *,
    spin_up: SpinUp | None = None,
    authority: str | None = None,
) -> Launch:
    """Return the target's start with `values` and `secrets` in place of its placeholders.

    spin_up: use the command and files of `[spin_up]` if the manifest has it, and its `not_enabled` where the backend is
    to be known only. authority: PEM text of a certificate authority that it is to trust. Raises UsageError for a
    placeholder without a value.
    """
    known: Values = {**values, **secrets}
    spun = target.spin_up if spin_up else None
    files = (spun.files if spun else ()) or target.start.files
    command = spun.command if spun else target.start.command
    if spun is not None and spin_up is SpinUp.NOT_ENABLED:
        command = spun.not_enabled or command
    trusted = expand(f"{{config_dir}}/{AUTHORITY_FILE}", known) if authority else ""
    return Launch(
        argv=expand_argv(command, known),
        env={
            **(dict.fromkeys(TRUST_VARIABLES, trusted) if authority else {}),
            **{name: expand(value, known) for name, value in target.start.env.items()},
        },
        files=(
            *((expand(file.path, known), expand(file.content, known)) for file in files),
            *(((trusted, authority),) if authority else ()),
        ),
    )


def stdio_command(face: StdioFace, values: Values) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the argument list of a stdio face and its environment as NAME=VALUE each, for `env` to set.

    Raises UsageError for a placeholder without a value.
    """
    env = tuple(f"{name}={expand(value, values)}" for name, value in face.env.items())
    return expand_argv(face.command, values), env


def write_files(launch: Launch, folder: Path) -> None:
    """Write the files of the launch, private to this user. Raises UsageError for one outside `folder`."""
    for name, content in launch.files:
        file = (folder / name).resolve()
        if not file.is_relative_to(folder.resolve()):
            raise UsageError(f"start.files: {name} lies outside {{config_dir}}; write it as {{config_dir}}/NAME.")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        file.write_text(content, encoding="utf-8")


def _random_hex(digits: int) -> str:
    return random.token_hex((digits + 1) // 2)[:digits]
