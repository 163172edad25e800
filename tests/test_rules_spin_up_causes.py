"""Why a container does not serve, told from hand-written evidence: each cause by its own signs, and by no other's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from conformance import timing
from conformance.diagnosis.classify import classify
from conformance.evidence.events import Hop, Kind, Point
from conformance.rules.all import rule_named
from conformance.rules.base import Inputs, judge
from conformance.rules.spin_up_cause import cause, mount_note
from conformance.rules.verdicts import Fail, NotExercised, Pass
from tests.evidence_builder import RESULT, Story, error, notification, request, result
from tests.spin_up_stories import TRIGGER, WORKS, container, failure, gateway, used, verdict

NOT_ENABLED = {"not_enabled_log": "known and not enabled"}


def told(story: Story, *, waited: float = timing.ANSWER) -> Story:
    """A client initializes, and has an error after a while."""
    story.stimulus("trigger", t=TRIGGER - 0.01)
    story.initialize("a", t=TRIGGER, sse=[error(0)], after=waited)
    return story


def probed(story: Story, **found: Any) -> Story:
    story.stimulus("engine.probe", t=TRIGGER - 1, socket="/s", **{"read_only": False, "errno": "", "ping": 200} | found)
    return story


def asked(story: Story, status: int, message: str, target: str = "/v1.41/containers/create") -> Story:
    story.exchange(engine=True, target=target, status=status, response={"message": message}, t=TRIGGER + 0.1)
    return story


def astray() -> Story:
    """A trigger of which nothing arrives."""
    story = gateway()
    story.stimulus("trigger", t=TRIGGER)
    story.add(Point.CLIENT_TAP, Kind.LAG, TRIGGER + 1, tap="client:a", what="max", seconds=0.01, over=1.0)
    return story


def no_socket() -> Story:
    return told(probed(gateway(), errno="ENOENT", ping=0, create=0))


def forbidden() -> Story:
    return told(probed(gateway(), errno="EACCES", ping=0, create=0))


def denied() -> Story:
    return told(asked(gateway(), 403, "permission denied"))


def no_image() -> Story:
    return told(asked(gateway(), 404, "No such image: x:latest"))


def no_program() -> Story:
    story = gateway()
    container(story, start=None)
    asked(story, 400, 'exec: "serve": executable file not found in $PATH', "/v1.41/containers/c-1/start")
    return told(story)


def not_enabled() -> Story:
    story = gateway()
    story.add(Point.STAGE, Kind.LOG, 2.0, source="gateway", line="the backend is known and not enabled")
    return told(story)


def ended(code: int = 3, *, oom: bool = False) -> Story:
    story = gateway()
    container(story, answer=None)
    if oom:
        story.engine_event("oom", t=TRIGGER + 1)
    story.engine_event("die", t=TRIGGER + 1.1, exit_code=code)
    return told(story)


def silent() -> Story:
    story = gateway()
    container(story, answer=None)
    return told(story)


def unpublished() -> Story:
    story = gateway()
    story.engine_event("create", t=TRIGGER + 0.1)
    story.engine_event("start", t=TRIGGER + 0.3)
    inspect = {"exposed": ["8000/tcp"], "published": []}
    story.add(Point.ENGINE, Kind.CONTAINER_INSPECT, TRIGGER + 0.4, container="c-1", inspect=inspect)
    return told(story)


CAUSES: dict[str, tuple[Callable[[], Story], str, Hop, str]] = {
    "astray": (astray, "wrong-gateway-instance", Hop.CLIENT, "got no request"),
    "no socket": (no_socket, "docker-socket-unusable", Hop.CONFIGURATION, "there is no socket"),
    "permission denied": (forbidden, "docker-socket-unusable", Hop.CONFIGURATION, "permission denied on the socket"),
    "denied": (denied, "docker-socket-unusable", Hop.RUNTIME, "403"),
    "image missing": (no_image, "image-missing", Hop.CONFIGURATION, "No such image"),
    "wrong command": (no_program, "container-command-missing", Hop.CONFIGURATION, "executable file not found"),
    "wrong command, 127": (lambda: ended(127), "container-command-missing", Hop.CONFIGURATION, "127"),
    "exits at once": (ended, "container-exits-at-once", Hop.BACKEND, "ended with 3"),
    "out of memory": (lambda: ended(137, oom=True), "container-oom-killed", Hop.CONFIGURATION, "ran out of memory"),
    "silent": (silent, "container-silent", Hop.BACKEND, "said nothing"),
    "port not published": (unpublished, "container-port-unpublished", Hop.CONFIGURATION, "8000/tcp"),
    "not enabled": (not_enabled, "entry-not-enabled", Hop.CONFIGURATION, "not enabled"),
}


@pytest.mark.parametrize("name", CAUSES)
def test_each_cause_is_told_from_the_others_by_its_signs(name: str) -> None:
    story, failure_class, hop, words = CAUSES[name]
    found = cause(story().transcript(**(WORKS | NOT_ENABLED)))
    assert found is not None
    assert (found.failure_class, found.hop) == (failure_class, hop)
    assert words in found.what
    assert found.events


def test_success_without_a_start_names_no_cause_but_the_gateway() -> None:
    assert cause(used(gateway(), listed=()).transcript(**WORKS)) is None
    assert failure("MGC501", used(gateway(), listed=())) == (Hop.GATEWAY, "enabled-but-not-started")


def test_a_healthy_start_has_no_cause() -> None:
    story = gateway()
    container(story)
    assert cause(used(story).transcript(**WORKS)) is None


@pytest.mark.parametrize("name", ["astray", "no socket", "permission denied", "denied", "image missing", "not enabled"])
def test_501_names_the_cause(name: str) -> None:
    story, failure_class, hop, words = CAUSES[name]
    found = verdict("MGC501", story(), **NOT_ENABLED)
    assert isinstance(found, Fail)
    assert words in found.observed
    assert failure("MGC501", story(), **NOT_ENABLED) == (hop, failure_class)


def test_what_is_asked_of_the_engine_is_the_gateway_s_whoever_drives() -> None:
    driven = {"client": "some-client", "client_version": "1.0"}
    found = verdict("MGC501", no_image(), **driven)
    assert isinstance(found, Fail)
    assert found.charged_to is Hop.CONFIGURATION
    assert "in the gateway's place" not in found.observed


def test_501_a_program_that_cannot_be_run_is_no_created_and_forgotten_container() -> None:
    assert failure("MGC501", no_program()) == (Hop.CONFIGURATION, "container-command-missing")


@pytest.mark.parametrize("name", ["exits at once", "out of memory", "silent", "port not published"])
def test_517_names_why_nobody_is_served(name: str) -> None:
    story, failure_class, hop, _ = CAUSES[name]
    assert failure("MGC517", story()) == (hop, failure_class)


def test_517_a_cause_that_every_neighbour_was_separated_from_is_sure() -> None:
    rule = rule_named("MGC517")
    assert rule is not None
    for name in ("exits at once", "out of memory", "silent", "port not published"):
        inputs = Inputs(CAUSES[name][0]().transcript(**WORKS))
        found = judge(rule, inputs)
        assert isinstance(found, Fail)
        assert classify(rule, found, inputs).confidence >= 0.9


def test_517_a_container_without_stdin_is_a_matter_of_configuration() -> None:
    story = gateway()
    story.engine_event("create", t=TRIGGER + 0.1)
    story.engine_event("start", t=TRIGGER + 0.2)
    story.stdio_start("p", t=TRIGGER + 0.3)
    story.add(Point.STDIO_TAP, Kind.STDIO_EOF, TRIGGER + 0.4, tap="stdio:main", process="p", dir="up")
    story.engine_event("die", t=TRIGGER + 0.6, exit_code=0)
    assert failure("MGC517", told(story)) == (Hop.CONFIGURATION, "container-exits-at-once")


def test_517_on_a_busy_machine_nobody_is_called_silent() -> None:
    story = gateway()
    container(story, start=timing.STRAINED + 1, answer=None)
    assert isinstance(verdict("MGC517", told(story)), NotExercised)


def test_517_what_the_gateway_let_go_of_did_not_end_by_itself() -> None:
    story = gateway()
    container(story, answer=None)
    story.add(Point.STDIO_TAP, Kind.STDIO_EOF, TRIGGER + 2, tap="stdio:main", process="process of c-1", dir="up")
    story.engine_event("die", t=TRIGGER + 2.1, exit_code=0)
    assert isinstance(verdict("MGC517", told(story, waited=2.0)), NotExercised)


def test_517_a_client_that_lists_tools_is_served() -> None:
    story = gateway()
    container(story)
    assert isinstance(verdict("MGC517", used(story)), Pass)


# the read-only mount --------------------------------------------------------------------------------------------------

READ_ONLY = {"spin_up": "engine-read-only"}


def test_the_mount_is_cleared_of_suspicion_by_what_the_engine_took() -> None:
    story = probed(no_image(), read_only=True, create=400)
    found = verdict("MGC501", story)
    assert isinstance(found, Fail)
    assert found.symptom == "image-missing"
    assert "mounted read-only, which is not the cause" in found.observed
    assert "answered a probe's create with 400" in found.observed


@pytest.mark.parametrize("create", [0, 403])
def test_an_engine_that_takes_nothing_clears_nothing(create: int) -> None:
    assert mount_note(probed(gateway(), read_only=True, create=create).transcript(**WORKS)) == ""


def test_521_a_start_through_a_read_only_mount_passes() -> None:
    story = probed(gateway(), read_only=True, create=400)
    container(story)
    found = verdict("MGC521", used(story), **READ_ONLY)
    assert isinstance(found, Pass)
    assert "created a container" in found.observed


def test_521_a_gateway_that_blames_the_mount_fails() -> None:
    story = probed(gateway(), read_only=True, create=400)
    story.stimulus("trigger", t=TRIGGER)
    story.initialize("a", t=TRIGGER, sse=[error(0, message="the socket is mounted read-only")])
    assert failure("MGC521", story, **READ_ONLY) == (Hop.GATEWAY, "enabled-but-not-started")


def test_521_one_that_starts_nothing_and_blames_nothing_is_judged_elsewhere() -> None:
    story = told(probed(gateway(), read_only=True, create=400))
    assert isinstance(verdict("MGC521", story, **READ_ONLY), NotExercised)


# what clients are told ------------------------------------------------------------------------------------------------

MISHAPS: dict[str, tuple[Callable[[], Story], dict[str, Any]]] = {
    "MGC518": (no_program, {"spin_up": "command-missing"}),
    "MGC519": (silent, {"witness_script": "silent"}),
    "MGC520": (lambda: ended(137, oom=True), {"spin_up": "memory-short"}),
}


@pytest.mark.parametrize("rule_id", MISHAPS)
def test_an_error_passes_and_says_what_happened(rule_id: str) -> None:
    story, header = MISHAPS[rule_id]
    found = verdict(rule_id, story(), **header)
    assert isinstance(found, Pass)
    assert "[container-" in found.observed


@pytest.mark.parametrize("rule_id", MISHAPS)
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"status": None, "sse": None, "how": "abandoned", "after": 0.0, "length": timing.ANSWER}, "initialize-hang"),
        ({"sse": [], "how": "complete"}, "empty-200-stream"),
    ],
)
def test_silence_fails(rule_id: str, answer: dict[str, Any], expected: str) -> None:
    story, header = MISHAPS[rule_id]
    found = story()
    found.exchange("a", request=request("initialize", 5), t=TRIGGER + 30, **answer)
    assert failure(rule_id, found, **header) == (Hop.GATEWAY, expected)


@pytest.mark.parametrize("rule_id", MISHAPS)
def test_a_mishap_that_did_not_happen_is_not_exercised(rule_id: str) -> None:
    story = gateway()
    container(story)
    assert isinstance(verdict(rule_id, used(story), **MISHAPS[rule_id][1]), NotExercised)


def called(story: Story, **answer: Any) -> Story:
    story.exchange("a", request=request("tools/call", 9), t=TRIGGER + 5, **answer)
    return story


def known_only(**answer: Any) -> Story:
    return called(used(gateway(), listed=()), **answer)


def test_522_an_error_for_what_is_not_enabled_passes() -> None:
    assert isinstance(verdict("MGC522", known_only(sse=[error(9)]), spin_up="not-enabled"), Pass)


@pytest.mark.parametrize(
    "answer",
    [
        {"sse": [result(9, content=[])]},
        {"status": None, "sse": None, "how": "abandoned", "after": 0.0, "length": timing.HANG_OBSERVATION},
        {"sse": []},
    ],
    ids=["success", "hang", "empty"],
)
def test_522_anything_else_fails(answer: dict[str, Any]) -> None:
    found = failure("MGC522", known_only(**answer), spin_up="not-enabled")
    assert found == (Hop.GATEWAY, "entry-not-enabled")


def test_522_a_container_of_what_is_not_enabled_fails() -> None:
    story = gateway()
    container(story)
    found = verdict("MGC522", called(used(story), sse=[error(9)]), spin_up="not-enabled")
    assert isinstance(found, Fail)


# changes under a running gateway --------------------------------------------------------------------------------------


def restarted(*, between: dict[str, Any], after: dict[str, Any], started: bool = True) -> Story:
    """A session is served; the engine is gone from 14 s to 20 s; other clients come meanwhile and afterwards."""
    story = gateway()
    container(story)
    called(used(story), sse=[result(9, content=[])])
    story.stimulus("engine.lost", t=TRIGGER + 6)
    story.exchange("between", request=request("initialize", 1), t=TRIGGER + 6.5, **between)
    story.stimulus("engine.back", t=TRIGGER + 10)
    if started:
        container(story, "c-2", t=TRIGGER + 11)
    used(story, "after", t=TRIGGER + 10.9)
    story.exchange("after", request=request("tools/call", 4), t=TRIGGER + 13, **after)
    return story


FAILED, SERVED = {"sse": [error(4)]}, {"sse": [result(4, content=[])]}
HUNG = {"status": None, "sse": None, "how": "abandoned", "after": 0.0, "length": 3.0}


def test_523_an_engine_that_is_found_again_passes() -> None:
    assert isinstance(verdict("MGC523", restarted(between={"sse": [error(1)]}, after=SERVED)), Pass)


@pytest.mark.parametrize(
    ("between", "after", "expected"),
    [
        ({"sse": [error(1)]}, FAILED, "engine-loss-not-recovered"),
        (HUNG, SERVED, "docker-socket-unusable"),
    ],
)
def test_523_otherwise_it_fails(between: dict[str, Any], after: dict[str, Any], expected: str) -> None:
    story = restarted(between=between, after=after, started=False)
    found = verdict("MGC523", story)
    assert isinstance(found, Fail)
    assert found.symptom == expected


def test_523_says_that_a_result_told_of_an_error() -> None:
    unwell = {"sse": [result(4, content=[], isError=True)]}
    found = verdict("MGC523", restarted(between={"sse": [error(1)]}, after=unwell, started=False))
    assert isinstance(found, Fail)
    assert found.observed == "its last request got a result that tells of an error"


def revoked(*, call: dict[str, Any], removed: float | None, later: bool = False) -> Story:
    """A session is served; its backend is revoked at 16 s."""
    story = gateway()
    container(story)
    called(used(story), sse=[result(9, content=[])])
    story.stimulus("backend.revoke", t=TRIGGER + 6)
    story.stimulus("backend.revoked", t=TRIGGER + 6.1)
    story.exchange("a", request=request("tools/call", 4), t=TRIGGER + 7, **call)
    if removed is not None:
        story.engine_event("die", t=removed - 0.1, exit_code=0)
        story.engine_event("destroy", t=removed)
    if later:
        container(story, "c-2", t=TRIGGER + 8)
    story.stimulus("removal.watched", t=TRIGGER + 7 + timing.REMOVED_AFTER)
    return story


def test_524_a_backend_that_is_gone_passes() -> None:
    assert isinstance(verdict("MGC524", revoked(call=FAILED, removed=TRIGGER + 8)), Pass)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"call": SERVED, "removed": TRIGGER + 8}, "revoked-entry-served"),
        ({"call": FAILED, "removed": TRIGGER + 8, "later": True}, "revoked-entry-served"),
        ({"call": FAILED, "removed": None}, "container-leak-or-storm"),
    ],
)
def test_524_what_still_serves_or_remains_fails(changes: dict[str, Any], expected: str) -> None:
    found = verdict("MGC524", revoked(**changes))
    assert isinstance(found, Fail)
    assert found.symptom == expected


def test_a_notification_is_no_server_s_answer_to_a_call() -> None:
    story = silent()
    story.stdio("down", notification("notifications/message", level="info", data="up"), "process of c-1", t=TRIGGER + 1)
    story.stdio("down", result(0, **RESULT), "process of c-1", t=TRIGGER + 2)
    assert cause(story.transcript(**WORKS)) is None
