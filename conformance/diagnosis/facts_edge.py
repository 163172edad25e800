"""Facts about a proxy before the gateway and the replicas behind it."""

from __future__ import annotations

from conformance import timing
from conformance.diagnosis.facts_client import response_stayed_open
from conformance.diagnosis.failure import Failure
from conformance.rules.edges_evidence import SESSION, Passage, handshake_failures, lost_header, passages, served, steps


def header_was_lost(failure: Failure) -> bool | None:
    """A header that MCP needs was other behind the edge than before it."""
    if (stood := _edge_stood(failure)) is not True:
        return stood
    return any(lost_header(item) for item in passages(failure.through))


def replica_had_ended(failure: Failure) -> bool | None:
    """A replica of the gateway had ended."""
    if (stood := _edge_stood(failure)) is not True:
        return stood
    return bool(steps(failure.through, "replica.killed", "replica.stopped"))


def replica_was_silent(failure: Failure) -> bool | None:
    """A replica of the gateway accepted connections and did not run, or was cut off."""
    if (stood := _edge_stood(failure)) is not True:
        return stood
    return bool(steps(failure.through, "replica.pause", "replica.cut-off"))


def edge_answered_itself(failure: Failure) -> bool | None:
    """The edge answered the failing request in a replica's place."""
    mine = _passage(failure)
    if mine is None:
        return None
    return mine.front.status is not None and (mine.back is None or mine.back.status is None)


def other_replicas_served(failure: Failure) -> bool | None:
    """Requests to another replica were served while the failing one waited."""
    mine = _passage(failure)
    if mine is None or mine.back is None:
        return None
    beside = (item for item in passages(failure.through) if item.front.t >= mine.front.t - timing.PAUSE_NOTICED)
    return any(served(item.front) and item.back is not None and item.back.tap != mine.back.tap for item in beside)


def session_met_several_replicas(failure: Failure) -> bool | None:
    """Requests of the failing one's session landed on several replicas, none of which had ended."""
    mine = _passage(failure)
    session = mine.front.headers.get(SESSION) if mine is not None else None
    if session is None:
        return None
    uses = (item for item in passages(failure.through) if session in (item.front.headers.get(SESSION), _issued(item)))
    return len({item.back.tap for item in uses if item.back is not None}) > 1 and not replica_had_ended(failure)


def came_late(failure: Failure) -> bool | None:
    """Headers or events came out of the edge late that a replica had sent in time."""
    mine = _passage(failure)
    if mine is None or mine.back is None or mine.back.t_response is None:
        return None
    sent = [mine.back.t_response, *(beat.t for beat in mine.back.beats)]
    came = [mine.front.t_response, *(beat.t for beat in mine.front.beats)]
    pairs = zip(sent, [*came, *([None] * len(sent))], strict=False)
    return any(there is None or there - here > timing.SPACED_EVERY for here, there in pairs)


def tls_handshake_failed(failure: Failure) -> bool | None:
    """A client's TCP connection to the edge was established, and the TLS handshake on it failed."""
    return bool(handshake_failures(failure.through)) if failure.through.edge is not None else None


def cut_without_excuse(failure: Failure) -> bool | None:
    """Heartbeats came before the stream was cut, or it was cut before the first was due."""
    subject = failure.subject
    if subject is None or subject.t_response is None:
        return None
    return bool(subject.beats) or failure.until - subject.t_response < timing.KEEPALIVE_PERIOD


def open_or_missed_a_beat(failure: Failure) -> bool | None:
    """The server never ended the failing response, or had missed a beat before the edge did."""
    if failure.through.edge is None:
        return response_stayed_open(failure)
    excuse = cut_without_excuse(failure)
    return None if excuse is None else not excuse


def _issued(item: Passage) -> str | None:
    return item.back.response_headers.get(SESSION) if item.back is not None else None


def _passage(failure: Failure) -> Passage | None:
    """Return the failing request with what passed behind the edge; None where no edge stood or it is not seen."""
    subject = failure.subject
    if subject is None or failure.through.edge is None:
        return None
    return next((item for item in passages(failure.through) if item.front.id == subject.id), None)


def _edge_stood(failure: Failure) -> bool | None:
    """Return True where an edge stood, False where none did, None where that is not known."""
    if failure.through.edge is not None:
        return True
    return None if failure.through.header.get("redaction") == "foreign" else False
