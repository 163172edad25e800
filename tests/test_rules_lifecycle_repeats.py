"""Repeated and crowded initializes, versions of both legs, and sessions over restarts, on hand-written evidence."""

from __future__ import annotations

from typing import Any

import pytest

from conformance.diagnosis.classify import classify
from conformance.evidence.events import Hop, Kind, Point
from conformance.rules.all import rule_named
from conformance.rules.base import Inputs, judge
from conformance.rules.verdicts import Fail, Inconclusive, NotApplicable, NotExercised, Pass, Verdict
from tests.evidence_builder import RESULT, Story, error, request, result

CLIENT = {"name": "c", "version": "1"}


def verdict(rule_id: str, story: Story, **header: Any) -> Verdict:
    rule = rule_named(rule_id)
    assert rule is not None
    return judge(rule, Inputs(story.transcript(**header)))


def failure(rule_id: str, story: Story) -> Fail:
    found = verdict(rule_id, story)
    assert isinstance(found, Fail), found
    return found


def asking(id: Any = 1, version: str = "2025-11-25") -> dict[str, Any]:
    return request("initialize", id, protocolVersion=version, capabilities={}, clientInfo=CLIENT)


def agreeing(id: Any = 1, version: str = "2025-11-25") -> dict[str, Any]:
    return result(id, **{**RESULT, "protocolVersion": version})


LIST = request("tools/list", 2)
LISTED = result(2, tools=[])
REFUSED: dict[str, Any] = {"status": 404}


def opened(story: Story, client: str = "a", session: str = "s-1", **more: Any) -> None:
    story.exchange(client, request=asking(), response=agreeing(), issue_session=session, **more)


def lists(story: Story, client: str = "a", session: str = "s-1", **answer: Any) -> None:
    story.exchange(client, session=session, request=LIST, **(answer or {"response": LISTED}))


# MGC118 to 121 --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [{"status": 400, "response": error()}, {"response": agreeing()}])
def test_118_a_repeated_initialize_is_answered_and_harmless(answer: dict[str, Any]) -> None:
    story = Story()
    opened(story)
    story.exchange(session="s-1", request=asking(), **answer)
    lists(story)
    assert isinstance(verdict("MGC118", story), Pass)


@pytest.mark.parametrize(
    ("answer", "then"),
    [({"status": 500}, {}), ({"status": None, "how": "rst"}, {}), ({"status": 400}, REFUSED)],
)
def test_118_a_repeated_initialize_does_harm(answer: dict[str, Any], then: dict[str, Any]) -> None:
    story = Story()
    opened(story)
    story.exchange(session="s-1", request=asking(), **answer)
    lists(story, **then)
    assert isinstance(verdict("MGC118", story), Fail)


def test_118_nothing_is_asked_afterwards() -> None:
    story = Story()
    opened(story)
    story.exchange(session="s-1", request=asking(), status=400)
    assert isinstance(verdict("MGC118", story), Inconclusive)


@pytest.mark.parametrize("answer", [{"status": 404}, {"response": agreeing(), "issue_session": "s-9"}])
def test_119_an_id_of_the_clients_own_is_not_taken_over(answer: dict[str, Any]) -> None:
    story = Story()
    opened(story)
    story.exchange("b", session="chosen", request=asking(), **answer)
    assert isinstance(verdict("MGC119", story), Pass)


@pytest.mark.parametrize(
    ("answer", "symptom"),
    [
        ({"response": agreeing(), "issue_session": "chosen"}, "session-id-adopted"),
        ({"status": 500}, "reinitialize-rejected"),
    ],
)
def test_119_an_id_of_the_clients_own_is_taken_over(answer: dict[str, Any], symptom: str) -> None:
    story = Story()
    opened(story)
    story.exchange("b", session="chosen", request=asking(), **answer)
    assert failure("MGC119", story).symptom == symptom


def test_119_a_clients_own_id_given_again_is_not_foreign() -> None:
    story = Story()
    opened(story)
    story.exchange(session="s-1", request=asking(), response=agreeing(), issue_session="s-1")
    assert isinstance(verdict("MGC119", story), NotExercised)


