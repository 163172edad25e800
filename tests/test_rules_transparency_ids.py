"""Family transparency on hand-written evidence: ids of calls, and the gateway's own."""

from __future__ import annotations

from typing import Any

import pytest

from conformance.evidence.events import Hop
from conformance.evidence.transcript import Transcript
from conformance.rules.all import rule_named
from conformance.rules.base import Inputs, judge
from conformance.rules.verdicts import Fail, Inconclusive, NotExercised, Pass, Verdict
from tests.evidence_builder import RESULT, Story, error, request, result


def verdict(rule_id: str, through: Transcript) -> Verdict:
    rule = rule_named(rule_id)
    assert rule is not None
    return judge(rule, Inputs(through))


def failure(rule_id: str, story: Story) -> Fail:
    found = verdict(rule_id, story.transcript())
    assert isinstance(found, Fail), found
    assert found.events
    return found


def call(nonce: str, id: Any) -> dict[str, Any]:
    return request("tools/call", id, name="echo", arguments={"nonce": nonce})


def asked(story: Story, id: Any, *, theirs: Any = 41, answered: Any = ..., **client: Any) -> None:
    """Add a call with an id, answered under it or as `client` says, and the gateway's call for it, answered well."""
    nonce = f"n-{story.now}"
    under = id if answered is ... else answered
    given: dict[str, Any] = {"sse": [result(under)], "t": story.now, "after": 0.2} | client
    begin = story.now
    story.exchange(request=call(nonce, id), session="s-1", **given)
    story.exchange(
        backend=True,
        session="b-1",
        request=call(nonce, theirs),
        sse=[result(theirs)],
        t=begin + 0.05,
        after=0.05,
    )


def ordinary() -> Story:
    """A session with a call under a number and one under a string, both answered."""
    story = Story()
    story.connect()
    story.connect(backend=True, session="b-1")
    asked(story, 1, theirs=41)
    asked(story, "one", theirs=42)
    return story


@pytest.mark.parametrize("number", range(701, 706))
def test_nothing_observed_is_not_exercised(number: int) -> None:
    story = Story()
    story.connect()
    assert isinstance(verdict(f"MGC{number}", story.transcript()), NotExercised)


# MGC701, MGC702 ------------------------------------------------------------------------------------------------------


def test_ids_of_both_types_that_come_back_pass() -> None:
    story = ordinary()
    for theirs, own in enumerate((0, "", "7", 7, -1), 50):
        asked(story, own, theirs=theirs)
    assert isinstance(verdict("MGC701", story.transcript()), Pass)


@pytest.mark.parametrize(
    ("id", "client", "said"),
    [
        (0, {"sse": None, "status": 202}, "no response message"),
        ("7", {"answered": 7}, "with id 7"),
        (7, {"answered": "7"}, "with id '7'"),
        ("", {"sse": [error("", -32600)]}, "error -32600"),
        (1, {"answered": True}, "with id True"),
        (0, {"status": None, "how": "abandoned"}, "no response at all"),
    ],
)
def test_an_id_that_does_not_come_back_fails(id: Any, client: dict[str, Any], said: str) -> None:
    story = ordinary()
    asked(story, id, theirs=50, **client)
    found = failure("MGC701", story)
    assert said in found.observed
    assert found.charged_to is Hop.GATEWAY
    assert found.symptom == "request-id-mishandled"


def test_what_the_backend_did_itself_is_charged_to_it() -> None:
    story = ordinary()
    begin = story.now
    sent: dict[str, Any] = {"request": call("n-x", 0), "status": 202}
    story.exchange(session="s-1", t=begin, after=0.2, **sent)
    story.exchange(backend=True, session="b-1", t=begin + 0.05, after=0.05, **sent)
    assert failure("MGC701", story).charged_to is Hop.BACKEND


def test_where_no_call_is_answered_ids_are_not_to_blame() -> None:
    story = Story()
    story.connect()
    for own in (0, "one"):
        asked(story, own, sse=None, status=202)
    assert isinstance(verdict("MGC701", story.transcript()), Inconclusive)


def test_a_call_given_up_while_the_harness_lagged_is_inconclusive() -> None:
    story = ordinary()
    asked(story, 0, theirs=50, status=None, how="abandoned", length=5.0)
    story.lag(4.0, t=story.now)
    assert isinstance(verdict("MGC701", story.transcript()), Inconclusive)


@pytest.mark.parametrize(("answered", "passes"), [(2**53 + 1, True), (2**53, False), (float(2**53), False)])
def test_ids_beyond_exact_integers(answered: Any, passes: bool) -> None:
    story = ordinary()
    asked(story, 2**53 + 1, theirs=50, answered=answered)
    if passes:
        assert isinstance(verdict("MGC702", story.transcript()), Pass)
    else:
        assert "9007199254740992" in failure("MGC702", story).observed
    assert isinstance(verdict("MGC701", story.transcript()), Pass), "such ids are MGC702's alone"


# MGC703 --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("id", [None, 1.5, True, {"id": 1}])
@pytest.mark.parametrize(
    ("client", "passes"),
    [
        ({"sse": None, "status": 400}, True),
        ({"sse": [error(None, -32600)]}, True),
        ({"sse": None, "status": 202}, False),
        ({"sse": []}, False),
        ({"answered": 1}, False),
        ({"status": None, "how": "abandoned"}, False),
    ],
)
def test_an_illegal_id_is_refused(id: Any, client: dict[str, Any], passes: bool) -> None:
    story = ordinary()
    asked(story, id, theirs=50, **client)
    if passes:
        assert isinstance(verdict("MGC703", story.transcript()), Pass)
    else:
        assert failure("MGC703", story).charged_to is Hop.GATEWAY


