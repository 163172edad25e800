"""The witness's manners of HTTP and its tool for large texts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import httpx
import pytest

from conformance.witness.tools_http import PATTERN, filler
from tests.witness_process import Client, http_witness

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with http_witness() as client:
        yield client.open()


def answered(client: Client, manner: str) -> httpx.Response:
    params = {"name": "answer", "arguments": {"nonce": "n-1", "manner": manner}}
    return client.request("tools/call", params)


@pytest.mark.parametrize(
    ("manner", "media_type"),
    [
        ("json", "application/json"),
        ("json-charset", "application/json; charset=utf-8"),
        ("stream-charset", "text/event-stream; charset=utf-8"),
        ("stream-comments", "text/event-stream"),
    ],
)
def test_legal_forms_carry_the_result(client: Client, manner: str, media_type: str) -> None:
    response = answered(client, manner)
    assert response.headers["content-type"] == media_type
    assert '"structuredContent":{"nonce":"n-1"' in response.text


@pytest.mark.parametrize(
    ("manner", "status", "media_type"),
    [
        ("plain-413", 413, "text/plain"),
        ("html-200", 200, "text/html; charset=utf-8"),
        ("broken-json", 200, "application/json"),
    ],
)
def test_faults_carry_none(client: Client, manner: str, status: int, media_type: str) -> None:
    response = answered(client, manner)
    assert (response.status_code, response.headers["content-type"]) == (status, media_type)
    with pytest.raises(json.JSONDecodeError):
        json.loads(response.text)


def test_a_reset_comes_instead_of_a_response(client: Client) -> None:
    with pytest.raises(httpx.ReadError):
        answered(client, "reset-at-once")


def test_a_text_of_some_size_comes_and_another_is_measured(client: Client) -> None:
    told = client.call("payload", nonce="n-1", text=filler(1234), size=len(PATTERN) + 1)
    assert told["length"] == 1234
    assert told["text"] == PATTERN + PATTERN[0]
