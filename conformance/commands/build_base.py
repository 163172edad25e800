"""`build-base`: the base image for machines whose engine can pull no images."""

from __future__ import annotations

from conformance.commands import teaching
from conformance.commands.console import print_line, say
from conformance.errors import ExitCode

EPILOG = teaching.epilog(
    ("build-base", "build it, as root, with debootstrap installed; nothing happens when it is there and current"),
    ("doctor", "see whether it is needed"),
    codes=(0, 3, 4),
)


def build_base() -> ExitCode:
    """Build the base image from Debian packages, where the engine cannot pull the public one.

    A run makes the base image from the public Debian image by itself; only where that cannot be pulled is this needed.
    """
    from conformance.stage.base_image import build_base as build  # noqa: PLC0415 - imports the engine's client

    print_line(f"base image: {build(on_progress=say)}")
    return ExitCode.OK
