"""Family streaming on hand-written evidence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from conformance.evidence.events import Hop
from conformance.rules.all import rule_named
from conformance.rules.base import Inputs, judge
from conformance.rules.verdicts import Fail, Inconclusive, NotApplicable, NotExercised, Pass, Verdict
from tests.evidence_builder import Story, error, notification, request, result


def verdict(rule_id: str, story: Story, control: Story | None = None) -> Verdict:
    rule = rule_named(rule_id)
    assert rule is not None
    return judge(rule, Inputs(story.transcript(), control.transcript() if control else None))


def failure(rule_id: str, story: Story, control: Story | None = None) -> Fail:
    found = verdict(rule_id, story, control)
    assert isinstance(found, Fail), found
    return found


def call(nonce: str = "n-1", meta: Any = None, **arguments: Any) -> dict[str, Any]:
    params = {"name": "t", "arguments": {"nonce": nonce, **arguments}} | ({"_meta": meta} if meta else {})
    return request("tools/call", 7, **params)


def text(value: str, id: int = 7) -> dict[str, Any]:
    return result(id, content=[{"type": "text", "text": value}])


def answered(story: Story, manner: str, *, got: Any, sent: Any = None, nonce: str = "n-1", **more: Any) -> None:
    """Add a call in a manner: what the backend sent, and what the client got (None: an end without an answer)."""
    begin, asked = story.now, call(nonce, manner=manner)
    story.exchange(backend=True, request=asked, sse=[sent or text("𝄞")], t=begin + 0.05, after=0.05)
    story.exchange(request=asked, sse=[] if got is None else [got], t=begin, after=0.2, **more)
    story.at(begin + 1.0)


# MGC601 to 603 --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rule_id", "manner"), [("MGC601", "sse-cr"), ("MGC602", "sse-data-lines")])
def test_an_answer_arrives_whatever_its_spelling(rule_id: str, manner: str) -> None:
    story = Story()
    answered(story, manner, got=text("𝄞"))
    assert isinstance(verdict(rule_id, story), Pass)


@pytest.mark.parametrize(("rule_id", "manner"), [("MGC601", "sse-split"), ("MGC602", "sse-other-fields")])
@pytest.mark.parametrize("got", [None, error(7), text("??")])
def test_an_answer_is_lost_or_damaged(rule_id: str, manner: str, got: Any) -> None:
    story = Story()
    answered(story, manner, got=got)
    found = failure(rule_id, story)
    assert (found.symptom, found.charged_to) == ("sse-misread", Hop.GATEWAY)


def test_a_call_that_the_backend_did_not_answer_says_nothing() -> None:
    story = Story()
    story.exchange(request=call(manner="sse-cr"), sse=[error(7)])
    assert isinstance(verdict("MGC601", story), Inconclusive)


def test_manners_of_the_other_rule_are_not_exercised() -> None:
    story = Story()
    answered(story, "sse-cr", got=text("𝄞"))
    assert isinstance(verdict("MGC602", story), NotExercised)


@pytest.mark.parametrize("got", [None, error(7), result(7, isError=True, content=[]), text("failed: no answer")])
def test_603_the_client_hears_no_result(got: Any) -> None:
    story = Story()
    answered(story, "sse-unended", got=got)
    assert isinstance(verdict("MGC603", story), Pass)


def test_603_half_an_event_is_passed_on() -> None:
    story = Story()
    answered(story, "sse-unended", got=text('{"nonce": "n-1", "text": "𝄞"}'))
    assert failure("MGC603", story).charged_to is Hop.GATEWAY


# MGC604 ---------------------------------------------------------------------------------------------------------------


def late(head: float, **more: Any) -> Story:
    """A call whose backend sends its head at 0.1 s and its event at 2.1 s; the client has the head at `head`."""
    story, asked = Story(), call(manner="sse-late-event")
    behind = story.exchange(backend=True, request=asked, sse=[], how=None, t=0.05, after=0.05)
    story.item(behind, text("𝄞"), t=2.1)
    story.end(behind, t=2.11)
    story.exchange(request=asked, t=0.0, after=head, **({"sse": [text("𝄞")]} | more))
    return story


def test_604_the_head_comes_first() -> None:
    assert isinstance(verdict("MGC604", late(0.2)), Pass)


def test_604_the_head_waits_for_the_event() -> None:
    held = failure("MGC604", late(2.15))
    assert (held.charged_to, held.symptom) == (Hop.GATEWAY, "proxy-buffers-sse")


def test_604_the_harness_lagged() -> None:
    story = late(2.15)
    story.lag(1.5, t=1.0)
    assert isinstance(verdict("MGC604", story), Inconclusive)


def test_604_json_has_no_head_to_send_before_it() -> None:
    assert isinstance(verdict("MGC604", late(2.15, sse=None, response=text("𝄞"))), NotApplicable)


# MGC605 and 606 -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("events", "symptom"),
    [
        ([], "empty-200-stream"),
        ([": beat"], "empty-200-stream"),
        ([notification("notifications/message")], "middleware-breaks-stream"),
    ],
)
def test_605_a_stream_ends_without_the_answer(events: list[Any], symptom: str) -> None:
    story, asked = Story(), call()
    story.exchange(backend=True, request=asked, sse=[text("𝄞")], t=0.05)
    story.exchange(request=asked, sse=events, t=0.0, after=0.2)
    assert failure("MGC605", story).symptom == symptom


def test_605_streams_with_the_answer() -> None:
    story = Story()
    answered(story, "correct", got=text("𝄞"))
    assert isinstance(verdict("MGC605", story), Pass)


@pytest.mark.parametrize(("named", "wanted"), [(7, Pass), (8, Fail)])
def test_605_a_call_that_its_client_cancelled_is_owed_no_answer(named: int, wanted: type) -> None:
    story, asked = Story(), call()
    story.exchange(backend=True, request=asked, sse=[text("𝄞")], t=0.05)
    story.exchange(request=asked, sse=[], t=0.0, after=0.2, length=0.5)
    story.exchange(request=notification("notifications/cancelled", requestId=named), status=202, t=0.5)
    assert isinstance(verdict("MGC605", story), wanted)


@pytest.mark.parametrize("more", [{"sse": None, "response": text("𝄞")}, {"sse": None, "status": 500}])
def test_605_only_streams_are_judged(more: dict[str, Any]) -> None:
    story, asked = Story(), call()
    story.exchange(backend=True, request=asked, sse=[text("𝄞")], t=0.05)
    story.exchange(request=asked, t=0.0, after=0.2, **more)
    assert isinstance(verdict("MGC605", story), NotApplicable)


def test_606_a_stream_ends_with_the_answer() -> None:
    story = Story()
    answered(story, "correct", got=text("𝄞"))
    assert isinstance(verdict("MGC606", story), Pass)


def test_606_a_stream_stays_open_until_the_client_leaves() -> None:
    story = Story()
    answered(story, "correct", got=text("𝄞"), how="abandoned", length=2.1)
    assert failure("MGC606", story).charged_to is Hop.GATEWAY


def test_606_the_backend_does_the_same() -> None:
    story, asked = Story(), call()
    story.exchange(backend=True, request=asked, sse=[text("𝄞")], t=0.05, how="abandoned", length=2.3)
    story.exchange(request=asked, sse=[text("𝄞")], t=0.0, how="abandoned", length=2.3)
    assert failure("MGC606", story).charged_to is Hop.BACKEND


# MGC607 ---------------------------------------------------------------------------------------------------------------

SENT = (0.5, 0.75, 1.0, 1.25)


def spaced(*came: float, lag: float = 0.0) -> Story:
    """A call with four progress reports: sent at SENT, and those of the client came at `came`."""
    story = Story()
    also_spaced(story, *came)
    if lag:
        story.lag(lag, t=0.8)
    return story


def also_spaced(
    story: Story,
    *came: float,
    nonce: str = "n-1",
    reported: Callable[[int], Any] = int,
    begin: float = 0.0,
    backend_token: str = "",
    **front: Any,
) -> None:
    """Add such a call that begins later; backend_token: under which the gateway asks for its progress."""
    given: dict[str, Any] = {"sse": [], "how": None}
    tokens = backend_token or f"b-{nonce}", f"c-{nonce}"
    asked = [call(nonce, meta={"progressToken": token}) for token in tokens]
    behind = story.exchange(backend=True, session="b", request=asked[0], t=begin + 0.05, after=0.05, **given)
    before = story.exchange(request=asked[1], t=begin, after=0.1, **given, **front)
    for exchange, token, times in zip((behind, before), tokens, (SENT, came), strict=True):
        for number, t in enumerate(times):
            progress = notification("notifications/progress", progressToken=token, progress=reported(number))
            story.item(exchange, progress, t=begin + t)
    story.item(behind, text("𝄞"), t=begin + 1.5)
    story.item(before, text("𝄞"), t=begin + 1.6)
    story.end(behind, t=begin + 1.55)
    story.end(before, t=begin + 1.65)


def test_607_each_event_comes_in_time() -> None:
    through = spaced(*(t + 0.01 for t in SENT))
    found = verdict("MGC607", through, spaced(*SENT))
    assert isinstance(found, Pass)
    assert "without the gateway" in found.observed


def test_607_events_come_in_a_block() -> None:
    assert failure("MGC607", spaced(1.3, 1.3, 1.3, 1.3), spaced(*SENT)).symptom == "proxy-buffers-sse"


def test_607_events_that_compression_holds() -> None:
    story = spaced(*(t + 0.01 for t in SENT))
    also_spaced(story, 1.3, 1.3, 1.3, 1.3, nonce="n-2", response_headers={"Content-Encoding": "gzip"})
    assert "compressed (gzip)" in failure("MGC607", story, spaced(*SENT)).observed


def test_607_the_harness_lagged() -> None:
    assert isinstance(verdict("MGC607", spaced(0.8, 0.85, 1.05, 1.3, lag=0.5), spaced(*SENT)), Inconclusive)


def test_607_no_progress_at_all_is_another_rules() -> None:
    assert isinstance(verdict("MGC607", spaced(), spaced(*SENT)), NotApplicable)


def test_607_two_calls_may_share_a_token_at_the_backend() -> None:
    story = Story()
    for number, nonce in enumerate(("n-1", "n-2")):
        also_spaced(story, *(t + 0.01 for t in SENT), nonce=nonce, begin=2.0 * number, backend_token="one")
    assert isinstance(verdict("MGC607", story, spaced(*SENT)), Pass)


def test_607_what_is_reported_as_progress_may_be_no_number() -> None:
    story = Story()
    also_spaced(story, *SENT, reported=lambda number: {"of": number})
    assert isinstance(verdict("MGC607", story, spaced(*SENT)), NotApplicable)


# MGC608 ---------------------------------------------------------------------------------------------------------------


def beside(answer: Any, until: float) -> Story:
    story = Story()
    story.exchange("unread", request=call(manner="sse-flood"), sse=[text("x")], t=0.0, length=8.0)
    story.exchange("reader", request=call("n-2"), t=1.0, length=until, how="complete" if answer else "abandoned",
                   **({"sse": [answer]} if answer else {"status": None}))  # fmt: skip
    story.stimulus("reads-again", t=7.0, client="unread")
    return story


@pytest.mark.parametrize("until", [0.1, 5.9])
def test_608_others_are_answered_beside_it(until: float) -> None:
    assert isinstance(verdict("MGC608", beside(text("y"), until)), Pass)


@pytest.mark.parametrize("answer", [None, error(7)])
def test_608_others_wait_for_it(answer: Any) -> None:
    assert isinstance(verdict("MGC608", beside(answer, 5.0)), Fail)


@pytest.mark.parametrize("lag", [0.0, 1.0])
def test_608_others_are_refused_at_once_beside_it(lag: float) -> None:
    story = beside(error(7, -32000), 0.05)
    story.lag(lag, t=1.0)
    found = failure("MGC608", story)
    assert found.charged_to is Hop.GATEWAY
    assert "-32000" in found.observed


@pytest.mark.parametrize("how", ["complete", "rst"])
def test_608_others_get_503_or_a_reset_beside_it(how: str) -> None:
    story = Story()
    story.exchange("unread", request=call(manner="sse-flood"), sse=[text("x")], t=0.0, length=8.0)
    story.exchange("reader", request=call("n-2"), t=1.0, status=503 if how == "complete" else None, body="no", how=how)
    story.stimulus("reads-again", t=7.0, client="unread")
    assert isinstance(verdict("MGC608", story), Fail)


def test_608_a_client_that_gives_up_early_shows_nothing() -> None:
    assert isinstance(verdict("MGC608", beside(None, 0.05)), Inconclusive)


@pytest.mark.parametrize(
    ("asked", "after", "wanted"),
    [
        (1.0, 5.5, Pass),  # late, and in its own time: the gateway was busy, and nobody waited for the reader
        (3.0, 4.1, Fail),  # once the other read on
        (6.995, 0.02, Inconclusive),
    ],
)
def test_608_an_answer_that_comes_late_or_once_the_other_reads_on(asked: float, after: float, wanted: type) -> None:
    story = Story()
    story.exchange("unread", request=call(manner="sse-flood"), sse=[text("x")], t=0.0, length=8.0)
    story.exchange("reader", request=call("n-2"), sse=[text("y")], t=asked, after=after)
    story.stimulus("reads-again", t=7.0, client="unread")
    assert isinstance(verdict("MGC608", story), wanted)


def test_608_a_lag_of_the_harness_decides_nothing() -> None:
    story = Story()
    story.exchange("unread", request=call(manner="sse-flood"), sse=[text("x")], t=0.0, length=8.0)
    story.exchange("reader", request=call("n-2"), sse=[text("y")], t=4.0, after=3.1)
    story.lag(1.0, t=4.5)
    story.stimulus("reads-again", t=7.0, client="unread")
    assert isinstance(verdict("MGC608", story), Inconclusive)


def test_608_nobody_was_beside_it() -> None:
    story = Story()
    story.exchange("unread", request=call(manner="sse-flood"), sse=[text("x")], length=8.0)
    assert isinstance(verdict("MGC608", story), NotExercised)
