"""What a rule is, how rules are registered, and how one is applied to evidence.

A rule only judges. It is a pure function of its named inputs; it cannot touch the network, the clock or the engine.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import inf
from typing import Final, TypeAlias

from conformance import timing
from conformance.evidence.client_view import as_seen_by_client, real_client
from conformance.evidence.events import Hop
from conformance.evidence.exchanges import BackendSession, Exchange, Message
from conformance.evidence.links import linked_exchange
from conformance.evidence.transcript import Transcript
from conformance.rules.verdicts import Fail, HarnessFault, Inconclusive, NotApplicable, NotExercised, Pass, Verdict
from conformance.spec.revisions import STREAMABLE_LEGACY

DOCSTRING_HEADINGS: Final = (
    "What it checks",
    "Why it matters",
    "A failing exchange",
    "A conforming exchange",
    "Known gaps",
)

TOO_MANY_REQUESTS: Final = 429
"""A refusal for the rate of requests (RFC 6585 section 4)."""
_SERVER_ERROR: Final = 500
_ACCEPTED: Final = 202
_NOT_ACCEPTABLE: Final = 406
_CONFLICT: Final = 409


OWN_TOOLS: Final = NotApplicable("the gateway offers its backend's tools through tools of its own")


class Level(StrEnum):
    """How binding a rule is: the spec's own keyword, or PRACTICE for what deployments need and no spec demands."""

    MUST = "MUST"
    SHOULD = "SHOULD"
    MAY = "MAY"
    PRACTICE = "PRACTICE"


class Side(StrEnum):
    """Which role of the gateway is judged; C and T need a tap on the backend's side."""

    SERVER = "S"
    CLIENT = "C"
    TRANSPARENCY = "T"


@dataclass(frozen=True, slots=True)
class Precondition:
    """Something that must have happened for a rule to have anything to judge.

    name: what scenarios promise in `brings`. missing: said in the verdict when it did not happen.
    holds: whether the evidence shows it.
    """

    name: str
    missing: str
    holds: Callable[[Transcript], bool]


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a rule may look at.

    through: the evidence of the drive through the gateway. control: of the same scenario straight at the backend.
    """

    through: Transcript
    control: Transcript | None = None

    @property
    def bystander(self) -> tuple[Exchange, ...]:
        """The exchanges of the client that did nothing wrong while another did."""
        return self.through.client("bystander")


Check: TypeAlias = Callable[[Inputs], Verdict]


@dataclass(frozen=True, slots=True)
class Rule:
    """A registered rule. id is opaque and permanent; requirements are catalogue rows; failure_classes what it finds.

    needs_control: it reads the control run. needs_plain_tools: it holds lists of tools, or what is beside the arguments
    of a call, or its result, against those of the other side; a gateway that puts tools of its own in their place owes
    nobody that these be the same.
    """

    id: str
    title: str
    suite: str
    level: Level
    side: Side
    requirements: tuple[str, ...]
    revisions: tuple[str, ...]
    when: Precondition
    failure_classes: tuple[str, ...]
    needs_control: bool
    needs_plain_tools: bool
    check: Check = field(repr=False)

    @property
    def doc(self) -> str:
        """The rule's docstring: what it checks, why, a failing and a conforming exchange, known gaps."""
        return inspect.getdoc(self.check) or ""


_RULES: dict[str, Rule] = {}


def rule(
    *,
    id: str,  # noqa: A002 - it is the rule's id
    title: str,
    suite: str,
    level: Level,
    side: Side,
    requirements: tuple[str, ...],
    when: Precondition,
    failure_classes: tuple[str, ...],
    revisions: tuple[str, ...] = STREAMABLE_LEGACY,
    needs_control: bool = False,
    needs_plain_tools: bool = False,
) -> Callable[[Check], Check]:
    """Register a check as a rule; raises ValueError for an id that is taken."""

    def register(check: Check) -> Check:
        if id in _RULES and inspect.getfile(_RULES[id].check) != inspect.getfile(check):
            raise ValueError(f"rule id {id} is taken by {_RULES[id].title!r}; ids are permanent, choose a new one")
        _RULES[id] = Rule(
            id,
            title,
            suite,
            level,
            side,
            requirements,
            revisions,
            when,
            failure_classes,
            needs_control,
            needs_plain_tools,
            check,
        )
        return check

    return register


def rules() -> tuple[Rule, ...]:
    """Return every rule, by id."""
    return tuple(_RULES[key] for key in sorted(_RULES))


