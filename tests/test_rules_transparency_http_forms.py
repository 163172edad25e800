"""The rules of suite transparency on the form of messages, on hand-written evidence."""

import pytest

from conformance.evidence.events import Hop
from conformance.rules.all import rule_named
from conformance.rules.base import Inputs, judge
from conformance.rules.verdicts import Fail, NotApplicable, NotExercised, Pass
from tests.evidence_builder import Story, error, notification, request, result

FORMS = ["MGC726", "MGC727", "MGC728", "MGC729", "MGC730", "MGC731", "MGC732", "MGC733"]
BOTH = {"Accept": "application/json, text/event-stream"}
BEFORE_2025_06_18 = {"MGC729"}


def verdict(rule_id, story, **header):
    revision = "2025-03-26" if rule_id in BEFORE_2025_06_18 else "2025-11-25"
    return judge(rule_named(rule_id), Inputs(story.transcript(revision=revision, **header)))


@pytest.mark.parametrize("rule_id", FORMS)
def test_nothing_seen_is_not_exercised(rule_id):
    assert isinstance(verdict(rule_id, Story()), NotExercised)


def posted(message, **more):
    """What the gateway sends: initialize, then one message."""
    story = Story()
    story.initialize(backend=True, session="b-1", headers=BOTH)
    given = {"request": message, "session": "b-1", "status": 202, "headers": BOTH}
    story.exchange(backend=True, **(given | more))
    return story


INITIALIZED = notification("notifications/initialized")


@pytest.mark.parametrize("rule_id", ["MGC726", "MGC727", "MGC728"])
@pytest.mark.parametrize("message", [INITIALIZED, result(3), error(3), request("ping", 4)])
def test_a_message_as_it_should_be(rule_id, message):
    assert isinstance(verdict(rule_id, posted(message)), Pass)


@pytest.mark.parametrize("form", [{"method": "PUT"}, {"target": "/mcp/messages"}])
def test_726_another_method_or_path(form):
    assert isinstance(verdict("MGC726", posted(INITIALIZED, **form)), Fail)


def test_726_a_query_is_no_other_path():
    assert isinstance(verdict("MGC726", posted(INITIALIZED, target="/mcp?key=1")), Pass)


def test_726_where_a_backend_redirects_to_is_its_affair():
    story = posted(INITIALIZED, status=307)
    story.exchange(backend=True, request=INITIALIZED, target="/mcp/", status=202, headers=BOTH)
    assert isinstance(verdict("MGC726", story), Pass)


@pytest.mark.parametrize("rule_id", ["MGC726", "MGC727", "MGC728"])
@pytest.mark.parametrize(
    ("target", "body"), [("/register", {"request": {"client_name": "g"}}), ("/token", {"request_body": "grant_type=x"})]
)
def test_what_is_posted_for_a_sign_in_is_no_message(rule_id, target, body):
    story = posted(None, target=target, headers={"Accept": "application/json"}, **body)
    assert isinstance(verdict(rule_id, story), Pass)


@pytest.mark.parametrize(
    ("rule_id", "sent"),
    [
        ("MGC726", {"target": "/token", "request": INITIALIZED}),
        ("MGC727", {"target": "/token", "request": INITIALIZED}),
        ("MGC727", {"request_body": "grant_type=x"}),
        ("MGC728", {"request_body": "grant_type=x"}),
    ],
)
def test_a_message_is_judged_wherever_it_goes_and_the_endpoint_whatever_it_gets(rule_id, sent):
    story = posted(None, headers={"Accept": "application/json"}, **sent)
    assert isinstance(verdict(rule_id, story), Fail)


@pytest.mark.parametrize("accept", ["*/*", "application/json", ""])
def test_727_one_type_is_missing(accept):
    assert isinstance(verdict("MGC727", posted(result(3), headers={"Accept": accept})), Fail)


@pytest.mark.parametrize("body", [[INITIALIZED], {"method": "ping"}, {"jsonrpc": "2.0", "id": 1}])
def test_728_what_is_not_one_message(body):
    assert isinstance(verdict("MGC728", posted(body)), Fail)


def test_728_what_a_client_had_posted_is_the_clients():
    story = posted([INITIALIZED])
    story.exchange(request=[INITIALIZED], session="s-1", status=400, response={})
    assert isinstance(verdict("MGC728", story), Pass)


BATCH = [request("ping", 1), request("ping", 2)]
ANSWERS = [result(1), result(2)]


def batch(**answer):
    story = Story()
    story.connect()
    story.exchange(request=BATCH, session="s-1", t=1.0, after=0.5, **answer)
    return story


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        ({"response": ANSWERS}, Pass),
        ({"sse": ANSWERS}, Pass),
        ({"sse": [ANSWERS]}, Pass),
        ({"response": ANSWERS[::-1]}, Pass),
        ({"response": ANSWERS[:1]}, Fail),
        ({"response": [result("1"), result("2")]}, Fail),
        ({"status": 400, "response": error(None, -32600)}, Fail),
    ],
)
def test_729_each_request_of_a_batch_is_answered(answer, wanted):
    assert isinstance(verdict("MGC729", batch(**answer)), wanted)


