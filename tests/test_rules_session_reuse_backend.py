"""Family session_reuse on hand-written evidence: backend sessions."""

from __future__ import annotations

from typing import Any

import pytest

from conformance import timing
from conformance.evidence.events import Hop, Kind, Point
from conformance.evidence.transcript import Transcript
from conformance.rules.verdicts import Fail, Inconclusive, NotApplicable, NotExercised, Pass
from tests.evidence_builder import Story, error, notification, request, result
from tests.test_rules_session_reuse import connected, failure, verdict


def call(story: Story, client: str, nonce: str, backend: str | None, *, session: str | None = "the client's") -> None:
    """Add a client's call and, within it, the one that the gateway makes in a session of an HTTP backend."""
    begin = story.now
    story.call(client, nonce=nonce, session=client if session == "the client's" else session, t=begin, after=1.0)
    story.call(nonce=nonce, session=backend, backend=True, t=begin + 0.2)
    story.at(begin + 1.1)


def two_clients(session: str | None = "the client's") -> Story:
    """Two clients with a session each."""
    story = Story()
    for client in ("a", "b"):
        story.connect(client, session=client if session else None)
        story.connect(session=f"upstream-{client}", backend=True)
    return story


def over_stdio(*calls: tuple[str, str]) -> Story:
    """Calls of clients that reach children: (client, process)."""
    story = two_clients()
    for process in dict.fromkeys(process for _, process in calls):
        story.stdio_start(process)
    for number, (client, process) in enumerate(calls):
        begin, nonce = story.now, f"n-{number}"
        story.call(client, nonce=nonce, session=client, t=begin, after=1.0)
        story.stdio(
            "up", request("tools/call", number, name="echo", arguments={"nonce": nonce}), process, t=begin + 0.2
        )
        story.stdio("down", result(number), process, t=begin + 0.3)
        story.at(begin + 1.1)
    return story


# MGC207 --------------------------------------------------------------------------------------------------------------


def test_207_one_session() -> None:
    story = two_clients()
    for number in range(3):
        call(story, "a", f"n-{number}", "upstream-a")
    assert isinstance(verdict("MGC207", story.transcript()), Pass)


def test_207_a_session_per_call() -> None:
    story = two_clients()
    for number in range(3):
        call(story, "a", f"n-{number}", f"upstream-{number}")
    found = failure("MGC207", story)
    assert (found.charged_to, found.symptom) == (Hop.GATEWAY, "upstream-session-per-call")
    assert "3 calls of one client session arrived in 3 sessions" in found.observed


def test_207_a_child_per_call() -> None:
    assert isinstance(verdict("MGC207", over_stdio(("a", "p-1"), ("a", "p-1")).transcript()), Pass)
    assert failure("MGC207", over_stdio(("a", "p-1"), ("a", "p-2"))).symptom == "upstream-session-per-call"


def test_207_a_session_that_the_backend_forgot_may_be_replaced() -> None:
    story = two_clients()
    call(story, "a", "n-1", "upstream-a")
    story.listing(session="upstream-a", backend=True, status=404, sse=None)
    call(story, "a", "n-2", "upstream-new")
    assert isinstance(verdict("MGC207", story.transcript()), Pass)


@pytest.mark.parametrize("served_later", [False, True])
def test_207_a_session_that_the_backend_answers_400_from_then_on_may_be_replaced(*, served_later: bool) -> None:
    story = two_clients()
    call(story, "a", "n-1", "upstream-a")
    story.listing(session="upstream-a", backend=True, status=400, sse=None)
    call(story, "a", "n-2", "upstream-new")
    if served_later:
        story.listing(session="upstream-a", backend=True)
        assert failure("MGC207", story).symptom == "upstream-session-per-call"
    else:
        assert isinstance(verdict("MGC207", story.transcript()), Pass)


@pytest.mark.parametrize("asked_to_end", [False, True])
def test_207_a_child_that_ended_by_itself_may_be_replaced(*, asked_to_end: bool) -> None:
    story = over_stdio(("a", "p-1"))
    if asked_to_end:
        story.add(Point.STDIO_TAP, Kind.STDIO_EOF, tap="stdio:main", process="p-1", dir="up")
    story.stdio_exit("p-1", code=1)
    begin = story.stdio_start("p-2")
    story.call("a", nonce="n-9", session="a", t=begin, after=1.0)
    again = request("tools/call", 9, name="echo", arguments={"nonce": "n-9"})
    story.stdio("up", again, "p-2", t=begin + 0.2)
    story.call("a", nonce="n-10", session="a", t=begin + 2.0, after=1.0)
    again = request("tools/call", 10, name="echo", arguments={"nonce": "n-10"})
    story.stdio("up", again, "p-2", t=begin + 2.2)
    found = verdict("MGC207", story.transcript())
    assert isinstance(found, Fail if asked_to_end else Pass)


