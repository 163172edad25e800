"""The spool: what one tap saw, as it saw it, in one binary file.

A tap only stamps and appends; everything is parsed afterwards from here. The file holds raw bytes of the conversation,
credentials included, so it lives in a private folder and is deleted once parsed and redacted.

Layout: MAGIC, then records. A record is the struct `<QIBBI` (time in ns of CLOCK_MONOTONIC, connection number from 1 or
0 for none, direction, kind, payload length), then the payload. An orderly closed spool ends with an END record.
"""

from __future__ import annotations

import os
import struct
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from queue import Queue
from typing import BinaryIO, Final
from urllib.parse import quote

from conformance.errors import EvidenceError

MAGIC: Final = b"MCPTAP2\n"
_HEADER: Final = struct.Struct("<QIBBI")
_COUNT: Final = struct.Struct("<I")
_SENT_AT: Final = struct.Struct("<Q")
_RELAYED: Final = struct.Struct(_HEADER.format + _SENT_AT.format[1:])
_BATCH_BYTES: Final = 1 << 20
_BATCHES_WAITING: Final = 64


class Direction(IntEnum):
    """Where bytes were going."""

    UP = 0
    """Towards the server."""
    DOWN = 1
    """Towards the client."""
    NONE = 2
    """Not a matter of one direction."""


class RecordKind(IntEnum):
    """What a record says; in brackets its payload."""

    OPEN = 1
    """A client's connection was accepted [JSON: peer, local]."""
    CONNECTED = 2
    """The upstream connection stands [JSON: upstream, local, tls, host]."""
    CONNECT_FAILED = 3
    """It could not be made; the client was reset [JSON: upstream, error]."""
    DATA = 4
    """One read from the sender, stamped as it returned [the bytes]."""
    FORWARDED = 5
    """One send to the receiver, stamped as it returned [the bytes, only where a toxic made them differ from DATA]."""
    FIN = 6
    """The sender closed its half. [Empty, or `no close_notify` where TLS was cut short.]"""
    RST = 7
    """The sender reset the connection [errno text]."""
    CLOSED = 8
    """The relay let go of both sockets [empty]."""
    TOXIC = 9
    """The toxics were set [JSON: toxics, see toxics.py]; with a connection number: one acted [JSON: acted]."""
    LAG = 10
    """How late the tap's own loop ran [JSON: what = sample | max, seconds, over]."""
    END = 11
    """The spool was closed in order [empty]."""
    RELAYED = 12
    """A DATA and a FORWARDED of the same bytes in one [`<Q`: when the send returned, ns; the bytes]. Read as two."""


_RELAYED_KIND: Final = int(RecordKind.RELAYED)


@dataclass(frozen=True, slots=True)
class SpoolRecord:
    """One record, decoded.

    t_ns: CLOCK_MONOTONIC. conn: from 1, or 0. length: bytes of the conversation that the record stands for (DATA: read,
    FORWARDED: sent), else the payload's length.
    """

    t_ns: int
    conn: int
    direction: Direction
    kind: RecordKind
    payload: bytes
    length: int