@pytest.mark.parametrize(("status", "kind"), [(200, Pass), (503, Fail)])
def test_120_a_crowd(status: int, kind: type[Verdict]) -> None:
    story = Story()
    for number in range(3):
        answer = {"response": agreeing()} if number < 2 or status == 200 else {"status": status}
        story.exchange(f"c{number}", request=asking(), t=1.0 + number / 100, after=0.5, **answer)
    assert isinstance(verdict("MGC120", story), kind)


def test_120_one_after_the_other_is_no_crowd() -> None:
    story = Story()
    opened(story, "a")
    opened(story, "b", "s-2")
    assert isinstance(verdict("MGC120", story), NotExercised)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ({"status": 400, "response": error()}, Pass),
        ({"response": [error()]}, Pass),
        ({"response": [agreeing()]}, Fail),
        ({"status": None, "how": "rst"}, NotApplicable),
    ],
)
def test_121_an_initialize_in_a_batch(answer: dict[str, Any], kind: type[Verdict]) -> None:
    story = Story()
    story.exchange(request=[asking()], **answer)
    assert isinstance(verdict("MGC121", story, revision="2025-03-26"), kind)


# MGC122 to 126 --------------------------------------------------------------------------------------------------------


def shaken(version: str = "2025-11-25", agreed: str = "2025-11-25") -> Story:
    story = Story()
    story.exchange(
        backend=True, request=asking(version=version), response=agreeing(version=agreed), issue_session="b-1"
    )
    return story


@pytest.mark.parametrize(("version", "kind"), [("2025-06-18", Pass), ("1.0", Fail)])
def test_122_the_proposed_version(version: str, kind: type[Verdict]) -> None:
    assert isinstance(verdict("MGC122", shaken(version)), kind)


@pytest.mark.parametrize("version", [["2025-11-25"], {"v": 1}])
def test_122_a_version_that_is_no_text(version: Any) -> None:
    assert isinstance(verdict("MGC122", shaken(version)), Fail)


def test_122_what_the_client_proposed_may_be_passed_on() -> None:
    story = Story()
    story.exchange(request=asking(version="2099-01-01"), response=agreeing(), t=0.0, after=1.0)
    story.exchange(backend=True, request=asking(version="2099-01-01"), response=agreeing(), t=0.2)
    assert isinstance(verdict("MGC122", story), Pass)


def test_123_a_backend_of_an_unknown_version_is_left_alone() -> None:
    story = shaken(agreed="1999-01-01")
    story.exchange(backend=True, method="DELETE", session="b-1")
    assert isinstance(verdict("MGC123", story), Pass)


def test_123_a_backend_of_an_unknown_version_is_used() -> None:
    story = shaken(agreed="1999-01-01")
    story.exchange(backend=True, session="b-1", request=LIST, response=LISTED)
    assert failure("MGC123", story).charged_to is Hop.GATEWAY


@pytest.mark.parametrize(("value", "kind"), [("2025-11-25", Pass), ("2025-06-18", Fail), (None, NotExercised)])
def test_125_the_header_on_the_backends_leg(value: str | None, kind: type[Verdict]) -> None:
    story = shaken()
    headers = {"MCP-Protocol-Version": value} if value else {}
    story.exchange(backend=True, session="b-1", request=LIST, response=LISTED, headers=headers)
    assert isinstance(verdict("MGC125", story), kind)


def sharing_a_connection(*versions: str, issue: bool = False) -> Story:
    """Handshakes with one backend on one connection, each of which agrees on a version."""
    story = Story()
    for number, version in enumerate(versions):
        opens = {"request": asking(version=version), "response": agreeing(version=version)}
        story.exchange(backend=True, conn=1, issue_session=f"b-{number}" if issue else None, **opens)
    return story


