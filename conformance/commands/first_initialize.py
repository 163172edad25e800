"""The first question to a gateway that already runs: one initialize, without which nothing can be judged."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import replace
from typing import Final

import httpx

from conformance import __version__, timing
from conformance.errors import CannotJudgeError
from conformance.evidence.events import JSON
from conformance.evidence.redact import Redactor
from conformance.report.escape import shown
from conformance.stage.attached import parse_url
from conformance.stage.plan import UrlTarget
from conformance.wire.driver import ACCEPT_BOTH, CLIENT_INFO, Reply, json_messages
from conformance.wire.http_client import as_sent, http_client, said_of
from conformance.wire.refused import error_of, met_with
from conformance.wire.sse import SseEvent, SseParser

ANSWER_SECONDS: Final = timing.ANSWER
"""How long the answer is waited for, in seconds: as long as in every drive."""
_LONGEST_ANSWER: Final = 1 << 20
"""Bytes of an answer that are read; an initialize result has a few KiB."""
_LONGEST_QUOTE: Final = 200
"""Characters of the server's own words that are shown."""
_END_SECONDS: Final = 5.0
"""How long the end of the session that was begun may take, in seconds."""
_ID: Final = 1
_REDIRECTS: Final = (301, 302, 303, 307, 308)
_UNREACHED: Final = (502, 503, 504)


def refuse_uninitialized(target: UrlTarget, revisions: Iterable[str]) -> None:
    """Raise CannotJudgeError, which says what came instead, where initialize has no result in any of the revisions."""
    refusals: list[Reply] = []
    for revision in revisions:
        reply = asyncio.run(_initialize(target, revision))
        if reply.result(_ID) is not None:
            return
        refusals.append(reply)
        if reply.status is None:  # whoever says nothing says nothing in another revision either
            break
    if refusals:
        raise CannotJudgeError(_sentence(target, refusals[0]))


async def _initialize(target: UrlTarget, revision: str) -> Reply:
    """Ask, and end the session that the answer began; return the answer, as much of it as came."""
    asked = {"protocolVersion": revision, "capabilities": {}, "clientInfo": CLIENT_INFO}
    message = {"jsonrpc": "2.0", "id": _ID, "method": "initialize", "params": asked}
    agent = {"Accept-Encoding": "identity", "User-Agent": f"mcp-gateway-conformance/{__version__}"}
    # The machine's own authorities, as the taps of the drives have them.
    async with http_client(headers=agent, verify=ssl.create_default_context()) as http:
        headers = {"Accept": ACCEPT_BOTH, **_credentials(target)}
        reply = Reply()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                request = http.stream("POST", target.url, headers=as_sent(headers), json=message)
                async for latest in _growing(request):
                    reply = latest
        except TimeoutError:
            reply = replace(reply, trouble=f"gave up after {ANSWER_SECONDS:g} s")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            reply = replace(reply, trouble=said_of(error))
        if reply.result(_ID) is not None and (session := reply.headers.get("mcp-session-id")):
            ended = {**headers, "Mcp-Session-Id": session, "MCP-Protocol-Version": revision}
            with suppress(TimeoutError, httpx.HTTPError):
                async with asyncio.timeout(_END_SECONDS):
                    await http.delete(target.url, headers=as_sent(ended))
        return reply


async def _growing(request: AbstractAsyncContextManager[httpx.Response]) -> AsyncIterator[Reply]:
    """Yield the reply as it grows, until the answer is in it or it is far too long for one."""
    async with request as response:
        headers = {name.lower(): value for name, value in response.headers.items()}
        reply, raw = Reply(response.status_code, headers), b""
        yield reply
        async for chunk in response.aiter_bytes():
            raw += chunk
            reply = replace(reply, messages=_messages(raw, headers))
            yield reply
            if reply.answer(_ID) is not None or len(raw) > _LONGEST_ANSWER:
                return


def _messages(raw: bytes, headers: Mapping[str, str]) -> tuple[Mapping[str, JSON], ...]:
    if not headers.get("content-type", "").startswith("text/event-stream"):
        return json_messages(raw)
    events = (item for item in SseParser().feed(raw) if isinstance(item, SseEvent))
    return tuple(message for event in events for message in json_messages(event.data.encode()))


def _sentence(target: UrlTarget, reply: Reply) -> str:
    redactor = Redactor(supplied=tuple(_credentials(target).values()))

    def quoted(text: str) -> str:
        # Redacted first: of a secret that is cut in two, the rest would not be recognized.
        return shown(redactor.text(text), longest=_LONGEST_QUOTE)

    address, path, _ = parse_url(target.url)
    where = f"{address}{path.partition('?')[0]}"
    said = f"{redactor.text(met_with(reply))}{_in_its_words(reply, quoted)}"
    return shown(f"Nothing can be judged: initialize, sent to {where}, {said}; {_remedy(target, reply)}.", longest=2000)


def _in_its_words(reply: Reply, quoted: Callable[[str], str]) -> str:
    """Return what a refusal says of itself, empty where that is nothing of use."""
    if reply.status in _REDIRECTS and (location := reply.headers.get("location")):
        return f", and leads to {quoted(_without_query(location))}"
    if reply.status == httpx.codes.UNAUTHORIZED and (challenge := reply.headers.get("www-authenticate")):
        return f", and asks for credentials (WWW-Authenticate: {quoted(challenge)})"
    if isinstance(message := (error_of(reply) or {}).get("message"), str):
        return f" ({quoted(message)})"
    return ""


def _remedy(target: UrlTarget, reply: Reply) -> str:
    """Return what to do about a refusal; where several causes look the same from here, about each."""
    status = reply.status
    if status is None:
        return "see whether the process behind that port is stopped or blocked, or correct host and port of --url"
    if status in _REDIRECTS:
        return "if that is the gateway, give its URL to --url: no redirect is followed, credentials would go with it"
    if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        return _credentials_remedy(target)
    if status == httpx.codes.TOO_MANY_REQUESTS:
        return "wait, or raise its limit for this client"
    if status in _UNREACHED:
        return "start what stands behind it, or mend the way there"
    if error_of(reply) is not None and status not in (httpx.codes.NOT_FOUND, httpx.codes.METHOD_NOT_ALLOWED):
        return "an MCP server that refuses it may want another --revision, or headers (--header-env NAME=VARIABLE)"
    if status >= httpx.codes.INTERNAL_SERVER_ERROR:
        return "look into the log of what answers there, or correct path and port of --url"
    return "correct path and port of --url: it must be the endpoint of Streamable HTTP, often /mcp"


def _credentials_remedy(target: UrlTarget) -> str:
    if not target.header_env:
        return "give credentials with --header-env 'Authorization=VARIABLE', the value from the environment"
    given = ", ".join(f"{name} from {variable}" for name, variable in target.header_env.items())
    return f"correct what --header-env sends ({given}), or allow it there"


def _without_query(location: str) -> str:
    """Return a URL without what may hold secrets: user, query and fragment."""
    bare = location.partition("#")[0].partition("?")[0]
    scheme, slashes, rest = bare.partition("//")
    authority, slash, path = rest.partition("/")
    return f"{scheme}{slashes}{authority.rpartition('@')[2]}{slash}{path}"


def _credentials(target: UrlTarget) -> dict[str, str]:
    return {name: os.environ.get(variable, "") for name, variable in target.header_env.items()}