def judge(subject: Rule, inputs: Inputs) -> Verdict:
    """Return the verdict of one rule on one cell's evidence. Never raises: a rule that breaks is a harness error."""
    through = inputs.through
    if (outside := _outside(subject, through)) is not None:
        return outside
    instead = stands_for_gateway(subject, inputs)
    inputs = instead or inputs
    if subject.side is not Side.SERVER and not inputs.through.sees_backend:
        return NotExercised("a tap on the backend's side: only the client's side was recorded")
    if subject.needs_control and inputs.control is None:
        return NotExercised("the control run of the same scenario straight at the backend")
    if subject.needs_plain_tools and through.meta_tool is not None:
        return OWN_TOOLS
    try:
        if not subject.when.holds(inputs.through):
            return NotExercised(subject.when.missing)
        verdict = subject.check(inputs)
    except Exception as error:  # noqa: BLE001 - a bug in a rule must be reported as ours, with its name
        return HarnessFault(f"rule {subject.id} broke: {error!r}")
    if undecided := _undecided(through, verdict):
        return Inconclusive(undecided)
    return verdict if instead is None else _of_the_client(verdict)


def _outside(subject: Rule, through: Transcript) -> Verdict | None:
    """Return why a rule is not asked about a cell: its drive did not come about, or it speaks another revision."""
    if not through.footer.get("complete"):
        return HarnessFault(str(through.footer.get("error") or "the drive did not complete"))
    if through.footer.get("not_exercised"):
        return NotExercised(str(through.footer["not_exercised"]))
    revision = through.header.get("revision")
    if revision not in subject.revisions:
        return NotApplicable(f"holds for {', '.join(subject.revisions)}, and this cell speaks {revision}")
    if agreed := _agreed_otherwise(subject, through):
        return NotApplicable(f"holds for {', '.join(subject.revisions)}, and what was agreed on is {agreed}")
    return None


def _agreed_otherwise(subject: Rule, through: Transcript) -> str:
    """Return the revisions that clients were given in place of the cell's, if a rule holds for none of them; else "".

    A server that does not support the revision it is asked for answers with one that it does (basic/lifecycle, Version
    Negotiation); what follows is of that one. One that has no Streamable HTTP says nothing of what was spoken over it,
    and the gateway's own conduct as a client is not decided by any.
    """
    revision = through.header.get("revision")
    if subject.side is Side.CLIENT or revision not in STREAMABLE_LEGACY:
        return ""
    answers = [(item.request, item.answer()) for item in through.client() if item.rpc_method == "initialize"]
    agreed = {
        str(answer.result.get("protocolVersion"))
        for asked, answer in answers
        if isinstance(asked.get("params"), Mapping) and asked["params"].get("protocolVersion") == revision
        if answer is not None and answer.result is not None
    }
    elsewhere = bool(agreed) and agreed <= {*STREAMABLE_LEGACY} - {*subject.revisions}
    return ", ".join(sorted(agreed)) if elsewhere else ""


_OF_ENGINE: Final = "spin_up"
"""Suite whose rules of side C are about the gateway and its container engine."""


def stands_for_gateway(subject: Rule, inputs: Inputs) -> Inputs | None:
    """Return what a rule on the gateway as client judges where a real client drove the cell: that client's conduct.

    None for every other rule and cell. What the gateway does towards its backend is judged where the harness drives;
    what it asks of a container engine no client asks, so that it is the gateway's whoever drives.
    """
    if subject.side is not Side.CLIENT or subject.suite == _OF_ENGINE or not real_client(inputs.through):
        return None
    return Inputs(as_seen_by_client(inputs.through))


def _of_the_client(verdict: Verdict) -> Verdict:
    """Return a verdict on a real client's conduct: whatever is wrong with it is that client's."""
    if not isinstance(verdict, Fail):
        return verdict
    observed = f"the client in the gateway's place, the gateway in the backend's: {verdict.observed}"
    return replace(verdict, observed=observed, charged_to=Hop.CLIENT)


def _undecided(through: Transcript, verdict: Verdict) -> str:
    """Return what else than the gateway's conduct may have decided a verdict; empty when nothing did."""
    if isinstance(verdict, Pass | Fail) and _rate_limited(through, verdict):
        return "the gateway limited the rate of requests (429); raise its limit or drive it alone"
    if isinstance(verdict, Fail) and _backend_starts(through, verdict):
        return "the backend had not answered the gateway's initialize yet; its start is too slow to judge by"
    if isinstance(verdict, Fail):
        return _engine_failed(through)
    return ""


_NOTHING_WRONG: Final = ("works", "engine-read-only")
"""Containers that a gateway starts where nothing is wrong with them: no answer of the engine's is our doing."""