@pytest.mark.parametrize(
    ("value", "target", "kind"),
    [
        ("2025-06-18", "/mcp", Pass),
        ("2025-11-25", "/mcp", Pass),
        ("2025-03-26", "/mcp", Fail),
        ("2025-11-25", "/other", NotExercised),
    ],
)
def test_125_nothing_ties_a_request_to_one_of_several_handshakes_without_ids(
    value: str, target: str, kind: type[Verdict]
) -> None:
    story = sharing_a_connection("2025-11-25", "2025-11-25", "2025-06-18")
    headers = {"MCP-Protocol-Version": value}
    story.exchange(backend=True, conn=1, target=target, request=LIST, response=LISTED, headers=headers)
    assert isinstance(verdict("MGC125", story), kind)


def test_125_a_version_agreed_only_later_is_nobodys_yet() -> None:
    story = sharing_a_connection("2025-11-25")
    story.exchange(backend=True, conn=1, request=LIST, response=LISTED, headers={"MCP-Protocol-Version": "2025-06-18"})
    story.exchange(backend=True, conn=1, request=asking(version="2025-06-18"), response=agreeing(version="2025-06-18"))
    assert isinstance(verdict("MGC125", story), Fail)


def test_125_a_session_with_an_id_has_one_version() -> None:
    story = sharing_a_connection("2025-11-25", "2025-06-18", issue=True)
    headers = {"MCP-Protocol-Version": "2025-11-25"}
    story.exchange(backend=True, conn=1, session="b-1", request=LIST, response=LISTED, headers=headers)
    assert isinstance(verdict("MGC125", story), Fail)


@pytest.mark.parametrize(("answer", "kind"), [({"response": LISTED}, Pass), ({"status": 400}, Fail)])
def test_126_a_request_without_the_header(answer: dict[str, Any], kind: type[Verdict]) -> None:
    story = Story()
    opened(story)
    lists(story, **answer)
    assert isinstance(verdict("MGC126", story), kind)


# MGC216 to 221 --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("named", "kind"), [(None, Pass), ("s-1", Pass), ("s-2", Fail)])
def test_216_the_id_on_later_answers(named: str | None, kind: type[Verdict]) -> None:
    story = Story()
    opened(story)
    lists(story, response=LISTED, issue_session=named)
    assert isinstance(verdict("MGC216", story), kind)


@pytest.mark.parametrize(
    ("stale", "fresh", "kind"),
    [
        ({"status": 404}, {}, Pass),
        ({}, {}, Pass),
        ({"status": 500}, {}, Fail),
        ({"status": None, "how": "rst"}, {}, Fail),
        ({"status": 404}, {"status": 500}, Fail),
    ],
)
def test_218_after_a_restart_of_the_gateway(stale: Any, fresh: Any, kind: type[Verdict]) -> None:
    story = Story()
    opened(story)
    story.stimulus("gateway.start")
    lists(story, **stale)
    opened(story, "b", "s-2")
    lists(story, "b", "s-2", **fresh)
    assert isinstance(verdict("MGC218", story), kind)


@pytest.mark.parametrize(
    ("answers", "pause", "kind"),
    [([404, 200], 0.0, Pass), ([502, 502, 502, 200], 2.0, Pass), ([502, 502, 502, 502], 2.0, Fail)],
)
def test_219_after_a_restart_of_the_backend(answers: list[int], pause: float, kind: type[Verdict]) -> None:
    story = Story()
    opened(story)
    story.stimulus("backend.stop")
    story.stimulus("backend.ready")
    for status in answers:
        lists(story, **({} if status == 200 else {"status": status}))
        story.at(story.now + pause)
    assert isinstance(verdict("MGC219", story), kind)


