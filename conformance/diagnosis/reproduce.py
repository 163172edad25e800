"""What to type to see a failure again: curl, the witness where the backend's side matters, and replay."""

from __future__ import annotations

import shlex
from collections import Counter
from math import inf
from typing import Final

from conformance.diagnosis.reproduce_curl import credentials, curl, in_double_quotes, long_body, opening, placeholders
from conformance.evidence.members import text_at
from conformance.evidence.transcript import Exchange, Transcript
from conformance.rules.get_sse_http_sse_evidence import old_sessions
from conformance.stage.scenario import SecondBackend

_MOST: Final = 3
"""Decisive requests that are shown, the last ones."""
_SHORTEST_WAIT: Final = 0.1
"""Seconds between a request that stays open and the next one: what curl needs to start, and to spare."""
_SHORTEST_STREAM: Final = 0.5
"""Seconds that a GET stays open at least: connected, answered and seen to be."""
_UNORDERED: Final = 0.1
"""Seconds within which the end of a response and its client's closing are recorded in either order."""
_LONG_PAUSE: Final = 1.0
"""Seconds between two requests from which on the pause may be what the failure takes."""
_LIST: Final = "tools/list"
_ADDING: Final = ("add_tool", "add_own_tool")
"""Tools of the witness after which it offers another one."""
_OLD_TRANSPORT: Final = {
    "SSE": "SSE=http://HOST:PORT{path}  # its HTTP+SSE endpoint; leave the GET open",
    "ENDPOINT": "ENDPOINT=...  # the URI that the endpoint event on that stream names",
}
"""Variables of the old transport, each with the line that sets it."""
_BY_HAND: Final = {
    "backend.stop": "stop the backend",
    "backend.start": "start the backend",
    "second.stop": "stop the second backend",
    "second.start": "start the second backend",
    "gateway.stop": "stop the gateway",
    "gateway.start": "start the gateway again",
    "gateway.kill": "kill the gateway (SIGKILL)",
    "containers.kill": "kill the backend's container (SIGKILL)",
    "replica.stop": "stop a replica of the gateway",
    "replica.start": "start that replica again",
    "replica.kill": "kill a replica of the gateway (SIGKILL)",
    "replica.pause": "keep a replica of the gateway from running (SIGSTOP)",
    "replica.resumed": "let that replica run again (SIGCONT)",
    "replica.cut-off": "let nothing pass between the edge and a replica of the gateway",
    "replica.reachable": "let everything pass again",
}
"""What a scenario does beside its requests that a reader has to do, too: stimulus and words."""


def reproduce(transcript: Transcript, decisive: tuple[int, ...], rule_id: str, evidence: str) -> tuple[str, ...]:
    """Return shell commands, in order.

    Session ids become the shell variables SESSION, SESSION_2 …, redacted values variables that a comment describes; the
    gateway's URL is GATEWAY. A request during which another one was sent goes to the background. evidence: the file's
    name, for the command that judges it again.
    """
    subjects = _subjects(transcript, frozenset(decisive))
    steps = _steps(transcript, subjects)
    lines = _backends(transcript)
    cell = str(transcript.header.get("cell")).split("/")
    if not lines and len(cell) > 2:
        lines.append(f"# the backend: {cell[2]} {transcript.header.get('backend_version', '')}".rstrip())
    if steps:
        requests = _requests(transcript, steps, subjects)
        lines += _edge(transcript, rule_id)
        subject = "the edge before the gateway" if transcript.edge is not None else "the gateway under test"
        lines.append(f"GATEWAY={shlex.quote(f'http://HOST:PORT{_endpoint(transcript)}')}  # {subject}")
        path = str(transcript.header.get("sse_path"))
        old = ((name, said.format(path=path)) for name, said in _OLD_TRANSPORT.items())
        lines += [said for name, said in old if any(f"${name}" in line for line in requests)]
        lines += placeholders(steps) + requests
    replayed = f"mcp-gateway-conformance replay {shlex.quote(evidence)} --rule {shlex.quote(rule_id)}"
    return (*lines, f"{replayed}  # in the folder of report.jsonl")