def _engine_failed(through: Transcript) -> str:
    """Return that the container engine itself failed what a gateway asked of it; empty when it did not.

    A status of 500 and more is the engine's own trouble (Engine API, ErrorResponse): no network left, no disk. Not so
    where it pulls an image: that no registry gives it says that the image which was asked for is missing.
    """
    if through.header.get("spin_up") not in _NOTHING_WRONG:
        return ""
    asked = (item for item in through.engine if "/images/create" not in item.target)
    failed = next((item for item in asked if (item.status or 0) >= _SERVER_ERROR), None)
    if failed is None:
        return ""
    said = str(failed.body.get("message", ""))[:160] if isinstance(failed.body, Mapping) else ""
    return (
        f"the container engine failed ({failed.method} {failed.target}: {failed.status} {said}); mend it, run it again"
    )


def _backend_starts(through: Transcript, verdict: Fail) -> bool:
    """Whether a decisive exchange ended in an error while its backend had long left an initialize unanswered.

    What a gateway says of a backend that takes its time to start tells nothing of what rules judge, unless such a start
    is what the cell is about. A container with which nothing is wrong, and which answers in the end, was so late on
    a crowded machine alone; why one never answers is for a rule to say.
    """
    header = through.header
    spun_up = header.get("spin_up") in _NOTHING_WRONG and header.get("witness_script") == "correct"
    if header.get("about_start") and not spun_up:
        return False
    starts = [
        (request.t + timing.BACKEND_START, answer.t if answer else _unanswered_until(through, session, request))
        for session in through.backend_sessions
        for request in session.up("initialize")
        for answer in (session.response_to(request),)
        if answer is not None or not spun_up
    ]
    decisive = [item for item in through.client() if frozenset(verdict.events) & frozenset(item.events)]
    errors = [answer.t for item in decisive if (answer := item.answer()) is not None and answer.error is not None]
    return any(begun <= t < up for t in errors for begun, up in starts)


def _unanswered_until(through: Transcript, session: BackendSession, request: Message) -> float:
    """Return until when, in seconds, a backend may have been starting that left an initialize unanswered.

    Until it answers a later one, or this one on another stream (2024-11-05, HTTP with SSE); where it never does, until
    the exchange was over, if the backend refused it or cut it off.
    """
    for other in through.backend_messages:
        if other.seq > request.seq and other.tap == request.tap and "protocolVersion" in (other.result or ()):
            return other.t
    posted = next((item for item in session.exchanges if item.id == request.exchange), None)
    given_up = posted is None or posted.how == "abandoned" or posted.status == _ACCEPTED
    return inf if posted is None or given_up else posted.ended(inf)


def _rate_limited(through: Transcript, verdict: Pass | Fail) -> bool:
    """Whether a refusal for the rate of requests, which says nothing about what rules judge, may have decided.

    Of a failure, one among its decisive exchanges or before the last of them. Of a pass, any: what was refused was not
    seen. One that the backend gave and the gateway handed on is an answer like others.
    """
    refused = [item for item in through.client() if item.status == TOO_MANY_REQUESTS]
    if not refused:
        return False
    if isinstance(verdict, Fail) and any(frozenset(verdict.events) & frozenset(item.events) for item in refused):
        return True
    if any(item.status == TOO_MANY_REQUESTS for item in through.backend):
        return False
    return isinstance(verdict, Pass) or any(item.seq < max(verdict.events) for item in refused)


def charge(inputs: Inputs, exchange: Exchange, same: Callable[[Exchange], bool]) -> Hop:
    """Return whose fault a deviation in `exchange` is: the backend's only when its own tap shows the same one.

    same: whether a backend exchange deviates in the same way. Only the linked exchange of the run through the gateway
    is asked, never a control run (DESIGN: Whose fault). A refusal that the gateway provoked is the gateway's.
    """
    linked = linked_exchange(inputs.through, exchange)
    if linked is None or not same(linked) or _provoked(inputs.through, exchange, linked):
        return Hop.GATEWAY
    return Hop.BACKEND


def _provoked(through: Transcript, exchange: Exchange, linked: Exchange) -> bool:
    """Whether a backend refused what only the gateway asked for.

    A media type (406) that the client's own Accept would have let through, or a GET (409) beside one of that session
    that the gateway still holds open, which a server may refuse (basic/transports, Multiple Connections).
    """
    if linked.status == _NOT_ACCEPTABLE:
        return linked.headers.get("accept") != exchange.headers.get("accept")
    return linked.status == _CONFLICT and any(
        other.method == "GET"
        and (other.tap, other.session) == (linked.tap, linked.session)
        and other.id != linked.id
        and other.t < linked.t < through.end_of(other)
        for other in through.backend
    )


def fail(
    expected: str,
    observed: str,
    *where: Exchange,
    events: tuple[int, ...] = (),
    charged_to: Hop = Hop.GATEWAY,
    symptom: str = "",
) -> Fail:
    """Return a failure whose decisive events are those of the exchanges `where` and `events`."""
    decisive = {*events, *(seq for exchange in where for seq in exchange.events)}
    return Fail(expected, observed, tuple(sorted(decisive)), charged_to, symptom)
