"""Hand-written evidence about cancelled calls, for the rules of suite transparency that judge cancellation."""

from __future__ import annotations

from typing import Any

from conformance.rules.all import rule_named
from conformance.rules.base import Inputs, judge
from conformance.rules.verdicts import Fail, Verdict
from tests.evidence_builder import Story, notification, request, result

CANCELLED = "notifications/cancelled"


def verdict(rule_id: str, story: Story) -> Verdict:
    subject = rule_named(rule_id)
    assert subject is not None
    return judge(subject, Inputs(story.transcript()))


def failure(rule_id: str, story: Story) -> Fail:
    found = verdict(rule_id, story)
    assert isinstance(found, Fail), found
    return found


def call(nonce: str, id: Any) -> dict[str, Any]:
    return request("tools/call", id, name="slow", arguments={"nonce": nonce})


def answer(nonce: str, id: Any) -> dict[str, Any]:
    return result(id, content=[], structuredContent={"nonce": nonce})


def cancel(story: Story, id: Any, t: float, *, backend: bool = False, session: str | None = None, **more: Any) -> str:
    """One side's cancel."""
    chosen = session if session is not None else "b-1" if backend else "s-1"
    given: dict[str, Any] = {"status": 202} | more
    sent = notification(CANCELLED, requestId=id)
    return story.exchange(backend=backend, session=chosen or None, request=sent, t=t, **given)


def opened(*, session: str | None = "s-1") -> Story:
    """A client and the gateway's backend session."""
    story = Story()
    story.connect(session=session)
    story.connect(session="b-1", backend=True)
    return story.at(10.0)


def given_up(
    *, ends: float | None = 10.6, stopped: float | None = 10.6, session: str | None = "s-1", taken: float = 0.01
) -> Story:
    """A call that is cancelled at 10.5: the client's response ends at `ends`, the backend's at `stopped`.

    taken: after how many seconds the POST of the cancel is answered.
    """
    story = opened(session=session)
    for backend, asked, in_session, over in (
        (False, call("n-1", "c-1"), session, ends),
        (True, call("n-1", 7), "b-1", stopped),
    ):
        lasts = None if over is None else "complete"
        length = 0.0 if over is None else over - 10.03
        story.exchange(
            backend=backend,
            session=in_session,
            request=asked,
            t=10.01 + 0.01 * backend,
            sse=[],
            how=lasts,
            length=length,
        )
    cancel(story, "c-1", 10.5, session=session or "", after=taken)
    return story


def to_the_end(story: Story, t: float = 20.0, **more: Any) -> Story:
    """The session is used once more, much later."""
    given: dict[str, Any] = {"sse": [answer("n-9", "c-9")], "session": "s-1"} | more
    story.exchange(request=call("n-9", "c-9"), t=t, **given)
    return story