def test_729_a_backend_that_refuses_the_batch_is_to_blame():
    refused = {"status": 400, "response": error(None, -32600)}
    story = batch(**refused)
    story.exchange(backend=True, request=BATCH, session="b-1", t=1.1, **refused)
    assert verdict("MGC729", story).charged_to is Hop.BACKEND


def test_729_holds_for_one_revision():
    found = judge(rule_named("MGC729"), Inputs(batch(response=ANSWERS).transcript()))
    assert isinstance(found, NotApplicable)


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        ({"status": 400, "response": error(None, -32600)}, Pass),
        ({"response": error(None, -32600)}, Pass),
        ({"response": ANSWERS}, Pass),
        ({"sse": ANSWERS[:1]}, Fail),
        ({"response": [result("1"), result("2")]}, Fail),
        ({"status": 202}, Fail),
        ({"sse": []}, Fail),
        ({"status": 500}, Fail),
        ({"status": None, "how": "abandoned"}, Fail),
    ],
)
def test_730_an_array_is_not_lost(answer, wanted):
    assert isinstance(verdict("MGC730", batch(**answer)), wanted)


def test_730_an_empty_stream_is_one():
    assert verdict("MGC730", batch(sse=[])).symptom == "empty-200-stream"


def test_730_what_the_backend_loses_is_its_own_loss():
    story = batch(status=202)
    story.exchange(backend=True, request=BATCH, session="b-1", status=202, t=1.1)
    assert verdict("MGC730", story).charged_to is Hop.BACKEND


STRAY = notification("notifications/cancelled", requestId=1)
MALFORMED = {"jsonrpc": "2.0", "method": 7}


def stray(body=STRAY, session="unknown", **answer):
    story = Story()
    story.connect()
    story.exchange(request=body, session=session, t=1.0, after=0.5, **answer)
    return story


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [({"status": 404}, Pass), ({"status": 400, "response": error(None)}, Pass), ({"status": 202}, Fail)],
)
@pytest.mark.parametrize(
    ("body", "session", "symptom"),
    [(STRAY, "unknown", "unknown-session-wrong-status"), (MALFORMED, "s-1", "error-misclassified")],
)
def test_731_a_notification_that_cannot_be_accepted(body, session, symptom, answer, wanted):
    found = verdict("MGC731", stray(body, session, **answer))
    assert isinstance(found, wanted)
    assert wanted is Pass or found.symptom == symptom


def test_731_a_hang_is_no_error_status():
    assert isinstance(verdict("MGC731", stray(status=None, how="abandoned")), Fail)


def test_731_what_the_backend_accepts_is_its_own_affair():
    story = stray(MALFORMED, "s-1", status=202)
    story.exchange(backend=True, request=MALFORMED, session="b-1", status=202, t=1.1)
    assert verdict("MGC731", story).charged_to is Hop.BACKEND


def test_731_without_sessions_no_session_is_unknown():
    story = Story()
    story.initialize(session=None)
    story.exchange(request=STRAY, session="unknown", status=202)
    assert isinstance(verdict("MGC731", story), NotExercised)


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        ({"response": error(None)}, Pass),
        ({"response": {"detail": "not found"}}, Pass),
        ({"response": error("server-error")}, Fail),
    ],
)
def test_732_the_refusal_has_no_id(answer, wanted):
    assert isinstance(verdict("MGC732", stray(status=404, **answer)), wanted)


def form(headers, **answer):
    story = Story()
    story.connect()
    story.stimulus("request.form", headers=headers)
    story.listing(t=1.0, after=0.5, headers={**BOTH, "Content-Type": "application/json", **headers}, **answer)
    return story


REFUSED = {"sse": None, "response": error()}
CODED = {"Accept-Encoding": "gzip, deflate"}
CHARSET = {"Content-Type": "application/json; charset=utf-8"}


@pytest.mark.parametrize(
    ("headers", "answer", "symptom"),
    [
        (CHARSET, {}, None),
        (CHARSET, REFUSED | {"status": 415}, "http-form-mishandled"),
        (CODED, {}, None),
        (CODED, {"sse": None, "body": "\x1f\x8b"}, "http-form-mishandled"),
        ({"Accept": "application/json;q=0.9, text/event-stream"}, REFUSED | {"status": 406}, "accept-406"),
    ],
)
def test_733_header_forms_are_read(headers, answer, symptom):
    found = verdict("MGC733", form(headers, **answer))
    assert isinstance(found, Pass if symptom is None else Fail)
    assert symptom is None or found.symptom == symptom


def test_733_a_backend_that_does_not_read_them_is_to_blame():
    story = form(CHARSET, **REFUSED, status=415)
    story.listing(backend=True, session="b-1", t=1.1, **REFUSED, status=415)
    assert verdict("MGC733", story).charged_to is Hop.BACKEND
