"""Why a real client did not get to the gateway's tools: which request hangs and who holds it, or what looks alike.

A client says `failed` or `Request timed out` whatever happened. What it asked, what came of that, and what stands
behind the gateway tell apart a request that is not answered, an endpoint that speaks the other transport of MCP, and a
credential that would be taken if it were spelled otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from conformance import timing
from conformance.evidence.events import Hop
from conformance.evidence.redact import facts
from conformance.evidence.transcript import Exchange, Transcript
from conformance.rules.answers import without_result
from conformance.rules.base import Inputs
from conformance.rules.clients_evidence import Blame, StepSeen, blame, during, steps
from conformance.rules.initialize_ordering_evidence import DISCOVER, said

HANG: Final = "initialize-hang"
ONE_BAD: Final = "one-bad-backend-empties-all"
OTHER_TRANSPORT: Final = "transport-mismatch"
OTHER_SPELLING: Final = "auth-scheme-mismatch"

_OF_THE_OTHER: Final = (400, 404, 405)
"""Answers to initialize after which a client is to try HTTP+SSE (2025-11-25 transports, Backwards Compatibility)."""
_REFUSED: Final = 400
_CREDENTIALS: Final = ("authorization", "api-key")
"""How the names of headers end in which clients present a key."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a client did not connect. why: what shows it. exchanges: those that do. symptom: the class that it is."""

    hop: Hop
    why: str
    exchanges: tuple[Exchange, ...]
    symptom: str


def cause(inputs: Inputs, step: StepSeen, otherwise: str) -> Cause:
    """Return why a real client failed to connect, or to list the tools. otherwise: class of the gateway's other faults.

    What an application was told that the client serves on stdio, and how the client fares straight at the backend, is
    said beside it.
    """
    made = during(inputs.through, step)
    since = [i for i in inputs.through.exchanges if i.tap == step.client and i.t <= step.end and not i.is_metadata]
    found = (
        _other_transport(inputs.through, since)
        or _other_spelling(inputs.through, made)
        or _held(inputs.through, step, made)
        or _otherwise(blame(inputs, step), otherwise)
    )
    why = found.why + _told_application(inputs.through, step)
    alone = [item for item in steps(inputs.control, step.name) if item.succeeded] if inputs.control else []
    if alone:
        why += f"; straight at the backend the client needs {alone[0].end - alone[0].start:.1f} s for it"
    return replace(found, why=why)


def _told_application(transcript: Transcript, step: StepSeen) -> str:
    """Say how the last request was answered that an application made of the client on stdio; empty where none was."""
    label = step.client.partition(":")[2]
    messages = [item for run in transcript.stdio_clients if run.tap == f"application:{label}" for item in run.messages]
    asked = [i for i in messages if i.direction == "up" and i.is_request and step.start <= i.t <= step.end]
    if not asked:
        return ""
    answers = [item for item in messages if item.direction == "down" and item.is_response and item.id == asked[-1].id]
    if not answers:
        return f"; on stdio {asked[-1].method} had no answer"
    how = "a result" if answers[0].result is not None else f"error {(answers[0].error or {}).get('code')}"
    return f"; on stdio {asked[-1].method} was answered {how} after {answers[0].t - asked[-1].t:.1f} s"


def _otherwise(whose: Blame, symptom: str) -> Cause:
    return Cause(whose.hop, whose.why, whose.exchanges, whose.symptom(symptom))


# the transport --------------------------------------------------------------------------------------------------------


def transports_differ(transcript: Transcript, made: Sequence[Exchange]) -> tuple[Exchange, ...]:
    """Return what shows that a client speaks one transport and the endpoint the other; empty where nothing does.

    made: all that the client asked so far. One of HTTP+SSE begins with a GET; one of Streamable HTTP posts initialize,
    which an endpoint of HTTP+SSE refuses, while it answers a GET with an `endpoint` event.
    """
    posted = [item for item in made if item.rpc_method == "initialize"]
    at = [item for item in transcript.exchanges if item.point is made[0].point] if made else []
    if posted and all(item.status in _OF_THE_OTHER for item in posted):
        named = [item for item in at if item.target == posted[0].target and _names_endpoint(item)]
        return (posted[0], named[0]) if named else ()
    opened = [item for item in made if item.method == "GET" and not item.session]
    if posted or not opened or _names_endpoint(opened[0]):
        return ()
    served = [i for i in at if i.rpc_method == "initialize" and i.target == opened[0].target and not without_result(i)]
    return (served[0], opened[0]) if served else ()


def _other_transport(transcript: Transcript, made: Sequence[Exchange]) -> Cause | None:
    shown = transports_differ(transcript, made)
    if not shown:
        return None
    if shown[0] in made:
        why = f"it speaks Streamable HTTP and its initialize was answered {said(shown[0])}; the endpoint is of HTTP+SSE"
    else:
        why = f"it speaks HTTP+SSE, and its GET {_came_of(shown[1])}; the endpoint serves who posts initialize"
    return Cause(Hop.CONFIGURATION, why, shown, OTHER_TRANSPORT)


