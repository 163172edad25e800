"""The spool file: what is written is read back, and what is missing is said."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.errors import EvidenceError
from conformance.wire.spool import (
    MAGIC,
    Direction,
    RecordKind,
    SpoolRecord,
    SpoolThread,
    SpoolWriter,
    file_name,
    read_spool,
)

PLAIN_KINDS = sorted(set(RecordKind) - {RecordKind.END, RecordKind.FORWARDED, RecordKind.RELAYED})
RECORDS = st.lists(
    st.tuples(
        st.integers(0, 2**64 - 1),
        st.integers(0, 2**32 - 1),
        st.sampled_from(Direction),
        st.sampled_from(PLAIN_KINDS),
        st.binary(max_size=200),
    )
)


def written(path: Path, records: list[tuple[int, int, Direction, RecordKind, bytes]], *, close: bool = True) -> int:
    """Write a spool; return the size before its end."""
    thread = SpoolThread()
    writer = SpoolWriter(thread, path)
    for record in records:
        writer.record(*record)
    size = writer.size
    if close:
        writer.close(0)
    else:
        writer.flush()
    thread.stop()
    return size


HELLO = (5, 1, Direction.UP, RecordKind.DATA, b"hello")


@settings(derandomize=True, deadline=None)
@given(records=RECORDS)
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, records: list[tuple]) -> None:  # type: ignore[type-arg]
    path = tmp_path_factory.mktemp("spool") / "a.spool"
    size = written(path, records)
    expected = [SpoolRecord(*record, len(record[4])) for record in records]
    assert list(read_spool(path)) == expected
    assert list(read_spool(path, end=size)) == expected


def test_forwarded_counts_and_keeps_only_what_differs(tmp_path: Path) -> None:
    thread = SpoolThread()
    writer = SpoolWriter(thread, tmp_path / "a.spool")
    writer.forwarded(1, 1, Direction.DOWN, 1000)
    writer.forwarded(2, 1, Direction.DOWN, 4, b"edit")
    writer.close(3)
    thread.stop()
    assert [(r.length, r.payload) for r in read_spool(tmp_path / "a.spool")] == [(1000, b""), (4, b"edit")]


def test_what_was_relayed_at_once_is_read_back_as_read_and_forwarded(tmp_path: Path) -> None:
    thread = SpoolThread()
    writer = SpoolWriter(thread, tmp_path / "a.spool")
    writer.relayed(1, 2, 3, Direction.UP, b"hello")
    writer.close(4)
    thread.stop()
    read = SpoolRecord(1, 3, Direction.UP, RecordKind.DATA, b"hello", 5)
    sent = SpoolRecord(2, 3, Direction.UP, RecordKind.FORWARDED, b"", 5)
    assert list(read_spool(tmp_path / "a.spool")) == [read, sent]


def test_a_part_between_two_positions(tmp_path: Path) -> None:
    thread = SpoolThread()
    writer = SpoolWriter(thread, tmp_path / "a.spool")
    writer.record(*HELLO)
    first = writer.size
    writer.record(6, 1, Direction.UP, RecordKind.FIN)
    second = writer.size
    writer.record(7, 1, Direction.NONE, RecordKind.CLOSED)
    writer.close(8)
    thread.stop()
    assert [r.kind for r in read_spool(tmp_path / "a.spool", first, second)] == [RecordKind.FIN]


def test_every_truncation_is_recognised(tmp_path: Path) -> None:
    path = tmp_path / "a.spool"
    size = written(path, [HELLO, HELLO])
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(EvidenceError, match=r"truncated|not a tap's spool"):
            list(read_spool(path))
        if length < size:
            with pytest.raises(EvidenceError, match=r"truncated|not a tap's spool"):
                list(read_spool(path, end=size))


def test_an_open_spool_without_an_end_is_truncated(tmp_path: Path) -> None:
    written(tmp_path / "a.spool", [HELLO], close=False)
    with pytest.raises(EvidenceError, match="truncated"):
        list(read_spool(tmp_path / "a.spool"))


def test_foreign_missing_and_damaged_files(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match="does not exist"):
        list(read_spool(tmp_path / "none.spool"))
    (tmp_path / "foreign").write_bytes(b'{"seq": 0}\n' * 10)
    with pytest.raises(EvidenceError, match="not a tap's spool"):
        list(read_spool(tmp_path / "foreign"))
    (tmp_path / "damaged").write_bytes(MAGIC + bytes([0] * 8 + [1, 0, 0, 0] + [0, 99] + [0] * 4))
    with pytest.raises(EvidenceError, match="unknown kind"):
        list(read_spool(tmp_path / "damaged"))


def test_a_spool_never_overwrites_another(tmp_path: Path) -> None:
    written(tmp_path / "a.spool", [HELLO])
    thread = SpoolThread()
    with pytest.raises(FileExistsError):
        SpoolWriter(thread, tmp_path / "a.spool")
    thread.stop()


def test_file_names_of_any_tap_stay_in_their_folder() -> None:
    assert file_name("client:a/../../b c") == "client:a%2F..%2F..%2Fb%20c.spool"
    assert file_name("stdio", lines=True) == "stdio.jsonl"


def test_a_process_that_cannot_write_evidence_ends() -> None:
    program = (
        "import os, time\n"
        "from pathlib import Path\n"
        "from conformance.wire.spool import *\n"
        "thread = SpoolThread()\n"
        "thread.put(os.open('/dev/full', os.O_WRONLY), bytearray(b'x'))\n"
        "time.sleep(60)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=50)
    assert ended.returncode == 74
    assert "No space left on device" in ended.stderr
