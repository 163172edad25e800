"""The rules of suite get_sse about the gateway as client of a stream that ended early, on hand-written evidence."""

import pytest

from conformance.rules.verdicts import Fail, Inconclusive, NotExercised, Pass
from tests.evidence_builder import error
from tests.resumption_stories import ANSWER, back, call, connected, primed, verdict

CLOSED, ASKED = 1.1, 0.7


def closed(*, how="complete", retry=700, ids=("e-0",)):
    """The backend ends the stream of a call at CLOSED, after events with ids."""
    story = connected()
    front = call(story, 1.0)
    behind = call(story, 1.01, backend=True, session="b-1")
    for number, event_id in enumerate(ids):
        primed(story, behind, event_id, 1.02 + number / 100, retry=retry)
    story.end(behind, how, t=CLOSED)
    return story, front


def watched(story, front=None, answer=None, t=9.0):
    if front is not None:
        story.item(front, answer, t=t - 0.1)
        story.end(front, t=t)
    story.at(t).stimulus("call.over")
    return story


@pytest.mark.parametrize(("rule_id", "how"), [("MGC313", "complete"), ("MGC315", "fin"), ("MGC315", "rst")])
def test_313_315_who_comes_back_passes(rule_id, how):
    story, front = closed(how=how, ids=("e-0", "e-1"))
    back(story, 1.9, "e-1", backend=True, session="b-1")
    assert isinstance(verdict(rule_id, watched(story, front, ANSWER)), Pass)


@pytest.mark.parametrize(("rule_id", "how"), [("MGC313", "complete"), ("MGC315", "rst")])
def test_313_315_who_never_comes_back_fails(rule_id, how):
    story, _ = closed(how=how)
    found = verdict(rule_id, watched(story))
    assert isinstance(found, Fail)
    assert "did not come back" in found.observed


@pytest.mark.parametrize(("rule_id", "how"), [("MGC313", "complete"), ("MGC315", "rst")])
def test_313_315_who_answers_instead_has_given_up(rule_id, how):
    story, front = closed(how=how)
    assert isinstance(verdict(rule_id, watched(story, front, error(1), t=1.3)), Fail)


@pytest.mark.parametrize(("rule_id", "how"), [("MGC313", "complete"), ("MGC315", "rst")])
def test_313_315_a_short_recording_shows_nothing(rule_id, how):
    story, _ = closed(how=how)
    assert isinstance(verdict(rule_id, watched(story, t=3.0)), Inconclusive)


@pytest.mark.parametrize(("rule_id", "how"), [("MGC313", "complete"), ("MGC315", "rst")])
def test_313_315_nobody_comes_back_in_a_session_that_its_client_ended(rule_id, how):
    story, _ = closed(how=how)
    story.exchange(method="DELETE", session="s-1", t=1.5)
    assert isinstance(verdict(rule_id, watched(story)), Inconclusive)


@pytest.mark.parametrize("rule_id", ["MGC313", "MGC315"])
def test_313_315_lag_decides_nothing(rule_id):
    story, _ = closed(how="complete" if rule_id == "MGC313" else "rst")
    story.lag(4.0, t=5.0)
    assert isinstance(verdict(rule_id, watched(story)), Inconclusive)


@pytest.mark.parametrize(("rule_id", "how"), [("MGC313", "complete"), ("MGC315", "rst")])
def test_313_315_the_last_id_counts(rule_id, how):
    story, front = closed(how=how, ids=("e-0", "e-1"))
    back(story, 1.9, "e-0", backend=True, session="b-1")
    found = verdict(rule_id, watched(story, front, ANSWER))
    assert isinstance(found, Fail)
    assert "'e-0'" in found.observed


@pytest.mark.parametrize("rule_id", ["MGC313", "MGC315"])
def test_313_315_without_an_id_there_is_nothing_to_resume(rule_id):
    story, _ = closed(how="complete" if rule_id == "MGC313" else "rst", ids=())
    assert isinstance(verdict(rule_id, watched(story)), NotExercised)


@pytest.mark.parametrize("rule_id", ["MGC313", "MGC314"])
def test_313_314_older_revisions_know_no_polling(rule_id):
    story, _ = closed()
    assert verdict(rule_id, watched(story), revision="2025-06-18").name == "not-applicable"


@pytest.mark.parametrize(
    ("pause", "lag", "wanted"),
    [(0.75, 0.0, Pass), (0.69, 0.0, Pass), (0.003, 0.0, Fail), (0.6, 0.0, Fail), (0.6, 0.2, Inconclusive)],
)
def test_314_the_asked_time_is_waited_out(pause, lag, wanted):
    story, front = closed()
    back(story, CLOSED + pause, "e-0", backend=True, session="b-1")
    if lag:
        story.lag(lag, t=1.5)
    assert isinstance(verdict("MGC314", watched(story, front, ANSWER)), wanted)


def test_314_the_time_is_that_of_get_streams_too():
    story = connected()
    stream = story.exchange(backend=True, method="GET", session="b-1", sse=[], how=None, t=1.0)
    primed(story, stream, "g-1", 2.0, retry=700)
    story.end(stream, t=2.01)
    back(story, 2.1, "g-1", backend=True, session="b-1")
    assert isinstance(verdict("MGC314", story), Fail)


def test_314_nothing_was_asked():
    story, front = closed(retry=None)
    back(story, CLOSED + 0.001, "e-0", backend=True, session="b-1")
    assert isinstance(verdict("MGC314", watched(story, front, ANSWER)), NotExercised)
