"""The field replays: what each is made of, what driving one is taken to mean, and its page."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from conformance.commands.replays import _chosen, _status
from conformance.diagnosis.classify import Classified
from conformance.diagnosis.timeline import sent, timeline
from conformance.errors import ExitCode, UsageError
from conformance.evidence.events import Hop
from conformance.judging import Judgement
from conformance.replays.catalogue import Cause, Condition, Named, Side, replays
from conformance.replays.conditions import tried
from conformance.replays.criteria import Measured, criteria, measured, percentile
from conformance.replays.driving import selection_of
from conformance.replays.findings import (
    Asserted,
    Driven,
    State,
    assertions,
    measured_assertion,
    tried_assertion,
    trouble,
)
from conformance.report.records import Moment
from conformance.report.replays import render_replay, write_replay
from conformance.report.sequence import sequence
from conformance.rules.all import rule_named
from conformance.rules.verdicts import Fail, HarnessFault, Inconclusive, NotExercised, Pass, Verdict
from conformance.running import cells_of
from conformance.stage.manifest import known_backends
from conformance.stage.scenario import REPLAYS, scenarios
from tests.evidence_builder import Story, error, request, result

CAUSES = [cause for item in replays() for cause in item.causes]
CAUSE = replace(
    CAUSES[0],
    rules=("MGC113",),
    failure_class="accept-406",
    hop="gateway",
    tempting=(Named("", "backend", "the log says so"),),
    besides=(),
    words=(),
)


def driven(*found: tuple[str, Verdict, str, Hop], said: str = "", stimuli: Mapping[str, str] | None = None) -> Driven:
    story = Story()
    for name, told in (stimuli or {}).items():
        story.stimulus(name, told=told)
    story.exchange(request=request("tools/list"), response=error(message=said) if said else result())
    transcript = story.transcript()
    judged = []
    for rule_id, verdict, name, hop in found:
        rule = rule_named(rule_id)
        assert rule is not None
        classified = Classified(name, hop, 0.9) if isinstance(verdict, Fail) else None
        judged.append(Judgement(CAUSE.cell(Side.FAILING), rule, verdict, classified, "evidence"))
    return Driven(tuple(judged), transcript)


def failed(rule: str = "MGC113", name: str = "accept-406", hop: Hop = Hop.GATEWAY) -> tuple[str, Verdict, str, Hop]:
    return rule, Fail("x", "y", (1,), hop), name, hop


def judged(verdict: Verdict) -> tuple[str, Verdict, str, Hop]:
    return "MGC113", verdict, "", Hop.GATEWAY


GOOD = driven(judged(Pass("fine")))
BAD = driven(failed())


def states(found: Sequence[Asserted]) -> list[str]:
    return [str(item.state) for item in found]


def test_ids_are_unique() -> None:
    names = [cause.name for cause in CAUSES]
    targets = [cause.topology(side).target.name for cause in CAUSES for side in Side]
    assert len(set(names)) == len(names)
    assert len(set(targets)) == len(targets)


@pytest.mark.parametrize("cause", CAUSES, ids=[cause.name for cause in CAUSES])
def test_a_cause_is_complete(cause: Cause) -> None:
    failing, remedied = (scenarios()[cause.topology(side).scenario] for side in Side)
    assert failing.drive is remedied.drive
    for scenario in (failing, remedied):
        assert scenario.suite == REPLAYS
        for rule_id in cause.rules:
            rule = rule_named(rule_id)
            assert rule is not None
            assert rule.when.name in scenario.brings
    assert cause.tempting
    assert not any(item.fits(cause.failure_class, cause.hop) for item in cause.tempting)
    assert cause.failing != cause.remedied
    assert {cause.failing.backend, cause.remedied.backend} <= set(known_backends())


@pytest.mark.parametrize("cause", CAUSES, ids=[cause.name for cause in CAUSES])
def test_both_sides_of_a_cause_are_driven(cause: Cause) -> None:
    cells = set(cells_of(selection_of([cause], cause.runtime, Path("out"))))
    assert {cause.cell(side) for side in Side} <= cells


@pytest.mark.parametrize(
    ("failing", "remedied", "expected"),
    [
        (BAD, GOOD, ["pass", "pass", "pass"]),
        (GOOD, GOOD, ["fail", "fail", "pass"]),
        (BAD, BAD, ["pass", "pass", "fail"]),
        (driven(failed(hop=Hop.BACKEND)), GOOD, ["pass", "fail", "pass"]),
        (driven(failed(name="wrong-route-html")), GOOD, ["pass", "fail", "pass"]),
        (driven(failed(), failed("MGC101", "wrong-route-html")), GOOD, ["pass", "fail", "pass"]),
        (BAD, driven(judged(Pass("")), failed("MGC101", "wrong-route-html")), ["pass", "pass", "fail"]),
        (BAD, driven(judged(NotExercised("it"))), ["pass", "pass", "fail"]),
        (BAD, driven(judged(Inconclusive("it"))), ["pass", "pass", "harness-error"]),
        (driven(judged(HarnessFault("it"))), GOOD, ["harness-error", "harness-error", "pass"]),
        (driven(), GOOD, ["harness-error", "harness-error", "pass"]),
    ],
)
def test_each_assertion_is_its_own(failing: Driven, remedied: Driven, expected: list[str]) -> None:
    assert states(assertions(CAUSE, failing, remedied)) == expected


def test_a_known_defect_of_the_parts_is_no_cause_of_its_own() -> None:
    cause = replace(CAUSE, besides=(Named("wrong-route-html", "", "it is known"),))
    more = failed("MGC101", "wrong-route-html")
    assert states(assertions(cause, driven(failed(), more), driven(judged(Pass("")), more))) == ["pass"] * 3


def test_every_cause_that_is_at_work_must_be_named() -> None:
    cause = replace(CAUSE, also=(Named("wrong-route-html", "gateway", "it is at work as well"),))
    both = driven(failed(), failed("MGC101", "wrong-route-html"))
    assert states(assertions(cause, both, GOOD))[1] == "pass"
    assert states(assertions(cause, BAD, GOOD))[1] == "fail"


def test_the_words_of_the_write_up_must_have_been_said() -> None:
    cause = replace(CAUSE, words=("Server not initialized",))
    said = driven(failed(), said="Bad Request: Server not initialized")
    assert states(assertions(cause, said, GOOD))[0] == "pass"
    assert states(assertions(cause, BAD, GOOD))[0] == "fail"


@pytest.mark.parametrize(("stimulus", "state"), [("client.answer", "pass"), ("backend.stop", "fail")])
def test_of_stimuli_only_answers_are_what_somebody_said(stimulus: str, state: str) -> None:
    cause = replace(CAUSE, words=("Server not initialized",))
    told = driven(failed(), stimuli={stimulus: "Bad Request: Server not initialized"})
    assert states(assertions(cause, told, GOOD))[0] == state


def test_what_was_not_driven_never_passes() -> None:
    found = trouble(CAUSE, "no engine answers", State.NOT_EXERCISED)
    assert states(found) == ["not-exercised"] * 3
    assert _status(found) is ExitCode.NOTHING_RAN
    assert _status(trouble(CAUSE, "it broke")) is ExitCode.CANNOT_JUDGE
    assert _status([*found, *assertions(CAUSE, GOOD, GOOD)]) is ExitCode.UNEXPECTED
    assert _status([*found, *assertions(CAUSE, BAD, GOOD)]) is ExitCode.OK


def test_causes_are_chosen_by_replay_and_by_name() -> None:
    assert [cause.name for cause in _chosen(["R1c", "R1c"])] == ["R1c"]
    assert {cause.replay for cause in _chosen(["R1"])} == {"R1"}
    assert len(_chosen([])) == len(CAUSES)
    with pytest.raises(UsageError, match="did you mean 'R1a'"):
        _chosen(["r1A"])


def moments(*texts: str) -> list[Moment]:
    return [Moment(number * 1.5, "client-tap", text) for number, text in enumerate(texts)]


def test_a_drawing_has_a_lifeline_for_each_participant() -> None:
    drawn = sequence(moments("client → gateway: POST /mcp", "gateway ← backend: 200", "scenario: wait"))
    assert [name for name, _ in drawn.lifelines] == ["client", "gateway", "backend"]
    right, left, note = drawn.lines
    assert right.x1 < right.x2
    assert left.x1 > left.x2
    assert note.is_note
    assert len(drawn.silences) == 2
    assert all(line.y < drawn.height for line in drawn.lines)


def test_an_application_on_stdio_has_a_lifeline_before_its_client() -> None:
    drawn = sequence(moments("application → client (stdio): initialize", "client → gateway: POST /mcp"))
    assert [name for name, _ in drawn.lifelines] == ["application", "client", "gateway"]
    assert not any(line.is_note for line in drawn.lines)


def test_every_message_of_a_timeline_is_drawn_as_one() -> None:
    story = Story()
    story.exchange(request=request("tools/list"), sse=[result()])
    story.exchange(backend=True, request=request("tools/list"), response=result())
    story.stdio("up", request("tools/list"))
    told = timeline(story.transcript(), ())
    assert len(told) > 5
    assert [item.text for item in told if sent(item.text) is None] == []


def sample(text: str) -> dict[str, Any]:
    side = {
        "cell": text, "scenario": text, "drive": text, "edge": text, "client": text, "target": text, "backend": text, "command": [text], "env": {}, "evidence": text, "trouble": text,
        "results": [{"rule": "MGC1", "verdict": "fail", "observed": text, "expected": text}],
        "diagnoses": [
            {"title": text, "hop": text, "confidence": 0.5,
             "separations": [{"neighbour": text, "made": True, "says": text}]}
        ],
        "timeline": [{"t": 0.0, "point": "client-tap", "text": f"client → gateway: {text}", "decisive": True}],
    }  # fmt: skip
    cause = {
        "id": "a", "name": "R0a", "title": text, "story": text, "runtime": "process",
        "rules": ["MGC1"], "words": [text], "remedy": text,
        "true": {"failure_class": text, "title": text, "hop": text},
        "also": [{"failure_class": text, "hop": text, "why": text}],
        "tempting": [{"failure_class": text, "hop": text, "why": text}],
        "besides": [{"failure_class": text, "hop": text, "why": text}],
        "assertions": [{"assertion": "seen", "state": "pass", "detail": text}],
        "criteria": [
            {"name": text, "asked": text, "measured": [text], "ratios": text, "asserted": text, "holds": False}
        ],
        "sides": {"failing": side, "remedied": side},
    }  # fmt: skip
    return {
        "schema": 1, "id": "R0", "name": text, "title": text, "story": text, "said": [text],
        "parts": [{"what": text, "real": text}], "absent": [{"what": text, "because": text}], "left_out": [text],
        "tried": [{"condition": text, "title": text, "client": text, "gateway": text, "outcome": text,
                   "seconds": 1.0, "slowest": text, "reproduced": False}],
        "causes": [cause],
    }  # fmt: skip


def test_whatever_a_server_sent_is_escaped() -> None:
    page = render_replay(sample("<script>alert(1)</script>\u202e'\"`<b>`"))
    assert "<script" not in page
    assert "<b>" not in page
    assert "\u202e" not in page
    assert "&lt;script&gt;" in page


def test_whatever_a_server_sent_can_be_written(tmp_path: Path) -> None:
    page = write_replay(sample("1\ud800"), tmp_path)
    assert "1\\ud800" in page.read_text(encoding="utf-8")
    assert "1\\ud800" in page.with_suffix(".json").read_text(encoding="utf-8")


def test_a_page_needs_nothing_else(tmp_path: Path) -> None:
    page = write_replay(sample("plain"), tmp_path)
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"""(src|href)=["'](?!#)""", text)
    assert "default-src 'none'" in text
    assert "<svg" in text
    assert json.loads((tmp_path / "R0.json").read_text(encoding="utf-8"))["id"] == "R0"


