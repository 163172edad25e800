"""Whether a gateway can reach the container engine: asked inside its own container, through its own socket."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from conformance.errors import CannotJudgeError
from conformance.evidence.transcript import PROBE_AGENT
from conformance.stage.images import BASE_PYTHON

if TYPE_CHECKING:
    from conformance.evidence.events import JSON
    from conformance.stage.runtime import Running

# An empty ContainerCreate is refused as malformed by an engine that takes changes, and creates nothing.
_PROGRAM: Final = """
import errno, http.client, json, socket, sys
path, agent = sys.argv[1:]
said = {"errno": "", "ping": 0, "create": 0}
try:
    engine = http.client.HTTPConnection("engine")
    engine.sock = socket.socket(socket.AF_UNIX)
    engine.sock.settimeout(5)
    engine.sock.connect(path)
    headers = {"User-Agent": agent, "Content-Type": "application/json"}
    for name, method, target in (("ping", "GET", "/_ping"), ("create", "POST", "/containers/create")):
        engine.request(method, target, "{}" if method == "POST" else None, headers)
        answer = engine.getresponse()
        answer.read()
        said[name] = answer.status
except (OSError, http.client.HTTPException) as error:
    said["errno"] = errno.errorcode.get(getattr(error, "errno", None), type(error).__name__)
print(json.dumps(said))
"""


async def reach(gateway: Running, path: str) -> dict[str, JSON] | None:
    """Return what a probe met at the socket `path` inside a gateway's container; None where none can be made.

    errno: name of the error that kept it from the engine (ENOENT, EACCES, ECONNREFUSED, or that of an exception), else
    empty. ping, create: statuses of GET /_ping and of an empty POST /containers/create, 0 for no answer.
    """
    from conformance.stage.running_container import RunningContainer  # noqa: PLC0415 - imports the engine's client

    if not isinstance(gateway, RunningContainer) or gateway.returncode is not None:
        return None
    try:
        code, output = await gateway.run((BASE_PYTHON, "-c", _PROGRAM, path, PROBE_AGENT))
    except CannotJudgeError:
        return None  # it ended meanwhile, or an image of somebody else's has no such interpreter
    if code:
        return None
    said: dict[str, JSON] = json.loads(output)
    return said