def _names_endpoint(item: Exchange) -> bool:
    return item.method == "GET" and any(beat.event == "endpoint" for beat in item.beats)


def _came_of(get: Exchange) -> str:
    if get.status is None:
        return "had no response"
    return f"was answered {said(get)}" if not get.is_stream else "opened a stream that names no endpoint"


# the credential -------------------------------------------------------------------------------------------------------


def served_otherwise(transcript: Transcript, refused: Exchange) -> Exchange | None:
    """Return a request that presented the key of a refused one in another spelling and was served; None for none."""
    mine = _presented(refused)
    for item in transcript.exchanges:
        same = item.point is refused.point and mine and _keys(_presented(item)) == _keys(mine)
        if same and _presented(item) != mine and item.status is not None and item.status < _REFUSED:
            return item
    return None


def _other_spelling(transcript: Transcript, made: Iterable[Exchange]) -> Cause | None:
    for item in made:
        served = served_otherwise(transcript, item) if (item.status or 0) >= _REFUSED else None
        if served is None:
            continue
        without = not any(scheme for _, scheme, _ in _presented(item))
        why = f"its key was answered {item.status} as {_spelled(item)}, and is taken as {_spelled(served)}"
        return Cause(Hop.CONFIGURATION if without else Hop.GATEWAY, why, (served, item), OTHER_SPELLING)
    return None


def _presented(item: Exchange) -> frozenset[tuple[str, str, str]]:
    """Return the credentials of a request: header, scheme (empty for none), and what stands for the key."""
    return frozenset((name, *_parted(value)) for name, value in item.headers.items() if name.endswith(_CREDENTIALS))


def _parted(value: str) -> tuple[str, str]:
    if (token := facts(value)) is not None:
        return token.scheme or "", token.digest
    scheme, _, key = value.rpartition(" ")
    return scheme, key


def _keys(presented: Iterable[tuple[str, str, str]]) -> frozenset[str]:
    return frozenset(key for _, _, key in presented)


def _spelled(item: Exchange) -> str:
    return ", ".join(f"`{name}: {f'{scheme} ' if scheme else ''}…`" for name, scheme, _ in sorted(_presented(item)))


# a step that hangs ----------------------------------------------------------------------------------------------------


def _held(transcript: Transcript, step: StepSeen, made: Sequence[Exchange]) -> Cause | None:
    """Return the request that the client waited for in vain, and who held it; None where it waited for none."""
    waiting = [item for item in made if _is_unanswered(item) and _waited(item, step) >= timing.ANSWER]
    if not waiting:
        return None
    item = waiting[0]
    waited = _waited(item, step)
    silent = _silent_behind(transcript, item, step.end)
    why = f"{item.rpc_method} had no answer in {waited:.1f} s, after {_before(made, item)}"
    if not silent:
        return Cause(Hop.GATEWAY, f"{why}; no backend left anything unanswered meanwhile", (item,), HANG)
    why += f"; behind the gateway {silent[0].rpc_method} had none of its backend"
    if {other.tap for other in transcript.backend} > {other.tap for other in silent}:
        return Cause(Hop.GATEWAY, f"{why}, while another backend answered", (item, silent[0]), ONE_BAD)
    return Cause(Hop.BACKEND, why, (item, silent[0]), HANG)


def _is_unanswered(item: Exchange) -> bool:
    """Whether what was posted is a request, the probe for a modern server aside, that had no answer at all."""
    asked = isinstance(item.request, Mapping) and "id" in item.request and item.rpc_method not in (None, DISCOVER)
    return asked and item.answer() is None and item.how in ("open", "abandoned")


def _waited(item: Exchange, step: StepSeen) -> float:
    return item.ended(step.end) - item.t


def _before(made: Sequence[Exchange], item: Exchange) -> str:
    """Say what of the client's was answered before it, and how its GET fares meanwhile."""
    done = [
        f"{other.rpc_method} ({other.t_response - other.t:.1f} s)"
        for other in made
        if other.rpc_method is not None and other.t_response is not None and other.t_response < item.t
    ]
    gets = [other for other in made if other.method == "GET"]
    stream = ""
    if gets and gets[0].status is None:
        stream = "; its GET had no response headers either, which it did not wait for"
    elif gets and gets[0].t_response is not None:
        stream = f"; its GET was answered {gets[0].status} after {gets[0].t_response - gets[0].t:.1f} s"
    return f"{', '.join(done) or 'nothing'} had been answered{stream}"


def _silent_behind(transcript: Transcript, item: Exchange, end: float) -> list[Exchange]:
    """Return what backends were asked by then and left unanswered for as long as the client was kept waiting."""
    until = item.ended(end)
    return [
        behind
        for behind in transcript.backend
        if _is_unanswered(behind) and behind.t <= until and (behind.t_end is None or behind.t_end >= item.t)
    ]