def _backends(transcript: Transcript) -> list[str]:
    """Return the command of the witness, where it is the backend; with --show it prints what reaches it."""
    script = transcript.header.get("witness_script")
    if not (script and "/witness/" in str(transcript.header.get("cell")) and transcript.header.get("backend_tapped")):
        return []
    witness = "mcp-gateway-conformance witness --show --script"
    main = shlex.quote(str(script))
    if transcript.processes and not transcript.backend:
        return [f"# the backend, which the gateway starts: {witness} {main} --face stdio"]
    lines = [f"{witness} {main} --listen 127.0.0.1:9000  # the backend: point the gateway at it"]
    if state := transcript.header.get("second_backend"):
        second = SecondBackend(str(state))
        when = "its address; do not start it yet" if second is SecondBackend.DOWN else "point the gateway at it, too"
        lines.append(f"{witness} {second.script} --listen 127.0.0.1:9001  # the second backend: {when}")
    return lines


def _edge(transcript: Transcript, rule_id: str) -> list[str]:
    """Return what is to stand before the gateway, in words and as the command that drives it again so."""
    edge = transcript.edge
    if edge is None:
        return []
    asked = ", ".join(edge["features"]) or "as recommended"
    target = str(transcript.header.get("cell")).partition("/")[0]
    run = f"mcp-gateway-conformance run --target {shlex.quote(target)}"
    return [
        f"# {edge['title']} before {edge['replicas']} replica(s) of the gateway: {asked}; all of it again:",
        f"{run} --edge {edge['name']} --rule {shlex.quote(rule_id)}",
    ]


def _subjects(transcript: Transcript, wanted: frozenset[int]) -> list[Exchange]:
    """Return the requests of clients that show the failure, in order.

    Where the verdict rests on the backend's side alone, that is the client's request before it; where it rests on
    streams and no call, what was called while they were open belongs to it.
    """
    found = [item for item in transcript.client() if wanted & frozenset(item.events)][-_MOST:]
    if not found:
        last = max((event.t for event in transcript.events if event.seq in wanted), default=-inf)
        return [item for item in transcript.client() if item.method == "POST" and item.t <= last][-1:]
    calls = [item for item in transcript.client() if item.rpc_method == "tools/call"]
    if not any(item in calls for item in found):
        streams = [item for item in found if item.method == "GET"]
        found += [item for item in calls if any(get.t < item.t < _over(transcript, get) for get in streams)][:_MOST]
    found += [item for item in _additions(transcript, found) if item not in found]
    return sorted(found, key=lambda item: item.seq)


def _additions(transcript: Transcript, found: list[Exchange]) -> list[Exchange]:
    """Return the calls that had the backend add a tool before `found` list them, each with the list before it.

    Without the earlier list nothing is there that could have gone stale.
    """
    asked = transcript.client()
    last = max((item.seq for item in found if item.rpc_method == _LIST), default=0)
    added: list[Exchange] = []
    for call in (item for item in asked if item.seq < last and _adds(transcript, item)):
        lists = [item for item in asked if item.rpc_method == _LIST and item.seq < call.seq]
        added += [*lists[-1:], call]
    return added


def _adds(transcript: Transcript, exchange: Exchange) -> bool:
    if exchange.rpc_method != "tools/call":
        return False
    called = text_at(exchange.request, "params.name")
    return any(transcript.tool_names.standing_for(name, [called]) for name in _ADDING)


def _steps(transcript: Transcript, subjects: list[Exchange]) -> list[Exchange]:
    """Return `subjects`, and before each what opened its session and what ended that, in order."""
    steps = {item.id: item for item in subjects}
    for subject in subjects:
        opened = _opened(transcript, subject)
        if opened is None or _url(transcript, opened) != "$GATEWAY":
            continue  # the session of the old transport is its stream
        steps[opened.id] = opened
        own = [i for i in transcript.client() if i.tap == opened.tap and opened.seq < i.seq < subjects[-1].seq]
        told = next((item for item in own if item.rpc_method == "notifications/initialized"), None)
        ended = (item for item in own if item.method == "DELETE" and item.session == opened.session)
        steps |= {item.id: item for item in (told, *ended) if item is not None}
    return sorted(steps.values(), key=lambda item: item.seq)


def _opened(transcript: Transcript, subject: Exchange) -> Exchange | None:
    """Return the request that was given the session that `subject` names, else its client's first initialize."""
    before = [item for item in transcript.client() if item.seq < subject.seq]
    session = subject.headers.get("mcp-session-id")
    if session is None and subject.rpc_method == "initialize":
        return None
    given = (item for item in before if session is not None and _issued(item) == session)
    first = (item for item in before if item.tap == subject.tap and item.rpc_method == "initialize")
    return next(given, next(first, None))


def _issued(exchange: Exchange) -> str | None:
    """Return the session id that an answer gave its client, None where it gave none or repeated the client's."""
    given = exchange.response_headers.get("mcp-session-id")
    return given if given != exchange.headers.get("mcp-session-id") else None


