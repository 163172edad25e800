"""A gateway of which only the URL is known: whether it is there, and what cannot be judged from outside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from conformance.commands.first_initialize import refuse_uninitialized
from conformance.diagnosis.failure_classes import failure_class
from conformance.errors import CannotJudgeError
from conformance.evidence.network import Facts, Obstacle, obstacle, shows_proxy
from conformance.report.escape import shown
from conformance.rules.all import rules
from conformance.rules.base import Rule, Side
from conformance.running import Selection, cells_of
from conformance.stage.attached import STARTED_SECONDS, parse_url
from conformance.stage.plan import UrlTarget
from conformance.stage.scenario import scenarios
from conformance.wire.reaching import reach

PROBE_SECONDS: Final = 10.0
"""How long a gateway that already runs may take to accept a connection, and to begin an answer, in seconds."""

SILENT: Final = "accepts-but-silent"
"""The one obstacle that is no reason to stop: a gateway may be silent on a ping without a session, or slow to wake."""
PAGE: Final = "proxy-answers-html"
"""The obstacle of something else that answers: a proxy's page, or another server at a path or port that is wrong."""
ENDS: Final = "published-port-dead"
"""The obstacle of a connection that ends without a byte: a container's port, or a server that breaks."""


def refuse_unreachable(url: str, say: Callable[[str], None]) -> None:
    """Raise CannotJudgeError, which names the fault, when no HTTP is spoken at the URL or a web page answers there.

    A gateway that only stays silent is asked further all the same; that is said.
    """
    parse_url(url)
    facts = reach(url, connect_seconds=PROBE_SECONDS, read_seconds=PROBE_SECONDS)
    found = obstacle(facts)
    if found is None:
        return
    if found.kind == SILENT:
        say(f"{found.says} to a ping without a session, for {PROBE_SECONDS:g} s now; it is asked on all the same")
        return
    raise CannotJudgeError(shown(f"Nothing can be judged: {found.says}{_named(found, facts)}", longest=2000))


def _named(found: Obstacle, facts: Facts) -> str:
    """Return what an obstacle is called and what mends it; where several look the same from here, what mends each."""
    if found.kind == PAGE and facts["answer"] != "http":
        said = bytes.fromhex(facts.get("head", "")).decode("latin-1").split("\r\n", maxsplit=1)[0]
        begins = f", whose answer begins {said!r}" if said.isprintable() else ""
        return f"{begins}; correct host and port of --url."
    if found.kind == PAGE and not shows_proxy(facts):
        return (
            f"; correct path and port of --url, or, if a proxy stands there in front of the gateway ({PAGE}), mend its "
            "way to the gateway, or bypass it."
        )
    if found.kind == ENDS:
        return (
            "; see whether the server at that port runs and speaks HTTP, correct the port of --url, or, if it is a "
            f"container's published port ({ENDS}), publish the port that the server listens on inside its container."
        )
    remedy = failure_class(found.kind).remedy
    return f" ({found.kind}, charged to {found.hop}); {remedy[0].lower()}{remedy[1:]}"


def announce(target: UrlTarget, selection: Selection, say: Callable[[str], None]) -> None:
    """Say what the user of a running gateway has to do now, and what is not judged of it.

    Raises CannotJudgeError where nothing answers at its URL, or no initialize has a result there, unless it is to be
    started once the witness listens.
    """
    if target.witness:
        address, _, _ = parse_url(target.url)  # not the URL itself: a secret may stand in its query
        say(
            f"the witness listens at http://{target.witness}/mcp from now on: the gateway's upstream must point there; "
            f"a gateway that is not up yet at {address} is waited for, {STARTED_SECONDS:g} s"
        )
    else:
        refuse_unreachable(target.url, say)
        refuse_uninitialized(target, selection.revisions)
    lost = ", ".join(item.id for item in not_judged(selection)) or "none"
    seen = "two-sided: but for its start" if target.witness else "one-sided: only the URL is known"
    say(f"{seen}, so these rules are not judged: {lost}")


def not_judged(selection: Selection) -> tuple[Rule, ...]:
    """Return the selected rules that it costs to know the URL only.

    They need a tap on the backend's side or a control run (both are there where its upstream is the witness), or a
    scenario that needs a start of the gateway's or could do harm.
    """
    behind = selection.url is not None and bool(selection.url.witness)
    driven = {cell.scenario for cell in cells_of(replace(selection, quick=False))}
    brought = {name for scenario in driven for name in scenarios()[scenario].brings}
    wanted = [rule for rule in rules() if rule.suite in selection.suites and rule.id in (selection.rules or {rule.id})]
    return tuple(
        rule
        for rule in wanted
        if rule.when.name not in brought or (not behind and (rule.side is not Side.SERVER or rule.needs_control))
    )
