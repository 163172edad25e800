"""Hypothesis shrinks to the shortest sequence, one for each kind, the same for the same seed, within its time."""

import pytest

from conformance.errors import CannotJudgeError
from conformance.evidence.events import Hop
from conformance.search.departure import Departure
from conformance.search.hunt import Hunt
from conformance.search.steps import LONGEST, Act, Step, alphabet, without
from conformance.spec.catalogue import Level


def departure(kind, step):
    return Departure(kind, "this", "that", Level.MUST, ("SESSION-06",), "a section", Hop.GATEWAY, (1,), step)


def after(sequence, *acts):
    """Return the number of the step with which one client has done these, in order, with anything between; 0: never."""
    ends = []
    for client in "abc":
        left = list(acts)
        for number, step in enumerate(sequence, start=1):
            if left and step == Step(client, left[0]):
                left.pop(0)
                if not left:
                    ends.append(number)
    return min(ends, default=0)


def departs_after(kind, *acts):
    """Return a gateway that departs once one client has done these."""

    def examine(sequence, known):
        step = after(sequence, *acts)
        return (departure(kind, step),) if step else ()

    return examine


ended_served = departs_after("ended", Act.INITIALIZE, Act.DELETE, Act.LIST)


def hunt(examine, **more):
    return Hunt(
        **{"examine": examine, "alphabet": alphabet(calls=True), "seed": 1, "examples": 300, "seconds": 60} | more
    )


def test_the_shortest_sequence():
    (found,) = hunt(ended_served).run()
    assert [str(step) for step in found.sequence] == ["a: initialize", "a: delete", "a: list"]


def test_one_sequence_for_each_kind():
    def examine(sequence, known):
        return (*ended_served(sequence, known), *departs_after("malformed", Act.MALFORMED)(sequence, known))

    found = {item.departure.kind: len(item.sequence) for item in hunt(examine).run()}
    assert found == {"ended": 3, "malformed": 1}


def test_two_clients_when_it_takes_two():
    def examine(sequence, known):
        opened = [number for number, step in enumerate(sequence, start=1) if step.act is Act.INITIALIZE]
        harmed = [
            number
            for number, step in enumerate(sequence, start=1)
            if step.act is Act.DELETE_UNKNOWN_ID
            and any(sequence[n - 1].client != step.client for n in opened if n < number)
        ]
        return (departure("bystander", harmed[0]),) if harmed else ()

    (found,) = hunt(examine).run()
    assert [str(step) for step in found.sequence] == ["a: initialize", "b: delete-unknown-id"]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_same_seed_draws_the_same(seed):
    drawn = []
    for _ in range(2):
        seen = []
        hunt(lambda sequence, known, seen=seen: seen.append(sequence) or (), seed=seed, examples=30).run()
        drawn.append(seen)
    assert drawn[0] == drawn[1]
    assert len(drawn[0]) == len(set(drawn[0]))


def test_what_begins_alike_is_not_driven_again():
    driven = []

    def examine(sequence, known):
        driven.append(sequence)
        return ended_served(sequence, known)

    hunt(examine).run()
    cut = {sequence[: after(sequence, Act.INITIALIZE, Act.DELETE, Act.LIST)] for sequence in driven}
    assert not cut & set(driven) - {
        one for one in driven if after(one, Act.INITIALIZE, Act.DELETE, Act.LIST) == len(one)
    }


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
