"""What tests of gateways as processes say to them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from tests.witness_process import PATIENCE, Client

NONCE = {"nonce": "n"}


def call(tool: str, request_id: object = 1, token: object = None, **arguments: Any) -> dict[str, Any]:
    params: dict[str, Any] = {"name": tool, "arguments": {**NONCE, **arguments}}
    if token is not None:
        params["_meta"] = {"progressToken": token, "vendor.example/kept": [1]}
    return {"jsonrpc": "2.0", "id": request_id, "method": "tools/call", "params": params}


@contextmanager
def listening(client: Client, wanted: Callable[[bytes], bool]) -> Iterator[threading.Event]:
    """Hold a GET stream open; the event is set when the bytes received satisfy `wanted`. Headers are there at entry."""
    seen = threading.Event()

    def read(response: Any) -> None:
        received = b""
        for chunk in response.iter_raw():
            received += chunk
            if wanted(received):
                seen.set()
                return

    with client.listen() as response, ThreadPoolExecutor(1) as pool:
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/event-stream"
        reading = pool.submit(read, response)
        yield seen
        assert seen.wait(PATIENCE)
        reading.result(PATIENCE)
