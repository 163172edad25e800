"""The stdio tap: runs a command, relays its stdin, stdout and stderr unchanged, and writes down what passes.

    python stdio_tap.py --name NAME (--spool FILE | --collector HOST:PORT) [--] CMD ARGS…

One file, standard library only, any Python from 3.9, so that it can be copied alone into an image and be its
entrypoint: as process 1 it reaps orphans. It forwards signals to the command and exits with its code (128 + number
when a signal ended it; 126 or 127, as shells do, when it could not be started). When nobody takes the records the
relay goes on all the same; stderr says so once, and the missing `exit` record tells the reader.

Records are JSON lines; `t_ns` is CLOCK_MONOTONIC:
    {"t_ns", "tap", "process", "n", "kind", …}   process: unique id of this run of the tap; n: running number from 0
    start: pid, argv, host (its name, by default the beginning of the container's id), boot_id (a reader that has the
        same one has the same clock)
    up | down | stderr: b64, one read each, stamped as it returned
    eof-up | eof-down: by = "sender" (closed its end) or "receiver" (no longer reads)
    signal: signal (number), passed on to the command
    exit: code (what this tap exits with), signal (number or null), error (why it could not be started, or null)
    sync: token; answers the collector's line `sync TOKEN`: all that was relayed before stands above

A gateway may start one for each session: what is needed only for the records is imported once the command starts.

Not carried: a pipe that its reader closed is noticed by the writer at its second write, not its first.
"""

from __future__ import annotations

import os
import queue
import select
import signal
import sys
import threading
from time import monotonic_ns

TYPE_CHECKING = False  # as in typing, which a tap need not import
if TYPE_CHECKING:
    from collections.abc import Callable
    from socket import socket
    from typing import Any, NoReturn

USAGE = "usage: stdio_tap.py --name NAME (--spool FILE | --collector HOST:PORT) [--] CMD ARGS…"
READ_SIZE = 1 << 16
BACKLOG_LIMIT = 1 << 26
"""Bytes that may wait for a slow collector or disk; beyond that records are given up, not the relay."""
CONNECT_PATIENCE = 5.0
"""Seconds for the collector to accept, for which the command's output may wait; it is on the same machine."""
FLUSH_PATIENCE = 5.0
"""Seconds for the last records to leave once the command has ended."""
ORPHAN_PATIENCE = 0.5
"""Seconds of silence after the command's end until an output that a grandchild holds open is let go."""
FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)
"""What the interpreter ignores for itself; the command is to have them as they are by default."""


class Recorder:
    """Writes records in a thread of its own, so that neither a slow disk nor a dead collector holds up the relay."""

    def __init__(self, name: str, connect: Callable[[Recorder], Callable[[bytes], None]]) -> None:
        self._base = {"tap": name, "process": os.urandom(16).hex()}
        self._connect = connect
        self._queue: queue.SimpleQueue[tuple[int, dict[str, Any], bytes] | None] = queue.SimpleQueue()
        self._lock = threading.RLock()  # a signal may come while the main thread records
        self._waiting = 0
        self._lost = False
        self.reached = threading.Event()
        """Where records go is connected, so that whoever asks for them there asks this tap too; or it cannot be."""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def record(self, kind: str, t_ns: int, data: bytes = b"", **facts: Any) -> None:
        """Queue one record; encoding it is the thread's work."""
        with self._lock:
            if not self._lost:
                self._waiting += len(data)
                self._queue.put((t_ns, {"kind": kind, **facts}, data))

    def finish(self) -> None:
        """Wait, not for ever, until the queued records are written."""
        self._queue.put(None)
        self._thread.join(FLUSH_PATIENCE)

    def _run(self) -> None:
        try:
            write = self._connect(self)
            self.reached.set()
            self._write_until_finished(write)
        except OSError as error:
            self.reached.set()
            with self._lock:
                self._lost = True
                self._queue = queue.SimpleQueue()
            text = f"stdio tap {self._base['tap']}: records are lost from here on: {error}"
            print(text, file=sys.stderr, flush=True)

    def _write_until_finished(self, write: Callable[[bytes], None]) -> None:
        queued = self._queue.get()  # the first comes once the command is starting
        import base64  # noqa: PLC0415 - see the module's docstring
        import json  # noqa: PLC0415

        count = 0
        while queued is not None:
            t_ns, facts, data = queued
            record = {"t_ns": t_ns, **self._base, "n": count, **facts}
            if data:
                record["b64"] = base64.b64encode(data).decode()
            write(json.dumps(record).encode() + b"\n")
            count += 1
            with self._lock:
                self._waiting -= len(data)
                if self._waiting > BACKLOG_LIMIT:
                    raise OSError("they are not taken as fast as they come")
            queued = self._queue.get()


