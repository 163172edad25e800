"""Shards: a partition that is the same everywhere, files that show when they were cut off, and putting them together."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from cli_setup import cli
from report_sample import result
from shard_sample import PLAN, shard

from conformance.errors import CannotJudgeError, EvidenceError, ExitCode, UsageError
from conformance.report.records import Result
from conformance.report.shards import read_shard, whole
from conformance.sharding import Shard, partition

FIRST, SECOND = result(), result(target="other")


def by_target(item):
    return (item[0],)


def by_revision(item):
    return item[:2]


CELLS = [(target, revision, number) for target in "abc" for revision in "xy" for number in range(3)]


def parts_of(parts, seconds=lambda _: 1.0):
    return partition(CELLS, parts, (by_target, by_revision), seconds)


def test_everything_is_in_one_part_and_a_target_in_no_two():
    parts = parts_of(3)
    assert sorted(item for part in parts for item in part) == sorted(CELLS)
    assert [{item[0] for item in part} for part in parts] == [{"a"}, {"b"}, {"c"}]


def test_a_partition_depends_on_nothing_but_what_is_shared():
    assert partition(CELLS[::-1], 2, (by_target,), lambda _: 1.0) != ()
    sets = [[set(part) for part in partition(order, 2, (by_target,), lambda _: 1.0)] for order in (CELLS, CELLS[::-1])]
    assert sets[0] == sets[1]


def test_more_parts_than_targets_share_a_targets_revisions():
    parts = parts_of(5)
    assert all(len({item[:2] for item in part}) <= 2 for part in parts)
    assert sum(len(part) for part in parts) == len(CELLS)


def test_with_nothing_finer_some_parts_are_empty():
    assert sorted(len(part) for part in parts_of(8)) == [0, 0, 3, 3, 3, 3, 3, 3]


def test_what_lasts_longest_has_a_part_of_its_own():
    parts = parts_of(2, lambda item: 10.0 if item[0] == "b" else 1.0)
    assert [{item[0] for item in part} for part in parts] == [{"b"}, {"a", "c"}]


@pytest.mark.parametrize("text", ["0/2", "3/2", "2", "a/b", "1/0", "1/2/3", "-1/2"])
def test_what_is_no_shard_is_refused(text):
    with pytest.raises(UsageError, match="write it as K/N"):
        Shard.parse(text)


# the file -------------------------------------------------------------------------------------------------------------


def test_a_shard_comes_back_as_it_was_written(tmp_path):
    piece = {"t": 1.0, "point": "client-tap", "text": "GET /mcp"}
    found = read_shard(shard(tmp_path, "1/2", FIRST, excerpts={FIRST["id"]: [piece]}))
    assert (found.shard, found.plan) == (Shard(1, 2), PLAN)
    assert found.excerpts == {FIRST["id"]: [piece]}
    assert [item.id for item in found.report.results] == [FIRST["id"]]


def test_a_shard_without_results_is_whole(tmp_path):
    assert read_shard(shard(tmp_path, "2/2")).report.results == ()


@pytest.mark.parametrize("lines", [1, 2, 3])
def test_a_shard_that_was_cut_off_is_refused(tmp_path, lines):
    path = shard(tmp_path, "1/2", FIRST)
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:lines]))
    with pytest.raises(EvidenceError, match="cut off or did not end in order; run it again with --resume"):
        read_shard(path)


def test_a_shard_of_an_interrupted_run_is_refused(tmp_path):
    with pytest.raises(EvidenceError, match="did not end in order"):
        read_shard(shard(tmp_path, "1/2", FIRST, complete=False, exit_code=2))


@pytest.mark.parametrize("text", ["", "x\n", "{}\n", '{"kind":"header"}\n', '{"kind":"shard","schema":1}\n'])
def test_what_is_no_shard_file_is_refused(tmp_path, text):
    (tmp_path / "s.jsonl").write_text(text)
    with pytest.raises(EvidenceError, match="not written by `matrix`"):
        read_shard(tmp_path / "s.jsonl")


def test_another_version_is_refused(tmp_path):
    path = shard(tmp_path, "1/2", FIRST)
    path.write_text(path.read_text().replace('"schema":1', '"schema":2', 1))
    with pytest.raises(EvidenceError, match="has shard schema 2 and this program reads 1"):
        read_shard(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(EvidenceError, match="does not exist"):
        read_shard(tmp_path / "none.jsonl")


# together -------------------------------------------------------------------------------------------------------------


def shards(tmp_path, **second):
    return [read_shard(shard(tmp_path, "1/2", FIRST)), read_shard(shard(tmp_path, "2/2", SECOND, **second))]


def test_shards_come_in_their_order(tmp_path):
    assert [str(item.shard) for item in whole(shards(tmp_path)[::-1])] == ["1/2", "2/2"]


def test_a_missing_shard_is_named_with_what_it_holds(tmp_path):
    with pytest.raises(CannotJudgeError, match=r"1 of 2 shards are missing: 2/2 \(other\); run them"):
        whole(shards(tmp_path)[:1])


def test_a_shard_given_twice_is_refused(tmp_path):
    with pytest.raises(UsageError, match="are both shard 1/2"):
        whole([*shards(tmp_path), read_shard(shard(tmp_path / "again", "1/2", FIRST))])


def test_overlapping_shards_are_refused(tmp_path):
    first, _ = shards(tmp_path)
    with pytest.raises(UsageError, match=r"1 results stand in more than one shard .*overlap"):
        whole([first, read_shard(shard(tmp_path / "again", "2/2", FIRST))])


def test_shards_of_another_plan_are_refused_and_the_difference_is_named(tmp_path):
    other = replace(PLAN, digest="b" * 64, parts={"the cells": "1", "target gw": "3"})
    with pytest.raises(UsageError, match=r"different matrices \(target gw\)"):
        whole(shards(tmp_path, plan=other))


def test_shards_of_another_number_of_parts_are_refused(tmp_path):
    first, _ = shards(tmp_path)
    with pytest.raises(UsageError, match="one of 3 parts and one of 2"):
        whole([first, read_shard(shard(tmp_path, "2/3", SECOND))])


# the command ----------------------------------------------------------------------------------------------------------


def merged(capsys, tmp_path, *arguments):
    return cli(capsys, "merge", *arguments, "--fleet", str(tmp_path / "fleet"))


def test_merge_writes_the_fleet_and_ends_as_a_run_would(capsys, tmp_path):
    shard(tmp_path / "a", "1/2", FIRST)
    shard(tmp_path / "b", "2/2", SECOND)
    shown = merged(capsys, tmp_path, str(tmp_path))
    assert shown.code == ExitCode.OK, shown
    assert "gw" in shown.out
    assert (tmp_path / "fleet" / "index.html").is_file()
    assert json.loads((tmp_path / "fleet" / "fleet.json").read_text())["plan"] == PLAN.digest


@pytest.mark.parametrize(
    ("second", "code"),
    [
        (result(target="other", verdict="fail"), ExitCode.UNEXPECTED),
        (result(target="other", verdict="harness-error"), ExitCode.CANNOT_JUDGE),
        (result(target="other", verdict="fail", expectation="known-failure"), ExitCode.OK),
    ],
)
def test_one_shards_findings_decide_the_exit_code(capsys, tmp_path, second, code):
    shard(tmp_path / "a", "1/2", FIRST)
    shard(tmp_path / "b", "2/2", second, exit_code=int(code))
    assert merged(capsys, tmp_path, str(tmp_path)).code == code


@pytest.mark.parametrize(
    ("parts", "code", "said"),
    [
        (("1/2",), ExitCode.CANNOT_JUDGE, "2/2 (other)"),
        ((), ExitCode.USAGE, "holds no shard file"),
    ],
)
def test_merge_refuses_in_one_sentence(capsys, tmp_path, parts, code, said):
    for name in parts:
        shard(tmp_path, name, FIRST)
    assert said in merged(capsys, tmp_path, str(tmp_path)).sentence(code)
    assert not (tmp_path / "fleet").exists()


def test_merge_refuses_a_cut_off_shard(capsys, tmp_path):
    path = shard(tmp_path, "1/2", FIRST)
    path.write_text(path.read_text()[:-200])
    assert "cut off" in merged(capsys, tmp_path, str(path)).sentence(ExitCode.CANNOT_JUDGE)


@pytest.mark.parametrize(
    ("scenario", "found_on", "counts"),
    [
        ("gateway-restarts", "2025-11-25", True),
        ("gateway-restarts", "2025-03-26", False),
        ("get-in-session", "2025-11-25", False),
        ("get-in-session", "2025-06-18", True),
    ],
)
def test_what_is_driven_once_counts_for_older_revisions_too(scenario: str, found_on: str, counts: bool) -> None:
    found = Result.from_json(result(scenario=scenario, revision=found_on))
    assert PLAN.counts_for(found, "2025-06-18") is counts
