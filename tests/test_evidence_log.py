import json
import re

import pytest

from conformance.errors import EvidenceError
from conformance.evidence.events import Kind, Point
from conformance.evidence.log import Observation, read_ends, read_evidence, write_evidence


def observation(t_ns, name):
    return Observation(t_ns, Point.DRIVER, Kind.STIMULUS, {"name": name})


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "cell.jsonl"
    observations = [observation(3_000_000_000, "late"), observation(1_000_000_000, "early")]
    write_evidence(path, {"cell": "a/b/c/d/e/f"}, observations, {"complete": True})
    return path


def test_events_are_in_time_order_and_relative_to_the_first(file):
    header, early, late, footer = read_evidence(file)
    assert (header.kind, footer.kind) == (Kind.HEADER, Kind.FOOTER)
    assert [early.data["name"], late.data["name"]] == ["early", "late"]
    assert (early.t, late.t) == (0.0, 2.0)


def test_the_file_appears_only_whole(file):
    assert [path.name for path in file.parent.iterdir()] == ["cell.jsonl"]


def test_a_truncated_file_is_recognised(file):
    file.write_text("\n".join(file.read_text().splitlines()[:-1]))
    with pytest.raises(EvidenceError, match="truncated"):
        read_evidence(file)


def test_the_ends_of_a_file_are_read_without_what_is_between_them(file):
    every = read_evidence(file)
    assert read_ends(file) == (every[0], every[-1])


@pytest.mark.parametrize(
    "spoiled",
    [
        lambda lines: lines[:-1],
        lambda lines: [*lines[:2], *lines[3:]],
        lambda lines: lines[1:],
        lambda lines: [*lines[:-1], "\udcff"],
        lambda lines: [],
    ],
    ids=["no footer", "a line less", "no header", "no text", "empty"],
)
def test_the_ends_of_a_file_that_is_not_whole_are_not_read(file, spoiled):
    file.write_text("\n".join(spoiled(file.read_text().splitlines())), errors="surrogateescape")
    with pytest.raises(EvidenceError, match=re.escape(str(file))):
        read_ends(file)


def test_the_ends_of_a_file_that_is_not_there_are_not_read(tmp_path):
    with pytest.raises(EvidenceError, match="does not exist"):
        read_ends(tmp_path / "none.jsonl")


def test_a_file_cut_in_the_middle_of_a_line_is_recognised(file):
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(EvidenceError, match="line 4"):
        read_evidence(file)


def test_a_foreign_file_is_refused(tmp_path):
    foreign = tmp_path / "foreign.jsonl"
    foreign.write_text('{"hello": 1}\n')
    with pytest.raises(EvidenceError, match="foreign"):
        read_evidence(foreign)


def test_another_schema_version_is_refused(file):
    lines = file.read_text().splitlines()
    lines[0] = json.dumps({**json.loads(lines[0]), "schema": 99})
    file.write_text("\n".join(lines))
    with pytest.raises(EvidenceError, match="schema 99"):
        read_evidence(file)


@pytest.mark.parametrize("text", ["\u2028", "\x85", "\ud800", "\r", "\x1b[31m"])
def test_whatever_a_server_sent_comes_back(tmp_path, text):
    path = tmp_path / "cell.jsonl"
    write_evidence(path, {}, [observation(1, f"a{text}b")], {"complete": True})
    assert read_evidence(path)[1].data["name"] == f"a{text}b"


@pytest.mark.parametrize("content", ["", "\n"])
def test_an_empty_file_is_refused(tmp_path, content):
    empty = tmp_path / "empty.jsonl"
    empty.write_text(content)
    with pytest.raises(EvidenceError):
        read_evidence(empty)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(EvidenceError, match="does not exist"):
        read_evidence(tmp_path / "none.jsonl")
