"""Hand-written evidence of a gateway behind an edge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from conformance.evidence.events import Kind, Point
from conformance.rules.all import rule_named
from conformance.rules.base import Inputs, judge
from conformance.rules.verdicts import Fail, Verdict
from tests.evidence_builder import Story, error, notification, request, result

LIST = request("tools/list")
TOOLS = result(1, tools=[])
INITIALIZE = request("initialize", 0, protocolVersion="2025-11-25", capabilities={}, clientInfo={"name": "c"})
REFUSED = {"status": 404, "sse": None, "response": error(1)}


def header(**variant: Any) -> dict[str, Any]:
    replicas = variant.pop("replicas", 1)
    return {
        "name": "nginx",
        "title": "nginx",
        "version": "1",
        "replicas": replicas,
        "fault": False,
        "features": [],
        "variant": variant,
    }


def verdict(rule_id: str, story: Story, **variant: Any) -> Verdict:
    rule = rule_named(rule_id)
    assert rule is not None
    return judge(rule, Inputs(story.transcript(edge=header(**variant))))


def failure(rule_id: str, story: Story, **variant: Any) -> Fail:
    found = verdict(rule_id, story, **variant)
    assert isinstance(found, Fail), found
    return found


def passage(
    story: Story, client: str = "a", *, replica: int = 1, back: Mapping[str, Any] | None = None, **front: Any
) -> None:
    """Add a request at both taps. front: as the client saw it; back: what differs behind the edge, None: never asked."""
    begin = story.now
    if back is not None:
        story.exchange(edge=replica, t=begin + 0.001, **{**front, "after": 0.005, "length": 0.001, **back})
    story.exchange(client, t=begin, **front)
    story.at(begin + front.get("after", 0.01) + front.get("length", 0.01) + 0.05)


def opened(
    story: Story, client: str, session: str | None, replica: int, *, back: Mapping[str, Any] | None = None, **front: Any
) -> None:
    """Add an initialize that is served. front: as the client saw it; back: what differs behind the edge."""
    given = {"request": INITIALIZE, "sse": [result(0, protocolVersion="2025-11-25", capabilities={}, serverInfo={})]}
    passage(story, client, replica=replica, back=back or {}, issue_session=session, **given, **front)


def listed(story: Story, client: str, session: str, replica: int, **front: Any) -> None:
    passage(story, client, replica=replica, back={}, **{"request": LIST, "sse": [TOOLS], "session": session, **front})


def streamed(
    story: Story, times: Sequence[float], came: Sequence[float], *, method: str = "POST", **front: Any
) -> None:
    """Add an event stream that a replica feeds at `times` and the client gets at `came`, in seconds from its beginning."""
    begin = story.now
    asked = request("tools/call", 1, name="slow", arguments={"nonce": "n"}) if method == "POST" else None
    back = story.exchange(edge=1, t=begin + 0.001, method=method, request=asked, sse=(), how=None, after=0.01)
    front_id = story.exchange(
        "a", t=begin, method=method, request=asked, **{"sse": (), "how": None, "after": 0.02, **front}
    )
    for number, t in enumerate(times):
        story.item(
            back, notification("notifications/progress", progress=number) if method == "POST" else "ping", t=begin + t
        )
    for number, t in enumerate(came):
        story.item(
            front_id,
            notification("notifications/progress", progress=number) if method == "POST" else "ping",
            t=begin + t,
        )
    story.at(begin + max([*times, *came, 0.0]) + 0.1)


def left_alone(
    times: Sequence[float], came: Sequence[float], *, cut: float | None = None, seconds: float = 30.0
) -> Story:
    story = Story()
    story.stimulus("wait", seconds=seconds, t=0.0)
    begin = story.now
    back = story.exchange(edge=1, t=begin, method="GET", sse=(), how=None)
    front = story.exchange("a", t=begin, method="GET", sse=(), how=None)
    tap, conn, _ = back.split("/")
    for t in times:
        story.item(back, "ping", t=begin + t)
        story.add(Point.EDGE_TAP, Kind.CHUNK, begin + t, tap=tap, conn=int(conn), dir="down", length=9)
    for t in came:
        story.item(front, "ping", t=begin + t)
    if cut is not None:
        story.end(front, "fin", t=begin + cut)
        story.leave(back, t=begin + cut)
    story.at(begin + seconds).stimulus("end")
    return story


def lost() -> Story:
    story = Story()
    opened(story, "a", "s-1", 1)
    story.stimulus("replica.killed", replica=1, tap="edge:1")
    return story.at(6.0)
