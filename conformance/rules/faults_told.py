"""What a client was told of a backend that cannot be had: an error, nothing, or as if nothing were wrong."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from conformance.evidence.events import Event, Kind, Point
from conformance.evidence.transcript import Exchange, Message, Transcript
from conformance.rules.answers import said


@dataclass(frozen=True, slots=True)
class Told:
    """What a client was told. how: `error`, `hang`, `empty` (a response that ended without an answer) or `success`."""

    how: str
    what: str
    exchange: Exchange | None = None
    events: tuple[int, ...] = ()

    @property
    def seen(self) -> tuple[int, ...]:
        """The events that it rests on."""
        return (*(self.exchange.events if self.exchange is not None else ()), *self.events)

    def symptom(self, served: str) -> str:
        """Return the failure class of this way of not telling an error, empty where one was told.

        served: the class of telling that nothing is wrong.
        """
        first = self.exchange is None or self.exchange.rpc_method == "initialize"
        hang = "initialize-hang" if first else "hang-on-upstream-error"
        return {"hang": hang, "empty": "empty-200-stream", "success": served}.get(self.how, "")


def told_of(transcript: Transcript, methods: Collection[str]) -> Told:
    """Return what came of the last of the clients' requests of some methods, or of not being able to make one."""
    ended = [event for event in transcript.of(Kind.PROCESS_EXIT) if event.data.get("name") == "gateway"]
    asked = [item for item in transcript.client() if item.rpc_method in methods]
    if not asked:
        return _unasked(transcript, ended)
    last = asked[-1]
    method, answer = last.rpc_method, last.answer()
    if answer is not None and answer.result is not None:
        if answer.result.get("isError") or _in_words(transcript, last, answer):
            return Told("error", f"{method} was answered with a result that tells of an error", last)
        tools = answer.result.get("tools")
        listed = f"{len(tools)} tools" if isinstance(tools, list) else "a result"
        return Told("success", f"{method} was answered with {listed}", last)
    took = transcript.end_of(last) - last.t
    if answer is not None or (last.status is not None and last.status >= 400):
        return Told("error", f"{method} was answered with {said(last)} after {took:.2f} s", last)
    if last.how in {"open", "abandoned"}:
        return Told("hang", f"{method} had no answer in {took:.1f} s ({said(last)})", last)
    if last.status is None:
        return Told("error", f"the connection was closed on {method} after {took:.2f} s{_exit(ended)}", last)
    return Told("empty", f"{method} was answered with {said(last)}, and the response ended", last)


def _in_words(transcript: Transcript, call: Exchange, answer: Message) -> bool:
    """Whether a gateway's own tool, through which a backend's is called, gave a text of its own in place of the result.

    What is in such a text is that tool's business; the backend's result would hold the call's nonce.
    """
    if transcript.meta_tool is None or call.rpc_method != "tools/call":
        return False
    sent = call.request["params"].get("arguments") or {}
    return str(sent.get("nonce")) not in str(answer.result)


def _unasked(transcript: Transcript, ended: list[Event]) -> Told:
    """Return what a client was told that could not even send its request."""
    failed = tuple(event.seq for event in transcript.of(Kind.CONN_FAILED) if event.point is Point.CLIENT_TAP)
    if ended:
        events = (*(event.seq for event in ended), *failed)
        return Told("error", f"the gateway refuses connections{_exit(ended)}", events=events)
    if failed:
        return Told("error", "the gateway refuses connections, though it still runs", events=failed)
    return Told("hang", "the client's connection was accepted and its request never read")


def _exit(ended: list[Event]) -> str:
    return f": it had ended with status {ended[0].data.get('code')}" if ended else ""