def test_207_what_cannot_be_linked_is_inconclusive() -> None:
    story = connected()
    story.call(nonce="n-1")
    story.call(nonce="n-2")
    assert isinstance(verdict("MGC207", story.transcript()), Inconclusive)


def test_207_without_sessions_there_is_nothing_to_pin() -> None:
    story = connected(None)
    for number in range(2):
        call(story, "a", f"n-{number}", f"upstream-{number}", session=None)
    assert isinstance(verdict("MGC207", story.transcript()), NotApplicable)
    stateless = connected()
    stateless.initialize(session=None, backend=True)
    for number in range(2):
        call(stateless, "a", f"n-{number}", None, session="s-1")
    assert isinstance(verdict("MGC207", stateless.transcript()), NotApplicable)


def test_207_without_a_tap_on_the_backend_nothing_is_judged() -> None:
    story = connected()
    story.call()
    story.call()
    assert isinstance(verdict("MGC207", story.transcript(backend_tapped=False)), NotExercised)


# MGC208 --------------------------------------------------------------------------------------------------------------


def test_208_sessions_of_their_own() -> None:
    story = two_clients()
    call(story, "a", "n-1", "upstream-a")
    call(story, "b", "n-2", "upstream-b")
    assert isinstance(verdict("MGC208", story.transcript()), Pass)
    assert isinstance(verdict("MGC208", over_stdio(("a", "p-1"), ("b", "p-2")).transcript()), Pass)


def test_208_one_for_both() -> None:
    story = two_clients()
    call(story, "a", "n-1", "upstream-a")
    call(story, "b", "n-2", "upstream-a")
    for shared in (story, over_stdio(("a", "p-1"), ("b", "p-1"))):
        found = failure("MGC208", shared)
        assert (found.charged_to, found.symptom) == (Hop.GATEWAY, "upstream-session-shared")


def test_208_clients_without_sessions_share_none_either() -> None:
    story = two_clients(None)
    call(story, "a", "n-1", "upstream-a", session=None)
    call(story, "b", "n-2", "upstream-a", session=None)
    assert failure("MGC208", story).symptom == "upstream-session-shared"


# MGC209 --------------------------------------------------------------------------------------------------------------


def upstream(*later: dict[str, Any], session: str | None = "up") -> Transcript:
    story = connected()
    story.exchange(backend=True, request=request("server/discover"), status=400)
    story.initialize(session=session, backend=True)
    for exchange in later:
        story.exchange(backend=True, **exchange)
    return story.transcript()


CONFIRM = {"request": notification("notifications/initialized"), "status": 202}


def test_209_every_request_has_it() -> None:
    found = verdict("MGC209", upstream({**CONFIRM, "session": "up"}, {"method": "GET", "session": "up"}))
    assert isinstance(found, Pass)


@pytest.mark.parametrize(
    ("exchange", "symptom"),
    [
        (CONFIRM, "session-id-demanded"),
        ({"method": "GET", "status": 400}, "server-messages-not-relayed"),
        ({"method": "DELETE", "status": 400}, "session-leak"),
    ],
)
def test_209_it_is_missing(exchange: dict[str, Any], symptom: str) -> None:
    story = connected()
    story.initialize(session="up", backend=True)
    story.exchange(backend=True, **exchange)
    found = failure("MGC209", story)
    assert (found.charged_to, found.symptom) == (Hop.GATEWAY, symptom)


def test_209_what_belongs_to_no_session_is_not_judged() -> None:
    elsewhere = {"method": "GET", "target": "/.well-known/oauth-protected-resource", "status": 404}
    probe = {"request": request("server/discover"), "status": 400}
    found = verdict("MGC209", upstream(elsewhere, probe))
    assert isinstance(found, NotExercised)


def test_209_no_sessions_no_ids() -> None:
    assert isinstance(verdict("MGC209", upstream(CONFIRM, session=None)), NotApplicable)
    story = Story()
    story.stdio_start()
    assert isinstance(verdict("MGC209", story.transcript()), NotApplicable)


# MGC210 --------------------------------------------------------------------------------------------------------------


def leaving(delete: int = 200, *, shared: bool = False) -> Story:
    story = two_clients()
    call(story, "a", "n-1", "upstream-a")
    call(story, "b", "n-2", "upstream-a" if shared else "upstream-b")
    story.exchange(method="DELETE", session="a", status=delete)
    return story


def watched(story: Story, seconds: float = timing.SESSION_END) -> Transcript:
    story.stimulus("watched", t=story.now + seconds)
    return story.transcript()


def test_210_deleted_before_or_after_the_answer() -> None:
    for delay in (-0.015, 0.5):
        story = leaving()
        story.exchange(backend=True, method="DELETE", session="upstream-a", status=200, t=story.now + delay)
        assert isinstance(verdict("MGC210", watched(story)), Pass)


