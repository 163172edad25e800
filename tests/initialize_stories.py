"""Evidence of handshakes, for the tests of family initialize_ordering."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from conformance.evidence.transcript import Transcript
from conformance.rules.all import rule_named
from conformance.rules.base import Inputs, judge
from conformance.rules.verdicts import Verdict
from tests.evidence_builder import RESULT, Story, request, result

CLIENT = {"name": "c", "version": "1"}
SOUND = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": CLIENT}


def verdict(rule_id: str, through: Transcript, control: Transcript | None = None) -> Verdict:
    rule = rule_named(rule_id)
    assert rule is not None
    return judge(rule, Inputs(through, control))


def asking(version: Any = "2025-11-25", **params: Any) -> dict[str, Any]:
    return request("initialize", 0, **{**SOUND, "protocolVersion": version, **params})


def initialize(
    story: Story,
    client: str = "a",
    version: Any = "2025-11-25",
    answer: Any = "the same",
    *,
    backend: bool = False,
    session: str | None = None,
    **more: Any,
) -> str:
    """Add an initialize; answer: a version, a whole message, or None for none."""
    if isinstance(answer, str):
        answer = result(0, **{**RESULT, "protocolVersion": version if answer == "the same" else answer})
    given = {"sse": [answer] if answer else [], "issue_session": session} | more
    return story.exchange(client, backend=backend, request=asking(version), **given)


def around(story: Story, client: Callable[[float], str], backend: Callable[[float], str]) -> None:
    """Add a client's exchange of one second, and a backend's in the middle of it."""
    begin = story.now
    client(begin)
    backend(begin + 0.2)
    story.at(begin + 1.1)