class Pump(threading.Thread):
    """Copies one stream from a descriptor to another until it ends."""

    def __init__(self, recorder: Recorder, kind: str, source: int, sink: int) -> None:
        super().__init__(daemon=True)
        self._recorder = recorder
        self._kind = kind
        self._source = source
        self._sink = sink
        self.command_ended = threading.Event()

    def run(self) -> None:
        """Copy, then pass on the end."""
        by = self._copy()
        if self._kind != "stderr":
            self._recorder.record(f"eof-{self._kind}", monotonic_ns(), by=by)
        if by == "receiver":
            os.close(self._source)  # the sender is to learn that nobody reads
        if self._kind == "up":
            os.close(self._sink)

    def _copy(self) -> str:
        poll = select.poll()
        poll.register(self._source, select.POLLIN)
        while True:
            if not poll.poll(ORPHAN_PATIENCE * 1000):
                if self.command_ended.is_set():
                    return "sender"
                continue
            try:
                data = os.read(self._source, READ_SIZE)
            except OSError:  # a terminal or a socket that went away
                data = b""
            if not data:
                return "sender"
            self._recorder.record(self._kind, monotonic_ns(), data)
            try:
                _write_all(self._sink, data)
            except OSError:
                return "receiver"


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:  # whoever shares the other end may have made it non-blocking
            poll = select.poll()
            poll.register(fd, select.POLLOUT)
            poll.poll()


class Signals:
    """Forwards signals to the command, also those that came before it was started."""

    def __init__(self) -> None:
        self._pid: int | None = None
        self._recorder: Recorder | None = None
        self._early: list[int] = []
        self.insisted = threading.Event()
        """A signal came after the command's end: whoever sent it wants the end now."""
        for number in FORWARDED:
            if signal.getsignal(number) is not signal.SIG_IGN:  # ignored signals stay ignored, as without the tap
                signal.signal(number, self._on_signal)

    def forward_to(self, pid: int, recorder: Recorder) -> None:
        """Name the command, and who records what is sent to it."""
        self._pid, self._recorder = pid, recorder
        for number in self._early:
            self._send(pid, number)

    def ended(self) -> None:
        """Take note that the command was reaped; its number may soon be another's."""
        self._pid = None

    def _on_signal(self, number: int, _frame: object) -> None:
        if self._pid is None:
            self._early.append(number)
            self.insisted.set()
        else:
            self._send(self._pid, number)

    def _send(self, pid: int, number: int) -> None:
        if self._recorder is not None:
            self._recorder.record("signal", monotonic_ns(), signal=number)
        os.kill(pid, number)


def _to_file(path: str) -> Callable[[Recorder], Callable[[bytes], None]]:
    def connect(_recorder: Recorder) -> Callable[[bytes], None]:
        # Several taps may share the file: one appending write per line keeps lines whole.
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return lambda line: _write_all(fd, line)

    return connect


def _to_collector(address: str) -> Callable[[Recorder], Callable[[bytes], None]]:
    import socket  # noqa: PLC0415 - nobody needs it for a file

    host, _, port = address.rpartition(":")

    def connect(recorder: Recorder) -> Callable[[bytes], None]:
        sock = socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_PATIENCE)
        sock.settimeout(None)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=_answer_syncs, args=(sock, recorder), daemon=True).start()
        return sock.sendall

    return connect


def _answer_syncs(sock: socket, recorder: Recorder) -> None:
    with sock.makefile("rb") as lines:
        try:
            for line in lines:
                recorder.record("sync", monotonic_ns(), token=line.split()[-1].decode())
        except OSError:
            return  # the writing thread meets the same error and says so


