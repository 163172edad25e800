"""What the tap process waits with: a relayed socket's reader is called as soon as the wait returns.

The event loop would wrap each event in a key and a handle first, which costs a small exchange more than relaying it.
"""

from __future__ import annotations

import asyncio
import select
import selectors
import time
from collections.abc import Callable
from typing import Final

EVENTS: Final = 64
"""Events taken at once; room for them is made for each wait."""


class RelaySelector(selectors.EpollSelector):
    """The event loop's selector, and beside what the loop waits for, relayed sockets.

    Readers run within `select`: like the loop's own callbacks they must not block. One that returns False may have
    scheduled something, which the loop then sees to in the same turn; after one that returns True the wait goes on.
    """

    def __init__(self) -> None:
        super().__init__()
        self._both = select.epoll()
        self._both.register(self.fileno(), select.EPOLLIN)
        self._readers: dict[int, Callable[[], bool]] = {}

    def read(self, fd: int, on_readable: Callable[[], bool]) -> None:
        """Call `on_readable` whenever the socket can be read, until it is let go."""
        self._readers[fd] = on_readable
        self._both.register(fd, select.EPOLLIN)

    def let_go(self, fd: int) -> None:
        """Wait for the socket no more; harmless when it is not waited for."""
        if self._readers.pop(fd, None) is not None:
            self._both.unregister(fd)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait, call the readers of sockets that can be read, and return what is ready of the loop's own."""
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            turn = False
            for fd, _ in self._both.poll(timeout, EVENTS):
                reader = self._readers.get(fd)  # None also: let go by what an earlier event of this wait led to
                if reader is None or not reader():
                    turn = True
            if turn:
                return super().select(0)
            if until is not None and (timeout := until - time.monotonic()) <= 0:
                return []

    def close(self) -> None:
        """Close both waits."""
        self._both.close()
        super().close()


class ResetWatch:
    """Notices resets on sockets that are not being read, so that a stalled receiver does not hide them."""

    def __init__(self, loop: asyncio.AbstractEventLoop, selector: RelaySelector) -> None:
        self.selector = selector
        self._epoll = select.epoll()
        self._watched: dict[int, Callable[[], None]] = {}
        loop.add_reader(self._epoll.fileno(), self._on_event)

    def watch(self, fd: int, on_reset: Callable[[], None]) -> None:
        """Call `on_reset` once when the socket fails while watched."""
        self._watched[fd] = on_reset
        self._epoll.register(fd, 0)  # errors are reported unasked

    def forget(self, fd: int) -> None:
        """Stop watching; harmless when it is not watched."""
        if self._watched.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def _on_event(self) -> None:
        for fd, events in self._epoll.poll(0):
            on_reset = self._watched.get(fd)  # None: let go by what an earlier event of this poll led to
            self.forget(fd)
            if on_reset is not None and events & select.EPOLLERR:
                on_reset()
