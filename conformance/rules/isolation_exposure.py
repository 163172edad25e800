"""Family isolation, who may reach the gateway at all: pages of other origins, other machines (MGC830 to 832)."""

from __future__ import annotations

import ipaddress
from typing import Final

from conformance.evidence.transcript import Exchange, Transcript
from conformance.rules.base import Inputs, Level, Precondition, Side, charge, fail, rule
from conformance.rules.isolation_evidence import SUITE
from conformance.rules.session_reuse_evidence import said
from conformance.rules.verdicts import Inconclusive, NotApplicable, Pass, Verdict
from conformance.spec.revisions import STREAMABLE_LEGACY

ORIGIN: Final = "origin.tried"
SOCKETS: Final = "gateway.sockets"
FORBIDDEN: Final = 403
NOT_OFFERED: Final = (404, 405)


def foreign(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return the clients' requests with an Origin that the drive gave as a hostile one."""
    hostile = {origin for event in transcript.stimuli(ORIGIN) for origin in event.data.get("origins", ())}
    return tuple(item for item in transcript.client() if item.headers.get("origin") in hostile)


def _served(item: Exchange) -> bool:
    return item.status is not None and item.status < 300


HOSTILE = Precondition(
    "hostile-origin",
    "a request with the Origin of a hostile page",
    lambda transcript: any(item.status is not None for item in foreign(transcript)),
)
LISTENING = Precondition(
    "listening-sockets",
    "the listening sockets of the gateway, which only a gateway that runs as a child process shows",
    lambda transcript: bool(transcript.stimuli(SOCKETS)),
)


@rule(
    id="MGC830",
    title="A page of another origin is not served",
    suite=SUITE,
    level=Level.MUST,
    side=Side.SERVER,
    requirements=("SEC-01",),
    when=HOSTILE,
    failure_classes=("origin-not-checked",),
)
def foreign_origin_is_not_served(inputs: Inputs) -> Verdict:
    """Judge requests that come, by their Origin header, from a hostile web page.

    What it checks: none of POST, GET and DELETE with such an Origin is answered 2xx (2025-11-25 transports, Security
    Warning), where no credential keeps pages out.
    Why it matters: a page that rebinds its name to 127.0.0.1 can otherwise call every tool on the user's machine.
    A failing exchange: POST initialize, Origin: http://attacker.example → 200
    A conforming exchange: POST initialize, Origin: http://attacker.example → 403
    Known gaps: Host is not varied; where a credential is demanded, which origins are valid is the operator's to say.
    """
    asked = [item for item in foreign(inputs.through) if item.status is not None]
    for item in asked:
        if not _served(item):
            continue
        if any(event.data.get("guarded") for event in inputs.through.stimuli(ORIGIN)):
            return NotApplicable("served with a credential that no page has; the operator says which origins are valid")
        return fail(
            "a request with a hostile Origin is refused",
            f"{item.method} with Origin {item.headers['origin']} was answered {said(item)}",
            item,
            charged_to=charge(inputs, item, lambda theirs: "origin" in theirs.headers and _served(theirs)),
            symptom="origin-not-checked",
        )
    return Pass(
        f"{len(asked)} request(s) with a hostile Origin refused, the first with {asked[0].status}", asked[0].events
    )


@rule(
    id="MGC831",
    title="A page of another origin is answered 403",
    suite=SUITE,
    level=Level.MUST,
    side=Side.SERVER,
    requirements=("SEC-02",),
    when=HOSTILE,
    failure_classes=("error-misclassified",),
    revisions=STREAMABLE_LEGACY[-1:],
)
def foreign_origin_is_answered_403(inputs: Inputs) -> Verdict:
    """Judge the status with which a hostile Origin is refused.

    What it checks: 403 (2025-11-25 transports, Security Warning); 404 or 405 where GET or DELETE is not offered.
    Why it matters: with another status an operator looks for the fault in sessions or bodies, not in the Origin.
    A failing exchange: POST tools/list, Origin: http://attacker.example → 400
    A conforming exchange: POST tools/list, Origin: http://attacker.example → 403
    Known gaps: the body is not judged; a request that is served is MGC830's.
    """
    asked = [item for item in foreign(inputs.through) if item.status is not None]
    refused = [item for item in asked if not _served(item)]
    for item in refused:
        if _not_403(item):
            return fail(
                "403 for a hostile Origin",
                f"{item.method} with Origin {item.headers['origin']} was answered {said(item)}",
                item,
                charged_to=charge(inputs, item, lambda theirs: "origin" in theirs.headers and _not_403(theirs)),
                symptom="error-misclassified",
            )
    if len(refused) < len(asked):
        return NotApplicable("a request with a hostile Origin was served, not refused")
    return Pass(f"{len(asked)} request(s) with a hostile Origin refused with 403", asked[0].events)


def _not_403(item: Exchange) -> bool:
    return item.status != FORBIDDEN and not (item.method != "POST" and item.status in NOT_OFFERED)


@rule(
    id="MGC832",
    title="A gateway that runs locally listens on loopback only",
    suite=SUITE,
    level=Level.SHOULD,
    side=Side.SERVER,
    requirements=("SEC-03",),
    when=LISTENING,
    failure_classes=("listens-on-every-interface",),
)
def local_gateway_listens_on_loopback(inputs: Inputs) -> Verdict:
    """Judge the addresses on which a gateway that runs as a local process serves MCP.

    What it checks: every socket that listens on its endpoint's port is bound to a loopback address (2025-11-25
    transports, Security Warning).
    Why it matters: on any other address the whole network can call the user's tools.
    A failing exchange: ss -ltn → 0.0.0.0:8080
    A conforming exchange: ss -ltn → 127.0.0.1:8080
    Known gaps: other ports that the process opens are not judged; in a container the address says nothing.
    """
    seen = inputs.through.stimuli(SOCKETS)[0]
    addresses = [str(address) for address in seen.data.get("listening", ())]
    if not addresses:
        return Inconclusive("no listening socket of the gateway was found")
    wide = [address for address in addresses if not ipaddress.ip_address(address).is_loopback]
    if wide:
        return fail(
            "only loopback addresses",
            f"it listens on {', '.join(wide)}",
            events=(seen.seq,),
            symptom="listens-on-every-interface",
        )
    return Pass(f"it listens on {', '.join(addresses)}", (seen.seq,))
