"""The first initialize at a gateway that already runs: one sentence that says what came instead, and how to mend it."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme
from cli_setup import cli

from conformance.commands import first_initialize, one_sided, run
from conformance.commands.first_initialize import refuse_uninitialized
from conformance.errors import CannotJudgeError, ExitCode
from conformance.stage.plan import UrlTarget
from tests.network_setup import HOST, issued, serving, trusted

SECRET = "s3cr3t-of-the-user"
RESULT = {"jsonrpc": "2.0", "id": 1, "result": {"protocolVersion": "2025-11-25", "capabilities": {}}}
REVISIONS = ("2025-11-25",)


def payload(status: int, body: str = "", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body.encode())}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join((*lines, "", body)).encode("latin-1")


def whole(sock: socket.socket) -> bytes:
    """Return one request: what is left unread would reset the connection."""
    got = b""
    while b"\r\n\r\n" not in got:
        got += sock.recv(4096)
    head, _, body = got.partition(b"\r\n\r\n")
    lengths = [line.partition(b":")[2] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")]
    while lengths and len(body) < int(lengths[0]):
        body += sock.recv(4096)
    return head + body


def answering(answer: bytes) -> Callable[[socket.socket], None]:
    """Read one request and send `answer`."""

    def take(sock: socket.socket) -> None:
        whole(sock)
        sock.sendall(answer)

    return take


JSON = "application/json"
REFUSALS = {
    "no endpoint": (payload(404, "no", Content_Type="text/plain"), "404 text/plain", "correct path and port of --url"),
    "redirect": (
        payload(307, Location="https://user:word@other.test/mcp?token=abc#x"),
        "307, which holds no result, and leads to https://other.test/mcp;",
        "give its URL to --url",
    ),
    "credentials": (
        payload(401, "{}", Content_Type=JSON, WWW_Authenticate='Bearer realm="x"'),
        '(WWW-Authenticate: Bearer realm="x")',
        "give credentials with --header-env 'Authorization=VARIABLE'",
    ),
    "no POST": (payload(405, Allow="GET"), "was answered 405", "correct path and port of --url"),
    "trouble": (payload(500, "oops", Content_Type="text/plain"), "500 text/plain", "look into the log of what answers"),
    "nothing behind it": (payload(502, "{}", Content_Type=JSON), "502 application/json", "start what stands behind it"),
    "other JSON": (payload(200, '{"ok":1}', Content_Type=JSON), "which holds no result", "correct path and port"),
    "not this revision": (
        payload(400, '{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"no\\u001b[2J"}}', Content_Type=JSON),
        "400 with the JSON-RPC error -32602 (no\\x1b[2J)",
        "may want another --revision",
    ),
    "a stream without it": (
        payload(200, ": nothing\n\n", Content_Type="text/event-stream"),
        "200 text/event-stream, which holds no result",
        "correct path and port",
    ),
}


@pytest.mark.parametrize(("answer", "said", "remedy"), REFUSALS.values(), ids=list(REFUSALS))
def test_what_came_instead_of_a_result_is_told_before_anything_is_driven(
    answer: bytes,
    said: str,
    remedy: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(run, "execute", lambda _: pytest.fail("it was driven"))
    with serving(answering(answer)) as port:
        shown = cli(capsys, "run", "--url", f"http://{HOST}:{port}/mcp?key=k1", "--out", str(tmp_path))
    sentence = shown.sentence(ExitCode.CANNOT_JUDGE)
    assert sentence.startswith(f"Nothing can be judged: initialize, sent to {HOST}:{port}/mcp, was answered ")
    assert said in sentence
    assert remedy in sentence
    assert not {"k1", "abc", "word"} & set(sentence.replace("=", " ").split())


def test_silence_is_told_with_its_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_initialize, "ANSWER_SECONDS", 0.2)
    until = threading.Event()
    said = r"was not answered \(gave up after 0.2 s\); see whether the process"
    with serving(lambda _: until.wait(5) and None) as port:
        with pytest.raises(CannotJudgeError, match=said):
            refuse_uninitialized(UrlTarget(f"http://{HOST}:{port}/mcp"), ("2025-11-25", "2025-06-18"))
        until.set()


def test_a_credential_that_the_server_repeats_is_redacted_also_where_it_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_AUTH", f"Bearer {SECRET}")
    for lead in (0, first_initialize._LONGEST_QUOTE - 5):
        error = {"code": -1, "message": "x" * lead + SECRET}
        answer = payload(401, json.dumps({"error": error}), Content_Type=JSON, WWW_Authenticate="x" * lead + SECRET)
        target = UrlTarget(f"http://{HOST}", {"Authorization": "GATEWAY_AUTH"})
        with serving(answering(answer)) as port, pytest.raises(CannotJudgeError) as raised:
            refuse_uninitialized(UrlTarget(f"{target.url}:{port}/mcp", target.header_env), REVISIONS)
        assert SECRET[:5] not in str(raised.value)
        assert "correct what --header-env sends (Authorization from GATEWAY_AUTH)" in str(raised.value)


@pytest.mark.parametrize("stream", [False, True], ids=["JSON", "event stream"])
def test_a_result_is_no_obstacle_and_its_session_is_ended(stream: bool) -> None:
    body = f"data: {json.dumps(RESULT)}\n\n" if stream else json.dumps(RESULT)
    media = "text/event-stream" if stream else JSON
    heads: list[bytes] = []

    def take(sock: socket.socket) -> None:
        heads.append(whole(sock))
        sock.sendall(payload(200, body, Content_Type=media, Mcp_Session_Id="s-1"))

    with serving(take) as port:
        refuse_uninitialized(UrlTarget(f"http://{HOST}:{port}/mcp"), REVISIONS)
    assert heads[0].startswith(b"POST /mcp")
    assert heads[-1].startswith(b"DELETE /mcp")
    assert b"mcp-session-id: s-1" in heads[-1].lower()


def test_one_revision_that_is_spoken_is_enough() -> None:
    answers = iter([payload(400, "{}", Content_Type=JSON), payload(200, json.dumps(RESULT), Content_Type=JSON)])

    def take(sock: socket.socket) -> None:
        answering(next(answers))(sock)

    with serving(take) as port:
        refuse_uninitialized(UrlTarget(f"http://{HOST}:{port}/mcp"), ("2024-11-05", "2025-11-25"))


def test_the_authorities_of_the_machine_are_trusted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    authority = trustme.CA()
    monkeypatch.setenv("SSL_CERT_FILE", trusted(authority, tmp_path))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued(authority).configure_cert(context)

    def take(sock: socket.socket) -> None:
        with context.wrap_socket(sock, server_side=True) as wrapped:
            answering(payload(200, json.dumps(RESULT), Content_Type=JSON))(wrapped)

    with serving(take) as port:
        refuse_uninitialized(UrlTarget(f"https://{HOST}:{port}/mcp"), REVISIONS)


def test_what_only_stays_silent_on_a_ping_is_asked_further(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(one_sided, "PROBE_SECONDS", 0.2)
    monkeypatch.setattr(run, "execute", lambda _: ExitCode.OK)
    until = threading.Event()

    def take(sock: socket.socket) -> None:
        if b"initialize" in whole(sock):
            sock.sendall(payload(200, json.dumps(RESULT), Content_Type=JSON))
        else:
            until.wait(5)

    with serving(take) as port:
        shown = cli(capsys, "run", "--url", f"http://{HOST}:{port}/mcp", "--out", str(tmp_path))
        until.set()
    assert shown.code == ExitCode.OK
    assert "says nothing to a ping without a session, for 0.2 s now; it is asked on all the same" in shown.err
