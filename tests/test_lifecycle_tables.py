"""The lifecycle tables are whole, cite the catalogue, and are what the document shows."""

import pytest

from conformance.paths import ROOT
from conformance.spec.catalogue import requirements
from conformance.spec.lifecycle import LIFECYCLE, STREAMS, Answer, Event, State, Stream
from conformance.spec.lifecycle_diagram import DOCUMENT, document

ALIVE = (State.OPENED, State.READY)


@pytest.mark.parametrize("state", State)
def test_every_event_has_a_row(state):
    expected = set(Event) - {Event.CLOSE} - ({Event.GET} if state in ALIVE else set())
    assert set(LIFECYCLE[state]) == expected


@pytest.mark.parametrize("stream", Stream)
def test_get_has_a_row_whatever_became_of_the_stream(stream):
    assert Event.GET in STREAMS[stream]


def test_rows_cite_the_catalogue():
    known = {item.id for item in requirements()}
    rows = [row for table in (LIFECYCLE, STREAMS) for events in table.values() for row in events.values()]
    assert {cited for row in rows for cited in row.rows} <= known
    assert all(row.source and row.answers for row in rows)


@pytest.mark.parametrize("answer", [Answer.SERVER_ERROR, Answer.SILENCE, Answer.OTHER, Answer.BUSY])
def test_no_row_tolerates_a_fault(answer):
    rows = [row for table in (LIFECYCLE, STREAMS) for events in table.values() for row in events.values()]
    assert not [row for row in rows if answer in row.answers]


def test_a_session_is_born_by_initialize_alone():
    born = {event for event, row in LIFECYCLE[State.STRANGER].items() if State.OPENED in row.answers.values()}
    assert born == {Event.INITIALIZE, Event.INITIALIZE_MALFORMED}


def test_an_ended_session_stays_ended():
    assert {moved for row in LIFECYCLE[State.ENDED].values() for moved in row.answers.values()} == {State.ENDED}


def test_the_document_is_up_to_date():
    assert (ROOT / DOCUMENT).read_text(encoding="utf-8") == document()
