import gzip
import json
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.evidence.events import Kind, Point
from conformance.evidence.redact import Redactor
from conformance.wire.http import HttpConnection, body_record
from conformance.wire.sse import SseComment, SseEvent, SseParser

REQUEST = b"POST /mcp HTTP/1.1\r\nHost: x\r\nContent-Length: 40\r\n\r\n" + b'{"jsonrpc":"2.0","id":1,"method":"ping"}'
GET = b"GET /mcp HTTP/1.1\r\nHost: x\r\n\r\n"
ANSWER = b'{"jsonrpc":"2.0","id":1,"result":{}}'
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 36\r\n\r\n" + ANSWER
STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(data):
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


@pytest.fixture
def connection():
    return HttpConnection("client:a", 1, Point.CLIENT_TAP, Redactor())


def kinds(observations):
    return [item.kind for item in observations]


def test_two_exchanges_on_one_connection(connection):
    seen = [*connection.up(1, REQUEST), *connection.down(2, RESPONSE), *connection.up(3, REQUEST)]
    seen += connection.down(4, RESPONSE)
    exchanges = [item.data["exchange"] for item in seen if item.kind is Kind.HTTP_REQUEST]
    assert exchanges == ["client:a/1/1", "client:a/1/2"]
    ends = [(item.data["exchange"], item.data["how"]) for item in seen if item.kind is Kind.HTTP_RESPONSE_END]
    assert ends == [("client:a/1/1", "complete"), ("client:a/1/2", "complete")]


def test_pipelined_requests_are_paired_in_order(connection):
    seen = [
        *connection.up(1, REQUEST + GET),
        *connection.down(2, RESPONSE + b"HTTP/1.1 405 No\r\nContent-Length: 0\r\n\r\n"),
    ]
    statuses = {item.data["exchange"]: item.data["status"] for item in seen if item.kind is Kind.HTTP_RESPONSE}
    assert statuses == {"client:a/1/1": 200, "client:a/1/2": 405}


