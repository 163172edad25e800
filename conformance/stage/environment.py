"""The environment of a program that the harness starts as a process: what it gets of ours, and what is its own."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

from conformance import paths
from conformance.stage.packages import Installed
from conformance.stage.supervisor import RUN_VARIABLE

_KEPT_VARIABLES: Final = (
    *("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"),
)
"""What a started program gets of the harness's environment: never its proxies, tokens or Python settings."""


def own_environment(installed: Installed, folder: Path, run_id: str) -> dict[str, str]:
    """Return the environment before the manifest's own: a home and temp folder of its own, its programs on PATH.

    folder: the program's own, with a folder `tmp` inside. run_id: by which the supervisor knows what belongs to a run.
    """
    env = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    search = [*(str(program) for program in installed.programs), env.get("PATH", os.defpath)]
    env |= {
        "PATH": os.pathsep.join(search),
        "HOME": str(folder),
        "TMPDIR": str(folder / "tmp"),
        "PYTHONUNBUFFERED": "1",
        RUN_VARIABLE: run_id,
    }
    ours = installed.python == Path(sys.executable) and not installed.entrypoint
    if ours:  # what has no packages of its own may be a module of ours
        package_parent = Path(paths.__file__).parent.parent
        env["PYTHONPATH"] = os.pathsep.join(dict.fromkeys((str(paths.ROOT), str(package_parent))))
    return env
