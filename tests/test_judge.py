"""What comes before a rule is asked, and whom a deviation is charged to."""

import pytest

from conformance.evidence.events import Hop
from conformance.expectations import Known, Outcome
from conformance.judging import Judgement
from conformance.plugin import enforce
from conformance.rules.base import Inputs, Level, Precondition, Rule, Side, charge, fail, judge
from conformance.rules.verdicts import Fail, HarnessFault, Inconclusive, NotApplicable, NotExercised, Pass
from conformance.stage.plan import Cell
from tests.evidence_builder import RESULT, Story, error, request, result

REVISION = "2025-11-25"


def rule(check=lambda _: Pass("seen"), *, side=Side.SERVER, holds=lambda _: True, needs_control=False):
    return Rule(
        id="MGC999",
        title="t",
        suite="s",
        level=Level.MUST,
        side=side,
        requirements=("X-01",),
        revisions=(REVISION,),
        when=Precondition("p", "what was missing", holds),
        failure_classes=(),
        needs_control=needs_control,
        needs_plain_tools=False,
        check=check,
    )


def never(_):
    raise AssertionError("the rule must not be asked")


def story(**header):
    told = Story()
    told.listing()
    return told.transcript(**header)


def breaks(_):
    raise KeyError("capabilities")


def test_a_rule_is_asked_when_nothing_stands_in_its_way():
    assert judge(rule(), Inputs(story())) == Pass("seen")


def test_an_incomplete_drive_is_our_fault_with_its_error():
    verdict = judge(rule(never), Inputs(story(footer={"complete": False, "error": "port taken"})))
    assert verdict == HarnessFault("port taken")
    assert isinstance(judge(rule(never), Inputs(story(footer={"complete": False}))), HarnessFault)


def test_what_the_runtime_cannot_show_is_not_exercised():
    through = story(footer={"not_exercised": "containers that a gateway starts"})
    assert judge(rule(never), Inputs(through)) == NotExercised("containers that a gateway starts")


def test_a_rule_of_another_revision_does_not_apply():
    verdict = judge(rule(never), Inputs(story(revision="2024-11-05")))
    assert isinstance(verdict, NotApplicable)
    assert "2024-11-05" in verdict.why


def negotiated(*answers, asked=REVISION):
    told = Story()
    for number, answer in enumerate(answers):
        told.exchange(
            f"c{number}",
            request=request("initialize", protocolVersion=asked),
            response=result(protocolVersion=answer),
        )
    return told.transcript()


@pytest.mark.parametrize(
    ("answers", "side", "asked_for", "judged"),
    [
        (["2025-06-18"], Side.SERVER, REVISION, False),
        (["2025-06-18", "2025-03-26"], Side.TRANSPARENCY, REVISION, False),
        (["2025-06-18", REVISION], Side.SERVER, REVISION, True),
        (["2025-06-18"], Side.CLIENT, REVISION, True),
        (["2025-06-18"], Side.SERVER, "1999-01-01", True),
        (["1999-01-01"], Side.SERVER, REVISION, True),
        (["2024-11-05"], Side.SERVER, REVISION, True),
        ([{"version": "2025-06-18"}], Side.SERVER, REVISION, True),
        ([], Side.SERVER, REVISION, True),
    ],
)
def test_a_rule_of_the_revision_asked_for_does_not_hold_for_the_one_agreed_on(answers, side, asked_for, judged):
    verdict = judge(rule(side=side), Inputs(negotiated(*answers, asked=asked_for)))
    assert isinstance(verdict, Pass if judged else NotApplicable)
    assert judged or answers[0] in verdict.why


@pytest.mark.parametrize("side", [Side.CLIENT, Side.TRANSPARENCY])
def test_the_other_side_is_not_judged_unseen(side):
    assert isinstance(judge(rule(never, side=side), Inputs(story(backend_tapped=False))), NotExercised)
    assert isinstance(judge(rule(side=side), Inputs(story())), Pass)


def test_the_servers_role_is_judged_from_one_side():
    assert isinstance(judge(rule(), Inputs(story(backend_tapped=False))), Pass)


def test_a_missing_control_run_is_not_exercised():
    assert isinstance(judge(rule(never, needs_control=True), Inputs(story())), NotExercised)
    assert isinstance(judge(rule(needs_control=True), Inputs(story(), story())), Pass)


def test_a_precondition_that_was_not_met_is_not_exercised():
    assert judge(rule(never, holds=lambda _: False), Inputs(story())) == NotExercised("what was missing")


@pytest.mark.parametrize("broken", [rule(breaks), rule(never, holds=breaks)], ids=["check", "precondition"])
def test_a_rule_that_breaks_is_our_fault_and_named(broken):
    verdict = judge(broken, Inputs(story()))
    assert isinstance(verdict, HarnessFault)
    assert "MGC999" in verdict.error
    assert "capabilities" in verdict.error


