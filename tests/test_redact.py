import base64
import html
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.evidence.events import Point
from conformance.evidence.log import write_evidence
from conformance.evidence.redact import Redactor, facts
from conformance.wire.assemble import assemble_stdio, assemble_tap
from conformance.wire.http import body_record
from conformance.wire.spool import Direction, RecordKind, SpoolRecord

SECRET = 'sk-"quoted"/and+plus=7f3a'


def test_a_supplied_secret_is_replaced_in_every_spelling():
    redactor = Redactor(supplied=(f"Bearer {SECRET}",))
    encoded = base64.b64encode(SECRET.encode()).decode().rstrip("=")
    text = f"{SECRET} {quote(SECRET, safe='')} {json.dumps(SECRET)} {encoded}"
    written = redactor.text(text)
    for spelling in (SECRET, quote(SECRET, safe=""), json.dumps(SECRET)[1:-1], encoded):
        assert spelling not in written


KEY = "sk-live/AbC+12345=Zq7&x"


@pytest.mark.parametrize(
    "spelling",
    [
        quote(KEY),
        quote(KEY, safe="").replace("%2F", "%2f").replace("%2B", "%2b"),
        quote_plus(KEY),
        KEY.replace("/", "\\/"),
        json.dumps(json.dumps(KEY.replace("/", "\\/"))),
        KEY.replace("&", "\\u0026"),
        html.escape(KEY),
        KEY.replace("+", "&#43;").replace("=", "&#x3D;"),
    ],
)
def test_however_a_secret_is_escaped_it_is_replaced_by_its_token(spelling):
    redactor = Redactor(supplied=(f"Bearer {KEY}",))
    written = redactor.text(f"<{spelling}>")
    assert redactor.token(KEY) in written
    assert "live" not in written


@pytest.mark.parametrize("user", ["", "u", "us", "use"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_a_secret_in_the_midst_of_base64_is_replaced(user, encode):
    secret = "\u00fb?>~-live-\u00ff" * 2
    redactor = Redactor(supplied=(secret,))
    assert redactor.token(secret) in redactor.text(f"Basic {encode(f'{user}:{secret}:'.encode()).decode()}")


@pytest.mark.parametrize(
    ("supplied", "said", "left"),
    [
        ("Basic dXNlcjpodW50ZXIyc2VjcmV0", "login of user:hunter2secret", "login of {}"),
        ("Basic dXNlcjpodW50ZXIyc2VjcmV0", "its password hunter2secret", "its password {}"),
        ("session=abcdef123456; csrf=zzzzyyyyxxxx", "session=abcdef123456; Path=/", "session={}; Path=/"),
        ("session=abcdef123456; csrf=zzzzyyyyxxxx", "csrf: zzzzyyyyxxxx", "csrf: {}"),
        ("host=localhost password=deadbeefcafe", "localhost deadbeefcafe", "localhost {}"),
        ("postgres://u:p%40ssw0rd@db/x", "password p@ssw0rd", "password {}"),
        ("supersecret-token-123\n", "using supersecret-token-123.", "using {}."),
        ("-----BEGIN KEY-----\nVJTUt9Us8cKjMzEf\n-----END KEY-----\n", "VJTUt9Us8cKjMzEf", "{}"),
        ("-----BEGIN KEY-----\\nVJTUt9Us8cKjMzEf\\n-----END KEY-----", "VJTUt9Us8cKjMzEf", "{}"),
    ],
)
def test_what_a_supplied_value_is_made_of_is_secret_too(supplied, said, left):
    written = Redactor(supplied=(supplied,)).text(said)
    before, after = left.split("{}")
    assert written.startswith(f"{before}redacted:")
    assert written.endswith(after)
    assert facts(written.removeprefix(before).removesuffix(after)) is not None


def test_the_whole_of_a_secret_is_replaced_before_its_parts():
    redactor = Redactor(supplied=("session=abcdef123456; csrf=zzzzyyyyxxxx",))
    whole = "session=abcdef123456; csrf=zzzzyyyyxxxx"
    assert redactor.text(f"Cookie: {whole}") == f"Cookie: {redactor.token(whole)}"


def test_a_lone_surrogate_has_a_token():
    record = body_record(b'{"a": "\\ud800", "\\ud800": 1}', Redactor(supplied=("\ud800bcd-efgh",), foreign=True))
    assert all(facts(text) is not None for text in (record["message"]["a"], list(record["message"])[1]))


def test_stderr_is_redacted_in_whole_lines():
    def told(kind, said=b""):
        b64 = base64.b64encode(said).decode()
        return json.dumps({"t_ns": 1, "tap": "t", "process": "p", "kind": kind, "b64": b64, "code": 0}).encode()

    redactor, begun = Redactor(supplied=(KEY,)), {}
    first = [told("stderr", b"one\ntwo " + KEY[:9].encode())]
    rest = [told("stderr", KEY[9:].encode() + b"\n"), told("stderr", b"the "), told("stderr", b"end"), told("exit")]
    seen = [*assemble_stdio(first, redactor, begun), *assemble_stdio(rest, redactor, begun)]
    assert [item.data.get("text") for item in seen] == ["one\n", f"two {redactor.token(KEY)}\n", "the end", None]


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
    written = redactor.target("/messages/0123456789abcdef")
    assert written == f"/messages/{redactor.token('0123456789abcdef')}"


def test_foreign_members_stay_plain_for_what_they_hold_and_not_for_their_name():
    redactor = Redactor(foreign=True)
    vocabulary = {"jsonrpc": "2.0", "method": "notifications/progress", "type": ["string", "null"], "code": -32601}
    assert redactor.json(vocabulary) == vocabulary
    other = {"code": "oauth-code-1", "type": KEY, "method": KEY, "nonce": KEY, "progressToken": KEY, "level": KEY}
    written = redactor.json(other)
    assert all(facts(text) is not None for text in written.values())
    assert written["progressToken"] == redactor.json({"id": KEY})["id"]
    names = redactor.json({"inputSchema": 1, "io.modelcontextprotocol/related-task": 1, KEY: 1, "a@example.com": 1})
    assert [facts(name) is None for name in names] == [True, True, False, False]
    assert facts(redactor.name("X-sk0123456789abcdef")) is not None


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


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Origin", "http://attacker.example"),
        ("Access-Control-Request-Method", "POST"),
        ("Location", "/mcp/"),
        ("Location", "https://gateway.example:8443/mcp"),
    ],
)
def test_what_a_page_asks_and_where_a_redirect_leads_stays_plain_in_foreign_traffic(name: str, value: str) -> None:
    assert Redactor(foreign=True).header(name, value) == value


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        ("/login?next=http://x/y&code=sesame", "/login?redacted:"),
        ("https://gateway.example/s/pathsecret-778899-aabbcc/mcp", "https://gateway.example/s/redacted:"),
        ("https://user:password@gateway.example/mcp", "redacted:"),
    ],
)
def test_a_credential_in_a_redirect_is_replaced(value: str, plain: str) -> None:
    written = Redactor(foreign=True).header("Location", value)
    assert written.startswith(plain)
    assert not any(secret in written for secret in ("sesame", "pathsecret", "778899", "password"))
