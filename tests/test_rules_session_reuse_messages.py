"""Family session_reuse on hand-written evidence: answers that go to who asked, and in which form."""

from __future__ import annotations

from typing import Any

import pytest

from conformance.evidence.events import Hop
from conformance.rules.verdicts import Inconclusive, NotExercised, Pass
from tests.evidence_builder import RESULT, Story, error, notification, request, result
from tests.test_rules_session_reuse import connected, failure, through_both, verdict
from tests.test_rules_session_reuse_backend import two_clients

# MGC213 --------------------------------------------------------------------------------------------------------------


def together(first: dict[str, Any] | None, second: dict[str, Any] | None, *, id: Any = 7) -> Story:
    """Two clients call at once under one id, with nonces n-a and n-b; what each of them gets."""
    story = two_clients()
    begin = story.now
    for client, answer in (("a", first), ("b", second)):
        asked = request("tools/call", id, name="slow", arguments={"nonce": f"n-{client}"})
        story.exchange(client, session=client, request=asked, sse=[answer] if answer else [], t=begin, after=1.0)
    story.at(begin + 1.1)
    return story


def slow(nonce: str, id: Any = 7) -> dict[str, Any]:
    return result(id, content=[{"type": "text", "text": f'{{"nonce": "{nonce}"}}'}])


def test_213_each_its_own() -> None:
    assert isinstance(verdict("MGC213", together(slow("n-a"), slow("n-b")).transcript()), Pass)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (slow("n-b"), slow("n-a")),
        (slow("n-a"), slow("n-a")),
        (slow("n-a", 8), slow("n-b")),
        (slow("n-a", "7"), slow("n-b")),
        (slow("n-a", None), slow("n-b", None)),
        (result(7, structuredContent={"nonce": "n-b"}), None),
    ],
)
def test_213_crossed(first: dict[str, Any], second: dict[str, Any] | None) -> None:
    found = failure("MGC213", together(first, second))
    assert (found.charged_to, found.symptom) == (Hop.GATEWAY, "response-crosswire")


def test_213_an_error_without_an_id_and_content_that_is_no_list_are_no_crossing() -> None:
    story = together(slow("n-a"), slow("n-b"))
    call_a = request("tools/call", 7, name="slow", arguments={"nonce": "n-c"})
    for answer in (error(None), result(7, content=True)):
        story.exchange("a", session="a", request=call_a, sse=[answer])
    assert isinstance(verdict("MGC213", story.transcript()), Pass)


def test_213_a_backend_that_crosses_is_to_blame() -> None:
    story = two_clients()
    begin = story.now
    for client, nonce in (("a", "n-b"), ("b", "n-a")):
        asked = request("tools/call", 7, name="slow", arguments={"nonce": f"n-{client}"})
        story.exchange(client, session=client, request=asked, sse=[slow(nonce)], t=begin, after=1.0)
        story.exchange(
            backend=True, session=f"upstream-{client}", request=asked, sse=[slow(nonce)], t=begin + 0.2, after=0.5
        )
    assert failure("MGC213", story).charged_to is Hop.BACKEND


def test_213_one_after_the_other_is_not_exercised() -> None:
    story = two_clients()
    story.call("a", nonce="n-a", session="a")
    story.call("b", nonce="n-b", session="b")
    assert isinstance(verdict("MGC213", story.transcript()), NotExercised)


def test_213_too_few_answers() -> None:
    assert isinstance(verdict("MGC213", together(slow("n-a"), None).transcript()), Inconclusive)


# MGC214 and MGC215 ---------------------------------------------------------------------------------------------------


def test_214_accepted() -> None:
    story = connected()
    story.exchange(request=notification("notifications/x"), session="s-1", status=400)
    assert isinstance(verdict("MGC214", story.transcript()), Pass)


@pytest.mark.parametrize(
    ("answer", "symptom"),
    [
        ({"status": 200, "sse": []}, "empty-200-stream"),
        ({"status": 200, "response": result(1)}, "http-form-mishandled"),
        ({"status": 202, "response": result(1)}, "http-form-mishandled"),
        ({"status": 202, "body": "Accepted"}, "http-form-mishandled"),
        ({"status": 204}, "http-form-mishandled"),
        ({"status": 200, "body": "<html>", "response_headers": {"Content-Type": "text/html"}}, "wrong-route-html"),
    ],
)
def test_214_not_202_or_not_empty(answer: dict[str, Any], symptom: str) -> None:
    story = connected()
    story.exchange(request=notification("notifications/x"), session="s-1", **answer)
    found = failure("MGC214", story)
    assert (found.charged_to, found.symptom) == (Hop.GATEWAY, symptom)


def test_214_a_backend_that_answers_so_is_to_blame() -> None:
    story = connected()
    through_both(story, request=notification("notifications/x"), session="s-1", status=200, response=result(1))
    assert failure("MGC214", story).charged_to is Hop.BACKEND


def test_215_either_form() -> None:
    story = connected()
    story.listing(sse=None, response=result(1, tools=[]))
    story.listing(sse=None, status=404, body="<html>", response_headers={"Content-Type": "text/html"})
    found = verdict("MGC215", story.transcript())
    assert isinstance(found, Pass)
    assert "application/json and text/event-stream" in found.observed


@pytest.mark.parametrize(
    ("answer", "symptom"),
    [
        ({"body": "<html>", "response_headers": {"Content-Type": "text/html"}}, "wrong-route-html"),
        ({"status": 202}, "empty-200-stream"),
        ({"response": result(1), "response_headers": {"Content-Type": "text/plain"}}, ""),
    ],
)
def test_215_neither(answer: dict[str, Any], symptom: str) -> None:
    story = connected()
    story.listing(**{"sse": None, **answer})
    found = failure("MGC215", story)
    assert (found.charged_to, found.symptom) == (Hop.GATEWAY, symptom)


def test_215_a_backend_that_answers_so_is_to_blame() -> None:
    story = connected()
    html = {"Content-Type": "text/html"}
    through_both(story, request=request("tools/list"), session="s-1", body="<html>", response_headers=html)
    assert failure("MGC215", story).charged_to is Hop.BACKEND


def test_215_initialize_counts() -> None:
    story = Story()
    story.initialize(sse=None, response=result(0, **RESULT), response_headers={"Content-Type": "text/html"})
    assert failure("MGC215", story).symptom == "wrong-route-html"
