"""One relayed connection: two legs, each copying bytes, FIN and RST from its source to its sink.

All of it runs in callbacks of one thread: a readable source is read, stamped and sent on within one callback, so that
the relay adds microseconds. A leg stops reading while its receiver does not take what was read.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import Callable
from time import monotonic_ns
from typing import Final, Literal

from conformance.wire.spool import Direction, RecordKind, SpoolWriter
from conformance.wire.tap_endpoint import PlainEndpoint, reason
from conformance.wire.tap_plan import LegPlan, Plan
from conformance.wire.tap_selector import ResetWatch
from conformance.wire.tap_stages import Stage, Unit, UnitKind, push

READ_SIZE: Final = 1 << 18
FIRST_READ_SIZE: Final = 1 << 14
"""Read at once where the last read was shorter than this: the buffer for a large read costs more than a small read."""
QUEUE_LIMIT: Final = 1 << 18
"""Bytes read and not yet sent above which a leg stops reading. (A latency toxic thus carries 256 KiB per delay.)"""
RESET_PATIENCE: Final = 0.2
"""Seconds a reset waits until bytes sent before it are taken and acknowledged, since closing with RST throws away the
rest. On loopback and bridges that is within milliseconds; for a receiver that does not read it would be for ever."""
_SLOW_TICK: Final = 0.05
"""Seconds between two reads of a slow reader."""


class Leg:
    """One direction of a connection."""

    def __init__(
        self, connection: Connection, direction: Direction, source: PlainEndpoint, sink: PlainEndpoint
    ) -> None:
        self.direction = direction
        self.source = source
        self.sink = sink
        self.other: Leg = self
        self.done = False  # FIN was passed on
        self._connection = connection
        self._loop = connection.loop
        self._selector = connection.watch.selector
        self._number = connection.number
        self._relayed = connection.relayed
        self._receive = source.sock.recv
        self._send_on = sink.sock.send
        self._size = FIRST_READ_SIZE
        self._straight = False  # nothing stands between: what is read can be sent at once
        self._queue: deque[Unit] = deque()
        self._queued = 0
        self._stages: list[Stage] = []
        self._edited = False
        self._rate: int | None = None
        self._not_before = 0.0
        self._reading = False
        self._writing = False
        self._timer: asyncio.TimerHandle | None = None
        self._overtaking: asyncio.TimerHandle | None = None
        self._source_ended = False
        self._source_reset = False  # known from sending to it; bytes it sent before may still be unread
        self._reset_seen = False
        self._sink_dead = False

    # What the connection asks of a leg.

    def set_plan(self, plan: LegPlan, *, begin: bool) -> None:
        """Replace the toxics' stages. What the old ones hold is sent on; `begin`: act on an already open connection."""
        now = monotonic_ns()
        released: list[Unit] = []
        for stage in self._stages:
            released = [*push([stage], released), *stage.flush(now)]
        self._stages = plan.stages
        self._edited = self._edited or any(stage.edits for stage in plan.stages)
        self._rate = plan.rate
        self._not_before = 0.0
        if begin:
            for position, stage in enumerate(plan.stages):
                released += push(plan.stages[position + 1 :], stage.begin(now))
        self._enqueue(released)

    def pace(self) -> None:
        """Read, or stop reading, as the queue, the rate and the ends demand."""
        if self._connection.closed:
            return
        between = self._queue or self._stages or self._edited or self._writing or self._sink_dead
        self._straight = self.source.plain and self.sink.plain and self._rate is None and not between
        wait = self._not_before - self._loop.time() if self._rate else 0.0
        wanted = not self._source_ended and self._queued < QUEUE_LIMIT and wait <= 0
        if wanted == self._reading:
            return
        fd = self.source.fileno()
        self._reading = wanted
        if wanted:
            self._connection.watch.forget(fd)
            self._selector.read(fd, self._on_readable)
            return
        self._selector.let_go(fd)
        if not self._reset_seen:
            self._connection.watch.watch(fd, self._on_reset)
        if wait > 0:
            self._loop.call_later(wait, self._resume)

    def release(self) -> None:
        """Stop every callback; the connection is about to close the sockets."""
        fd = self.source.fileno()
        self._source_ended = True
        self._connection.watch.forget(fd)
        self._selector.let_go(fd)
        self._loop.remove_writer(self.sink.fileno())
        for timer in (self._timer, self._overtaking):
            if timer is not None:
                timer.cancel()
        self._queue.clear()

    def send_reply(self, payload: bytes | memoryview) -> None:
        """Send bytes of the tap's own to the sink, then FIN."""
        self._edited = True
        now = monotonic_ns()
        self._enqueue([Unit(now, UnitKind.DATA, payload), Unit(now, UnitKind.FIN)])

    def source_was_reset(self) -> None:
        """Take note that sending to our source failed: it reset. What it had sent before is still relayed."""
        if self._source_ended or not self._reading:
            self._on_reset()
        else:
            self._source_reset = True

    def read_buffered(self) -> None:
        """Read what came together with a TLS handshake; the socket will not announce it again."""
        if self._reading and not self._connection.closed and self.source.buffered():
            self._on_readable()

    # Reading.

    def _resume(self) -> None:
        self._not_before = 0.0
        self.pace()

    def _on_readable(self) -> bool:
        """Read once and pass on what came; return whether that was all, so that nothing was scheduled or let go.

        Nearly all bytes go straight: one read, one send, then their record, so that nobody waits for it.
        """
        if not self._straight:
            self._read_and_feed()
            return False
        try:
            data = self._receive(self._size)
        except (BlockingIOError, InterruptedError):
            return True
        except OSError as error:
            self._on_reset(error)
            return False
        now = monotonic_ns()
        if not data:
            self._on_end(now)
            return False
        try:
            sent = self._send_on(data)
        except OSError:  # also: would block; it will again, or fail again, on the long way
            sent = 0
        sent_ns, count = monotonic_ns(), len(data)
        self._connection.last_activity = now
        self._size = FIRST_READ_SIZE if count < FIRST_READ_SIZE else READ_SIZE
        if sent < count:
            self._keep_rest(now, sent_ns, data, sent)
            return False
        self._relayed(now, sent_ns, self._number, self.direction, data)
        return True

    def _keep_rest(self, now: int, sent_ns: int, data: bytes, sent: int) -> None:
        """Record what was read and how much of it was sent, and send the rest later."""
        self._connection.record(now, self.direction, RecordKind.DATA, data)
        if sent:
            self._connection.forwarded(sent_ns, self.direction, sent, b"")
        self._enqueue([Unit(now, UnitKind.DATA, memoryview(data)[sent:])])

    def _read_and_feed(self) -> None:
        """Read once, record it, and give it to what stands between."""
        size = self._size if self._rate is None else max(1, int(self._rate * _SLOW_TICK))
        try:
            data = self.source.recv(size)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._on_reset(error)
            return
        now = monotonic_ns()
        if data:
            self._connection.last_activity = now
            self._size = FIRST_READ_SIZE if len(data) < FIRST_READ_SIZE else READ_SIZE
            if self._rate is not None:
                self._not_before = self._loop.time() + len(data) / self._rate
            self._connection.record(now, self.direction, RecordKind.DATA, data)
            self._feed(Unit(now, UnitKind.DATA, data))
        if not data or self.source.at_end:
            self._on_end(now)

    def _on_end(self, now: int) -> None:
        if self._source_ended:
            return
        if self._source_reset:
            self._on_reset()
            return
        self._connection.record(
            now, self.direction, RecordKind.FIN, b"" if self.source.clean_end else b"no close_notify"
        )
        self._source_ended = True
        self._feed(Unit(now, UnitKind.FIN))

    def _on_reset(self, error: OSError | None = None) -> None:
        if self._reset_seen:
            return
        self._reset_seen = True
        if error is None and not self._source_ended:
            self._read_rest()
        if self._connection.closed:
            return
        now = monotonic_ns()
        text = reason(error) if error is not None else "Connection reset by peer"
        self._connection.record(now, self.direction, RecordKind.RST, text.encode())
        self._source_ended = True
        self._feed(Unit(now, UnitKind.RST))

    def _read_rest(self) -> None:
        """Read what came before a reset that was noticed without reading."""
        with contextlib.suppress(OSError):  # the reset itself
            while not self._connection.closed and (data := self.source.recv(READ_SIZE)):
                now = monotonic_ns()
                self._connection.record(now, self.direction, RecordKind.DATA, data)
                self._feed(Unit(now, UnitKind.DATA, data))

    # Passing on.

    def _feed(self, unit: Unit) -> None:
        if self._sink_dead:
            if unit.kind is not UnitKind.DATA:
                self._connection.close()
            return
        self._enqueue(push(self._stages, (unit,)) if self._stages else [unit])

    def _enqueue(self, units: list[Unit]) -> None:
        if self._connection.closed:
            return
        self._queue.extend(units)
        self._queued += sum(len(unit.payload) for unit in units)
        if self._writing and not self._reset_waits():
            self.pace()
        else:
            self._drain()

    def _drain(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        blocked = not self._pass_on()
        if self._connection.closed:
            return
        if blocked and self._reset_waits() and self._overtaking is None:
            # In the end a reset overtakes bytes that the receiver does not take, as it would without a relay between.
            self._overtaking = self._loop.call_later(RESET_PATIENCE, self._connection.reset)
        if blocked != self._writing:
            self._writing = blocked
            if blocked:
                self._loop.add_writer(self.sink.fileno(), self._drain)
            else:
                self._loop.remove_writer(self.sink.fileno())
        self.pace()

    def _reset_waits(self) -> bool:
        return bool(self._queue) and self._queue[-1].kind is UnitKind.RST

    def _pass_on(self) -> bool:
        """Pass on what is due; False when the receiver takes no more for now."""
        while self._queue:
            unit = self._queue[0]
            if unit.due_ns > monotonic_ns():
                self._timer = self._loop.call_at(unit.due_ns / 1e9, self._drain)
                break
            if unit.kind is UnitKind.DATA:
                if not self._send(unit):
                    return False
            elif self.sink.flush():
                self._queue.popleft()
                self._act(unit)
            else:
                return False
            if self._connection.closed:
                return True
        return self._sink_dead or self.sink.flush()

    def _send(self, unit: Unit) -> bool:
        try:
            sent = self.sink.send(unit.payload) if unit.payload else 0
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            self._sink_failed()
            return True
        if sent:
            edited = bytes(unit.payload[:sent]) if self._edited else b""
            self._connection.forwarded(monotonic_ns(), self.direction, sent, edited)
        self._queued -= sent
        if sent < len(unit.payload):
            unit.payload = memoryview(unit.payload)[sent:]
        else:
            self._queue.popleft()
        return True

    def _act(self, unit: Unit) -> None:
        match unit.kind:
            case UnitKind.FIN:
                try:
                    self.sink.shutdown_write()
                except OSError:
                    self._sink_failed()
                    return
                self.done = True
                if self.other.done:
                    self._connection.close()
            case UnitKind.REPLY:
                self._queued -= len(unit.payload)
                self.other.send_reply(unit.payload)
            case UnitKind.CUT:
                self._connection.acted("Reset")
                self._connection.reset()
            case _:
                self._connection.reset(dead=self.source)

    def _sink_failed(self) -> None:
        self._sink_dead = True
        self._queue.clear()
        self._queued = 0
        self.other.source_was_reset()


class Connection:
    """A client's connection and its upstream one."""

    def __init__(
        self, number: int, spool: SpoolWriter, client: PlainEndpoint, server: PlainEndpoint, watch: ResetWatch
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.watch = watch
        self.number = number
        self.relayed = spool.relayed
        self.closed = False
        self.last_activity = monotonic_ns()
        self.on_closed: Callable[[], None] = lambda: None
        self._spool = spool
        self._up = Leg(self, Direction.UP, client, server)
        self._down = Leg(self, Direction.DOWN, server, client)
        self._up.other, self._down.other = self._down, self._up
        self._idle: tuple[float, Literal["rst", "fin"]] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin relaying."""
        for leg in (self._up, self._down):
            leg.pace()
            leg.read_buffered()

    def set_plan(self, plan: Plan, *, begin: bool) -> None:
        """Replace what the toxics do. begin: the connection was open when they were set."""
        if self.closed:
            return
        self._idle = plan.idle
        if self._timer is not None:
            self._timer.cancel()
        self._check_idle()
        for leg, leg_plan in ((self._up, plan.up), (self._down, plan.down)):
            if not self.closed:
                leg.set_plan(leg_plan, begin=begin)

    def record(self, t_ns: int, direction: Direction, kind: RecordKind, payload: bytes = b"") -> None:
        """Append a record about this connection."""
        self._spool.record(t_ns, self.number, direction, kind, payload)

    def forwarded(self, t_ns: int, direction: Direction, count: int, edited: bytes) -> None:
        """Append a FORWARDED record."""
        self._spool.forwarded(t_ns, self.number, direction, count, edited)

    def acted(self, toxic: str) -> None:
        """Record that a toxic acted on this connection."""
        payload = json.dumps({"acted": toxic}).encode()
        self.record(monotonic_ns(), Direction.NONE, RecordKind.TOXIC, payload)

    def reset(self, *, dead: PlainEndpoint | None = None) -> None:
        """Reset both sides, once what was sent before has arrived. dead: the side that is known to be gone."""
        if self._let_go():
            ends = [end for end in (self._up.source, self._up.sink) if end is not dead]
            self._finish_reset(ends, self.loop.time() + RESET_PATIENCE)

    def close(self) -> None:
        """Close both sides in order."""
        if self._let_go():
            self._gone()

    def drop(self) -> None:
        """Close both sides at once, also when a reset is still waiting."""
        self._let_go()
        self._gone()

    def _let_go(self) -> bool:
        """End relaying; False when it had ended before."""
        if self.closed:
            return False
        self.closed = True
        self._up.release()
        self._down.release()
        if self._timer is not None:
            self._timer.cancel()
        return True

    def _finish_reset(self, ends: list[PlainEndpoint], deadline: float) -> None:
        if any(end.unacknowledged() for end in ends) and self.loop.time() < deadline:
            self._timer = self.loop.call_later(0.001, self._finish_reset, ends, deadline)
            return
        for end in ends:
            end.abort()
        self._gone()

    def _gone(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._up.source.close()
        self._up.sink.close()
        self.record(monotonic_ns(), Direction.NONE, RecordKind.CLOSED)
        self.on_closed()

    def _check_idle(self) -> None:
        if self._idle is None or self.closed:
            return
        seconds, how = self._idle
        left = seconds - (monotonic_ns() - self.last_activity) / 1e9
        if left > 0:
            self._timer = self.loop.call_later(left, self._check_idle)
            return
        self.acted("IdleCut")
        if how == "rst":
            self.reset()
        else:
            self.close()
