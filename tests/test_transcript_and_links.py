import pytest

from conformance.evidence.links import Basis, linked_exchange, links
from conformance.evidence.transcript import SENTINEL
from tests.evidence_builder import Story, error, notification, request, result


def test_an_exchange_is_whole():
    story = Story()
    story.initialize()
    exchange = story.call(sse=["beat", notification("notifications/message"), result(1, content=[])])
    transcript = story.transcript()
    found = next(item for item in transcript.client("a") if item.id == exchange)
    assert (found.status, found.how, found.session, found.rpc_method) == (200, "complete", "s-1", "tools/call")
    assert [beat.what for beat in found.beats] == ["comment", "event", "event"]
    assert found.answer().result == {"content": []}


def test_the_sentinel_is_no_client_of_the_scenario():
    story = Story()
    story.initialize(SENTINEL)
    story.initialize("a")
    assert [item.tap for item in story.transcript().client()] == ["client:a"]


def test_backend_sessions_of_both_transports():
    story = Story()
    story.connect(backend=True, session="b-1")
    story.stdio_start()
    story.stdio("up", request("initialize", 0))
    story.stdio("down", result(0))
    story.stdio_exit(code=3)
    transcript = story.transcript()
    http, stdio = transcript.backend_sessions
    assert (http.transport, http.key, [m.method for m in http.up()]) == (
        "http",
        "b-1",
        ["initialize", "notifications/initialized"],
    )
    assert (stdio.transport, stdio.response_to(stdio.up("initialize")[0]).result) == ("stdio", {})
    assert transcript.processes[0].code == 3


def test_where_no_session_id_is_issued_each_handshake_begins_a_session():
    story = Story()
    for _ in range(2):
        story.initialize(backend=True, session=None, conn=4)
        story.listing(backend=True, session=None, conn=4)
    story.listing(backend=True, session=None, conn=5)
    sessions = story.transcript().backend_sessions
    assert [[m.method for m in item.up()] for item in sessions] == [
        ["initialize", "tools/list"],
        ["initialize", "tools/list"],
        ["tools/list"],
    ]
    assert len({item.key for item in sessions}) == 3


@pytest.mark.parametrize(("message", "is_answer"), [(error(None), True), (result(None, content=[]), False)])
def test_only_an_error_answers_without_an_id(message, is_answer):
    story = Story()
    story.call(sse=[message])
    assert (story.transcript().client()[0].answer() is not None) is is_answer


def test_the_messages_of_a_batch_are_seen_one_by_one_on_a_stream_as_in_a_body():
    both = [result(1, content=[]), result(2, content=[])]
    story = Story()
    story.call(sse=[both])
    story.call(response=both, sse=None)
    for exchange in story.transcript().client():
        assert [item.id for item in exchange.messages()] == [1, 2]
        assert exchange.answer().id == 1


def test_when_a_client_left():
    story = Story()
    stream = story.exchange(method="GET", sse=[], how=None)
    left = story.leave(stream)
    transcript = story.transcript()
    assert transcript.left_at(transcript.client()[0]) == left


def test_the_worst_lag_around_a_time():
    story = Story()
    story.lag(0.5, t=1.0)
    story.lag(2.0, t=10.0)
    transcript = story.transcript()
    assert transcript.lag(0.5, 1.5) == 0.5
    assert transcript.lag(4.0, 5.0) == 0.0


def test_what_a_gateway_waited_for_a_processor_is_added_up():
    story = Story()
    story.lag(0.5, t=1.0)
    for number in range(4):
        story.processor_wait(0.25, t=1.0 + number / 2)
    transcript = story.transcript()
    assert transcript.lag(0.9, 2.5) == 1.0
    assert transcript.lag(1.9, 2.0) == 0.5
    assert transcript.lag(4.0, 5.0) == 0.0


def test_a_nonce_links_whatever_else_is_in_flight():
    story = Story()
    story.call("a", nonce="one", t=0.0, after=1.0)
    story.call("b", nonce="two", t=0.1, after=1.0)
    story.call(backend=True, nonce="two", session="b-1", t=0.2)
    found = links(story.transcript())
    assert [(link.client.tap, link.basis) for link in found] == [("client:b", Basis.NONCE)]


def test_the_sole_exchange_in_flight_links():
    story = Story()
    story.listing(t=0.0, after=1.0)
    backend = story.listing(backend=True, session="b-1", t=0.5)
    transcript = story.transcript()
    assert [link.basis for link in links(transcript)] == [Basis.SOLE_IN_FLIGHT]
    assert linked_exchange(transcript, transcript.client()[0]).id == backend


def test_what_is_ambiguous_does_not_link():
    story = Story()
    story.listing("a", t=0.0, after=1.0)
    story.listing("b", t=0.1, after=1.0)
    story.listing(backend=True, session="b-1", t=0.5)
    transcript = story.transcript()
    assert links(transcript) == ()
    assert linked_exchange(transcript, transcript.client()[0]) is None


def test_a_get_links_by_method_when_it_is_alone():
    story = Story()
    story.exchange(method="GET", t=0.0, after=1.0, status=405)
    backend = story.exchange(method="GET", backend=True, t=0.5, status=405)
    transcript = story.transcript()
    assert linked_exchange(transcript, transcript.client()[0]).id == backend


def test_a_stream_links_though_requests_were_made_beside_it():
    story = Story()
    story.exchange(method="GET", t=0.0, after=0.2, sse=[], length=5.0)
    backend = story.exchange(method="GET", backend=True, t=0.1, after=0.05, sse=[], length=5.0)
    story.listing(t=1.0)
    transcript = story.transcript()
    assert linked_exchange(transcript, transcript.client()[0]).id == backend


def test_what_the_gateway_opens_after_it_answered_a_get_is_its_own():
    story = Story()
    story.exchange(method="GET", t=0.0, after=0.2, sse=[], length=5.0)
    story.exchange(method="GET", backend=True, t=1.0, sse=[], length=3.0)
    transcript = story.transcript()
    assert linked_exchange(transcript, transcript.client()[0]) is None
