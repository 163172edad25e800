"""Family network: faults of the way from a gateway to its backend, and from a client to the gateway.

What keeps one party from another is named from probes made where the party stands (`conformance/evidence/network.py`);
it is the gateway's fault only where the probe gets through and the gateway does not. What a client is told of such a
backend is judged apart from that.
"""

from __future__ import annotations

from typing import Final

from conformance import timing
from conformance.evidence.events import Hop
from conformance.evidence.network import FRONT_LACKING, obstacle, probes, seen_at, sent_by_gateway, standpoint
from conformance.rules.base import Inputs, Level, Side, fail, rule
from conformance.rules.network_evidence import (
    BAD_CERTIFICATE,
    FILTERED,
    FRONT_PROBED,
    PROBED,
    SOUND,
    SUITE,
    TRIGGER,
    UNREACHABLE,
    fault,
    handshakes_failed,
    served_all_the_same,
    spoke_otherwise,
    told,
)
from conformance.rules.verdicts import HarnessFault, Inconclusive, NotExercised, Pass, Verdict

OBSTACLES: Final = (
    *("name-not-resolved", "port-closed", "connect-blocked", "container-loopback-unreachable", "published-port-dead"),
    *("plain-http-to-tls", "tls-to-plain-http", "tls-name-or-trust", "tls-certificate-expired", "tls-untrusted-issuer"),
    *("accepts-but-silent", "proxy-answers-html"),
)
"""What a probe can run into: each is a failure class."""


@rule(
    id="MGC980",
    title="Nothing but the network or the configuration keeps a gateway from its backend",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.CLIENT,
    requirements=("NET-01",),
    when=PROBED,
    failure_classes=OBSTACLES,
)
def way_to_backend(inputs: Inputs) -> Verdict:
    """Name what keeps the gateway from its backend, and say whose fault that is.

    What it checks: the URL that the gateway was given is tried from the gateway's own network namespace. What that try
    runs into is charged to the network, the runtime or the configuration; speaking TLS to an http URL, or plain HTTP to
    an https one, is charged to the gateway. A fault that the scenario brought about must be seen for what it is.
    Why it matters: the error that a gateway hands on says `fetch failed`; which of a dozen causes it is decides who
    mends it.
    A failing exchange: given http://…:8080; gateway → backend: 16 03 01 … (a TLS handshake), while a probe gets through
    A conforming exchange: given http://…:8080; probe: 400 application/json; gateway → backend: POST /mcp
    Known gaps: a gateway that connects to another address than the one it was given is only seen not to arrive.
    """
    through = inputs.through
    found = probes(through, "backend")
    own = standpoint(found)
    if own is None:
        return NotExercised(PROBED.missing)
    if (odd := spoke_otherwise(through, own.data)) is not None:
        event, kind = odd
        spoken = "TLS" if kind == "tls-to-plain-http" else "plain HTTP"
        observed = f"it was given {own.data['url']} and spoke {spoken}"
        return fail("the scheme that the gateway was given", observed, events=(own.seq, event.seq), symptom=kind)
    seen, brought = seen_at(found), fault(through)
    if brought and brought not in SOUND:
        if seen is not None and seen.kind == brought:
            return Pass(f"the fault is seen for what it is ({seen.kind}, {seen.hop}): {seen.says}", (own.seq,))
        what = f"{seen.kind}: {seen.says}" if seen is not None else "no obstacle"
        return HarnessFault(f"the scenario brought about {brought}, and the probe shows {what}")
    if seen is not None:
        return fail("a way to the backend", seen.says, events=(own.seq,), charged_to=seen.hop, symptom=seen.kind)
    if not sent_by_gateway(through):
        return Inconclusive("a probe reaches the backend, and no request of the gateway's arrived there")
    return Pass(f"a probe reaches {own.data['url']}, and so does the gateway", (own.seq,))


@rule(
    id="MGC981",
    title="A gateway goes on accepting at its address, and what keeps a client from it is named",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("NET-05",),
    when=FRONT_PROBED,
    failure_classes=OBSTACLES,
)
def way_to_gateway(inputs: Inputs) -> Verdict:
    """Name what keeps clients from the gateway on each way that was tried.

    What it checks: on the way that nothing was done to, a probe gets through, after sessions were opened and ended too;
    each other way shows the fault that was put on it, a filtered port (no answer to TCP) another than a closed one
    (refused), one that is published with nothing behind it (accepted and ended) or one that is silent.
    Why it matters: a client's `connect failed` is the gateway's fault only if its own address does not accept.
    A failing exchange: probe: POST http://gateway/mcp → 200; … a session ends …; probe: ECONNREFUSED, the gateway runs
    A conforming exchange: probe: POST http://gateway/mcp → 400; … a session ends …; probe: 400 again
    Known gaps: one try each time; an address that accepts only now and then is not found.
    """
    found = probes(inputs.through, "client")
    named = []
    for way in dict.fromkeys(str(event.data.get("way")) for event in found):
        tries = [event for event in found if str(event.data.get("way")) == way]
        others = [event.data for event in tries if not event.data["party"]]
        for own in (event for event in tries if event.data["party"]):
            seen = obstacle(own.data, others)
            if way in SOUND and seen is not None:
                return fail(
                    "the gateway accepts at its address",
                    seen.says,
                    events=(own.seq,),
                    charged_to=Hop.GATEWAY,
                    symptom=seen.kind,
                )
            if way not in SOUND and (seen is None or seen.kind != way):
                what = f"{seen.kind}: {seen.says}" if seen is not None else "no obstacle"
                return HarnessFault(f"the scenario put {way} on the way, and the probe shows {what}")
        named.append(way)
    wrong = [way for way in named if way not in SOUND]
    lacking = [str(event.data["way"]) for event in inputs.through.stimuli(FRONT_LACKING)]
    also = f"; not to be had here: {', '.join(lacking)}" if lacking else ""
    return Pass(
        f"the gateway accepts; seen for what they are: {', '.join(wrong) or 'no faults'}{also}", (found[-1].seq,)
    )