def test_219_a_gateway_is_given_time_to_try_its_backend_again() -> None:
    story = Story()
    opened(story)
    story.stimulus("backend.stop")
    story.stimulus("backend.ready")
    for _ in range(4):
        lists(story, status=502)
    assert isinstance(verdict("MGC219", story), Inconclusive)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ({"response": error(2)}, Pass),
        ({"response": result(2, tools=[{"name": "t"}])}, Pass),
        ({"response": result(2, tools=[], _meta={"unavailable": "b"})}, Pass),
        ({"response": LISTED}, Fail),
        ({"status": 502}, NotExercised),
    ],
)
def test_222_while_the_backend_is_down(answer: dict[str, Any], kind: type[Verdict]) -> None:
    story = Story()
    opened(story)
    story.stimulus("backend.stop")
    lists(story, **answer)
    story.stimulus("backend.start")
    assert isinstance(verdict("MGC222", story), kind)


@pytest.mark.parametrize(
    ("claim", "waited", "answer", "kind"),
    [
        (25.0, 5.0, {"response": agreeing()}, Pass),
        (25.0, 5.0, {"status": 504}, Pass),
        (25.0, 40.0, {"status": None, "how": "abandoned"}, Fail),
        (25.0, 10.0, {"status": None, "how": "abandoned"}, Inconclusive),
        (None, 40.0, {"status": None, "how": "abandoned"}, NotApplicable),
    ],
)
def test_127_a_backend_that_never_answers(claim: Any, waited: float, answer: Any, kind: type[Verdict]) -> None:
    story = Story()
    story.exchange(backend=True, request=asking(), status=None, how=None, t=0.1)
    story.exchange(request=asking(), t=0.0, after=waited, length=0.0, **answer)
    claims = {"sessions": "stateful", "request_timeout": claim}
    found = verdict("MGC127", story, claims=claims)
    assert isinstance(found, kind)
    assert not isinstance(found, Fail) or class_of(found, story, claims) == "initialize-hang"


EMPTY: dict[str, Any] = {"sse": []}
CUT: dict[str, Any] = {"status": None, "how": "rst"}


def broken_off(behind: str | None = None, **answer: Any) -> Story:
    """A client's initialize that is ended without an answer; `behind` tells how the gateway's ended at the backend."""
    story = Story()
    theirs: dict[str, Any] = EMPTY if behind == "complete" else {"status": None}
    story.exchange(backend=True, request=asking(), how=behind, t=0.1, **theirs)
    story.exchange(request=asking(), t=0.0, after=5.0, length=0.0, **answer)
    return story


@pytest.mark.parametrize("claim", [25.0, None])
@pytest.mark.parametrize(
    ("answer", "symptom"),
    [
        (EMPTY, "empty-200-stream"),
        (CUT, "initialize-hang"),
        ({"status": None, "how": "fin"}, "initialize-hang"),
        ({"status": 202}, "initialize-hang"),
    ],
)
def test_127_an_end_is_no_answer(claim: float | None, answer: dict[str, Any], symptom: str) -> None:
    story = broken_off(**answer)
    claims = {"sessions": "stateful", "request_timeout": claim}
    found = verdict("MGC127", story, claims=claims)
    assert isinstance(found, Fail)
    assert found.charged_to is Hop.GATEWAY
    assert class_of(found, story, claims) == symptom


def class_of(found: Fail, story: Story, claims: dict[str, Any]) -> str:
    rule = rule_named("MGC127")
    assert rule is not None
    return classify(rule, found, Inputs(story.transcript(claims=claims))).failure_class


@pytest.mark.parametrize(("behind", "answer"), [("complete", EMPTY), ("rst", CUT)])
def test_127_an_end_that_the_backend_made_is_its_own(behind: str, answer: dict[str, Any]) -> None:
    assert failure("MGC127", broken_off(behind, **answer)).charged_to is Hop.BACKEND


def test_127_a_refusal_of_the_backend_excuses_no_end() -> None:
    story = Story()
    story.exchange(backend=True, request=asking(), status=503, t=0.1)
    story.exchange(request=asking(), t=0.0, after=5.0, length=0.0, sse=[])
    assert failure("MGC127", story).charged_to is Hop.GATEWAY


