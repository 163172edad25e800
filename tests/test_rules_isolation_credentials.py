"""Family isolation on hand-written evidence: two users with tokens, and requests without, with wrong ones, another's."""

from __future__ import annotations

from typing import Any

import pytest

from conformance.evidence.events import Hop
from conformance.evidence.transcript import Transcript
from conformance.rules.all import rule_named
from conformance.rules.base import Inputs, judge
from conformance.rules.verdicts import Fail, NotApplicable, NotExercised, Pass, Verdict
from tests.evidence_builder import Story, request, result

GATEWAYS_OWN = {"Authorization": "Bearer upstream-token"}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def verdict(rule_id: str, through: Transcript) -> Verdict:
    rule = rule_named(rule_id)
    assert rule is not None
    return judge(rule, Inputs(through))


def failure(rule_id: str, story: Story) -> Fail:
    found = verdict(rule_id, story.transcript())
    assert isinstance(found, Fail), found
    assert found.events
    assert found.charged_to is Hop.GATEWAY
    return found


def users() -> Story:
    """Two users, each signed in."""
    story = Story()
    story.stimulus("credentials.tried", headers=["Authorization"], users=["alice", "bob"])
    for user in ("alice", "bob"):
        story.initialize(user, session=f"s-{user}", headers=bearer(f"{user}-token"))
    return story


def asked(story: Story, status: int, *, user: str = "alice", headers: dict[str, str] | None = None) -> Story:
    """A client asks in alice's session."""
    given: dict[str, Any] = {"sse": [result(1, tools=[])]} if status == 200 else {"body": "no"}
    given |= {"headers": headers, "request": request("tools/list"), "session": "s-alice"}
    story.exchange(user, status=status, **given)
    return story


REFUSED = [
    ("MGC836", "alice", None),
    ("MGC837", "bob", bearer("bob-token")),
    ("MGC838", "alice", bearer("nobodys-token")),
]


@pytest.mark.parametrize(("rule_id", "user", "headers"), REFUSED)
def test_refused(rule_id: str, user: str, headers: dict[str, str] | None) -> None:
    assert isinstance(verdict(rule_id, asked(users(), 401, user=user, headers=headers).transcript()), Pass)


@pytest.mark.parametrize(("rule_id", "user", "headers"), REFUSED)
def test_served(rule_id: str, user: str, headers: dict[str, str] | None) -> None:
    found = failure(rule_id, asked(users(), 200, user=user, headers=headers))
    assert found.symptom == "session-not-bound-to-principal"


@pytest.mark.parametrize(("rule_id", "user", "headers"), REFUSED)
def test_only_sound_requests(rule_id: str, user: str, headers: dict[str, str] | None) -> None:
    story = asked(users(), 200, headers=bearer("alice-token"))
    assert isinstance(verdict(rule_id, story.transcript()), NotExercised)
    story = asked(Story(), 200, user=user, headers=headers)
    assert isinstance(verdict(rule_id, story.transcript()), NotExercised), "no credential is demanded"


@pytest.mark.parametrize(
    "asked",
    [
        {"method": "GET", "target": "/.well-known/oauth-protected-resource", "response": {"resource": "r"}},
        {"method": "OPTIONS", "status": 204},
        {"target": "/token", "request_body": "grant_type=client_credentials", "response": {"access_token": "x"}},
    ],
)
@pytest.mark.parametrize(("rule_id", "user", "headers"), REFUSED)
def test_what_needs_no_credential(rule_id: str, user: str, headers: dict[str, str] | None, asked: Any) -> None:
    story = users()
    story.exchange(user, headers=headers, session="s-alice", **asked)
    assert isinstance(verdict(rule_id, story.transcript()), NotExercised)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_836_other_methods_need_it_too(method: str) -> None:
    story = users()
    story.exchange("alice", method=method, session="s-alice")
    assert failure("MGC836", story).symptom == "session-not-bound-to-principal"


@pytest.mark.parametrize("status", [400, 403, 404, 500])
def test_838_another_status(status: int) -> None:
    story = asked(users(), status, headers=bearer("nobodys-token"))
    assert failure("MGC838", story).symptom == "error-misclassified"
    story = asked(users(), status)
    assert isinstance(verdict("MGC836", story.transcript()), Pass), "refused is refused"


