"""Streams that can be resumed, of the witness and of both reference gateways before it, as real processes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.gateway_process import gateway
from tests.witness_process import Client, events, http_witness

OLDER = "2025-06-18"
KINDS = ["witness", "passthrough", "terminating"]


@pytest.fixture(scope="module")
def fronts() -> Iterator[dict[str, Client]]:
    with (
        http_witness() as witness,
        gateway("passthrough", "--upstream", witness.url) as passing,
        gateway("terminating", "--upstream", witness.url) as ending,
    ):
        yield {"witness": witness, "passthrough": passing, "terminating": ending}


def front(fronts: dict[str, Client], kind: str, revision: str = "2025-11-25") -> tuple[Client, str]:
    """Return a client in a session, and the prefix of the witness's tools there."""
    return fronts[kind].another().open(revision), "http_" if kind == "terminating" else ""


def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    nonce = f"n-{client.last_id}"
    params = {"name": tool, "arguments": {"nonce": nonce, **arguments}, "_meta": {"progressToken": nonce}}
    return client.body("tools/call", params)


def ids(text: str) -> list[str]:
    return re.findall(r"^id: (.+)$", text, re.MULTILINE)


def left_after_progress(client: Client, body: dict[str, Any]) -> str:
    """POST a call, leave its stream after the first message, and return that event's id."""
    received = ""
    with client.http.stream("POST", client.url, content=json.dumps(body), headers=client.headers()) as response:
        for chunk in response.iter_text():
            received += chunk
            if "notifications/progress" in received and received.endswith("\n\n"):
                return ids(received)[-1]
    raise AssertionError(f"no progress in {received!r}")


def until_broken(client: Client, body: dict[str, Any]) -> tuple[str, bool]:
    """Return what a POST's stream brought, and whether its connection broke."""
    received = ""
    with client.http.stream("POST", client.url, content=json.dumps(body), headers=client.headers()) as response:
        try:
            for chunk in response.iter_text():
                received += chunk
        except httpx.RemoteProtocolError:
            return received, True
    return received, False


def resumed(client: Client, last: str) -> str:
    """Return the whole text of a stream that ends."""
    with client.listen(last_event_id=last) as response:
        assert response.status_code == 200
        return response.read().decode()


@pytest.mark.parametrize("kind", ["witness", "passthrough"])
def test_a_stream_closed_early_is_primed_and_names_a_time(fronts: dict[str, Client], kind: str) -> None:
    client, _ = front(fronts, kind)
    text = client.post(call(client, "resumable", seconds=0, leave="close", retry=120)).text
    assert re.fullmatch(r"id: (\w+)-0\ndata: \n\nid: \1-1\nretry: 120\ndata: \n\n", text)
    (answer,) = events(resumed(client, ids(text)[-1]))
    assert answer["result"]["structuredContent"]["left"] is True


def test_the_terminating_gateway_keeps_its_stream_open(fronts: dict[str, Client]) -> None:
    client, prefix = front(fronts, "terminating")
    text = client.post(call(client, prefix + "resumable", seconds=0, leave="close", retry=120)).text
    assert text.startswith(f"id: {ids(text)[0]}\ndata: \n\n")
    assert len(ids(text)) == 2
    assert events(text)[0]["result"]["structuredContent"]["left"] is True


@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_that_was_left_brings_the_rest_and_nothing_else(fronts: dict[str, Client], kind: str) -> None:
    client, prefix = front(fronts, kind)
    bodies = [call(client, prefix + "resumable", seconds=0.3, steps=2) for _ in range(2)]
    lasts = [left_after_progress(client, body) for body in bodies]
    for body, last in zip(bodies, lasts, strict=True):
        progress, answer = events(resumed(client, last))
        assert (progress["params"]["progressToken"], progress["params"]["progress"]) == (
            body["params"]["_meta"]["progressToken"],
            2,
        )
        assert answer["id"] == body["id"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_can_be_resumed_again_and_again(fronts: dict[str, Client], kind: str) -> None:
    client, prefix = front(fronts, kind)
    last = left_after_progress(client, call(client, prefix + "resumable", seconds=0.1, steps=1))
    first = resumed(client, last)
    assert resumed(client, last) == first
    assert resumed(client, ids(first)[-1]) == ""


@pytest.mark.parametrize("kind", KINDS)
def test_older_clients_are_neither_primed_nor_left(fronts: dict[str, Client], kind: str) -> None:
    client, prefix = front(fronts, kind, OLDER)
    text = client.post(call(client, prefix + "resumable", seconds=0, leave="close")).text
    assert "data: \n" not in text
    assert "retry" not in text
    (answer,) = events(text)
    # Behind the terminating gateway the backend speaks its own, newer revision, and does leave.
    assert answer["result"]["structuredContent"]["left"] is (kind == "terminating")


@pytest.mark.parametrize("kind", ["witness", "passthrough"])
def test_a_cut_stream_is_a_broken_connection(fronts: dict[str, Client], kind: str) -> None:
    client, _ = front(fronts, kind)
    received, broken = until_broken(client, call(client, "resumable", seconds=0.1, steps=1, leave="cut"))
    assert broken
    (answer,) = events(resumed(client, ids(received)[-1]))
    assert "result" in answer


def test_the_terminating_gateway_mends_a_cut_stream(fronts: dict[str, Client]) -> None:
    client, prefix = front(fronts, "terminating")
    progress, answer = events(client.post(call(client, prefix + "resumable", seconds=0.1, steps=1, leave="cut")).text)
    assert progress["method"] == "notifications/progress"
    assert answer["result"]["structuredContent"]["left"] is True


@pytest.mark.parametrize("kind", ["witness", "passthrough"])
def test_a_closed_get_stream_keeps_what_is_said_meanwhile(fronts: dict[str, Client], kind: str) -> None:
    client, _ = front(fronts, kind)
    with client.listen() as stream:
        assert client.call("close_get", retry=120)["closed"] is True
        text = stream.read().decode()
    assert re.fullmatch(r"id: \w+-1\nretry: 120\ndata: \n\n", text)
    assert client.call("notify", kind="list_changed")["delivered"] is True
    with client.listen(last_event_id=ids(text)[0]) as stream:
        assert b"list_changed" in next(stream.iter_raw())


def test_nobody_listens_and_nothing_is_closed(fronts: dict[str, Client]) -> None:
    client, _ = front(fronts, "witness")
    assert client.call("close_get")["closed"] is False


def test_the_terminating_gateways_get_stream_is_resumed(fronts: dict[str, Client]) -> None:
    client, prefix = front(fronts, "terminating")
    with client.listen() as stream:
        client.call(prefix + "notify", kind="list_changed")
        first = next(stream.iter_raw()).decode()
    name = ids(first)[0].rpartition("-")[0]
    with client.listen(last_event_id=f"{name}-0") as stream:
        assert next(stream.iter_raw()).decode() == first


@pytest.mark.parametrize("event_id", ["1-99", "99-1", "1-", "-1", "1-x", ""])
def test_ids_that_were_never_given_begin_a_new_stream(fronts: dict[str, Client], event_id: str) -> None:
    client, prefix = front(fronts, "terminating")
    client.call(prefix + "counter")
    with client.listen(last_event_id=event_id) as stream:
        assert stream.status_code == 200
        client.call(prefix + "notify", kind="list_changed")
        assert b"list_changed" in next(stream.iter_raw())