def test_a_backend_that_swallows_what_was_passed_on_is_charged() -> None:
    story = ordinary()
    begin = story.now
    sent: dict[str, Any] = {"request": call("n-x", None), "status": 202}
    story.exchange(session="s-1", t=begin, after=0.2, **sent)
    story.exchange(backend=True, session="b-1", t=begin + 0.05, after=0.05, **sent)
    assert failure("MGC703", story).charged_to is Hop.BACKEND


def test_a_backend_that_never_saw_the_illegal_id_is_not_charged() -> None:
    story = ordinary()
    begin = story.now
    story.exchange(session="s-1", t=begin, after=0.2, request=call("n-x", None), status=202)
    theirs = {name: value for name, value in call("n-x", None).items() if name != "id"}
    story.exchange(backend=True, session="b-1", t=begin + 0.05, after=0.05, request=theirs, status=202)
    assert failure("MGC703", story).charged_to is Hop.GATEWAY


# MGC704, MGC705 ------------------------------------------------------------------------------------------------------


def test_own_requests_with_legal_fresh_ids_pass() -> None:
    story = ordinary()
    story.connect(backend=True, session="b-2")  # ids of another session are other ids
    assert isinstance(verdict("MGC704", story.transcript()), Pass)
    assert isinstance(verdict("MGC705", story.transcript()), Pass)


@pytest.mark.parametrize("id", [None, 1.5, True])
def test_an_illegal_id_of_the_gateway_s_own_fails(id: Any) -> None:
    story = ordinary()
    story.exchange(backend=True, session="b-1", request=request("ping", id), status=400)
    assert "ping" in failure("MGC704", story).observed


def test_an_illegal_id_that_a_client_sent_is_not_the_gateway_s() -> None:
    story = ordinary()
    asked(story, None, theirs=None, sse=None, status=400)
    assert isinstance(verdict("MGC704", story.transcript()), Pass)


def test_an_id_used_twice_in_a_session_fails() -> None:
    story = ordinary()
    story.exchange(backend=True, session="b-1", request=request("tools/list", 42), sse=[result(42, tools=[])])
    found = failure("MGC705", story)
    assert "42" in found.observed
    assert found.symptom == "malformed-message"


@pytest.mark.parametrize(
    ("status", "again", "passes"),
    [
        (307, "tools/list", True),
        (401, "tools/list", True),
        (429, "tools/list", True),
        (401, "prompts/list", False),
        (500, "tools/list", False),
    ],
)
def test_a_message_that_was_turned_away_may_be_sent_again_as_it_was(status: int, again: str, passes: bool) -> None:
    story = ordinary()
    for method, said in (("tools/list", {"status": status}), (again, {"sse": [result(50)]})):
        story.exchange(backend=True, session="b-1", request=request(method, 50), **said)
    if passes:
        assert isinstance(verdict("MGC705", story.transcript()), Pass)
    else:
        assert "50" in failure("MGC705", story).observed


def test_a_repetition_that_the_backend_refuses_is_one() -> None:
    story = ordinary()
    story.exchange(backend=True, session="b-1", request=request("tools/list", 50), sse=[result(50)])
    story.exchange(backend=True, session="b-1", request=request("tools/list", 50), status=400)
    assert "50" in failure("MGC705", story).observed


def test_a_number_and_a_string_are_two_ids() -> None:
    story = ordinary()
    story.exchange(backend=True, session="b-1", request=request("tools/list", "42"), sse=[result("42", tools=[])])
    assert isinstance(verdict("MGC705", story.transcript()), Pass)


def test_an_id_that_one_client_used_twice_is_passed_on_twice() -> None:
    story = ordinary()
    for _ in range(2):
        asked(story, 9, theirs=9)
    assert isinstance(verdict("MGC705", story.transcript()), Pass)


@pytest.mark.parametrize("conn", [1, 2])
@pytest.mark.parametrize(("issue", "wanted"), [(False, Pass), (True, Fail)])
def test_ids_of_two_handshakes_without_session_ids_are_not_told_apart(
    conn: int, issue: bool, wanted: type[Verdict]
) -> None:
    story = Story()
    for client, opened_on in (("one", 1), ("other", conn)):
        session = client if issue else None
        story.exchange(
            backend=True,
            conn=opened_on,
            request=request("initialize", 0),
            sse=[result(0, **RESULT)],
            issue_session=session,
        )
    for _ in range(2):
        sent = request("tools/list", 1)
        story.exchange(backend=True, conn=1, session="one" if issue else None, request=sent, sse=[result(1, tools=[])])
    assert isinstance(verdict("MGC705", story.transcript()), wanted)


def test_an_id_used_twice_after_the_only_handshake_without_a_session_id_fails() -> None:
    story = Story()
    story.initialize(session=None, backend=True, conn=1)
    for _ in range(2):
        story.exchange(backend=True, conn=1, request=request("tools/list", 1), sse=[result(1, tools=[])])
    story.initialize(session=None, backend=True, conn=1)
    assert "1" in failure("MGC705", story).observed