class SpoolThread:
    """Writes batches to files in order, off the relaying loop. Bounded: when the disk is far behind, `put` waits."""

    def __init__(self) -> None:
        self._queue: Queue[tuple[int, bytearray, Callable[[], object] | None] | None] = Queue(_BATCHES_WAITING)
        self._thread = threading.Thread(target=self._run, name="spool", daemon=True)
        self._thread.start()

    def put(self, fd: int, batch: bytearray, done: Callable[[], object] | None = None) -> None:
        """Queue `batch` for `fd`; `done` is called in the writing thread after it."""
        self._queue.put((fd, batch, done))

    def stop(self) -> None:
        """Write what is queued, then end the thread."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (job := self._queue.get()) is not None:
            fd, batch, done = job
            try:
                _write_all(fd, batch)
            except OSError:
                # A tap that cannot keep its evidence must not go on as if it did; its death is seen by the parent.
                traceback.print_exc()
                sys.stderr.flush()
                os._exit(os.EX_IOERR)
            if done is not None:
                done()


def _write_all(fd: int, batch: bytearray) -> None:
    view = memoryview(batch)
    while view:
        view = view[os.write(fd, view) :]


class SpoolWriter:
    """Appends to one spool file (binary records) or one line spool (the collector's). Not thread-safe."""

    def __init__(self, thread: SpoolThread, path: Path, *, lines: bool = False) -> None:
        self._thread = thread
        self._lines = lines
        self._path = path
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._batch = bytearray() if lines else bytearray(MAGIC)
        self._handed = 0

    @property
    def size(self) -> int:
        """Bytes written or waiting to be written, from the file's start."""
        return self._handed + len(self._batch)

    def record(self, t_ns: int, conn: int, direction: Direction, kind: RecordKind, payload: bytes = b"") -> None:
        """Append one record. `kind` FORWARDED goes through `forwarded`, RELAYED through `relayed`."""
        self._batch += _HEADER.pack(t_ns, conn, direction, kind, len(payload))
        self._batch += payload
        if len(self._batch) >= _BATCH_BYTES:
            self.flush()

    def forwarded(self, t_ns: int, conn: int, direction: Direction, count: int, edited: bytes = b"") -> None:
        """Append a FORWARDED record: `count` bytes were sent; `edited` are those bytes where they differ from DATA."""
        self._batch += _HEADER.pack(t_ns, conn, direction, RecordKind.FORWARDED, _COUNT.size + len(edited))
        self._batch += _COUNT.pack(count)
        self._batch += edited

    def relayed(self, read_ns: int, sent_ns: int, conn: int, direction: Direction, data: bytes) -> None:
        """Append that bytes were read, and sent on whole and at once: a RELAYED record."""
        batch = self._batch
        batch += _RELAYED.pack(read_ns, conn, direction, _RELAYED_KIND, _SENT_AT.size + len(data), sent_ns)
        batch += data
        if len(batch) >= _BATCH_BYTES:
            self.flush()

    def line(self, line: bytes) -> None:
        """Append one line (ending in LF) to a line spool."""
        self._batch += line
        if len(self._batch) >= _BATCH_BYTES:
            self.flush()

    def flush(self, done: Callable[[], object] | None = None) -> None:
        """Hand what is gathered to the thread; `done` is called there once it is in the file."""
        if self._batch or done is not None:
            self._handed += len(self._batch)
            self._thread.put(self._fd, self._batch, done)
            self._batch = bytearray()

    def discard(self) -> None:
        """Close and remove a file into which nothing was handed yet."""
        os.close(self._fd)
        self._path.unlink()

    def close(self, t_ns: int, done: Callable[[], object] | None = None) -> None:
        """End the spool in order and close the file."""
        if not self._lines:
            self.record(t_ns, 0, Direction.NONE, RecordKind.END)
        fd = self._fd

        def finish() -> None:
            os.close(fd)
            if done is not None:
                done()

        self.flush(finish)


def file_name(tap: str, *, lines: bool = False) -> str:
    """Return the spool's file name for a tap (or, `lines`, for a collector) of any name."""
    return quote(tap, safe=":") + (".jsonl" if lines else ".spool")


def read_spool(path: Path, start: int = 0, end: int | None = None) -> Iterator[SpoolRecord]:
    """Yield the records of the file between two byte positions.

    start, end: positions that `TapProcess.sync` returned. Without `end` the file must be closed in order: one whose END
    record is missing was cut off. END itself is not yielded.
    Raises EvidenceError for a foreign, missing or truncated file.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError as error:
        raise EvidenceError(f"The spool {path} does not exist; nothing was recorded there.") from error
    with file:
        if file.read(len(MAGIC)) != MAGIC:
            raise EvidenceError(f"{path} is not a tap's spool of this version; record it again.")
        file.seek(max(start, len(MAGIC)))
        yield from _records(file, path, end)


def _records(file: BinaryIO, path: Path, end: int | None) -> Iterator[SpoolRecord]:
    at = file.tell()
    while end is None or at < end:
        head = file.read(_HEADER.size)
        if len(head) < _HEADER.size:
            raise EvidenceError(f"The spool {path} is truncated at byte {at}; what was seen after it is lost.")
        t_ns, conn, direction, kind, length = _HEADER.unpack(head)
        payload = file.read(length)
        at += _HEADER.size + length
        if len(payload) < length:
            raise EvidenceError(f"The spool {path} is truncated inside a record; what was seen after it is lost.")
        if kind == RecordKind.END:
            return
        try:
            yield from _decoded(t_ns, conn, Direction(direction), RecordKind(kind), payload)
        except ValueError as error:
            raise EvidenceError(f"The spool {path} holds a record of unknown kind; it is damaged.") from error


def _decoded(t_ns: int, conn: int, direction: Direction, kind: RecordKind, payload: bytes) -> Iterator[SpoolRecord]:
    if kind is RecordKind.RELAYED:
        data, sent_ns = payload[_SENT_AT.size :], _SENT_AT.unpack_from(payload)[0]
        yield SpoolRecord(t_ns, conn, direction, RecordKind.DATA, data, len(data))
        yield SpoolRecord(sent_ns, conn, direction, RecordKind.FORWARDED, b"", len(data))
    elif kind is RecordKind.FORWARDED:
        count = _COUNT.unpack_from(payload)[0]
        yield SpoolRecord(t_ns, conn, direction, kind, payload[_COUNT.size :], count)
    else:
        yield SpoolRecord(t_ns, conn, direction, kind, payload, len(payload))
