"""The fleet's files: nothing shown better than it is, nothing that a server sent does anything, nothing from outside."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from jsonschema import Draft202012Validator
from report_sample import HEADER, HOSTILE, diagnosis, result
from shard_sample import fleet_of, shard

from conformance.evidence.events import Event, Kind, Point
from conformance.evidence.transcript import Transcript
from conformance.paths import SCHEMAS
from conformance.report.excerpts import LONGEST, excerpt
from conformance.report.fleet import IN_PART, STANDINGS, UNCHECKED, fleet
from conformance.report.fleet_pages import _MARKS, css_class, write_fleet
from conformance.report.overview import Meaning
from conformance.report.shards import read_shard, whole
from conformance.spec.profiles import profile
from conformance.spec.revisions import Revision

SCHEMA = json.loads((SCHEMAS / "fleet.schema.json").read_text(encoding="utf-8"))
KNOWN = {"failure_class": "get-sse-wrong-status", "issue": "https://example.com/issues/7", "seen": "answers 400"}
FAILED = result("GET-R02", "fail", expectation="known-failure", known=KNOWN)
EVERYTHING = (
    result(driven="2026-01-02T03:05:00+00:00", run="r1"),
    FAILED,
    result("KEEP-R01", "not-exercised", suite="keep_alive", observed="the control run"),
    result("KEEP-R02", "pass", suite="keep_alive"),
    result("STRM-R01", "not-exercised", suite="streaming", known=KNOWN),
    result("SESS-R01", "fail", suite="session_reuse"),
    result("INIT-R01", "inconclusive", suite="initialize_ordering", observed="the harness was late"),
    result("ISO-R01", "not-applicable", suite="isolation", observed="no credentials"),
    result("CLI-R01", suite="clients", scenario="client-mcp-remote"),
    result("GET-R05", scenario="client-mcp-remote"),
    diagnosis(FAILED),
)
UNMET = {
    "target": "gw",
    "rule": "GET-R09",
    "failure_class": "x",
    "issue": "not reported",
    "state": "unchecked",
    "why": "this run drove no cell that it matches",
}


@pytest.fixture
def written(tmp_path):
    piece = {"t": 1.0, "point": "client-tap", "text": "GET /mcp\nhost: x"}
    found = fleet_of(tmp_path, *EVERYTHING, excerpts={FAILED["id"]: [piece]}, unmet=[UNMET], exit_code=1)
    write_fleet(found, tmp_path / "fleet")
    return tmp_path / "fleet"


def cells(written):
    return {cell["suite"]: cell for cell in json.loads((written / "fleet.json").read_text())["cells"]}


def test_fleet_json_keeps_to_its_schema(written):
    Draft202012Validator.check_schema(SCHEMA)
    data = json.loads((written / "fleet.json").read_text(encoding="utf-8"))
    Draft202012Validator(SCHEMA).validate(data)
    assert SCHEMA["$defs"]["standing"]["enum"] == list(STANDINGS)


def test_a_cell_is_never_shown_better_than_the_worst_in_it(written):
    assert {suite: cell["standing"] for suite, cell in cells(written).items()} == {
        "get_sse": "known failure",
        "keep_alive": IN_PART,
        "streaming": UNCHECKED,
        "session_reuse": "unexpected failure",
        "initialize_ordering": "inconclusive",
        "isolation": "not applicable",
        "clients": "pass",
    }
    assert cells(written)["get_sse"]["counts"] == {"known failure": 1, "pass": 1}
    assert cells(written)["clients"]["client"] == "mcp-remote"
    assert [item["rule"] for item in cells(written)["clients"]["results"]] == ["CLI-R01", "GET-R05"]


def test_a_failure_brings_its_bytes_its_cause_and_its_issue(written):
    failed = next(item for item in cells(written)["get_sse"]["results"] if item["standing"] == "known failure")
    assert failed["excerpt"][0]["text"] == "GET /mcp\nhost: x"
    assert failed["known"]["issue"] == "https://example.com/issues/7"
    page = (written / "gateways" / "gw.html").read_text(encoding="utf-8")
    for said in (
        "A gateway 1.2.3",
        "MIT",
        '<a href="https://example.com/gw">',
        '<a href="https://example.com/issues/7">',
        "GET /mcp\nhost: x",
        "curl -i http://127.0.0.1:8080/mcp",
        "the control run",
        "no credentials",
        "this run drove no cell that it matches",
        "rows were not judged",
    ):
        assert said in page, said


def test_a_gateway_that_was_not_driven_says_so(written):
    page = (written / "gateways" / "other.html").read_text(encoding="utf-8")
    assert "nothing was driven" in page
    assert "✓" not in page


def test_every_standing_has_a_sign_a_word_and_a_style(written):
    page = (written / "index.html").read_text(encoding="utf-8")
    style = page[page.index("<style>") : page.index("</style>")]
    assert set(_MARKS) == set(STANDINGS)
    assert set(map(str, Meaning)) < set(STANDINGS)
    for name in STANDINGS:
        assert f"{_MARKS[name]} {name}</span>" in page
        assert css_class(name) == "not-applicable" or f".{css_class(name)}" in style


class Outside(HTMLParser):
    """Collects whatever a page would load or run, and the text of its data."""

    def __init__(self):
        super().__init__()
        self.loaded = []
        self.scripts = []
        self.tags = []
        self._inside = None

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        named = dict(attrs)
        self.loaded += [value for name, value in attrs if name in ("src", "srcset", "data", "action", "onclick")]
        if tag == "link":
            self.loaded.append(named.get("href"))
        if tag == "script":
            self.scripts.append((named.get("type"), []))
        self._inside = tag

    def handle_endtag(self, tag):
        self._inside = None

    def handle_data(self, data):
        if self._inside == "script":
            self.scripts[-1][1].append(data)


def parsed(path):
    found = Outside()
    found.feed(path.read_text(encoding="utf-8"))
    return found


def test_the_page_needs_nothing_but_itself(written):
    found = parsed(written / "index.html")
    assert found.loaded == []
    (_, data), (kind, script) = found.scripts
    assert kind is None
    digest = base64.b64encode(hashlib.sha256("".join(script).encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'\"" in (written / "index.html").read_text(encoding="utf-8").replace(
        "&#39;", "'"
    )
    assert json.loads("".join(data))["cells"]
    assert all(not src.startswith(("http", "//")) for src in parsed(written / "gateways" / "gw.html").loaded)


def test_hostile_text_is_text_on_every_page(tmp_path):
    known = {"failure_class": "x", "issue": HOSTILE, "seen": HOSTILE}
    end = "</script><script>alert(1)</script>"
    failed = result(verdict="fail", observed=HOSTILE + end, expected=HOSTILE, title=HOSTILE, known=known)
    records = (failed, result("R2", "not-exercised", observed=HOSTILE), diagnosis(failed, title=HOSTILE, remedy=end))
    piece = {"t": 1.0, "point": "client-tap", "text": HOSTILE + end}
    write_fleet(fleet_of(tmp_path, *records, excerpts={failed["id"]: [piece]}), tmp_path / "fleet")
    index, gateway = tmp_path / "fleet" / "index.html", tmp_path / "fleet" / "gateways" / "gw.html"
    assert parsed(index).tags.count("script") == 2
    assert "script" not in parsed(gateway).tags
    for path in (index, gateway, tmp_path / "fleet" / "fleet.json"):
        text = path.read_text(encoding="utf-8")
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e]", text)
        assert '<a href="\\x1b' not in text
        text.encode()
    Draft202012Validator(SCHEMA).validate(json.loads((tmp_path / "fleet" / "fleet.json").read_text()))


def test_what_an_earlier_fleet_left_is_gone(tmp_path):
    old = tmp_path / "fleet" / "gateways" / "gone.html"
    old.parent.mkdir(parents=True)
    old.write_text("old")
    write_fleet(fleet_of(tmp_path, result()), tmp_path / "fleet")
    assert not old.exists()


def test_an_entry_of_a_shared_target_is_unmet_only_if_it_is_in_every_shard(tmp_path):
    first = shard(tmp_path, "1/2", result("GET-R09"), unmet=[])
    second = shard(tmp_path, "2/2", result("GET-R03"), unmet=[UNMET])
    assert fleet(whole([read_shard(first), read_shard(second)])).unmet == ()
    first = shard(tmp_path, "1/2", result("GET-R01"), unmet=[UNMET])
    assert [item.rule for item in fleet(whole([read_shard(first), read_shard(second)])).unmet] == ["GET-R09"]


# badges ---------------------------------------------------------------------------------------------------------------


def test_a_badge_for_each_revision_that_has_a_profile_and_a_reason_for_the_others(tmp_path):
    older = result(revision="2024-11-05")
    found = fleet_of(tmp_path, result(requirements=["GET-02"]), older)
    write_fleet(found, tmp_path / "fleet")
    badges = json.loads((tmp_path / "fleet" / "fleet.json").read_text())["gateways"][0]["badges"]
    assert [badge["revision"] for badge in badges] == ["2025-11-25", "2024-11-05"]
    assert "rows were not judged" in badges[0]["why"]
    assert "has no frozen profile" in badges[1]["why"]
    assert all(badge["message"] is None for badge in badges)


def test_a_gateway_that_two_shards_share_gets_its_badge_from_both(tmp_path):
    rows = profile(Revision.V2025_11_25).requirements
    partial = replace(HEADER, selection=replace(HEADER.selection, partial=True))
    halves = [
        shard(tmp_path, f"{part}/2", result(f"R{part}", requirements=list(half)), header=partial)
        for part, half in ((1, rows[::2]), (2, rows[1::2]))
    ]
    write_fleet(fleet(whole([read_shard(half) for half in halves])), tmp_path / "fleet")
    (badge,) = json.loads((tmp_path / "fleet" / "fleet.json").read_text())["gateways"][0]["badges"]
    assert badge["message"] == f"required {len(rows)}/{len(rows)}"
    assert (tmp_path / "fleet" / badge["svg"]).is_file()
    assert "brightgreen" in (tmp_path / "fleet" / badge["json"]).read_text()


# excerpts -------------------------------------------------------------------------------------------------------------


def event(seq, kind, **data):
    return Event(seq, seq / 10, Point.CLIENT_TAP, kind, {"exchange": "a/1", **data})


EXCHANGE = (
    Event(0, 0.0, Point.STAGE, Kind.HEADER, {}),
    event(1, Kind.HTTP_REQUEST, method="POST", target="/mcp", headers=[["Host", "x"]]),
    event(2, Kind.HTTP_REQUEST_BODY, message={"id": 1}),
    event(3, Kind.HTTP_RESPONSE, status=400, headers=[["content-type", "text/html"]]),
    event(4, Kind.HTTP_RESPONSE_BODY, body="x" * 1000),
    event(5, Kind.HTTP_RESPONSE_END, how="rst"),
    event(6, Kind.SSE_EVENT, exchange="a/2", event="message", id="7", message={"id": 2}),
)


def test_a_decisive_response_is_shown_with_its_body_as_it_stood_on_the_wire():
    found = excerpt(Transcript(EXCHANGE), [3])
    assert [piece["text"][:30] for piece in found] == ["HTTP 400\ncontent-type: text/ht", "x" * 30]
    assert found[1]["text"] == "x" * LONGEST + "… (1000 characters)"


def test_an_excerpt_keeps_to_what_is_decisive():
    texts = [piece["text"] for piece in excerpt(Transcript(EXCHANGE), [2, 5, 6])]
    assert texts == [
        "POST /mcp\nHost: x",
        '{"id": 1}',
        "(the response ended: rst)",
        'id: 7\nevent: message\ndata: {"id": 2}',
    ]
    assert excerpt(Transcript(EXCHANGE), []) == []
