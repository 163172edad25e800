"""Hand-written evidence about containers that a gateway starts, for the rules of suite spin_up."""

from __future__ import annotations

from typing import Any

from conformance import timing
from conformance.diagnosis.classify import classify
from conformance.evidence.events import Hop, Kind, Point
from conformance.rules.all import rule_named
from conformance.rules.base import Inputs, judge
from conformance.rules.verdicts import Fail, Verdict
from tests.evidence_builder import RESULT, Story, request, result

IDS = [f"MGC5{number:02}" for number in range(1, 12)]
GATEWAY, STRANGER = "a" * 64, "b" * 64
TOOLS = ("get_current_time", "convert_time")
WORKS = {"spin_up": "works", "image": "image", "runtime": "containers"}
TRIGGER = 10.0


def verdict(rule_id: str, story: Story, **header: Any) -> Verdict:
    rule = rule_named(rule_id)
    assert rule is not None
    return judge(rule, Inputs(story.transcript(**(WORKS | header))))


def failure(rule_id: str, story: Story, **header: Any) -> tuple[Hop, str]:
    """Return the hop that a failure is charged to, and its failure class."""
    rule = rule_named(rule_id)
    assert rule is not None
    inputs = Inputs(story.transcript(**(WORKS | header)))
    found = judge(rule, inputs)
    assert isinstance(found, Fail), found
    assert found.events
    return found.charged_to, classify(rule, found, inputs).failure_class


def gateway(until: float | None = None, code: int = 1) -> Story:
    """A gateway that was started at 1 s, and ended at `until`."""
    story = Story()
    story.add(Point.ENGINE, Kind.CLOCK, 0.0, domain="engine", offset=0.0, uncertainty=0.002)
    story.add(Point.STAGE, Kind.PROCESS_START, 1.0, name="gateway", pid=1, argv=["gateway"], container=GATEWAY)
    if until is not None:
        story.add(Point.STAGE, Kind.PROCESS_EXIT, until, name="gateway", pid=1, code=code, container=GATEWAY)
    return story


def container(
    story: Story,
    name: str = "c-1",
    *,
    t: float = TRIGGER + 0.1,
    asked: bool = True,
    asker: str | None = GATEWAY,
    start: float | None = 0.3,
    answer: float | None = 0.6,
    tools: tuple[str, ...] = TOOLS,
    inspected: bool = True,
) -> None:
    """A container that is asked for at t, started `start` later, and whose server answers initialize `answer` later."""
    if asked:
        where = story.exchange(
            engine=True, target="/v1.41/containers/create", status=201, response={"Id": name}, after=0.01, t=t
        )
        tap, conn, _ = where.split("/")
        story.add(Point.ENGINE_TAP, Kind.CONN_OPEN, t - 0.001, tap=tap, conn=int(conn), peer="unix:", container=asker)
    story.engine_event("create", name, t=t + 0.02)
    if start is None:
        return
    up = t + start
    story.engine_event("start", name, t=up)
    if inspected:
        data = {"container": name, "inspect": {"auto_remove": True}}
        story.add(Point.ENGINE, Kind.CONTAINER_INSPECT, up + 0.001, **data)
    process = f"process of {name}"
    story.stdio_start(process, t=up + 0.02)
    story.stdio("up", request("initialize", 0), process, t=up + 0.03)
    if answer is not None:
        story.stdio("down", result(0, **RESULT), process, t=up + answer)
        story.stdio("up", request("tools/list", 1), process, t=up + answer + 0.5)
        listed = [{"name": tool} for tool in tools]
        story.stdio("down", result(1, tools=listed), process, t=up + answer + 0.51)


def gone(story: Story, name: str, t: float, *, died: float | None = None) -> None:
    """The container ends, and is removed at t."""
    story.engine_event("die", name, t=t - 0.1 if died is None else died, exit_code=0)
    story.engine_event("destroy", name, t=t)


def used(story: Story, client: str = "a", *, t: float = TRIGGER, listed: tuple[str, ...] = TOOLS, **more: Any) -> Story:
    """A client initializes at t, has its answer after 1.2 s, and lists tools."""
    story.stimulus("trigger", t=t - 0.01)
    story.initialize(client, t=t, **({"after": 1.2} | more))
    story.listing(client, tools=listed, t=t + 1.5)
    return story


def ended(story: Story, *, status: int = 200, stop: float = 20.0) -> Story:
    """The session is deleted at 15 s, the gateway stopped at 20 s, and what remains is watched for long enough."""
    story.stimulus("session.end", t=15.0)
    story.exchange("a", method="DELETE", session="s-1", status=status, t=15.01)
    story.stimulus("gateway.stop", t=stop)
    story.stimulus("removal.watched", t=stop + timing.REMOVED_AFTER + 1.0)
    return story