def test_127_a_stream_with_event_ids_may_be_closed_early() -> None:
    story = broken_off(sse=[], how=None)
    asked = story.transcript().client()[0].id
    story.raw_event(asked, "message", "", id="0")
    story.end(asked)
    assert isinstance(verdict("MGC127", story), Inconclusive)


def test_127_what_ends_after_its_client_left_was_not_ended() -> None:
    story = broken_off(sse=[])
    story.leave(story.transcript().client()[0].id, t=4.0)
    assert isinstance(verdict("MGC127", story), NotApplicable)


def vanished(waited: float, **answer: Any) -> Story:
    story = Story()
    opened(story)
    story.stimulus("clients.vanished", t=1.0, clients=1)
    story.stimulus("clients.watched", t=1.0 + waited)
    story.at(2.0 + waited)
    lists(story, "finder", **answer)
    return story


@pytest.mark.parametrize(
    ("claim", "story", "kind"),
    [
        (3.0, vanished(8.0, status=404), Pass),
        (3.0, vanished(8.0), Fail),
        (300.0, vanished(5.0), NotExercised),
        (None, vanished(5.0), Pass),
    ],
    ids=["ended", "kept", "not waited for", "not declared"],
)
def test_220_vanished_clients(claim: float | None, story: Story, kind: type[Verdict]) -> None:
    claims = {"sessions": "stateful", "session_idle_timeout": claim}
    assert isinstance(verdict("MGC220", story, claims=claims), kind)


@pytest.mark.parametrize(("sessions", "deleted", "kind"), [(1, 0, Pass), (2, 0, Fail), (3, 2, Pass)])
def test_220_what_is_left_behind_is_counted(sessions: int, deleted: int, kind: type[Verdict]) -> None:
    story = vanished(5.0)
    for number in range(sessions):
        story.exchange(backend=True, request=asking(), response=agreeing(), issue_session=f"b-{number}", t=0.5)
    for number in range(deleted):
        story.exchange(backend=True, method="DELETE", session=f"b-{number}", t=0.9)
    assert isinstance(verdict("MGC220", story), kind)


def test_220_a_session_of_before_is_not_begun_by_the_drive() -> None:
    story = vanished(5.0)
    story.stimulus("scenario.begin", t=0.4)
    story.exchange(backend=True, request=asking(), response=agreeing(), issue_session="b-old", t=0.2)
    story.exchange(backend=True, request=asking(), response=agreeing(), issue_session="b-new", t=0.5)
    for session in ("b-old", "b-new"):
        story.listing(backend=True, session=session, issue_session=session, t=0.6)
    found = verdict("MGC220", story)
    assert isinstance(found, Pass), found
    assert "1 backend sessions" in found.observed


@pytest.mark.parametrize(("status", "kind"), [(404, Pass), (200, Fail)])
def test_220_what_the_backend_itself_forgot_is_not_left_behind(status: int, kind: type[Verdict]) -> None:
    story = vanished(5.0)
    for number in range(2):
        story.exchange(backend=True, request=asking(), response=agreeing(), issue_session=f"b-{number}", t=0.5)
    story.listing(backend=True, session="b-0", status=status, t=0.6)
    assert isinstance(verdict("MGC220", story), kind)


def child(*events: tuple[Kind, dict[str, Any]]) -> Story:
    story = Story()
    story.stdio_start()
    process = next(e for e in story.transcript().events if e.kind is Kind.STDIO_START).data["process"]
    for kind, data in events:
        story.add(Point.STDIO_TAP, kind, tap="stdio:main", process=process, **data)
    story.stdio_exit(code=0)
    return story


EOF, TERM = (Kind.STDIO_EOF, {"dir": "up"}), (Kind.STDIO_SIGNAL, {"signal": 15})


@pytest.mark.parametrize(
    ("events", "kind"), [((EOF,), Pass), ((EOF, TERM), Pass), ((TERM, EOF), Fail), ((TERM,), Fail), ((), NotApplicable)]
)
def test_221_how_a_child_is_ended(events: Any, kind: type[Verdict]) -> None:
    assert isinstance(verdict("MGC221", child(*events)), kind)
