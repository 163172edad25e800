"""The event: one line of an evidence file.

What an event says stands in `kind` and `data`; where it was seen stands in `point`. The kinds and their fields are
documented in `reports/schema/evidence.schema.json`. Times are seconds on the machine's monotonic clock since the
cell's first event.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

JSON: TypeAlias = Any
"""A value that `json.loads` can return."""

SCHEMA_VERSION = 1
"""Version of the evidence format; a reader refuses any other."""


class Point(StrEnum):
    """Where an event was seen."""

    DRIVER = "driver"
    APPLICATION_TAP = "application-tap"  # between an application and its client that speaks stdio to it
    CLIENT_TAP = "client-tap"
    EDGE_TAP = "edge-tap"
    BACKEND_TAP = "backend-tap"
    STDIO_TAP = "stdio-tap"
    ENGINE_TAP = "engine-tap"
    ENGINE = "engine"
    STAGE = "stage"


class Hop(StrEnum):
    """Who can be blamed (DESIGN: Hops that can be blamed)."""

    CLIENT = "client"
    EDGE = "edge"
    GATEWAY = "gateway"
    RUNTIME = "runtime"
    BACKEND = "backend"
    NETWORK = "network"
    CONFIGURATION = "configuration"
    HARNESS = "harness"


class Kind(StrEnum):
    """What happened. Grouped by who writes it."""

    # the stage
    HEADER = "header"
    FOOTER = "footer"
    STIMULUS = "stimulus"  # {name, **detail}: scenario steps, toxics on and off, witness script, sentinel, restarts
    READINESS = "readiness"  # {what, ok, attempt, detail}: each readiness probe
    PROCESS_START = "process.start"  # {name, pid, argv}
    PROCESS_EXIT = "process.exit"  # {name, pid, code}
    LOG = "log"  # {source, line}
    LAG = "lag"  # {seconds}: how late the harness's own loop ran
    PROCESSOR_WAIT = "processor.wait"  # {name, seconds}: how long a gateway waited for a processor since the last look
    CLOCK = "clock"  # {domain, offset, uncertainty}
    NETWORK_PROBE = "network.probe"  # {leg, place, party, **facts}: one try to reach an endpoint from somewhere
    # the relay tap, then parsed passively
    CONN_OPEN = "conn.open"  # {tap, conn, peer}; over a Unix socket also the peer's {pid, container}
    CONN_CONNECTED = "conn.connected"  # {tap, conn, upstream}
    CONN_FAILED = "conn.failed"  # {tap, conn, error}
    CHUNK = "chunk"  # {tap, conn, dir, length}; dir is up (towards the server) or down
    CONN_FIN = "conn.fin"  # {tap, conn, dir}
    CONN_RST = "conn.rst"  # {tap, conn, dir}
    CONN_CLOSED = "conn.closed"  # {tap, conn}
    HTTP_REQUEST = "http.request"  # {tap, conn, exchange, method, target, headers}; at the last header byte
    HTTP_REQUEST_BODY = "http.request.body"  # {exchange, length, body, message}; body complete
    HTTP_RESPONSE = "http.response"  # {exchange, status, headers}; at the last header byte
    HTTP_RESPONSE_BODY = "http.response.body"  # {exchange, length, body, message}; not for event streams
    HTTP_RESPONSE_END = "http.response.end"  # {exchange, how: complete | fin | rst | open}
    HTTP_UNPARSED = "http.unparsed"  # {tap, conn, dir, why, head}
    SSE_EVENT = "sse.event"  # {exchange, event, data, id, retry, message}
    SSE_COMMENT = "sse.comment"  # {exchange, text}
    # the stdio tap
    STDIO_START = "stdio.start"  # {tap, process, pid, argv, host}
    STDIO_FRAME = "stdio.frame"  # {tap, process, dir, message | text}
    STDIO_STDERR = "stdio.stderr"  # {tap, process, text}
    STDIO_EOF = "stdio.eof"  # {tap, process, dir}
    STDIO_SIGNAL = "stdio.signal"  # {tap, process, signal}; sent to the process by whoever started it
    STDIO_EXIT = "stdio.exit"  # {tap, process, code}
    # the container engine
    ENGINE_EVENT = "engine.event"  # {action, container, image, labels, wall, exit_code}
    CONTAINER_INSPECT = "container.inspect"  # {container, inspect}
    CONTAINER_LOG = "container.log"  # {container, stream, line}


@dataclass(frozen=True, slots=True)
class Event:
    """One observation.

    seq: position in the file, from 0. t: seconds since the cell's first event, monotonic.
    """

    seq: int
    t: float
    point: Point
    kind: Kind
    data: Mapping[str, JSON] = field(default_factory=dict)

    def to_json(self) -> dict[str, JSON]:
        """Return the JSON object written as one line."""
        return {"seq": self.seq, "t": round(self.t, 6), "point": str(self.point), "kind": str(self.kind), **self.data}