def head(media_type, coding, length):
    return (
        f"HTTP/1.1 200 OK\r\nContent-Type: {media_type}\r\nContent-Encoding: {coding}\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


@pytest.mark.parametrize(
    ("coding", "code"), [("gzip", gzip.compress), ("X-GZIP", gzip.compress), ("deflate", zlib.compress)]
)
def test_a_coded_body_is_read(connection, coding, code):
    body = code(ANSWER)
    seen = [*connection.up(1, REQUEST), *connection.down(2, head("application/json", coding, len(body)) + body)]
    found = next(item for item in seen if item.kind is Kind.HTTP_RESPONSE_BODY)
    assert found.data["message"] == json.loads(ANSWER)


@pytest.mark.parametrize(
    ("coding", "body"), [("gzip", ANSWER), ("br", ANSWER), ("gzip", gzip.compress(ANSWER, mtime=0)[:-20])]
)
def test_a_body_that_is_not_of_its_coding_is_kept_as_it_came(connection, coding, body):
    seen = [*connection.up(1, REQUEST), *connection.down(2, head("application/json", coding, len(body)) + body)]
    assert [item for item in seen if item.kind is Kind.HTTP_RESPONSE_BODY]


def test_events_of_a_coded_stream_count_when_they_can_be_read(connection):
    coder = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
    event = b"data: " + ANSWER + b"\n\n"
    flushed = coder.compress(event) + coder.flush(zlib.Z_SYNC_FLUSH)
    held = coder.compress(event) + coder.flush()
    start = STREAM_HEAD.replace(b"Transfer", b"Content-Encoding: gzip\r\nTransfer")
    seen = [*connection.up(1, GET)]
    for t, read in enumerate((start, chunk(flushed), chunk(held[:1]), chunk(held[1:]), b"0\r\n\r\n"), 2):
        seen += connection.down(t, read)
    assert [item.t_ns for item in seen if item.kind is Kind.SSE_EVENT] == [3, 5]


@given(st.lists(st.integers(1, 60), max_size=12))
@settings(max_examples=60)
def test_how_reads_are_cut_changes_nothing(sizes):
    whole = HttpConnection("t", 1, Point.CLIENT_TAP, Redactor())
    pieces = HttpConnection("t", 1, Point.CLIENT_TAP, Redactor())
    body = STREAM_HEAD + chunk(b'data: {"jsonrpc":"2.0"}\n\n') + chunk(b": beat\r\n\r\n") + b"0\r\n\r\n"
    expected = [(i.kind, i.data) for i in [*whole.up(1, GET), *whole.down(1, body)]]
    found = [(i.kind, i.data) for i in pieces.up(1, GET)]
    left = body
    for size in [*sizes, len(body)]:
        read, left = left[:size], left[size:]
        if read:
            found += [(i.kind, i.data) for i in pieces.down(1, read)]
    assert found == expected


def test_events_and_comments_are_stamped_when_they_are_complete(connection):
    list(connection.up(1, GET))
    list(connection.down(2, STREAM_HEAD))
    first = list(connection.down(3, chunk(b"data: 1\n")))
    second = list(connection.down(4, chunk(b"\n: beat\n")))
    assert kinds(first) == []
    assert [(item.kind, item.t_ns) for item in second] == [(Kind.SSE_EVENT, 4), (Kind.SSE_COMMENT, 4)]


@pytest.mark.parametrize(
    ("ending", "how"),
    [
        (lambda c: [*c.fin(5, "down"), *c.closed(6)], "fin"),
        (lambda c: c.rst(5, "down"), "rst"),
        (lambda c: [*c.fin(5, "up"), *c.fin(6, "down"), *c.closed(7)], "abandoned"),
        (lambda c: c.rst(5, "up"), "abandoned"),
    ],
)
def test_how_a_stream_ended(connection, ending, how):
    list(connection.up(1, GET))
    list(connection.down(2, STREAM_HEAD + chunk(b"data: half")))
    end = next(item for item in ending(connection) if item.kind is Kind.HTTP_RESPONSE_END)
    assert (end.data["how"], end.data["incomplete_event"]) == (how, True)


def test_a_request_whose_server_only_closes_has_an_end(connection):
    list(connection.up(1, REQUEST))
    ends = [item for item in connection.fin(2, "down") if item.kind is Kind.HTTP_RESPONSE_END]
    assert [(item.data["exchange"], item.data["how"]) for item in ends] == [("client:a/1/1", "fin")]


def test_a_body_framed_by_the_end_of_the_connection_is_complete(connection):
    list(connection.up(1, REQUEST))
    list(connection.down(2, b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n" + ANSWER))
    seen = list(connection.fin(3, "down"))
    assert [item.data["how"] for item in seen if item.kind is Kind.HTTP_RESPONSE_END] == ["complete"]
    assert next(item.data["message"] for item in seen if item.kind is Kind.HTTP_RESPONSE_BODY) == json.loads(ANSWER)


@pytest.mark.parametrize(
    "preface", [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"nonsense\r\n\r\n"]
)
def test_what_is_not_http_is_unparsed_once(connection, preface):
    seen = [*connection.up(1, preface), *connection.up(2, b"more")]
    assert kinds(seen).count(Kind.HTTP_UNPARSED) <= 1
    assert Kind.HTTP_RESPONSE not in kinds(seen)


def test_after_an_upgrade_nothing_is_parsed(connection):
    list(connection.up(1, b"POST /attach HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"))
    seen = list(connection.down(2, b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nraw"))
    assert kinds(seen) == [Kind.HTTP_RESPONSE, Kind.HTTP_UNPARSED]
    assert [*connection.up(3, b"raw"), *connection.down(4, b"raw")] == []


def test_a_big_body_keeps_head_tail_and_digest(connection):
    body = b"x" * 100_000
    list(connection.up(1, REQUEST))
    seen = list(connection.down(2, b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + body))
    record = next(item.data for item in seen if item.kind is Kind.HTTP_RESPONSE_BODY)
    assert (record["length"], len(record["head"]), len(record["sha256"])) == (100_000, 8192, 64)


def test_event_stream_lines():
    parser = SseParser()
    items = parser.feed(b"\xef\xbb\xbfevent: x\r\ndata: a\rdata:b\nid: 7\nretry: 10\n\n:c\nid: 8\ndata:\n\n")
    assert items == [SseEvent("x", "a\nb", "7", 10), SseComment("c"), SseEvent("message", "", "8")]
    assert not parser.incomplete
    parser.feed(b"data: half")
    assert parser.incomplete


def test_a_body_nested_too_deep_is_kept_as_text(connection):
    body = b"[" * 20_000
    head = f"POST /mcp HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    seen = [item for item in connection.up(1, head + body) if item.kind is Kind.HTTP_REQUEST_BODY]
    assert "message" not in seen[0].data
    assert seen[0].data["body"].startswith("[[[")


@pytest.mark.parametrize(
    "chunks", [[b"data: x\r\r"], [b"data: x\r", b"\r"], [b"data: x\r\n\r", b"\n"], [b"data: x\r\n\r\n"]]
)
def test_a_carriage_return_ends_a_line_at_once(chunks):
    parser = SseParser()
    found = [item for chunk in chunks for item in parser.feed(chunk)]
    assert [item.data for item in found] == ["x"]
    assert not parser.incomplete


@pytest.mark.parametrize("redactor", [Redactor(), Redactor(supplied=("hunter2-hunter2",)), Redactor(foreign=True)])
@pytest.mark.parametrize("padding", [0, 70_000])
def test_json_is_a_message_down_to_a_hundred_levels(redactor, padding):
    def nested(levels):
        inner = b'{"b":' * (levels - 1) + b"1" + b"}" * (levels - 1)
        return b'{"a":' + inner + b', "c": "' + b"x" * padding + b'"}'

    assert "message" in body_record(nested(100), redactor)
    for levels in (101, 600, 980):
        record = body_record(nested(levels), redactor)
        assert "message" not in record
        assert {"head", "tail"} <= set(record) if padding else "body" in record


SECRET = "sk-live/AbC+12345=Zq7&x"


@pytest.mark.parametrize("where", range(8192 - len(SECRET), 8192 + 1))
def test_no_half_of_a_secret_is_left_where_a_body_is_cut(where):
    body = b"x" * where + SECRET.encode() + b"y" * 70_000
    redactor = Redactor(supplied=(SECRET,))
    assert "sk" not in body_record(body, redactor)["head"]
    assert "Zq" not in body_record(body[::-1].replace(SECRET.encode()[::-1], SECRET.encode()), redactor)["tail"]


@pytest.mark.parametrize("redactor", [Redactor(supplied=(SECRET,)), Redactor(foreign=True)])
@pytest.mark.parametrize(
    "line",
    [f"Authorization : Bearer {SECRET}", f"X-Echo\x00{SECRET}: 1", f"A: 1\x00{SECRET}", f"z{'z' * 150} {SECRET}"],
)
def test_what_is_not_http_is_not_quoted(redactor, line):
    raw = f"POST /mcp HTTP/1.1\r\nHost: x\r\n{line}\r\n\r\n".encode()
    for cut in (raw.index(b"AbC"), len(raw) - 1):
        connection = HttpConnection("client:a", 1, Point.CLIENT_TAP, redactor)
        seen = [*connection.up(1, raw[:cut]), *connection.up(2, raw[cut:])]
        assert kinds(seen) == [Kind.HTTP_UNPARSED]
        assert seen[0].data["why"] == "illegal header line"
        assert not any(part in str(seen[0].data) for part in ("live", "AbC", "12345"))


@pytest.mark.parametrize("redactor", [Redactor(supplied=(SECRET,)), Redactor(foreign=True)])
def test_every_field_of_an_event_stream_is_redacted(redactor):
    connection = HttpConnection("client:a", 1, Point.CLIENT_TAP, redactor)
    stream = f": of {SECRET}\n\nevent: {SECRET}\nid: {SECRET}\ndata: {{}}\n\nevent: endpoint\ndata: /m\n\n".encode()
    get = GET.replace(b"\r\n\r\n", f"\r\nLast-Event-ID: {SECRET}\r\n\r\n".encode())
    seen = [*connection.up(1, get), *connection.down(2, STREAM_HEAD + chunk(stream))]
    assert "live" not in str([item.data for item in seen])
    first, second = (item.data for item in seen if item.kind is Kind.SSE_EVENT)
    assert second["event"] == "endpoint"
    asked = next(item.data["headers"] for item in seen if item.kind is Kind.HTTP_REQUEST)
    assert first["id"] == dict(asked)["Last-Event-ID"]
