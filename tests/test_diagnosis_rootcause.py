"""Root causes, timelines and reproductions on evidence written by hand."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence

from evidence_builder import Story, request, result

from conformance.diagnosis.classify import UNCLASSIFIED, Classified
from conformance.diagnosis.failure_classes import failure_classes
from conformance.diagnosis.reproduce import reproduce
from conformance.diagnosis.rootcause import Diagnosis, diagnose
from conformance.diagnosis.timeline import MOST, printable, timeline
from conformance.evidence.events import Hop
from conformance.evidence.redact import Redactor
from conformance.evidence.transcript import Transcript
from conformance.judging import Judgement
from conformance.rules.all import rules
from conformance.rules.verdicts import Fail
from conformance.stage.plan import Cell

RULES = rules()


def failed(
    name: str, *, rule: int = 0, scenario: str = "one", hop: Hop = Hop.GATEWAY, sure: float = 0.9, backend: str = "w"
) -> Judgement:
    cell = Cell("gateway", "process", backend, "2025-11-25", "2025-11-25", scenario)
    return Judgement(cell, RULES[rule], Fail("x", "y", (1,), hop), Classified(name, hop, sure), f"evidence/{scenario}")


def read(evidence: str) -> Transcript:
    """Scenarios named after a script run under it."""
    story = Story()
    story.connect()
    name = evidence.removeprefix("evidence/")
    return story.transcript(witness_script=name if name.startswith("script") else "correct")


def names(found: Sequence[Diagnosis]) -> list[str]:
    return [item.failure_class for item in found]


def test_failures_of_one_class_and_hop_are_one_cause() -> None:
    found = diagnose([failed("accept-406"), failed("accept-406", rule=1, sure=0.7)], read)
    assert [(item.failure_class, item.confidence, len(item.symptoms)) for item in found] == [("accept-406", 0.9, 2)]


def test_symptoms_are_folded_under_their_cause_whatever_the_order() -> None:
    both = [failed("initialize-hang"), failed("empty-tools-startup-race", rule=1)]
    for judgements in (both, both[::-1]):
        (found,) = diagnose(judgements, read)
        assert found.failure_class == "initialize-hang"
        assert found.symptoms == (both[0].id, both[1].id)


def test_folding_goes_to_the_end_of_the_chain() -> None:
    chain = ["empty-tools-startup-race", "initialize-hang", "docker-socket-unusable"]
    found = diagnose([failed(name, rule=number) for number, name in enumerate(chain)], read)
    assert names(found) == ["docker-socket-unusable"]
    assert len(found[0].symptoms) == len(chain)


def test_a_symptom_is_told_once_though_its_cause_is_charged_to_two_hops() -> None:
    found = diagnose(
        [
            failed("initialize-hang", sure=0.6),
            failed("initialize-hang", rule=1, hop=Hop.BACKEND),
            failed("empty-tools-startup-race", rule=2),
        ],
        read,
    )
    assert [(item.hop, len(item.symptoms)) for item in found] == [("gateway", 1), ("backend", 2)]


def test_a_real_clients_fault_explains_nothing_of_the_gateways() -> None:
    cause = failed("initialize-hang", hop=Hop.CLIENT)
    of_gateway, of_client = (failed("empty-tools-startup-race", rule=1, hop=hop) for hop in (Hop.GATEWAY, Hop.CLIENT))
    assert names(diagnose([cause, of_gateway], read)) == ["initialize-hang", "empty-tools-startup-race"]
    assert names(diagnose([cause, of_client], read)) == ["initialize-hang"]


def test_a_provoked_cause_explains_only_what_was_seen_under_the_same_provocation() -> None:
    cause = failed("initialize-hang", scenario="script-a")
    elsewhere = failed("empty-tools-startup-race", rule=1, scenario="one")
    same = failed("empty-tools-startup-race", rule=1, scenario="script-a")
    assert names(diagnose([cause, elsewhere], read)) == ["initialize-hang", "empty-tools-startup-race"]
    assert names(diagnose([cause, same], read)) == ["initialize-hang"]


def test_backends_are_diagnosed_apart() -> None:
    judgements = [failed("initialize-hang"), failed("empty-tools-startup-race", rule=1, backend="other")]
    assert len(diagnose(judgements, read)) == 2


def test_what_no_class_explains_stays_a_cause_for_each_rule() -> None:
    found = diagnose([failed(UNCLASSIFIED, sure=0.0), failed(UNCLASSIFIED, rule=1, sure=0.0)], read)
    assert [(item.failure_class, item.title) for item in found] == [
        (UNCLASSIFIED, RULES[0].title),
        (UNCLASSIFIED, RULES[1].title),
    ]
    assert len({item.id for item in found}) == 2


def test_what_a_class_explains_is_never_itself() -> None:
    explains = {item.id: set(item.explains) for item in failure_classes()}
    for name, direct in explains.items():
        reached = set(direct)
        while more := {further for known in reached for further in explains[known]} - reached:
            reached |= more
        assert name not in reached


def test_the_record_has_the_fields_of_the_contract() -> None:
    (found,) = diagnose([failed("initialize-hang")], read)
    names_ = [
        "kind",
        "id",
        "target",
        "backend",
        "revision",
        "failure_class",
        "hop",
        "confidence",
        "symptoms",
        "reproduce",
    ]
    assert set(names_) <= set(found.to_json())
    assert found.id == "gateway/process/w/2025-11-25/2025-11-25/initialize-hang/gateway"


# timelines ------------------------------------------------------------------------------------------------------------


def test_a_timeline_has_both_sides_in_order_and_marks_what_decided() -> None:
    story = Story()
    story.connect()
    story.stimulus("backend.start")
    story.call(nonce="n-1")
    asked = request("tools/call", 7, name="echo", arguments={"nonce": "n-1"})
    story.exchange(backend=True, request=asked, status=500, t=story.now - 0.025)
    story.engine_event("die")
    transcript = story.transcript()
    call = transcript.client()[-1]
    told = timeline(transcript, call.events)
    assert [item.t for item in told] == sorted(item.t for item in told)
    assert {"client-tap", "backend-tap", "driver", "engine"} <= {item.point for item in told}
    assert next(item.text for item in told if item.decisive).startswith("client → gateway: POST")
    assert any("gateway → backend: tools/call id 7" in item.text for item in told)


def test_behind_an_edge_a_timeline_tells_three_sides() -> None:
    story = Story()
    asked = request("tools/list")
    story.exchange(edge=2, t=0.02, request=asked, sse=[result(1, tools=[])], after=0.1)
    story.exchange(backend=True, t=0.03, request=asked, sse=[result(1, tools=[])], after=0.05)
    story.exchange("a", t=0.01, request=asked, sse=[result(1, tools=[])], after=0.2)
    transcript = story.transcript(edge={"name": "nginx", "replicas": 2})
    told = [item.text for item in timeline(transcript, transcript.client()[0].events)]
    assert any(text.startswith("client → edge: POST") for text in told)
    assert any(text.startswith("edge → gateway 2: POST") for text in told)
    assert any(text.startswith("gateway → backend: POST") for text in told)


def test_a_timeline_is_bounded_and_keeps_what_decided() -> None:
    story = Story()
    for number in range(100):
        story.listing(t=float(number))
    transcript = story.transcript()
    last = transcript.client()[-1]
    told = timeline(transcript, last.events)
    assert len(told) <= MOST
    assert sum(item.decisive for item in told) >= 2


def test_what_a_server_sent_cannot_steer_a_terminal() -> None:
    hostile = "\x1b[31mred\r\n::error::x\x07\u202e\u2028"
    shown = printable(hostile)
    assert all(character.isprintable() for character in shown)
    story = Story()
    get = story.exchange(method="GET", sse=[hostile], how=None)
    story.raw_event(get, "message", hostile)
    transcript = story.transcript()
    assert all(item.text.isprintable() for item in timeline(transcript, transcript.client()[0].events))


# reproductions --------------------------------------------------------------------------------------------------------


def reproduced(story: Story, **header: str) -> tuple[str, ...]:
    transcript = story.transcript(**header)
    return reproduce(transcript, transcript.client()[-1].events, "MGC999", "evidence/a b.jsonl")


def test_a_reproduction_opens_the_session_and_ends_with_replay() -> None:
    story = Story()
    story.connect()
    story.call(nonce="it's")
    lines = reproduced(story, cell="gateway/process/witness/2025-11-25/2025-11-25/story", witness_script="html_500")
    assert lines[0].startswith("mcp-gateway-conformance witness --show --script html_500 --listen ")
    assert [line.split("=")[0] for line in lines[1:3]] == ["GATEWAY", "SESSION"]
    assert '"Mcp-Session-Id: $SESSION"' in lines[-2]
    assert shlex.split(lines[-1], comments=True)[-3:] == ["evidence/a b.jsonl", "--rule", "MGC999"]
    body = shlex.split(lines[-2])[-1]
    assert '"nonce": "it\'s"' in body


def test_a_shell_reads_every_line() -> None:
    story = Story()
    story.connect()
    story.call(nonce="`rm -rf $HOME`; \"'")
    script = "\n".join(reproduced(story))
    assert subprocess.run(["sh", "-n"], input=script, text=True, check=False).returncode == 0


def test_an_unknown_session_id_is_sent_as_it_was() -> None:
    story = Story()
    story.connect()
    story.exchange(request=request("tools/list"), session="never issued", status=500)
    assert "'Mcp-Session-Id: never issued'" in reproduced(story)[-2]


def test_another_backend_is_not_replaced_by_the_witness() -> None:
    story = Story()
    story.listing()
    lines = reproduced(story, cell="gateway/process/everything/2025-11-25/2025-11-25/story")
    assert not [line for line in lines if " witness " in line]


def test_redacted_values_become_variables_that_are_described() -> None:
    redactor = Redactor(("very-secret-value",))
    token = redactor.token("Bearer very-secret-value")
    story = Story()
    asked = request("tools/call", 1, name="echo", arguments={"text": redactor.token("very-secret-value")})
    story.exchange(request=asked, headers={"Authorization": token}, status=500)
    lines = reproduced(story)
    assert '"authorization: $AUTHORIZATION"' in lines[-2]
    assert "redacted:" not in lines[-2]
    described = [line for line in lines if "# redacted: 17 characters" in line]
    assert [line.split("=")[0][:6] for line in described] == ["AUTHOR", "VALUE_"]
    assert described[0].startswith("AUTHORIZATION='Bearer ...'")
    typed = "\n".join((*described, 'curl() { shift $(($# - 1)); printf %s "$1"; }', lines[-2]))
    ran = subprocess.run(["sh"], input=typed.replace("'...'", "'s3'"), text=True, capture_output=True, check=True)
    assert '{"text": "s3"}' in ran.stdout


def test_a_body_too_long_to_type_is_left_to_the_evidence() -> None:
    story = Story()
    story.exchange(request=request("tools/call", 1, text="x" * 9000), status=500)
    *_, told, typed, _ = reproduced(story)
    assert told.startswith("# body.json: 9")
    assert typed.endswith(" @body.json")