def test_838_an_initialize_with_an_invalid_credential_makes_no_user() -> None:
    story = users()
    story.initialize("stranger", session="s-stranger", headers=bearer("nobodys-token"))
    assert failure("MGC838", story).symptom == "session-not-bound-to-principal"


# MGC834, MGC835 and MGC839 -------------------------------------------------------------------------------------------


def behind(*headers: dict[str, str], target: str = "/mcp", method: str = "DELETE") -> Story:
    """The gateway posts with the first headers, and sends another request with each of the others."""
    story = users()
    story.initialize(backend=True, session="b-1", headers=headers[0])
    for sent in headers[1:]:
        story.exchange(backend=True, method=method, session="b-1", headers=sent, target=target)
    return story


@pytest.mark.parametrize("rule_id", ["MGC834", "MGC835", "MGC839"])
def test_a_credential_of_its_own(rule_id: str) -> None:
    assert isinstance(verdict(rule_id, behind(GATEWAYS_OWN, GATEWAYS_OWN).transcript()), Pass)


@pytest.mark.parametrize("rule_id", ["MGC834", "MGC835", "MGC839"])
def test_a_gateway_that_makes_no_request_over_http(rule_id: str) -> None:
    assert isinstance(verdict(rule_id, users().transcript()), NotExercised)


@pytest.mark.parametrize("headers", [bearer("alice-token"), {"X-Forwarded-Auth": "bob-token"}])
def test_834_a_client_s_token_at_the_backend(headers: dict[str, str]) -> None:
    assert failure("MGC834", behind(headers)).symptom == "credential-exposed"


def test_834_a_client_s_token_in_a_url() -> None:
    story = behind(GATEWAYS_OWN, GATEWAYS_OWN, target="/mcp?t=alice-token")
    assert "the URL" in failure("MGC834", story).observed


def test_834_by_design() -> None:
    claims = {"sessions": "stateful", "relays_credentials": True}
    story = behind(bearer("alice-token"))
    assert isinstance(verdict("MGC834", story.transcript(claims=claims)), NotApplicable)


def test_834_holds_since_2025_06_18() -> None:
    story = behind(bearer("alice-token"))
    assert isinstance(verdict("MGC834", story.transcript(revision="2025-03-26")), NotApplicable)


@pytest.mark.parametrize("query", ["access_token=x", "k=upstream-token", "a=1&api_key=x"])
def test_835_a_token_in_the_query(query: str) -> None:
    story = behind(GATEWAYS_OWN, GATEWAYS_OWN, target=f"/mcp?{query}")
    assert failure("MGC835", story).symptom == "credential-exposed"


def test_835_other_parameters() -> None:
    story = behind(GATEWAYS_OWN, GATEWAYS_OWN, target="/mcp?tenant=1")
    assert isinstance(verdict("MGC835", story.transcript()), Pass)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_839_a_request_without(method: str) -> None:
    found = failure("MGC839", behind(GATEWAYS_OWN, {}, method=method))
    assert found.symptom == "credential-dropped"
    assert method in found.observed


def signing_in(status: int, *, again: bool = False) -> Story:
    """The gateway tries initialize without a credential, asks where to sign in, does so, and tries again with one."""
    story = users()
    tried: dict[str, Any] = {"backend": True, "session": None, "status": status, "sse": None}
    story.initialize(**tried)
    story.exchange(backend=True, method="GET", target="/.well-known/oauth-protected-resource", response={})
    story.exchange(backend=True, target="/token", request_body="grant_type=client_credentials", response={})
    story.initialize(backend=True, session="b-1", headers=GATEWAYS_OWN)
    if again:
        story.initialize(**tried)
        story.initialize(backend=True, session="b-2", headers=GATEWAYS_OWN)
    return story


@pytest.mark.parametrize("again", [False, True])
def test_839_signing_in_begins_with_a_refusal(again: bool) -> None:
    assert isinstance(verdict("MGC839", signing_in(401, again=again).transcript()), Pass)


def test_839_an_initialize_without_that_was_not_refused() -> None:
    assert "initialize" in failure("MGC839", signing_in(200)).observed


def test_839_a_message_without_is_one_though_it_is_refused() -> None:
    story = signing_in(401)
    story.exchange(backend=True, session="b-1", request=request("tools/list"), status=401)
    assert "tools/list" in failure("MGC839", story).observed


def test_839_no_credential_at_all() -> None:
    assert isinstance(verdict("MGC839", behind({}, {}).transcript()), NotApplicable)