def test_210_left_behind() -> None:
    story = leaving()
    story.exchange(backend=True, method="DELETE", session="upstream-b", status=200)
    story.stimulus("watched", t=story.now + timing.SESSION_END)
    found = failure("MGC210", story)
    assert (found.charged_to, found.symptom) == (Hop.GATEWAY, "session-leak")


def test_210_too_late_is_left_behind() -> None:
    story = leaving()
    story.exchange(backend=True, method="DELETE", session="upstream-a", t=story.now + timing.SESSION_END + 1)
    assert failure("MGC210", story).symptom == "session-leak"


@pytest.mark.parametrize("exits", [True, False])
def test_210_a_child_exits(*, exits: bool) -> None:
    story = over_stdio(("a", "p-1"), ("b", "p-2"))
    story.exchange(method="DELETE", session="a", status=200)
    if exits:
        story.stdio_exit("p-1")
    assert isinstance(verdict("MGC210", watched(story)), Pass) is exits


def test_210_a_shared_session_must_go_on() -> None:
    assert isinstance(verdict("MGC210", watched(leaving(shared=True))), NotApplicable)


def test_210_a_session_that_was_not_ended_goes_on() -> None:
    assert isinstance(verdict("MGC210", watched(leaving(405))), NotApplicable)


def test_210_not_watched_for_long_enough_or_with_lag() -> None:
    assert isinstance(verdict("MGC210", watched(leaving(), 1.0)), Inconclusive)
    story = leaving()
    story.lag(timing.SESSION_END * 0.6)
    assert isinstance(verdict("MGC210", watched(story)), Inconclusive)


# MGC211 --------------------------------------------------------------------------------------------------------------


def forgetting() -> Story:
    """A session that works once, and then the backend's 404 for it."""
    story = connected()
    story.connect(session="up", backend=True)
    story.listing(session="up", backend=True, status=404, sse=None)
    return story


def test_211_a_new_session() -> None:
    story = forgetting()
    story.listing(sse=[error(1)])
    story.initialize(session="up-2", backend=True)
    story.listing()
    assert isinstance(verdict("MGC211", story.transcript()), Pass)


def test_211_the_clients_session_ends_too() -> None:
    story = forgetting()
    story.listing(status=404, sse=None)
    assert isinstance(verdict("MGC211", story.transcript()), Pass)


def test_211_a_404_for_something_else_tells_the_client_nothing() -> None:
    story = forgetting()
    story.connect("b", session="s-2")
    story.listing("b", session="never issued", status=404, sse=None)
    story.exchange("b", method="DELETE", session="s-2", status=200)
    story.listing("b", session="s-2", status=404, sse=None)
    story.listing(sse=[error(1)])
    assert "1 of the client's" in failure("MGC211", story).observed


def test_211_a_client_that_was_told_leaves_the_other_to_be_served() -> None:
    story = forgetting()
    story.listing(status=404, sse=None)
    story.connect("b", session="s-2")
    story.listing("b", session="s-2", sse=[error(1)])
    assert failure("MGC211", story).symptom == "stale-session-after-restart"


@pytest.mark.parametrize("answer", [{"sse": [error(1)]}, {"status": 502, "sse": None}, {"status": None, "sse": None}])
def test_211_errors_for_ever(answer: dict[str, Any]) -> None:
    story = forgetting()
    for _ in range(3):
        story.listing(**answer)
    found = failure("MGC211", story)
    assert (found.charged_to, found.symptom) == (Hop.GATEWAY, "stale-session-after-restart")


def test_211_the_new_initialize_has_no_id() -> None:
    story = forgetting()
    story.initialize(session="up-2", backend=True, headers={"Mcp-Session-Id": "up"})
    story.listing()
    assert "carries no session id" in failure("MGC211", story).expected


def test_211_renewed_and_still_failing() -> None:
    story = forgetting()
    story.initialize(session="up-2", backend=True)
    story.listing(sse=[error(1)])
    assert "1 initialize(s) after it" in failure("MGC211", story).observed


def test_211_lists_from_the_gateways_memory_show_nothing_and_calls_do() -> None:
    story = forgetting()
    story.listing()
    story.listing()
    assert isinstance(verdict("MGC211", story.transcript()), Inconclusive)
    story.call(sse=[result(1, content=[], isError=True)])
    assert "1 of the client's 3 later request(s) had no result" in failure("MGC211", story).observed


def test_211_nobody_asked_again() -> None:
    assert isinstance(verdict("MGC211", forgetting().transcript()), Inconclusive)


def test_211_without_sessions_nothing_is_kept_that_could_be_forgotten() -> None:
    assert isinstance(verdict("MGC211", connected(None).transcript()), NotApplicable)


def test_211_a_404_after_the_gateways_own_delete_is_not_forgetting() -> None:
    story = connected()
    story.connect(session="up", backend=True)
    story.exchange(backend=True, method="DELETE", session="up", status=200)
    story.listing(session="up", backend=True, status=404, sse=None)
    assert isinstance(verdict("MGC211", story.transcript()), NotExercised)
