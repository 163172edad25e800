"""Family initialize_ordering on hand-written evidence: the gateway as client of its backends."""

from __future__ import annotations

from typing import Any

import pytest

from conformance.evidence.events import Hop
from conformance.rules.verdicts import Fail, Inconclusive, NotApplicable, NotExercised, Pass
from tests.evidence_builder import RESULT, Story, notification, request, result
from tests.initialize_stories import verdict

ASKED = request(
    "initialize", 0, protocolVersion="2025-11-25", capabilities={}, clientInfo={"name": "c", "version": "1"}
)
ANSWERED = result(0, **RESULT)
CONFIRMED = notification("notifications/initialized")
LIST = request("tools/list", 1)
VERSION = {"MCP-Protocol-Version": "2025-11-25"}


def stdio(*frames: tuple[str, Any], story: Story | None = None) -> Story:
    story = story or Story()
    story.stdio_start()
    for direction, message in frames:
        story.stdio(direction, message)
    return story


def http(story: Story, message: Any, *, session: str | None = "s", **more: Any) -> None:
    answer = {"status": 202} if "id" not in message else {"sse": [result(message["id"])]}
    story.exchange(backend=True, request=message, session=session, **{"headers": VERSION, **answer, **more})


def opened(story: Story | None = None, *, session: str | None = "s") -> Story:
    story = story or Story()
    http(story, ASKED, session=None, headers={}, sse=[ANSWERED], issue_session=session)
    return story


GOOD = (("up", ASKED), ("down", ANSWERED), ("up", CONFIRMED), ("up", LIST), ("down", result(1, tools=[])))
EVERY_RULE = ("MGC104", "MGC105", "MGC106", "MGC112")


@pytest.mark.parametrize("rule_id", EVERY_RULE)
def test_a_good_handshake_on_both_transports(rule_id: str) -> None:
    story = opened(stdio(*GOOD))
    http(story, CONFIRMED)
    http(story, LIST)
    assert isinstance(verdict(rule_id, story.transcript()), Pass)


@pytest.mark.parametrize("rule_id", EVERY_RULE)
def test_pings_and_a_probe_for_a_modern_server_may_come_early(rule_id: str) -> None:
    early = (("up", request("server/discover", 7)), ("up", request("ping", 8)))
    between = (("up", ASKED), ("up", request("ping", 9)), *GOOD[1:])
    assert isinstance(verdict(rule_id, stdio(*early, *between).transcript()), Pass)


@pytest.mark.parametrize("rule_id", EVERY_RULE)
def test_without_a_tap_on_the_backends_side_nothing_is_judged(rule_id: str) -> None:
    assert isinstance(verdict(rule_id, stdio(*GOOD).transcript(backend_tapped=False)), NotExercised)


# MGC104 --------------------------------------------------------------------------------------------------------------


def test_104_a_request_first_on_stdio() -> None:
    found = verdict("MGC104", stdio(("up", LIST), *GOOD).transcript())
    assert isinstance(found, Fail)
    assert (found.charged_to, found.symptom) == (Hop.GATEWAY, "request-before-initialize")


def test_104_a_request_without_a_session_first_on_http() -> None:
    story = Story()
    http(story, LIST, session=None, sse=None, status=400)
    found = verdict("MGC104", opened(story).transcript())
    assert isinstance(found, Fail)
    assert "tools/list came first over http" in found.observed


@pytest.mark.parametrize(("target", "status"), [("/health", 200), ("/mcp", 405), ("/mcp", 400)])
def test_104_a_get_outside_of_any_session_is_no_message(target: str, status: int) -> None:
    story = Story()
    story.exchange(backend=True, method="GET", target=target, status=status, body="no")
    assert isinstance(verdict("MGC104", opened(story).transcript()), Pass)


def test_104_without_session_ids_nothing_is_tied_together() -> None:
    story = opened(session=None)
    http(story, LIST, session=None)
    assert isinstance(verdict("MGC104", story.transcript()), NotApplicable)


def test_104_a_clients_own_disorder_is_not_the_gateways() -> None:
    story = Story()
    story.exchange(request=LIST, status=400)
    http(story, LIST, session=None, sse=None, status=400)
    assert isinstance(verdict("MGC104", opened(story).transcript()), Inconclusive)


# MGC105 --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frames", "said"),
    [
        ((*GOOD[:2], *GOOD[3:]), "never"),
        ((*GOOD[:2], GOOD[3], GOOD[2], GOOD[4]), "tools/list was sent before"),
        ((GOOD[0], GOOD[2], GOOD[1], *GOOD[3:]), "before initialize was answered"),
        ((*GOOD, GOOD[2]), "2 times"),
    ],
)
def test_105(frames: tuple[tuple[str, Any], ...], said: str) -> None:
    found = verdict("MGC105", stdio(*frames).transcript())
    assert isinstance(found, Fail)
    assert said in found.observed
    assert found.charged_to is Hop.GATEWAY


def test_105_a_session_that_is_never_used() -> None:
    assert isinstance(verdict("MGC105", stdio(*GOOD[:2]).transcript()), NotExercised)


def served(story: Story) -> Story:
    """A client's list and the gateway's for it."""
    begin = story.now
    story.listing(after=0.2)
    http(story, LIST, t=begin + 0.05)
    return story


@pytest.mark.parametrize("confirming", [True, False])
def test_105_what_a_client_never_confirmed_a_relay_does_not_confirm_either(confirming: bool) -> None:
    story = Story()
    story.initialize()
    opened(story)
    if confirming:
        story.initialized()
    found = verdict("MGC105", served(story).transcript())
    assert isinstance(found, Fail if confirming else Inconclusive)


