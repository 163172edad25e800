"""Calls through a gateway's own tool: a backend's tool is named, with its arguments, in the arguments of that tool.

Some gateways list a few tools of their own in place of their backends' many. How a call is put into a call of such a
tool, and where its result's text comes back, is data. The driving client puts calls in; evidence holds them as they
were sent; whoever reads evidence gets them out again, so that drives and rules speak of the backend's tools alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from conformance.evidence.events import JSON

TOOL: Final = "{tool}"
ARGUMENTS: Final = "{arguments}"
"""What a template of arguments holds in place of the name and of the arguments of the backend's tool."""


@dataclass(frozen=True, slots=True)
class MetaTool:
    """A gateway's tool through which its backends' tools are called.

    name: the name it is listed under. arguments: the template of its arguments, in which TOOL and ARGUMENTS stand once
    each. text_in: where the backend's text comes back: as this member of a JSON object that is the result's text; empty
    where the result is the backend's own.
    """

    name: str
    arguments: Mapping[str, JSON]
    text_in: str = ""

    @classmethod
    def of_header(cls, header: Mapping[str, JSON]) -> MetaTool | None:
        """Return the tool that an evidence file's header names, None where clients call the backend's tools."""
        told = header.get("meta_tool")
        return cls(told["name"], told["arguments"], told["text_in"]) if told else None

    def wrapped(self, message: JSON) -> JSON:
        """Return a call of a backend's tool as the call of this tool; any other message as it is."""
        params = _params(message)
        if params is None or not isinstance(params.get("name"), str) or params["name"] == self.name:
            return message
        filled = _filled(self.arguments, params["name"], params.get("arguments", {}))
        return {**message, "params": {**params, "name": self.name, "arguments": filled}}

    def unwrapped(self, message: JSON) -> JSON:
        """Return a call of this tool as the call of the backend's tool; any other message as it is."""
        params = _params(message)
        if params is None or params.get("name") != self.name:
            return message
        found = _found(self.arguments, params.get("arguments"))
        if not isinstance(found.get(TOOL), str):
            return message
        return {**message, "params": {**params, "name": found[TOOL], "arguments": found.get(ARGUMENTS, {})}}

    def result(self, message: JSON) -> JSON:
        """Return a result with the backend's text as its text; what holds none, such as an error, as it is."""
        result = message.get("result") if isinstance(message, Mapping) else None
        if not self.text_in or not isinstance(result, Mapping):
            return message
        content = result.get("content")
        if not isinstance(content, list) or len(content) != 1 or not isinstance(content[0], Mapping):
            return message
        text = _member(content[0].get("text"), self.text_in)
        if text is None:
            return message
        return {**message, "result": {**result, "content": [{**content[0], "text": text}]}}


def texts(template: JSON) -> Iterator[str]:
    """Yield the texts that stand as values in a template."""
    if isinstance(template, Mapping):
        for value in template.values():
            yield from texts(value)
    elif isinstance(template, str):
        yield template


def _params(message: JSON) -> Mapping[str, JSON] | None:
    """Return the params of a tools/call, None for anything else."""
    if not isinstance(message, Mapping) or message.get("method") != "tools/call":
        return None
    params = message.get("params")
    return params if isinstance(params, Mapping) else None


def _filled(template: JSON, tool: str, arguments: JSON) -> JSON:
    if isinstance(template, Mapping):
        return {name: _filled(value, tool, arguments) for name, value in template.items()}
    return {TOOL: tool, ARGUMENTS: arguments}.get(template, template) if isinstance(template, str) else template


def _found(template: JSON, sent: JSON) -> dict[str, JSON]:
    """Return what was sent in the places of TOOL and ARGUMENTS."""
    if isinstance(template, Mapping):
        places = ((value, sent[name]) for name, value in template.items() if isinstance(sent, Mapping) and name in sent)
        return {mark: value for place in places for mark, value in _found(*place).items()}
    return {template: sent} if template in (TOOL, ARGUMENTS) else {}


def _member(text: JSON, name: str) -> str | None:
    try:
        holder = json.loads(text) if isinstance(text, str) else None
    except ValueError:
        return None  # a gateway may say in plain text what went wrong
    value = holder.get(name) if isinstance(holder, Mapping) else None
    return value if isinstance(value, str) else None