def _requests(transcript: Transcript, steps: list[Exchange], subjects: list[Exchange]) -> list[str]:
    """Return the commands of some requests, and between them in words what else is to be done."""
    acts = [(event.seq, said) for name, said in _BY_HAND.items() for event in transcript.stimuli(name)]
    lines: list[str] = []
    issued = credentials(steps)
    opened = 0
    done = 0
    for item, following in zip(steps, (*steps[1:], None), strict=True):
        lines += [f"# now {said}" for seq, said in sorted(acts) if done < seq < item.seq]
        done = item.seq
        lines += long_body(item)
        url = _url(transcript, item)
        session = _issued(item)
        if session is not None and session not in issued and any(session == i.session for i in steps if i is not item):
            opened += 1
            variable = "SESSION" if opened == 1 else f"SESSION_{opened}"
            lines.append(opening(item, issued, variable, url, shown=item in subjects))
            issued[session] = variable
        elif following is not None and following.t < _over(transcript, item):
            wait = max(_SHORTEST_WAIT, following.t - item.t)
            lines += [
                f"{curl(item, issued, _extra(transcript, item), url)} &",
                f"sleep {wait:.1f}  # it stays open beside the next",
            ]
        else:
            lines.append(curl(item, issued, _extra(transcript, item), url))
        if following is not None and (pause := _pause(transcript, item, following)) >= _LONG_PAUSE:
            lines.append(f"sleep {pause:.1f}  # as long passed here")
    return [*lines, "wait  # Ctrl-C leaves what stays open"] if any(line.endswith(" &") for line in lines) else lines


def _pause(transcript: Transcript, item: Exchange, following: Exchange) -> float:
    """Return the seconds between two requests that are part of what is shown.

    That is what the scenario waited on purpose, and all the time that a stream was closed before the next request.
    """
    passed = following.t - _over(transcript, item)
    if item.method == "GET" and _left(transcript, item) is not None:
        return passed
    waits = (event for event in transcript.stimuli("wait") if item.seq < event.seq < following.seq)
    return min(passed, sum(float(event.data["seconds"]) for event in waits))


def _extra(transcript: Transcript, exchange: Exchange) -> str:
    """Return curl's options for a request; one that its client left is left after the same time."""
    left = _left(transcript, exchange)
    if left is None:
        return "-i"
    shortest = _SHORTEST_STREAM if exchange.method == "GET" else _SHORTEST_WAIT
    return f"-i --max-time {max(shortest, left - exchange.t):.1f}"


def _left(transcript: Transcript, exchange: Exchange) -> float | None:
    """Return when the client left a request before it had what it asked for, in seconds; None where it did not.

    A gateway that does not notice may end the response much later: that is nothing the client did.
    """
    if exchange.how == "abandoned":
        left: float | None = transcript.over_for_client(exchange)
    else:
        left = transcript.left_at(exchange)
        if left is not None and left > exchange.ended(inf) - _UNORDERED:
            return None
    return left if left is not None and left < _had(exchange) else None


def _over(transcript: Transcript, exchange: Exchange) -> float:
    """Return when a request was over for its client, in seconds; infinity where it never was."""
    left = _left(transcript, exchange)
    if left is not None:
        return left
    had = _had(exchange)
    return exchange.t_end if had == inf and exchange.t_end is not None else had


def _had(exchange: Exchange) -> float:
    """Return when a client had what it asked for, in seconds; infinity where it never had, or asked for a stream."""
    if exchange.method != "GET" and (answer := exchange.answer()) is not None:
        return answer.t
    if not exchange.is_stream and exchange.t_response is not None:
        return exchange.t_response
    return inf


def _endpoint(transcript: Transcript) -> str:
    """Return the path that most requests went to; /mcp where none went to the current transport."""
    old = {stream.stream.tap for stream in old_sessions(transcript)}
    asked = Counter(item.target for item in transcript.client() if item.tap not in old and not item.is_metadata)
    return next((target for target, _ in asked.most_common(1)), "/mcp")


def _url(transcript: Transcript, exchange: Exchange) -> str:
    """Return a request's URL with a variable in front: that of the endpoint, or of one of the old transport's two."""
    if exchange.tap in {stream.stream.tap for stream in old_sessions(transcript)}:
        return "$SSE" if exchange.method == "GET" else "$ENDPOINT"
    endpoint = _endpoint(transcript)
    if exchange.target == endpoint:
        return "$GATEWAY"
    return f"${{GATEWAY%{in_double_quotes(endpoint)}}}{in_double_quotes(exchange.target)}"