# MGC106 --------------------------------------------------------------------------------------------------------------


def test_106_a_request_before_the_answer() -> None:
    found = verdict("MGC106", stdio(GOOD[0], ("up", LIST), GOOD[1]).transcript())
    assert isinstance(found, Fail)
    assert (found.charged_to, found.symptom) == (Hop.GATEWAY, "request-before-initialize")


def test_106_a_clients_own_haste_is_the_clients() -> None:
    hasty = Story()
    hasty.exchange(request=ASKED, status=None, how=None, t=0.0)
    hasty.exchange(request={**LIST, "params": {"arguments": {"nonce": "n"}}}, status=None, how=None, t=0.1)
    passed_on = {**LIST, "params": {"arguments": {"nonce": "n"}}}
    story = stdio(GOOD[0], ("up", passed_on), GOOD[1], story=hasty.at(0.2))
    found = verdict("MGC106", story.transcript())
    assert isinstance(found, Fail)
    assert found.charged_to is Hop.CLIENT


def refused_first(status: int | None) -> Story:
    """A backend without session ids whose first initialize has a plain answer, and tools/list after a second one."""
    story, one = Story(), {"session": None, "headers": {}, "conn": 5}
    http(story, ASKED, **one, sse=None, status=status, body="not now", how="complete" if status else None)
    if status:
        http(story, ASKED, **one, sse=[ANSWERED])
        http(story, CONFIRMED, session=None, conn=5)
    http(story, LIST, session=None, conn=5)
    return story


@pytest.mark.parametrize("status", [401, 503])
def test_106_an_exchange_that_is_over_is_waited_for_no_longer(status: int) -> None:
    assert isinstance(verdict("MGC106", refused_first(status).transcript()), Pass)


def test_106_one_that_is_not_over_is_waited_for() -> None:
    assert isinstance(verdict("MGC106", refused_first(None).transcript()), Fail)


# MGC112 --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lacking", ["protocolVersion", "capabilities", "clientInfo"])
def test_112_a_parameter_is_missing(lacking: str) -> None:
    params = {name: value for name, value in ASKED["params"].items() if name != lacking}
    found = verdict("MGC112", stdio(("up", {**ASKED, "params": params}), *GOOD[1:]).transcript())
    assert isinstance(found, Fail)
    assert lacking in found.observed
    assert found.charged_to is Hop.GATEWAY


def test_112_what_a_client_left_out_is_the_clients() -> None:
    story, asked = Story(), {**ASKED, "params": {}}
    story.exchange(request=asked, sse=[ANSWERED], t=0.0, after=1.0)
    found = verdict("MGC112", stdio(("up", asked), *GOOD[1:], story=story.at(0.2)).transcript())
    assert isinstance(found, Fail)
    assert found.charged_to is Hop.CLIENT


# MGC114 --------------------------------------------------------------------------------------------------------------


def test_114_on_every_request() -> None:
    story = opened()
    http(story, CONFIRMED)
    story.exchange(backend=True, method="GET", session="s", headers=VERSION, status=405)
    assert isinstance(verdict("MGC114", story.transcript()), Pass)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_114_missing_on_one(method: str) -> None:
    story = opened()
    http(story, CONFIRMED)
    story.exchange(backend=True, method=method, session="s", status=405)
    found = verdict("MGC114", story.transcript())
    assert isinstance(found, Fail)
    assert method in found.observed
    assert (found.charged_to, found.symptom) == (Hop.GATEWAY, "version-header-dropped")


def test_114_a_look_for_a_sign_in_needs_none() -> None:
    story = opened(session=None)
    http(story, LIST, session=None)
    story.exchange(backend=True, method="GET", target="/.well-known/oauth-protected-resource", status=404, conn=1)
    assert isinstance(verdict("MGC114", story.transcript()), Pass)


def test_114_without_session_ids_it_is_due_on_every_connection() -> None:
    story = opened(session=None)
    http(story, CONFIRMED, session=None, conn=1)
    http(story, LIST, session=None, headers={}, conn=2)
    found = verdict("MGC114", story.transcript())
    assert isinstance(found, Fail)
    assert "tools/list" in found.observed


def test_114_without_session_ids_it_may_belong_to_an_older_handshake() -> None:
    story = Story()
    for version in ("2025-03-26", "2025-11-25"):
        http(story, ASKED, session=None, headers={}, sse=[result(0, **{**RESULT, "protocolVersion": version})])
    http(story, LIST, session=None, headers={})
    story.exchange(backend=True, method="GET", target="/health", body="fine")
    assert isinstance(verdict("MGC114", story.transcript()), NotExercised)


def test_114_what_a_client_left_out_is_the_clients() -> None:
    story = opened()
    begin = story.now
    story.exchange(request=LIST, session="c", sse=[result(1, tools=[])], t=begin, after=1.0)
    http(story, LIST, headers={}, t=begin + 0.2)
    found = verdict("MGC114", story.transcript())
    assert isinstance(found, Fail)
    assert found.charged_to is Hop.CLIENT


def test_114_an_older_version_has_no_such_header() -> None:
    story = Story()
    older = result(0, **{**RESULT, "protocolVersion": "2025-03-26"})
    http(story, ASKED, session=None, headers={}, sse=[older], issue_session="s")
    http(story, CONFIRMED, headers={})
    assert isinstance(verdict("MGC114", story.transcript()), NotExercised)


def test_114_stdio_has_no_headers() -> None:
    assert isinstance(verdict("MGC114", stdio(*GOOD).transcript()), NotApplicable)
