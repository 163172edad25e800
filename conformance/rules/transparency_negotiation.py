"""Family transparency, what was negotiated: capabilities on both legs, and the wait for `initialized`.

2025-11-25 basic/lifecycle, Initialization and Operation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final, TypeAlias

from conformance.evidence.events import Hop
from conformance.evidence.transcript import BackendSession, Exchange, Message, Transcript
from conformance.rules.base import Inputs, Level, Precondition, Side, fail, rule
from conformance.rules.preconditions import initializes
from conformance.rules.transparency_calls_evidence import (
    CAPABILITY_OF,
    SUITE,
    asked,
    capabilities_of,
    down,
    has,
    of_clients,
    told_backend,
    told_gateway,
)
from conformance.rules.verdicts import Fail, NotExercised, Pass, Verdict

MANDATORY: Final = ("2025-06-18", "2025-11-25")
"""Revisions in which only what was negotiated MUST be used; before it SHOULD (2025-06-18 changelog)."""

BEFORE_INITIALIZED: Final = frozenset(("ping", "notifications/message"))
"""What a server may send before `initialized` (basic/lifecycle, Initialization)."""

OFFER_OF: Final[Mapping[str, str]] = {
    "prompts/list": "prompts",
    "prompts/get": "prompts",
    "resources/list": "resources",
    "resources/templates/list": "resources",
    "resources/read": "resources",
    "resources/subscribe": "resources.subscribe",
    "resources/unsubscribe": "resources.subscribe",
    "logging/setLevel": "logging",
    "completion/complete": "completions",
}
"""What a server must have declared before a request may be made of it (basic/lifecycle, Capability Negotiation)."""

INVALID_PARAMS: Final = -32602
IGNORED: Final = "negotiation-ignored"

BARE_CLIENT = Precondition(
    "bare-client",
    "a client that declared no capability, and a call of it",
    lambda transcript: (
        not of_clients(transcript)
        and bool(initializes(transcript))
        and any(item.rpc_method == "tools/call" for item in transcript.client())
    ),
)
BARE_BACKEND = Precondition(
    "bare-backend",
    "a backend that declared tools and nothing else",
    lambda transcript: any(set(told_gateway(s) or ()) == {"tools"} for s in transcript.backend_sessions),
)
HELD_BACK = Precondition(
    "initialized-held-back",
    "a client that listened before it had said it was initialized",
    lambda transcript: bool(transcript.stimuli("initialized.held-back")),
)


# the findings -------------------------------------------------------------------------------------------------------


def _undeclared(transcript: Transcript, tap: str, method: str) -> bool:
    """Whether a client had not declared what a method needs."""
    sent = [item.request for item in transcript.client() if item.tap == tap and item.rpc_method == "initialize"]
    return not any(has(capabilities_of(request.get("params")), CAPABILITY_OF[method]) for request in sent)


def _asked_of_client(transcript: Transcript) -> Fail | None:
    """Return the finding that a client was asked what it had not declared."""
    for tap in dict.fromkeys(item.tap for item in transcript.client()):
        for message in down(transcript, tap):
            method = str(message.method)
            if message.is_request and method in CAPABILITY_OF and _undeclared(transcript, tap, method):
                told = any(has(told_backend(s)[1], CAPABILITY_OF[method]) for s in transcript.backend_sessions)
                sent = [item.backend.seq for item in asked(transcript) if item.backend.method == method]
                return fail(
                    f"no {method} for a client that did not declare {CAPABILITY_OF[method]}",
                    "it was asked" + (", for the gateway had declared it to the backend" if told else ""),
                    events=(message.seq, *sent),
                    charged_to=Hop.GATEWAY if told or not sent else Hop.BACKEND,
                    symptom=IGNORED,
                )
    return None


def _claimed_for_client(transcript: Transcript) -> Fail | None:
    """Return the finding that the backend was told of a capability, and got no result when it used it."""
    takes = of_clients(transcript)
    for item in asked(transcript):
        kind = CAPABILITY_OF[str(item.backend.method)]
        claim, claimed = told_backend(item.session)
        served = item.heard is not None and item.heard.result is not None
        if kind not in takes and not item.copies and has(claimed, kind) and not served and claim is not None:
            said = "an error" if item.heard is not None else "nothing"
            return fail(
                f"{kind} declared to the backend only where it is served",
                f"the gateway declared it, its client had not, and {item.backend.method} was answered with {said}",
                events=(claim.seq, *item.events),
                symptom=IGNORED,
            )
    return None


def _claimed_for_backend(transcript: Transcript) -> Fail | None:
    """Return the finding that a client was told of a capability, and got an error when it used it."""
    for item in _offers_used(transcript):
        offer, answer = OFFER_OF[str(item.rpc_method)], item.answer()
        refused = answer is None or (answer.error is not None and answer.error.get("code") != INVALID_PARAMS)
        if refused and not _declared_behind(transcript, offer):
            return fail(
                f"{offer} declared to the client only where it is served",
                f"the gateway declared it, no backend does, and {item.rpc_method} was answered with"
                f" {'nothing' if answer is None else answer.error}",
                item,
                symptom=IGNORED,
            )
    return None


def _offers_used(transcript: Transcript) -> Iterator[Exchange]:
    """Yield the requests of clients that make use of a declared capability."""
    opened = {item.tap: item.answer() for item in initializes(transcript)}
    for item in transcript.client():
        told, offer = opened.get(item.tap), OFFER_OF.get(str(item.rpc_method))
        if told is not None and offer is not None and has(capabilities_of(told.result), offer):
            yield item


def _declared_behind(transcript: Transcript, offer: str) -> bool:
    return any(has(told_gateway(session) or {}, offer) for session in transcript.backend_sessions)


def _used_at_backend(transcript: Transcript) -> Fail | None:
    """Return the finding that the gateway asked a backend, of its own accord, for what that had not declared."""
    for session in transcript.backend_sessions:
        told = told_gateway(session)
        for message in session.up() if told is not None else ():
            offer = OFFER_OF.get(str(message.method))
            if offer is not None and not has(told or {}, offer) and not _passed_on(transcript, session, message):
                return fail(
                    f"requests of the backend for what it declared: {', '.join(sorted(told or {}))}",
                    f"the gateway sent it {message.method} of its own accord",
                    events=(message.seq,),
                    symptom=IGNORED,
                )
    return None


def _passed_on(transcript: Transcript, session: BackendSession, message: Message) -> bool:
    """Whether a client had made the same request while the gateway's was under way; then it is the client's."""
    answer = session.response_to(message)
    until = transcript.end if answer is None else answer.t
    return any(
        item.rpc_method == message.method and item.t <= until and transcript.end_of(item) >= message.t
        for item in transcript.client()
    )


Finding: TypeAlias = Callable[[Transcript], Fail | None]


def _judged(inputs: Inputs, finding: Finding, observed: str) -> Verdict:
    found, opened = finding(inputs.through), initializes(inputs.through)
    if found is None and not opened:
        return NotExercised("an initialize of a client that was answered with a result")
    return found or Pass(observed, opened[0].events)


# the rules ----------------------------------------------------------------------------------------------------------


@rule(
    id="MGC767",
    title="A client is not asked what it did not declare",
    suite=SUITE,
    level=Level.MUST,
    side=Side.SERVER,
    requirements=("LIFE-13",),
    revisions=MANDATORY,
    when=BARE_CLIENT,
    failure_classes=(IGNORED,),
)
def not_asked_undeclared(inputs: Inputs) -> Verdict:
    """Judge the requests that reach a client without capabilities.

    What it checks: it gets no sampling, roots or elicitation request.
    Why it matters: it has nothing to answer with; the call that waits for it fails or hangs.
    A failing exchange: client declares {}; client ← sampling/createMessage
    A conforming exchange: client declares {}; client ← the result, or an error that names the missing capability
    Known gaps: a backend that asks though it was told of no such capability is charged itself.
    """
    return _judged(inputs, _asked_of_client, "the client, which declared nothing, was asked nothing")


@rule(
    id="MGC768",
    title="The backend is told of no client capability that is not served",
    suite=SUITE,
    level=Level.MUST,
    side=Side.CLIENT,
    requirements=("LIFE-13",),
    revisions=MANDATORY,
    when=BARE_CLIENT,
    failure_classes=(IGNORED,),
)
def claims_no_client_capability(inputs: Inputs) -> Verdict:
    """Judge what the gateway declares to its backend on behalf of a client without capabilities.

    What it checks: a capability that no client declared is not declared, or is served by the gateway itself when used.
    Why it matters: backends offer tools by what their client can do; such tools then fail each time.
    A failing exchange: client declares {}; gateway → backend declares sampling; backend asks, and gets an error
    A conforming exchange: client declares {}; gateway → backend declares {}
    Known gaps: what was declared and is never used is not judged; a request that reached the client is MGC767's.
    """
    return _judged(inputs, _claimed_for_client, "the backend was told of nothing that it then did not get")


@rule(
    id="MGC769",
    title="The client is told of no capability that is not served",
    suite=SUITE,
    level=Level.MUST,
    side=Side.SERVER,
    requirements=("LIFE-13",),
    revisions=MANDATORY,
    when=BARE_BACKEND,
    failure_classes=(IGNORED,),
)
def claims_no_server_capability(inputs: Inputs) -> Verdict:
    """Judge what the gateway declares to its client on behalf of a backend that has tools alone.

    What it checks: what else it declares is served when it is used, if only with an empty list.
    Why it matters: clients show what is declared; each use of it ends in an error.
    A failing exchange: backend declares tools; gateway → client declares prompts; prompts/list → -32601
    A conforming exchange: backend declares tools; gateway → client declares tools
    Known gaps: listChanged and other promises of notifications cannot be seen to be empty.
    """
    used = [f"{item.rpc_method} was served" for item in _offers_used(inputs.through)]
    return _judged(inputs, _claimed_for_backend, "; ".join(used) or "nothing but tools was declared")


@rule(
    id="MGC770",
    title="The gateway asks a backend only for what it declared",
    suite=SUITE,
    level=Level.MUST,
    side=Side.CLIENT,
    requirements=("LIFE-13",),
    revisions=MANDATORY,
    when=BARE_BACKEND,
    failure_classes=(IGNORED,),
)
def uses_what_was_declared(inputs: Inputs) -> Verdict:
    """Judge the requests that the gateway makes of a backend that has tools alone.

    What it checks: of its own accord it asks for no prompts, resources, completions and log levels.
    Why it matters: some servers end the session over an unknown method, and every one logs an error for it.
    A failing exchange: backend declares tools; gateway → backend prompts/list
    A conforming exchange: backend declares tools; gateway → backend tools/list
    Known gaps: a request that a client made, because the gateway had declared it, is MGC769's to judge.
    """
    return _judged(inputs, _used_at_backend, "the backend was asked for nothing that it had not declared")


@rule(
    id="MGC771",
    title="Only what was negotiated is claimed and used (2025-03-26)",
    suite=SUITE,
    level=Level.SHOULD,
    side=Side.TRANSPARENCY,
    requirements=("LIFE-12",),
    revisions=("2025-03-26",),
    when=BARE_CLIENT,
    failure_classes=(IGNORED,),
)
def negotiated_only(inputs: Inputs) -> Verdict:
    """Judge what MGC767 to MGC770 judge, in the revision where it is a SHOULD.

    What it checks: the client is not asked what it did not declare; neither side is told of what is not served;
    the backend is asked only for what it declared.
    Why it matters: each such claim ends in an error when it is used.
    A failing exchange: client declares {}; gateway → backend declares sampling; backend asks, and gets an error
    A conforming exchange: client declares {}; gateway → backend declares {}
    Known gaps: those of the four rules.
    """
    for finding in (_asked_of_client, _claimed_for_client, _claimed_for_backend, _used_at_backend):
        found = finding(inputs.through)
        if found is not None:
            return found
    return Pass("nothing was claimed or used that was not negotiated", initializes(inputs.through)[0].events)


@rule(
    id="MGC772",
    title="Before `initialized` a client gets pings and logs alone",
    suite=SUITE,
    level=Level.SHOULD,
    side=Side.SERVER,
    requirements=("LIFE-06",),
    when=HELD_BACK,
    failure_classes=(IGNORED,),
)
def waits_for_initialized(inputs: Inputs) -> Verdict:
    """Judge what reaches a client that has not said yet that it is initialized.

    What it checks: no request but ping, and no notification but log messages, comes down any of its streams.
    Why it matters: until then the client may not have set up what it needs to take them.
    A failing exchange: client: initialize, GET; gateway → client list_changed; client: initialized
    A conforming exchange: client: initialize, GET, initialized; gateway → client list_changed
    Known gaps: what is kept back for ever is MGC308's to judge, for a client that is initialized.
    """
    name = str(inputs.through.stimuli("initialized.held-back")[0].data.get("client"))
    said = [item for item in inputs.through.client(name) if item.rpc_method == "notifications/initialized"]
    until = said[0].t if said else inputs.through.end
    for item in inputs.through.client(name):
        for message in item.messages():
            if message.method is not None and message.method not in BEFORE_INITIALIZED and message.t < until:
                return fail(
                    "pings and log messages alone before `initialized`",
                    f"{message.method} came {until - message.t:.1f} s before it",
                    item,
                    events=(message.seq, *(said[0].events if said else ())),
                    charged_to=Hop.BACKEND if _early_behind(inputs.through, message) else Hop.GATEWAY,
                    symptom=IGNORED,
                )
    opened = [item for item in inputs.through.client(name) if item.rpc_method == "initialize"]
    if not opened:
        return NotExercised("an initialize of the client that holds back `initialized`")
    return Pass("nothing came before `initialized` that may not", opened[0].events)


def _early_behind(transcript: Transcript, message: Message) -> bool:
    """Whether a backend sent the same to a session that the gateway had not confirmed yet either."""
    for session in transcript.backend_sessions:
        confirmed = session.up("notifications/initialized")
        early = (m for m in session.messages if not confirmed or m.t < confirmed[0].t)
        if any(m.direction == "down" and m.method == message.method for m in early):
            return True
    return False