def loaded(first_event: float, *, answered: bool = True, memory: Sequence[int] = ()) -> Measured:
    story = Story()
    for held in memory:
        story.stimulus("memory.sampled", bytes=held)
    story.connect()
    story.exchange("alone", request=request("tools/call"), after=first_event, sse=[result()])
    for number in range(4):
        answer = [result(number)] if answered else [": beat"]
        story.exchange(
            request=request("tools/call", number), t=9.0, after=0.5, sse=answer, length=0.1, conn=number + 10
        )
    return measured(story.transcript())


def test_what_streams_took_is_read_from_evidence() -> None:
    found = loaded(0.25, memory=[100, 150])
    assert (found.initialize_share, found.completed_share, found.growth) == (1.0, 1.0, 1.5)
    assert found.streams.concurrent == 4
    assert found.streams.ended == {"complete": 4}
    assert percentile(found.streams.start, 0.5) == pytest.approx(0.251)
    assert loaded(0.25).growth is None


def test_a_percentile_is_the_nearest_rank() -> None:
    assert [percentile(range(1, 101), share) for share in (0.5, 0.95, 0.99, 1.0)] == [50, 95, 99, 100]


def test_criteria_are_ratios_to_the_control() -> None:
    control = loaded(0.25)
    good = criteria(loaded(2.5), loaded(0.3), control)
    assert measured_assertion(good).state is State.HOLDS
    assert [item.name for item in good if item.holds is None] == [
        "memory", "duration of a stream", "bytes of a stream", "chunks of a stream", "how streams ended",
    ]  # fmt: skip
    assert measured_assertion(criteria(loaded(0.3), loaded(0.3), control)).state is State.FAILS
    assert measured_assertion(criteria(loaded(2.5), loaded(1.0), control)).state is State.FAILS
    assert measured_assertion(criteria(loaded(2.5), loaded(0.3, answered=False), control)).state is State.FAILS


