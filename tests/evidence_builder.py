"""Evidence written by hand: a story is told event by event and becomes a transcript or an evidence file.

Times are seconds. Each step moves the clock by 10 ms unless it is told when it happened (`t=`), so that a test says only
what matters to it. The shapes are those that passive parsing writes (conformance/wire/http.py, assemble.py).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from conformance.evidence.events import Event, Kind, Point
from conformance.evidence.log import Observation, write_evidence
from conformance.evidence.transcript import Transcript

STEP = 0.01
RESULT = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "s", "version": "1"}}


def request(method: str, id: Any = 1, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id, "method": method, "params": params}


def notification(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": method, "params": params}


def result(id: Any = 1, **members: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id, "result": members}


def error(id: Any = 1, code: int = -32603, message: str = "failed") -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}}


class Story:
    """Builds evidence. Every method returns what later steps may need (an exchange id, a time)."""

    def __init__(self) -> None:
        self.now = 0.0
        self._seen: list[tuple[float, Point, Kind, dict[str, Any]]] = []
        self._numbers = itertools.count(1)

    # the clock and plain events -------------------------------------------------------------------------------------

    def at(self, t: float) -> Story:
        """Go on at time t."""
        self.now = t
        return self

    def add(self, point: Point, kind: Kind, t: float | None = None, **data: Any) -> float:
        """Add one event, now or at t."""
        when = self.now if t is None else t
        self._seen.append((when, point, kind, data))
        self.now = max(self.now, when) + (STEP if t is None else 0.0)
        return when

    def stimulus(self, name: str, t: float | None = None, **detail: Any) -> float:
        return self.add(Point.DRIVER, Kind.STIMULUS, t, name=name, **detail)

    def lag(self, seconds: float, t: float | None = None) -> float:
        return self.add(Point.DRIVER, Kind.LAG, t, seconds=seconds)

    def processor_wait(self, seconds: float, t: float | None = None) -> float:
        return self.add(Point.STAGE, Kind.PROCESSOR_WAIT, t, name="gateway", seconds=seconds)

    # HTTP -----------------------------------------------------------------------------------------------------------

    def exchange(
        self,
        client: str = "a",
        *,
        backend: bool | str = False,
        engine: bool = False,
        edge: int = 0,
        method: str = "POST",
        target: str = "/mcp",
        request: Any = None,
        request_body: str = "",
        session: str | None = None,
        headers: Mapping[str, str] | None = None,
        status: int | None = 200,
        response: Any = None,
        body: str = "",
        sse: Sequence[Any] | None = None,
        response_headers: Mapping[str, str] | None = None,
        issue_session: str | None = None,
        after: float = STEP,
        how: str | None = "complete",
        length: float = STEP,
        conn: int | None = None,
        t: float | None = None,
    ) -> str:
        """Add an HTTP exchange and return its id.

        sse: messages (dicts), comments (strings) of an event stream, or None for a JSON or plain response.
        after: seconds from the request to the response head. length: from there to the end. how: None leaves it open.
        status None: no response head ever came. backend: it is on the backend's side; a name tells which backend's.
        edge: number of the replica before whose tap, behind an edge, it was seen.
        """
        begin = self.now if t is None else t
        number = next(self._numbers)
        behind = f"backend:{backend if isinstance(backend, str) else 'main'}"
        tap = behind if backend else "engine:main" if engine else f"edge:{edge}" if edge else f"client:{client}"
        point = _point(tap)
        base = {"tap": tap, "conn": number if conn is None else conn, "exchange": f"{tap}/{conn or number}/{number}"}
        sent = dict(headers or {}) | ({"Mcp-Session-Id": session} if session else {})
        got = dict(response_headers or {}) | ({"Mcp-Session-Id": issue_session} if issue_session else {})
        self.add(point, Kind.HTTP_REQUEST, begin, **base, method=method, target=target, headers=_pairs(sent))
        self.add(point, Kind.HTTP_REQUEST_BODY, begin + 0.001, **base, length=1, **_body(request, request_body))
        head = begin + after
        if status is not None:
            if sse is not None:
                got.setdefault("Content-Type", "text/event-stream")
            elif response is not None:
                got.setdefault("Content-Type", "application/json")
            self.add(point, Kind.HTTP_RESPONSE, head, **base, status=status, headers=_pairs(got))
            for item in sse or ():
                self.item(base["exchange"], item, t=head + 0.001)
            if sse is None and how is not None:
                self.add(point, Kind.HTTP_RESPONSE_BODY, head + 0.001, **base, length=1, **_body(response, body))
        if how is not None:
            end = head + length
            self.add(point, Kind.HTTP_RESPONSE_END, end, **base, how=how, length=1, incomplete_event=False)
        self.now = max(self.now, begin + after + (length if how is not None else 0.0)) + STEP
        return str(base["exchange"])

    def item(
        self, exchange: str, item: Any, t: float | None = None, event: str = "message", id: str | None = None
    ) -> float:
        """Add an event (a dict), a comment (a string) to an exchange's stream."""
        tap, conn, _ = exchange.split("/")
        point = _point(tap)
        base = {"tap": tap, "conn": int(conn), "exchange": exchange}
        if isinstance(item, str):
            return self.add(point, Kind.SSE_COMMENT, t, **base, text=item)
        data = {**base, "length": 1, "message": item, "event": event} | ({"id": id} if id else {})
        return self.add(point, Kind.SSE_EVENT, t, **data)

    def raw_event(self, exchange: str, event: str, data: str, t: float | None = None, id: str | None = None) -> float:
        """Add an event whose data is not JSON."""
        tap, conn, _ = exchange.split("/")
        members = {"body": data, "event": event, "length": len(data)} | ({"id": id} if id else {})
        return self.add(_point(tap), Kind.SSE_EVENT, t, tap=tap, conn=int(conn), exchange=exchange, **members)

    def end(self, exchange: str, how: str = "complete", t: float | None = None) -> float:
        """End an exchange that was left open."""
        tap, conn, _ = exchange.split("/")
        base = {"tap": tap, "conn": int(conn), "exchange": exchange}
        return self.add(_point(tap), Kind.HTTP_RESPONSE_END, t, **base, how=how, length=1, incomplete_event=False)

    def refused(self, client: str = "a", t: float | None = None) -> float:
        """Nobody accepts a client's connection."""
        why = {"conn": next(self._numbers), "error": "Connection refused"}
        return self.add(Point.CLIENT_TAP, Kind.CONN_FAILED, t, tap=f"client:{client}", **why)

    def leave(self, exchange: str, t: float | None = None) -> float:
        """The client closes the connection of an exchange."""
        tap, conn, _ = exchange.split("/")
        return self.add(_point(tap), Kind.CONN_FIN, t, tap=tap, conn=int(conn), dir="up")

    # the lifecycle --------------------------------------------------------------------------------------------------

    def initialize(self, client: str = "a", *, session: str | None = "s-1", backend: bool = False, **more: Any) -> str:
        """Add an initialize that is answered with a result; `session` is the id it issues."""
        asked = request("initialize", 0, protocolVersion="2025-11-25", capabilities={}, clientInfo={"name": "c"})
        given: dict[str, Any] = {"request": asked, "sse": [result(0, **RESULT)], "issue_session": session} | more
        return self.exchange(client, backend=backend, **given)

    def initialized(self, client: str = "a", *, session: str | None = "s-1", backend: bool = False) -> str:
        """Add the notification after it."""
        sent = notification("notifications/initialized")
        return self.exchange(client, backend=backend, session=session, request=sent, status=202)

    def connect(self, client: str = "a", *, session: str | None = "s-1", backend: bool = False) -> None:
        """Add both."""
        self.initialize(client, session=session, backend=backend)
        self.initialized(client, session=session, backend=backend)

    def listing(self, client: str = "a", *, session: str | None = "s-1", tools: Sequence[str] = (), **more: Any) -> str:
        """Add a tools/list."""
        answer = result(1, tools=[{"name": name} for name in tools])
        given: dict[str, Any] = {"request": request("tools/list"), "sse": [answer], "session": session} | more
        return self.exchange(client, **given)

    def call(self, client: str = "a", *, nonce: str = "n-1", session: str | None = "s-1", **more: Any) -> str:
        """Add a tools/call with a nonce."""
        asked = request("tools/call", 1, name="echo", arguments={"nonce": nonce})
        given: dict[str, Any] = {"request": asked, "sse": [result(1, content=[])], "session": session} | more
        return self.exchange(client, **given)

    # stdio and the engine -------------------------------------------------------------------------------------------

    def stdio_start(self, process: str = "p-1", t: float | None = None) -> float:
        return self.add(Point.STDIO_TAP, Kind.STDIO_START, t, tap="stdio:main", process=process, pid=1, argv=["server"])

    def stdio(self, direction: str, message: Any, process: str = "p-1", t: float | None = None) -> float:
        body = _body(message, "")
        return self.add(Point.STDIO_TAP, Kind.STDIO_FRAME, t, tap="stdio:main", process=process, dir=direction, **body)

    def stdio_exit(self, process: str = "p-1", code: int = 0, t: float | None = None) -> float:
        return self.add(Point.STDIO_TAP, Kind.STDIO_EXIT, t, tap="stdio:main", process=process, code=code)

    def engine_event(
        self, action: str, container: str = "c-1", image: str = "image", t: float | None = None, **more: Any
    ) -> float:
        data = {"container": container, "name": "x", "image": image, "labels": {}, "wall": 0.0, "exit_code": None}
        return self.add(Point.ENGINE, Kind.ENGINE_EVENT, t, action=action, **(data | more))

    # the end --------------------------------------------------------------------------------------------------------

    def transcript(self, **header: Any) -> Transcript:
        """Return the story as a transcript; `header` replaces members of the usual header, `footer=` of the footer."""
        footer = {"complete": True, "error": "", **header.pop("footer", {})}
        head, body = _header(header), sorted(self._seen, key=lambda item: item[0])
        events = [Event(0, 0.0, Point.STAGE, Kind.HEADER, head)]
        events += [Event(seq, t, point, kind, data) for seq, (t, point, kind, data) in enumerate(body, start=1)]
        events.append(Event(len(events), max(self.now, body[-1][0] if body else 0.0), Point.STAGE, Kind.FOOTER, footer))
        return Transcript(events)

    def write(self, path: Path, **header: Any) -> Path:
        """Write the story as an evidence file and return its path."""
        footer = {"complete": True, "error": "", **header.pop("footer", {})}
        seen = [Observation(round(t * 1e9), point, kind, data) for t, point, kind, data in self._seen]
        write_evidence(path, _header(header), seen, footer)
        return path


def _header(changes: Mapping[str, Any]) -> dict[str, Any]:
    usual = {
        "schema": 1,
        "cell": "gateway/process/witness/2025-11-25/2025-11-25/story",
        "scenario": "story",
        "revision": "2025-11-25",
        "backend_revision": "2025-11-25",
        "runtime": "process",
        "witness_script": "correct",
        "backend_tapped": True,
        "client_tapped": True,
        "spin_up": "",
        "claims": {"sessions": "stateful"},
        "about_start": bool(changes.get("spin_up")) or changes.get("witness_script", "correct") != "correct",
    }
    return usual | dict(changes)


def _pairs(headers: Mapping[str, str]) -> list[list[str]]:
    return [[name, value] for name, value in headers.items()]


def _body(message: Any, text: str) -> dict[str, Any]:
    return {"message": message} if message is not None else {"body": text}


def _point(tap: str) -> Point:
    kinds = {"backend": Point.BACKEND_TAP, "engine": Point.ENGINE_TAP, "edge": Point.EDGE_TAP}
    return kinds.get(tap.partition(":")[0], Point.CLIENT_TAP)
