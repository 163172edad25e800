"""`run --url` at a gateway that cannot be judged: one sentence that names the fault, and exit code 3."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import trustme
from cli_setup import cli

from conformance.commands import one_sided
from conformance.errors import ExitCode
from conformance.evidence.network import shows_proxy
from tests.network_setup import HOST, PAGE, REFUSAL, answering, closed, in_tls, issued, reset, serving, trusted

AUTHORITY = trustme.CA()
PAGE_OF_ITS_OWN = PAGE.replace(b"502 Bad Gateway", b"200 OK")
BANNER = b"SSH-2.0-x\r\n"
FAULTS = {
    "closed": (closed(), "http", "port-closed, charged to configuration", "start the server, or correct the port"),
    "port proxy": (serving(reset), "http", "container's published port (published-port-dead)", "publish the port"),
    "ends": (serving(lambda _: None), "http", "ends them without a byte; see whether the server", "port of --url"),
    "page": (serving(answering(PAGE)), "http", "proxy-answers-html, charged to edge", "bypass it (NO_PROXY)"),
    "other page": (serving(answering(PAGE_OF_ITS_OWN)), "http", "if a proxy stands there", "correct path and port of"),
    "other service": (
        serving(answering(BANNER)),
        "http",
        "answer begins 'SSH-2.0-x'",
        "correct host and port of --url",
    ),
    "TLS": (serving(in_tls(issued(AUTHORITY))), "http", "plain-http-to-tls, charged to", "write the URL with https"),
    "no TLS": (serving(answering(REFUSAL)), "https", "tls-to-plain-http, charged to", "write the URL with http,"),
    "name": (serving(in_tls(issued(AUTHORITY, "a.test"))), "https", "is for a.test, not for", "tls-name-or-trust"),
    "expired": (serving(in_tls(issued(AUTHORITY, expired=True))), "https", "expired on", "renew the certificate"),
    "untrusted": (serving(in_tls(issued(trustme.CA()))), "https", "tls-untrusted-issuer", "give the party"),
}


@pytest.mark.parametrize(("where", "scheme", "said", "remedy"), FAULTS.values(), ids=list(FAULTS))
def test_the_fault_is_named(
    where: AbstractContextManager[int],
    scheme: str,
    said: str,
    remedy: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(one_sided, "PROBE_SECONDS", 1.0)
    monkeypatch.setenv("SSL_CERT_FILE", trusted(AUTHORITY, tmp_path))
    with where as port:
        shown = cli(capsys, "run", "--url", f"{scheme}://{HOST}:{port}/mcp", "--out", str(tmp_path / "out"))
    sentence = shown.sentence(ExitCode.CANNOT_JUDGE)
    assert sentence.startswith("Nothing can be judged: ")
    assert said in sentence
    assert remedy in sentence


def test_no_proxy_is_blamed_where_none_shows() -> None:
    own = {"status": 200, "server": "nginx/1.27", "via": ""}
    assert not shows_proxy(own)
    assert all(shows_proxy(own | more) for more in ({"status": 503}, {"server": "squid/6"}, {"via": "1.1 x"}))


def test_a_name_without_an_address(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    shown = cli(capsys, "run", "--url", "https://no-such-gateway.invalid/mcp", "--out", str(tmp_path / "out"))
    assert "the name no-such-gateway.invalid" in shown.sentence(ExitCode.CANNOT_JUDGE)