def condition() -> Condition:
    topology = CAUSES[0].failing
    return Condition("R0", "slow", "a backend that is slow", replace(topology, scenario="client-reference"))


def told(*, ok: bool, detail: str = "") -> Story:
    story = Story()
    story.stimulus("client.step", client="real", step="connect")
    story.connect("real")
    get = story.exchange("real", method="GET", session="s-1", t=story.now, after=15.0, how=None, sse=[])
    if ok:
        story.listing("real")
    else:
        story.exchange("real", request=request("tools/list"), session="s-1", status=None, how="abandoned", after=60.0)
    story.end(get, "abandoned")
    story.stimulus("client.answer", client="real", step="connect", ok=ok, detail=detail, data={})
    return story


@pytest.mark.parametrize(
    ("ok", "detail", "reproduced", "outcome"),
    [
        (False, "Exception: Control request timeout", True, "Exception: Control request timeout"),
        (False, "status: failed", False, "status: failed"),
        (True, "", False, "connected"),
    ],
)
def test_what_came_of_a_condition_is_told_either_way(ok: bool, detail: str, reproduced: bool, outcome: str) -> None:
    found = tried(condition(), told(ok=ok, detail=detail).transcript(), "Control request timeout")
    assert found is not None
    assert (found.reproduced, found.outcome) == (reproduced, outcome)
    assert "GET had its headers in 15.0 s" in found.slowest
    assert ("tools/list took 60" in found.slowest) is not ok
    assert tried_assertion(found).state is State.HOLDS
    assert found.sentence.startswith("reproduced with" if reproduced else "not reproduced with")


def test_a_condition_under_which_no_client_was_asked_tells_nothing() -> None:
    assert tried(condition(), Story().transcript(), "Control request timeout") is None


def test_conditions_are_driven_with_the_whole_of_their_replay() -> None:
    for replay in replays():
        cells = set(cells_of(selection_of(replay.causes, "process", Path("out"), replay.tried)))
        assert {item.cell for item in replay.tried} <= cells
        assert {scenarios()[item.topology.scenario].suite for item in replay.tried} <= {REPLAYS}
