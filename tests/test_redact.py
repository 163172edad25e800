import base64
import json
from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st

from conformance.evidence.events import Point
from conformance.evidence.log import write_evidence
from conformance.evidence.redact import Redactor, facts
from conformance.wire.assemble import assemble_tap
from conformance.wire.spool import Direction, RecordKind, SpoolRecord

SECRET = 'sk-"quoted"/and+plus=7f3a'


def test_a_supplied_secret_is_replaced_in_every_spelling():
    redactor = Redactor(supplied=(f"Bearer {SECRET}",))
    encoded = base64.b64encode(SECRET.encode()).decode().rstrip("=")
    text = f"{SECRET} {quote(SECRET, safe='')} {json.dumps(SECRET)} {encoded}"
    written = redactor.text(text)
    for spelling in (SECRET, quote(SECRET, safe=""), json.dumps(SECRET)[1:-1], encoded):
        assert spelling not in written


def test_a_token_keeps_scheme_length_alphabet_and_equality():
    redactor = Redactor(supplied=())
    token = redactor.token("Bearer 0123456789abcdef")
    told = facts(token)
    assert told is not None
    assert (told.scheme, told.length, told.alphabet) == ("Bearer", 16, "hex")
    assert token == redactor.token("Bearer 0123456789abcdef")
    assert token != redactor.token("Bearer 0123456789abcdee")
    assert redactor.token("x") != Redactor().token("x")


def test_foreign_traffic_keeps_vocabulary_only():
    redactor = Redactor(foreign=True, own=("n-1",))
    message = {
        "jsonrpc": "2.0",
        "id": 7,
        "method": "tools/call",
        "params": {"name": "send_mail", "arguments": {"to": "a@example.com", "nonce": "n-1"}},
    }
    written = redactor.json(message)
    assert (written["method"], written["id"], written["params"]["arguments"]["nonce"]) == ("tools/call", 7, "n-1")
    assert "example.com" not in json.dumps(written)
    assert facts(written["params"]["name"]) is not None
    assert facts(redactor.header("Mcp-Session-Id", "abc")) is not None
    assert redactor.header("Content-Type", "text/event-stream") == "text/event-stream"
    assert "key=1" not in redactor.target("/mcp?key=1")


def test_what_harness_and_witness_say_to_each_other_stays_plain():
    redactor = Redactor(supplied=("hunter2-hunter2",), foreign=True, own_conversation=True)
    written = redactor.json({"params": {"name": "echo", "arguments": {"text": "hunter2-hunter2"}}})
    assert written["params"]["name"] == "echo"
    assert "hunter2" not in json.dumps(written)
    assert redactor.header("Mcp-Session-Id", "abc") == redactor.header("Last-Event-ID", "abc") == "abc"
    assert facts(redactor.header("Set-Cookie", "route=7")) is not None
    assert "hunter2" not in redactor.body("<p>hunter2-hunter2</p>")


@given(st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), min_size=8), st.text(), st.text())
def test_no_secret_survives_wherever_it_stands(secret, before, after):
    written = Redactor(supplied=(secret,)).text(before + secret + after)
    assert secret not in written.replace(Redactor().token(secret)[:9], "")


def request_bytes(secret):
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {"k": secret}}).encode()
    head = f"POST /mcp?key={quote(secret)} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {secret}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def test_a_secret_split_over_two_reads_reaches_no_file(tmp_path):
    secret = "sk-0123456789abcdef0123"
    raw = request_bytes(secret)
    redactor = Redactor(supplied=(secret,))
    for cut in range(1, len(raw)):
        reads = (raw[:cut], raw[cut:])
        records = [
            SpoolRecord(number, 1, Direction.UP, RecordKind.DATA, read, len(read)) for number, read in enumerate(reads)
        ]
        path = tmp_path / "evidence.jsonl"
        write_evidence(path, {}, assemble_tap("client:a", Point.CLIENT_TAP, records, redactor), {})
        written = path.read_text()
        assert secret not in written
        assert "ping" in written
