"""Hypothesis shrinks to the shortest sequence, one for each kind, the same for the same seed, within its time."""

import pytest

from conformance.errors import CannotJudgeError
from conformance.evidence.events import Hop
from conformance.search.hunt import Hunt
from conformance.search.model import Departure
from conformance.search.steps import LONGEST, Act, Step, sequences, without
from conformance.spec.catalogue import Level


def departure(kind):
    return Departure(kind, "this", "that", Level.MUST, ("SESSION-06",), "a section", Hop.GATEWAY, (1,))


def follows(sequence, *acts):
    """Whether one client does these, in order, with anything between."""
    for client in "abc":
        left = list(acts)
        for step in sequence:
            if left and step == Step(client, left[0]):
                left.pop(0)
        if not left:
            return True
    return False


def ended_served(sequence, known):
    return (departure("ended"),) if follows(sequence, Act.INITIALIZE, Act.DELETE, Act.LIST) else ()


def hunt(examine, **more):
    return Hunt(
        **{"examine": examine, "sequences": sequences(calls=True), "seed": 1, "examples": 300, "seconds": 60} | more
    )


def test_the_shortest_sequence():
    (found,) = hunt(ended_served).run()
    assert [str(step) for step in found.sequence] == ["a: initialize", "a: delete", "a: list"]


def test_one_sequence_for_each_kind():
    def examine(sequence, known):
        second = (departure("malformed"),) if any(step.act is Act.MALFORMED for step in sequence) else ()
        return (*ended_served(sequence, known), *second)

    found = {item.departure.kind: len(item.sequence) for item in hunt(examine).run()}
    assert found == {"ended": 3, "malformed": 1}


def test_two_clients_when_it_takes_two():
    def examine(sequence, known):
        harmed = Step("a", Act.INITIALIZE) in sequence and Step("b", Act.DELETE_UNKNOWN_ID) in sequence
        return (departure("bystander"),) if harmed else ()

    (found,) = hunt(examine, examples=1000).run()
    assert sorted(str(step) for step in found.sequence) == ["a: initialize", "b: delete-unknown-id"]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_same_seed_draws_the_same(seed):
    drawn = []
    for _ in range(2):
        seen = []
        hunt(lambda sequence, known, seen=seen: seen.append(sequence) or (), seed=seed, examples=30).run()
        drawn.append(seen)
    assert drawn[0] == drawn[1]
    assert len(drawn[0]) == len(set(drawn[0]))


def test_no_sequence_is_begun_too_late():
    times = iter(range(1000))
    search = hunt(lambda sequence, known: (), seconds=5, clock=lambda: next(times))
    assert search.run() == ()
    assert search.late
    assert search.examined == 4


def test_trouble_ends_the_search_and_is_not_shrunk():
    asked = []

    def examine(sequence, known):
        asked.append(sequence)
        raise CannotJudgeError("the gateway does not start")

    with pytest.raises(CannotJudgeError, match="does not start"):
        hunt(examine).run()
    assert len(asked) == 1


def test_sequences_are_driven_in_one_spelling():
    drawn = tuple(
        Step(client, act) for client, act in (("a", Act.GET), ("b", Act.LIST), ("b", Act.GET), ("b", Act.CLOSE))
    )
    assert [str(step) for step in without(drawn, 0)] == ["a: list", "a: get", "a: close"]
    assert [str(step) for step in without(drawn, 2)] == ["a: get", "b: list"]


def test_sequences_are_bounded_and_hold_every_act():
    seen = []
    hunt(lambda sequence, known: seen.append(sequence) or ()).run()
    assert max(map(len, seen)) <= LONGEST
    assert {step.act for sequence in seen for step in sequence} == set(Act)