def _wait(pid: int) -> int:
    """Reap everything until the command ends; return its wait status."""
    while True:
        ended, status = os.waitpid(-1, 0)
        if ended == pid:
            return status


def _boot_id() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:  # noqa: PTH123 - pathlib starts slower
            return file.read().strip()
    except OSError:
        return ""


def _start(argv: list[str]) -> tuple[int, tuple[int, int, int]]:
    """Start the command; return its pid and our ends of its stdin, stdout and stderr."""
    pipes = [os.pipe() for _ in range(3)]
    (stdin, to_stdin), (from_stdout, stdout), (from_stderr, stderr) = pipes
    theirs = (stdin, stdout, stderr)
    pid = os.posix_spawnp(
        argv[0],
        argv,
        os.environ,
        file_actions=[(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(theirs)],
        setsigdef=IGNORED_BY_PYTHON,
    )
    for fd in theirs:
        os.close(fd)
    return pid, (to_stdin, from_stdout, from_stderr)


def _relay(recorder: Recorder, signals: Signals, argv: list[str]) -> int:
    try:
        pid, (to_stdin, from_stdout, from_stderr) = _start(argv)
    except OSError as error:
        code = 127 if isinstance(error, FileNotFoundError) else 126
        print(f"stdio tap: {argv[0]}: {error.strerror}", file=sys.stderr, flush=True)
        recorder.record("exit", monotonic_ns(), code=code, signal=None, error=error.strerror)
        return code
    recorder.record("start", monotonic_ns(), pid=pid, argv=argv, host=os.uname().nodename, boot_id=_boot_id())
    signals.forward_to(pid, recorder)
    outputs = [Pump(recorder, "down", from_stdout, 1), Pump(recorder, "stderr", from_stderr, 2)]
    Pump(recorder, "up", 0, to_stdin).start()
    recorder.reached.wait(CONNECT_PATIENCE)  # what nobody could yet be asked about is not passed on
    for pump in outputs:
        pump.start()
    status = _wait(pid)
    signals.ended()
    now = monotonic_ns()
    for pump in outputs:
        pump.command_ended.set()
        while pump.is_alive() and not signals.insisted.is_set():
            pump.join(ORPHAN_PATIENCE)
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
    code = os.WEXITSTATUS(status) if number is None else 128 + number
    recorder.record("exit", now, code=code, signal=number, error=None)
    return code


def _refuse(why: str) -> NoReturn:
    print(f"stdio tap: {why}\n{USAGE}", file=sys.stderr)
    sys.exit(2)


def _arguments(argv: list[str]) -> tuple[str, Callable[[Recorder], Callable[[bytes], None]], list[str]]:
    """Return the tap's name, where its records go, and the command. Exits with 2 when they are not as they should be.

    The rest is the command, with or without `--` before it: gateways that take a command after a `--` of their own are
    known to swallow a second one.
    """
    given: dict[str, str] = {}
    command = list(argv)
    while command and command[0].startswith("-"):
        option = command.pop(0)
        if option == "--":
            break
        if option in {"-h", "--help"}:
            print(USAGE)
            sys.exit()
        if option not in {"--name", "--spool", "--collector"} or not command:
            _refuse(f"{option} is no option of it, or its value is missing")
        given[option] = command.pop(0)
    spool, collector = given.get("--spool"), given.get("--collector")
    if not given.get("--name") or not command or bool(spool) == bool(collector):
        _refuse("it takes a name, one place for the records, and a command")
    return given["--name"], _to_file(spool) if spool else _to_collector(str(collector)), command


def main() -> NoReturn:
    """Run the command under the tap."""
    name, connect, command = _arguments(sys.argv[1:])
    signals = Signals()  # before anything that others can see, so that no signal finds it unready
    recorder = Recorder(name, connect)
    code = _relay(recorder, signals, command)
    recorder.finish()
    # The thread on stdin may still be blocked reading it, and must not hold up the end.
    os._exit(code)


if __name__ == "__main__":
    main()
