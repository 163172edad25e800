"""One try to reach an endpoint: what it sees of each fault, and what that is called."""

from __future__ import annotations

import socket
import threading
from contextlib import AbstractContextManager

import pytest
import trustme

from conformance.evidence.events import JSON, Hop
from conformance.evidence.network import Obstacle, obstacle
from conformance.wire.reaching import reach
from tests.network_setup import HOST, PAGE, REFUSAL, answering, closed, in_tls, issued, pem, reset, serving

AUTHORITY = trustme.CA()


def tried(where: AbstractContextManager[int], scheme: str = "http", **more: JSON) -> tuple[dict[str, JSON], str]:
    """Return a probe's facts, and the kind of what it ran into."""
    with where as port:
        facts = reach(f"{scheme}://{HOST}:{port}/mcp", authority=pem(AUTHORITY), read_seconds=0.5, connect_seconds=0.5)
    found = obstacle(facts | more)
    return facts, found.kind if found else ""


def test_an_endpoint_that_answers() -> None:
    facts, kind = tried(serving(answering(REFUSAL)))
    assert kind == ""
    assert (facts["answer"], facts["status"], facts["content_type"]) == ("http", 400, "application/json")
    assert len(facts["local"]) == 1


def test_an_endpoint_that_answers_in_tls() -> None:
    facts, kind = tried(serving(in_tls(issued(AUTHORITY))), "https")
    assert kind == ""
    assert facts["tls"]["ok"]
    assert facts["certificate"]["names"] == [HOST]
    assert facts["certificate"]["for_host"]
    assert facts["certificate"]["in_date"]


def test_a_closed_port_and_one_that_only_the_other_side_s_loopback_has() -> None:
    facts, kind = tried(closed())
    assert kind == "port-closed"
    assert facts["connect_error"] == "ECONNREFUSED"
    inside = facts | {"place": "gateway"}
    outside = facts | {"place": "host", "connected": HOST, "connect_error": "", "answer": "http"}
    found = obstacle(inside, [outside])
    assert found is not None
    assert found.kind == "container-loopback-unreachable"
    assert "of this machine accepts" in found.says
    contained = obstacle(facts | {"place": "client"})
    assert contained is not None
    assert contained.kind == "container-loopback-unreachable"
    assert "means the client's own container" in contained.says


def test_a_port_without_an_answer_to_tcp() -> None:
    with socket.socket() as sock, socket.socket() as taking:
        sock.bind((HOST, 0))
        sock.listen(0)  # the queue of one is full from here on, and the kernel drops further SYNs
        taking.connect(sock.getsockname())
        facts = reach(f"http://{HOST}:{sock.getsockname()[1]}/", connect_seconds=0.3)
    assert facts["connect_error"] == "timeout"
    assert obstacle(facts) == Obstacle(
        "connect-blocked",
        Hop.NETWORK,
        f"{HOST}:{facts['port']} cannot be connected to (no answer to TCP within {facts['connect_seconds']:.1f} s): "
        "the port is filtered, or there is no route",
    )


def test_a_name_without_an_address() -> None:
    facts = reach("http://no-such-server.invalid/mcp")
    found = obstacle(facts)
    assert found is not None
    assert found.kind == "name-not-resolved"
    assert found.hop is (Hop.NETWORK if facts["name_error"] == "EAI_AGAIN" else Hop.CONFIGURATION)


def test_what_can_be_no_name() -> None:
    assert reach("http://no..such.server/mcp")["name_error"] == "EAI_NONAME"


@pytest.mark.parametrize(
    ("certificate", "kind", "says"),
    [
        (issued(AUTHORITY, "other.test"), "tls-name-or-trust", "is for other.test, not for 127.0.0.1"),
        (issued(AUTHORITY, expired=True), "tls-certificate-expired", "expired on"),
        (issued(trustme.CA()), "tls-untrusted-issuer", "does not trust"),
    ],
    ids=["name", "expired", "untrusted"],
)
def test_a_certificate_that_does_not_hold(certificate: trustme.LeafCert, kind: str, says: str) -> None:
    facts, found = tried(serving(in_tls(certificate)), "https")
    assert found == kind
    assert facts["tls"]["error"] == "certificate"
    named = obstacle(facts)
    assert named is not None
    assert says in named.says


def test_the_two_protocols_taken_for_each_other() -> None:
    assert tried(serving(in_tls(issued(AUTHORITY))))[1] == "plain-http-to-tls"
    assert tried(serving(answering(REFUSAL)), "https")[1] == "tls-to-plain-http"


def test_a_web_page_and_another_service() -> None:
    assert tried(serving(answering(PAGE)))[1] == "proxy-answers-html"
    assert tried(serving(answering(PAGE.replace(b"502", b"401"))))[1] == ""
    assert tried(serving(answering(b"220 mail.test ESMTP\r\n\r\n")))[1] == "proxy-answers-html"


def test_an_answer_that_drips_is_not_waited_for() -> None:
    until = threading.Event()

    def drip(sock: socket.socket) -> None:
        while not until.wait(0.05):
            sock.sendall(b"x")

    facts, kind = tried(serving(drip))
    until.set()
    assert (facts["answer"], kind) == ("other", "proxy-answers-html")


def test_a_status_that_is_no_number() -> None:
    facts, kind = tried(serving(answering("HTTP/1.1 ²00 OK\r\n\r\n".encode("latin-1"))))
    assert (facts["answer"], facts["status"], kind) == ("http", 0, "")


@pytest.mark.parametrize("end", [reset, lambda sock: None], ids=["rst", "fin"])
def test_a_port_that_accepts_and_ends(end) -> None:
    facts, kind = tried(serving(end))
    assert kind == "published-port-dead"
    assert facts["answer"] in {"reset", "closed"}
    beyond = facts | {"place": "beyond", "connected": "", "connect_error": "ECONNREFUSED"}
    found = obstacle(facts, [beyond])
    assert found is not None
    assert found.hop is Hop.CONFIGURATION
    assert "nothing listens behind it" in found.says


@pytest.mark.parametrize(("leg", "hop"), [("client", Hop.GATEWAY), ("backend", Hop.BACKEND)])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_port_that_accepts_and_is_silent(leg: str, hop: Hop, scheme: str) -> None:
    until = threading.Event()
    facts, kind = tried(serving(lambda sock: until.wait(20) and None), scheme, leg=leg)
    until.set()
    assert kind == "accepts-but-silent"
    found = obstacle(facts | {"leg": leg})
    assert found is not None
    assert found.hop is hop
