"""Which of an instance's observations are evidence of one cell."""

import pytest

from conformance.evidence.events import Kind, Point
from conformance.evidence.log import Observation
from conformance.evidence.window import within

BEGIN = 100
TAP = "backend:main"


def seen(t, point, kind, **data):
    return Observation(t, point, kind, data)


def http(t, exchange, kind=Kind.HTTP_REQUEST, session=None, tap=TAP):
    headers = [["mcp-session-id", session]] if session else []
    return seen(t, Point.BACKEND_TAP, kind, tap=tap, conn=1, exchange=exchange, headers=headers)


def stdio(t, process, kind=Kind.STDIO_FRAME):
    return seen(t, Point.STDIO_TAP, kind, tap="stdio:main", process=process)


def times(*observations):
    return [item.t_ns for item in within(observations, BEGIN)]


def test_what_came_later_belongs_and_is_in_order():
    later = [http(102, "x"), stdio(101, "p"), http(BEGIN, "y")]
    assert times(*later) == [BEGIN, 101, 102]


def test_earlier_traffic_that_is_over_does_not_belong():
    assert times(http(1, "x"), http(2, "x", Kind.HTTP_RESPONSE), stdio(3, "p"), http(101, "y")) == [101]


def test_an_exchange_that_goes_on_belongs_from_its_beginning():
    assert times(http(1, "x"), http(101, "x", Kind.HTTP_RESPONSE)) == [1, 101]


def test_a_session_in_use_belongs_with_the_exchange_that_issued_it():
    opened = [http(1, "x"), http(2, "x", Kind.HTTP_RESPONSE, session="s-1"), http(3, "y", session="s-1")]
    assert times(*opened, http(4, "z", session="s-2"), http(101, "w", session="s-1")) == [1, 2, 3, 101]


def test_the_same_id_at_another_backend_is_another_session():
    assert times(http(1, "x", session="s-1", tap="backend:other"), http(101, "y", session="s-1")) == [101]


def test_a_stdio_process_in_use_belongs_from_its_start():
    early = [stdio(1, "p", Kind.STDIO_START), stdio(2, "p"), stdio(3, "q")]
    assert times(*early, stdio(101, "p")) == [1, 2, 101]


def test_of_a_process_that_ended_before_its_start_and_end_belong():
    """Else a process that is gone would look as if it still ran."""
    assert times(stdio(1, "p", Kind.STDIO_START), stdio(2, "p"), stdio(3, "p", Kind.STDIO_EXIT)) == [1, 3]


@pytest.mark.parametrize("kind", [Kind.PROCESS_START, Kind.READINESS, Kind.PROCESS_EXIT])
def test_how_the_instance_started_belongs_to_every_cell(kind):
    assert times(seen(1, Point.STAGE, kind), http(101, "x")) == [1, 101]


def test_of_earlier_logs_what_was_logged_until_it_was_ready_belongs():
    logged = [seen(t, Point.STAGE, Kind.LOG, source="gateway", line="…") for t in (1, 3, 101)]
    assert times(*logged, seen(2, Point.STAGE, Kind.READINESS), http(102, "x")) == [1, 2, 101, 102]


@pytest.mark.parametrize("point", [Point.ENGINE, Point.ENGINE_TAP])
def test_so_does_the_container_engines_part(point):
    assert times(seen(1, point, Kind.ENGINE_EVENT), http(101, "x")) == [1, 101]


def test_an_earlier_cells_stimuli_do_not_belong():
    assert times(seen(1, Point.DRIVER, Kind.STIMULUS, name="toxic")) == []