@pytest.mark.parametrize(("status", "wanted"), [(429, Inconclusive), (400, Fail)])
def test_a_failure_by_rate_limit_decides_nothing(status, wanted):
    told = Story()
    told.exchange(request=request("tools/list"), status=status, response={})
    verdict = judge(rule(lambda inputs: fail("x", "y", inputs.through.client()[0])), Inputs(told.transcript()))
    assert isinstance(verdict, wanted)


def test_a_429_beside_the_decisive_exchange_excuses_nothing():
    told = Story()
    told.exchange(request=request("tools/list"), status=400, response={})
    told.exchange("b", request=request("tools/list"), status=429, response={})
    verdict = judge(rule(lambda inputs: fail("x", "y", inputs.through.client("a")[0])), Inputs(told.transcript()))
    assert isinstance(verdict, Fail)


def limited(check, *, backend=200, after=False):
    """Judge where one client was refused for its rate, before or after the other one's decisive exchange."""
    told = Story()
    told.exchange("b", request=request("tools/list"), t=9.0 if after else 0.0, status=429, response={})
    told.exchange(backend=True, request=request("tools/list"), t=0.5, status=backend, response={})
    told.exchange(request=request("tools/list"), t=1.0, status=400, response={})
    return judge(rule(check), Inputs(told.transcript()))


def test_what_a_rate_limit_may_have_decided_is_neither_failed_nor_passed():
    def fails(inputs):
        return fail("x", "y", inputs.through.client("a")[0])

    assert isinstance(limited(fails), Inconclusive)
    assert isinstance(limited(fails, after=True), Fail)
    assert isinstance(limited(lambda _: Pass("refused")), Inconclusive)
    assert isinstance(limited(lambda _: Pass("refused"), backend=429), Pass)
    assert isinstance(limited(fails, backend=429), Fail)


@pytest.mark.parametrize(
    ("answered", "header", "wanted"),
    [
        (None, {}, Inconclusive),
        (9.0, {}, Inconclusive),
        (7.0, {}, Fail),
        (9.0, {"about_start": True}, Fail),
        (9.0, {"spin_up": "works"}, Inconclusive),
        (None, {"spin_up": "works"}, Fail),
        (9.0, {"spin_up": "works", "witness_script": "silent"}, Fail),
        (9.0, {"spin_up": "memory-short"}, Fail),
    ],
)
def test_an_error_while_the_backend_starts_slowly_decides_nothing(answered, header, wanted):
    told = Story()
    told.stdio_start(t=0.5)
    told.stdio("up", request("initialize"), t=1.0)
    told.exchange(request=request("tools/list", id=2), t=2.0, after=6.0, response=error(2))
    if answered is not None:
        told.stdio("down", result(), t=answered)
    checked = rule(lambda inputs: fail("x", "y", inputs.through.client()[0]))
    assert isinstance(judge(checked, Inputs(told.transcript(**header))), wanted)


@pytest.mark.parametrize(
    ("first", "again", "wanted"),
    [
        ({"status": 503, "body": "later"}, 2.0, Fail),
        ({"status": 503, "body": "later"}, None, Fail),
        ({"status": None, "how": "rst"}, 2.0, Fail),
        ({"status": None, "how": "abandoned"}, 2.0, Fail),
        ({"status": None, "how": "abandoned"}, None, Inconclusive),
        ({"status": 503, "body": "later"}, 90.0, Inconclusive),
        ({"status": None, "how": None}, None, Inconclusive),
    ],
)
def test_an_initialize_that_failed_is_no_start_for_ever(first, again, wanted):
    told = Story()
    told.exchange(backend=True, request=request("initialize", 0), t=1.0, after=0.5, **first)
    if again is not None:
        told.initialize(backend=True, session="b-1", t=again)
    told.exchange(request=request("tools/list", id=2), t=60.0, after=0.1, response=error(2))
    checked = rule(lambda inputs: fail("x", "y", inputs.through.client()[0]))
    assert isinstance(judge(checked, Inputs(told.transcript())), wanted)


@pytest.mark.parametrize(("answered", "wanted"), [(True, Fail), (False, Inconclusive)])
def test_an_initialize_of_the_old_transport_is_answered_on_its_stream(answered, wanted):
    told = Story()
    stream = told.exchange(backend=True, method="GET", target="/sse", sse=[], how=None, t=0.5)
    told.exchange(backend=True, request=request("initialize", 0), t=1.0, status=202)
    if answered:
        told.item(stream, result(0, **RESULT), t=1.5)
    told.exchange(request=request("tools/list", id=2), t=60.0, after=0.1, response=error(2))
    checked = rule(lambda inputs: fail("x", "y", inputs.through.client()[0]))
    assert isinstance(judge(checked, Inputs(told.transcript())), wanted)