@rule(
    id="MGC982",
    title="A backend that cannot be reached is told as an error",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("NET-02",),
    when=UNREACHABLE,
    failure_classes=("initialize-hang", "hang-on-upstream-error", "empty-200-stream", "silent-partial-aggregate"),
)
def unreachable_is_an_error(inputs: Inputs) -> Verdict:
    """Judge what a client is told when the gateway cannot reach its backend.

    What it checks: initialize, or the tools/list or the call after it, ends in an error: JSON-RPC, HTTP, a closed
    connection, or a gateway that has ended and refuses connections.
    Why it matters: these faults show at once, and a client that is kept waiting cannot tell them from a slow tool.
    A failing exchange: backend: ECONNREFUSED; client: initialize … nothing in 20 s
    A conforming exchange: backend: ECONNREFUSED; client: initialize → error -32000
    Known gaps: what the error says is not judged; a list of tools that is empty is MGC222's.
    """
    through = inputs.through
    what = told(through)
    if what.how == "error":
        return Pass(f"{fault(through)}: {what.what}", what.seen)
    reached = served_all_the_same(through)
    if reached is not None and what.how == "success":
        return Inconclusive("the gateway reached its backend in spite of the fault")
    return fail(
        "an error",
        f"{fault(through)}: {what.what}",
        events=_since_trigger(inputs, what.seen),
        symptom=what.symptom("silent-partial-aggregate"),
    )


@rule(
    id="MGC983",
    title="A backend whose port does not answer is given up in time",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("NET-03",),
    when=FILTERED,
    failure_classes=("initialize-hang", "hang-on-upstream-error", "empty-200-stream", "silent-partial-aggregate"),
)
def silence_of_tcp_is_given_up(inputs: Inputs) -> Verdict:
    """Judge how long a client waits for a gateway whose connection to its backend is never accepted.

    What it checks: initialize, or the tools/list or the call after it, ends in an error before the SDKs' clients give
    up by themselves (CLAIM_OBSERVED).
    Why it matters: an operating system tries to connect for two minutes; a gateway that does not bound that answers
    nobody any more, and which hop is filtered is never said.
    A failing exchange: backend: no SYN-ACK; client: initialize … nothing in 60 s
    A conforming exchange: backend: no SYN-ACK; client: initialize → error -32000 after 10 s
    Known gaps: what the error says is not judged.
    """
    what = told(inputs.through)
    if what.how == "error":
        return Pass(f"no answer to TCP: {what.what}", what.seen)
    if what.how == "hang" and what.exchange is not None:
        end = inputs.through.end_of(what.exchange)
        if end - what.exchange.t < timing.CLAIM_OBSERVED:
            return Inconclusive(f"it was watched for {end - what.exchange.t:.0f} s only")
    return fail(
        f"an error within {timing.CLAIM_OBSERVED:.0f} s",
        what.what,
        events=_since_trigger(inputs, what.seen),
        symptom=what.symptom("silent-partial-aggregate"),
    )


@rule(
    id="MGC984",
    title="A certificate that does not hold is not accepted",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.CLIENT,
    requirements=("NET-04",),
    when=BAD_CERTIFICATE,
    failure_classes=("certificate-not-checked",),
)
def bad_certificate_is_refused(inputs: Inputs) -> Verdict:
    """Judge whether the gateway sends anything to a backend whose certificate does not hold.

    What it checks: no HTTP request follows a handshake in which the certificate was expired, for another name or of an
    authority that the gateway was not given.
    Why it matters: a gateway that does not verify hands credentials and results to whoever stands in between.
    A failing exchange: certificate for other.test; gateway → backend: POST /mcp
    A conforming exchange: certificate for other.test; gateway → backend: TLS alert bad_certificate
    Known gaps: a gateway that breaks off without an alert is not told from one that never meant to ask.
    """
    sent = sent_by_gateway(inputs.through)
    if sent:
        observed = (
            f"{fault(inputs.through)}: {len(sent)} requests were sent, the first {sent[0].method} {sent[0].target}"
        )
        own = standpoint(probes(inputs.through, "backend"))
        events = (own.seq,) if own is not None else ()
        return fail("no request", observed, sent[0], events=events, symptom="certificate-not-checked")
    broken = handshakes_failed(inputs.through)
    if not broken:
        return NotExercised("a handshake of the gateway's with its backend")
    return Pass(f"{fault(inputs.through)}: {broken[0].data.get('error')}", tuple(event.seq for event in broken[:1]))


def _since_trigger(inputs: Inputs, events: tuple[int, ...]) -> tuple[int, ...]:
    return (inputs.through.stimuli(TRIGGER)[0].seq, *events)
