"""Hand-written evidence against the lifecycle tables."""

import pytest
from evidence_builder import Story, error, request, result

from conformance.evidence.events import Hop
from conformance.search.model import BEGIN, departures
from conformance.spec.catalogue import Level


def kinds(story):
    return [item.kind for item in departures(story.transcript())]


def story(issues_ids=True):
    begun = Story()
    begun.stimulus(BEGIN, issues_ids=issues_ids)
    return begun


def test_a_whole_legal_lifecycle():
    told = story()
    told.connect()
    stream = told.exchange(method="GET", session="s-1", status=200, sse=[], how=None)
    told.listing()
    told.exchange(method="GET", session="s-1", status=409)
    told.end(stream, "abandoned")
    told.at(told.now + 1).exchange(method="GET", session="s-1", status=409)
    told.exchange(method="DELETE", session="s-1", status=204)
    told.listing(status=404, sse=None)
    told.exchange(method="GET", session="s-1", status=405)
    assert kinds(told) == []


def test_an_ended_session_that_is_still_served():
    told = story()
    told.connect()
    told.exchange(method="DELETE", session="s-1", status=200)
    told.listing()
    (found,) = departures(told.transcript())
    assert found.kind == "request in state ended: result"
    assert (found.level, found.rows, found.charged_to) == (Level.MUST, ("SESSION-06",), Hop.GATEWAY)


@pytest.mark.parametrize(
    ("sent", "kind"),
    [
        ({"request": request("tools/list"), "sse": [result()]}, "request in state stranger: result"),
        ({"request": request("tools/list"), "status": 500, "response": error()}, "request in state stranger: 5xx"),
        ({"request": request("tools/list"), "session": "nobody", "status": 400}, "request in state unknown: 400"),
        ({"method": "GET", "sse": [], "how": None}, "GET in state stranger: stream"),
        ({"method": "DELETE", "session": "nobody"}, "DELETE in state unknown: 2xx"),
        ({"request": request("initialize"), "sse": []}, "malformed initialize in state stranger: no answer"),
        ({"body": "x"}, "malformed message in state stranger: 2xx"),
        ({"request": request("ping"), "status": None, "how": "fin"}, "ping in state stranger: no answer"),
    ],
)
def test_what_departs_outside_sessions(sent, kind):
    told = story()
    told.exchange(**sent)
    assert kinds(told) == [kind]


@pytest.mark.parametrize("status", [400, 404, 405, 422, 429, 503])
def test_what_a_stranger_may_be_told(status):
    told = story()
    told.exchange(request=request("tools/list"), status=status)
    assert kinds(told) == []


def test_a_lost_session_is_told_once():
    told = story()
    told.connect()
    told.listing(status=404, sse=None)
    told.listing(status=404, sse=None)
    (found,) = departures(told.transcript())
    assert (found.kind, found.level) == ("request in state ready: 404", Level.PRACTICE)


def test_a_request_before_initialized_may_be_refused_or_served():
    for answer in ({}, {"status": 400, "sse": None}, {"sse": [error()]}):
        told = story()
        told.initialize()
        told.listing(**answer)
        assert kinds(told) == []


def test_a_get_that_is_refused_outright():
    told = story()
    told.connect()
    told.exchange(method="GET", session="s-1", status=409)
    assert kinds(told) == ["GET in state ready: 409"]


def test_a_second_initialize_is_refused_or_answered():
    for answer in ({"status": 400, "sse": None, "issue_session": None}, {"issue_session": "s-1"}):
        told = story()
        told.connect()
        told.initialize(headers={"Mcp-Session-Id": "s-1"}, **{"session": None, **answer})
        told.listing()
        assert kinds(told) == []


def test_an_id_that_is_issued_twice():
    told = story()
    told.connect("a")
    told.initialize("b", session="s-1")
    assert kinds(told) == ["initialize in state stranger: an id that was issued before"]


def test_without_ids_there_are_no_sessions():
    told = story(issues_ids=False)
    told.connect(session=None)
    told.listing(session=None)
    told.exchange(method="DELETE", status=405)
    told.exchange(request=request("tools/list"), status=500)
    assert kinds(told) == ["request in state sessionless: 5xx"]


def test_what_the_harness_lagged_over_is_nobodys():
    told = story()
    told.exchange(request=request("ping"), status=None, how="abandoned", length=1.0)
    told.lag(0.9)
    assert kinds(told) == []


def test_what_the_backend_does_is_the_backends():
    told = story()
    told.connect()
    told.connect(backend=True, session="b-1")
    told.exchange(method="DELETE", session="s-1", status=200)
    told.exchange(method="DELETE", backend=True, session="b-1", status=200)
    begun = told.now
    told.exchange(request=request("ping"), session="s-1", status=400, t=begun, after=0.5)
    told.exchange(request=request("ping"), session="b-1", status=400, backend=True, t=begun + 0.1)
    (found,) = departures(told.transcript())
    assert found.charged_to is Hop.BACKEND


def test_a_gateway_that_uses_a_live_session_of_the_backend_has_itself_to_blame():
    told = story()
    told.connect()
    told.exchange(method="DELETE", session="s-1", status=200)
    told.connect(backend=True, session="b-2")
    begun = told.now
    told.exchange(request=request("ping"), session="s-1", sse=[result()], t=begun, after=0.5)
    told.exchange(request=request("ping"), session="b-2", sse=[result()], backend=True, t=begun + 0.1)
    (found,) = departures(told.transcript())
    assert found.charged_to is Hop.GATEWAY