def test_an_error_at_once_is_the_gateways_whatever_its_backend_does():
    told = Story()
    told.stdio_start(t=0.5)
    told.stdio("up", request("initialize"), t=1.0)
    told.exchange(request=request("tools/list", id=2), t=2.0, after=0.1, response=error(2))
    assert isinstance(
        judge(rule(lambda inputs: fail("x", "y", inputs.through.client()[0])), Inputs(told.transcript())), Fail
    )


def charged(*backend_statuses, other_client=False):
    told = Story()
    told.exchange(request=request("tools/list"), t=0.0, after=1.0, status=500, response={})
    if other_client:
        told.exchange("b", request=request("tools/list"), t=0.1, after=1.0, response={})
    for number, status in enumerate(backend_statuses):
        asked = request("tools/list", number)
        told.exchange(backend=True, request=asked, t=0.2 + number / 10, status=status, response={})
    control = Story()
    control.exchange(request=request("tools/list"), status=500, response={})
    inputs = Inputs(told.transcript(), control.transcript())
    return charge(inputs, inputs.through.client("a")[0], lambda item: item.status == 500)


def test_the_backend_is_charged_only_where_its_own_tap_shows_the_same():
    assert charged(500) is Hop.BACKEND
    assert charged(200) is Hop.GATEWAY


@pytest.mark.parametrize(
    ("status", "accept", "held", "wanted"),
    [
        (406, "application/json", False, Hop.GATEWAY),
        (406, "text/event-stream", False, Hop.BACKEND),
        (409, "text/event-stream", True, Hop.GATEWAY),
        (409, "text/event-stream", False, Hop.BACKEND),
    ],
)
def test_what_the_gateway_provoked_is_its_own(status, accept, held, wanted):
    told = Story()
    first = told.exchange(backend=True, method="GET", session="b-1", sse=[], how=None if held else "complete", t=0.0)
    assert first
    told.exchange(method="GET", headers={"Accept": "text/event-stream"}, status=status, t=2.0, after=1.0)
    refused = {"status": status, "headers": {"Accept": accept}, "session": "b-1", "t": 2.1, "after": 0.1}
    told.exchange(backend=True, method="GET", **refused)
    inputs = Inputs(told.transcript())
    assert charge(inputs, inputs.through.client("a")[0], lambda item: item.status == status) is wanted


def test_without_a_link_the_gateway_is_charged_whatever_the_control_shows():
    assert charged() is Hop.GATEWAY


def test_an_ambiguous_link_blames_nobody_else():
    assert charged(500, 500) is Hop.GATEWAY
    assert charged(500, other_client=True) is Hop.GATEWAY


def test_a_failure_names_its_decisive_events_once_and_in_order():
    exchange = story().client()[0]
    verdict = fail("x", "y", exchange, exchange, events=(99, exchange.events[0]))
    assert verdict.events == (*exchange.events, 99)


# what a verdict says ---------------------------------------------------------------------------------------------------

QUOTED = "it sent '1\ud800'\x9b31m\u202e\nand no more"
PRINTABLE = "it sent '1\\ud800'\\x9b31m\\u202e\nand no more"


def judgement(verdict):
    return Judgement(Cell("gw", "process", "witness", REVISION, REVISION, "s"), rule(), verdict, None, "")


def test_whatever_a_verdict_quotes_its_result_can_be_printed_and_written():
    found = [Pass(QUOTED), NotApplicable(QUOTED), Inconclusive(QUOTED), NotExercised(QUOTED), HarnessFault(QUOTED)]
    assert {judgement(verdict).to_json()["observed"] for verdict in found} == {PRINTABLE}
    failed = judgement(Fail(QUOTED, QUOTED, (1,))).to_json()
    assert (failed["expected"], failed["observed"]) == (PRINTABLE, PRINTABLE)


def test_a_pass_is_a_surprise_only_where_it_was_not_to_be_expected():
    entry = Known("gw", "MGC999", "class-a", "it lost a race", "not reported", sometimes="2 of 11 runs")
    enforce(Outcome(judgement(Pass("served")), "ok", entry))
    with pytest.raises(pytest.fail.Exception, match="remove the entry"):
        enforce(Outcome(judgement(Pass("served")), "unexpected-pass", entry))


@pytest.mark.parametrize("expectation", ["unexpected-failure", "charged-elsewhere", "below-threshold"])
def test_so_can_what_pytest_is_told(expectation):
    with pytest.raises((pytest.fail.Exception, pytest.xfail.Exception)) as caught:
        enforce(Outcome(judgement(Fail(QUOTED, QUOTED, (1,))), expectation))
    assert PRINTABLE in str(caught.value)
    assert str(caught.value).isascii()
