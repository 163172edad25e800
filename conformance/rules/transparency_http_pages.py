"""What the rules on lists read off the evidence: lists as clients follow them from page to page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from conformance.evidence.events import JSON
from conformance.evidence.transcript import Exchange, Message, Transcript
from conformance.rules.base import Precondition

SUITE: Final = "transparency"

ITEMS: Final = {
    "tools/list": ("tools", "name"),
    "prompts/list": ("prompts", "name"),
    "resources/list": ("resources", "uri"),
    "resources/templates/list": ("resourceTemplates", "uriTemplate"),
}
"""Method: the result's key, and the member that identifies an item."""

INVALID_PARAMS: Final = -32602


@dataclass(frozen=True, slots=True)
class Walk:
    """One list as a client followed it: its first page, then each that the cursor of the one before led to."""

    method: str
    pages: tuple[Exchange, ...]

    @property
    def events(self) -> tuple[int, ...]:
        """`seq` numbers of all pages."""
        return tuple(seq for page in self.pages for seq in page.events)

    @property
    def ended(self) -> bool:
        """Whether the last page is one, and names no further."""
        answer = self.pages[-1].answer()
        return answer is not None and answer.result is not None and next_cursor(self.pages[-1]) is None

    @property
    def repeated(self) -> bool:
        """Whether the last page gave a cursor that a page before it had given."""
        *earlier, last = [next_cursor(page) for page in self.pages]
        return last is not None and last in earlier


def cursor_of(exchange: Exchange) -> str | None:
    """Return the cursor that a list request names."""
    params = exchange.request.get("params") if isinstance(exchange.request, dict) else None
    cursor = params.get("cursor") if isinstance(params, dict) else None
    return cursor if isinstance(cursor, str) else None


def next_cursor(exchange: Exchange) -> str | None:
    """Return the cursor of the next page; an empty one or null counts as none."""
    answer = exchange.answer()
    cursor = answer.result.get("nextCursor") if answer is not None and answer.result is not None else None
    return cursor if isinstance(cursor, str) and cursor else None


def walks(transcript: Transcript) -> tuple[Walk, ...]:
    """Return every list that a client followed, in order. Its pages are told by the cursor, not by their order."""
    found: list[Walk] = []
    for item in transcript.client():
        if item.rpc_method not in ITEMS:
            continue
        cursor = cursor_of(item)
        if cursor is None:
            found.append(Walk(str(item.rpc_method), (item,)))
            continue
        for number, walk in enumerate(found):
            last = walk.pages[-1]
            if (walk.method, last.tap, next_cursor(last)) == (item.rpc_method, item.tap, cursor):
                found[number] = Walk(walk.method, (*walk.pages, item))
    return tuple(found)


def names_in(walk: Walk) -> tuple[str, ...]:
    """Return what identifies the items of all pages, in order, repetitions included."""
    key, member = ITEMS[walk.method]
    answers = [answer for page in walk.pages if (answer := page.answer()) is not None]
    lists = [(answer.result or {}).get(key) for answer in answers]
    items = [item for listed in lists if isinstance(listed, list) for item in listed]
    return tuple(str(item[member]) for item in items if isinstance(item, dict) and member in item)


def never_issued(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return the clients' list requests with a cursor that no page had given that client."""
    lists = [item for item in transcript.client() if item.rpc_method in ITEMS]
    given = {(item.tap, next_cursor(item)) for item in lists}
    return tuple(item for item in lists if cursor_of(item) is not None and (item.tap, cursor_of(item)) not in given)


def foreign_cursors(transcript: Transcript) -> tuple[tuple[Message, ...], tuple[Message, ...]]:
    """Return the gateway's list requests that name a cursor, and of them those whose cursor nobody had said."""
    said: list[JSON] = [cursor_of(item) for item in transcript.client()]
    sent: list[Message] = []
    foreign: list[Message] = []
    for message in transcript.backend_messages:
        if message.direction == "down" and message.result is not None:
            said.append(message.result.get("nextCursor"))
        elif message.direction == "up" and message.method in ITEMS and "cursor" in message.params:
            sent.append(message)
            if message.params["cursor"] not in said:
                foreign.append(message)
    return tuple(sent), tuple(foreign)


LIST_FOLLOWED = Precondition(
    "list-followed",
    "a list that a client asked for from its first page on",
    lambda transcript: bool(walks(transcript)),
)
PAGED_BACKEND = Precondition(
    "backend-list-in-pages",
    "a list that the backend gave in pages",
    lambda transcript: any(
        message.direction == "down" and message.result is not None and message.result.get("nextCursor")
        for message in transcript.backend_messages
    ),
)
INVALID_CURSOR = Precondition(
    "cursor-never-issued",
    "a list request with a cursor that was never given",
    lambda transcript: bool(never_issued(transcript)),
)
