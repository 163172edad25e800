"""Facts read off lists: what became at the client of each page that the backend gave."""

from __future__ import annotations

from conformance.diagnosis.failure import Failure, listed
from conformance.evidence.transcript import Transcript


def part_of_a_page_is_missing(failure: Failure) -> bool | None:
    """Of one page of the backend's tools the client got some and not others."""
    pages = _pages(failure.through) + (_pages(failure.inputs.control) if failure.inputs.control is not None else [])
    if not pages:
        return None
    got = [name for item in failure.fronts for name in _names(listed(item))]
    spelled = failure.through.tool_names
    found = [{bool(spelled.standing_for(name, got)) for name in page} for page in pages]
    return any(len(page) > 1 for page in found)


def a_client_was_listed_tools(failure: Failure) -> bool | None:
    """A client's tools/list was answered with tools."""
    return any(bool(listed(item)) for item in failure.through.client())


def _pages(transcript: Transcript) -> list[list[str]]:
    """Return the names on each page of tools that came from the backend's side of a run."""
    answers = [m.result for m in transcript.backend_messages if m.direction == "down" and m.result is not None]
    direct = [listed(item) for item in transcript.client()] if not transcript.backend_messages else []
    return [names for page in (*(answer.get("tools") for answer in answers), *direct) if (names := _names(page))]


def _names(tools: object) -> list[str]:
    """Return the names in a list of tools."""
    items = tools if isinstance(tools, list) else []
    return [str(item["name"]) for item in items if isinstance(item, dict) and "name" in item]
