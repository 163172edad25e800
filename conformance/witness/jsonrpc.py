"""JSON-RPC 2.0 messages as MCP narrows them: parameters are objects, ids are strings or integers and never null."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

JSON: TypeAlias = Any
Id: TypeAlias = str | int

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
SERVER_ERROR: Final = -32000
RESOURCE_NOT_FOUND: Final = -32002


class RpcError(Exception):
    """A JSON-RPC error on its way to the peer; data is left out where it is None."""

    def __init__(self, code: int, message: str, data: JSON = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


@dataclass(frozen=True, slots=True)
class Request:
    """A message that wants an answer."""

    id: Id
    method: str
    params: Mapping[str, JSON]


@dataclass(frozen=True, slots=True)
class Notification:
    """A message that must not be answered."""

    method: str
    params: Mapping[str, JSON]


@dataclass(frozen=True, slots=True)
class Response:
    """The peer's answer to a request of ours; ok is False for an error. body: the result or the error."""

    id: Id
    ok: bool
    body: JSON = None


Message: TypeAlias = Request | Notification | Response


def decode(data: bytes) -> JSON:
    """Return the JSON value in `data`; RpcError -32700 if it is not JSON in UTF-8."""
    try:
        return json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise RpcError(PARSE_ERROR, "Parse error: the message is not JSON in UTF-8") from error


def encode(value: JSON) -> bytes:
    """Return `value` as JSON on one line, in UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8")


def is_id(value: JSON) -> bool:
    """Tell whether `value` may be a request id (basic § Requests: a string or an integer)."""
    return isinstance(value, str | int) and not isinstance(value, bool)


def read(value: JSON) -> Message:
    """Return the message that a decoded JSON value is; RpcError -32600 if it is none."""
    if not isinstance(value, dict) or value.get("jsonrpc") != "2.0":
        raise RpcError(INVALID_REQUEST, 'Invalid Request: expected a JSON-RPC object with "jsonrpc": "2.0"')
    if "id" in value and not is_id(value["id"]):
        raise RpcError(INVALID_REQUEST, "Invalid Request: id must be a string or an integer")
    if "method" in value:
        return _read_call(value)
    if "id" not in value or ("result" in value) == ("error" in value):
        raise RpcError(INVALID_REQUEST, "Invalid Request: neither a request, a notification nor a response")
    ok = "result" in value
    return Response(id=value["id"], ok=ok, body=value["result" if ok else "error"])


def _read_call(value: Mapping[str, JSON]) -> Request | Notification:
    method, params = value["method"], value.get("params", {})
    if not isinstance(method, str):
        raise RpcError(INVALID_REQUEST, "Invalid Request: method must be a string")
    if not isinstance(params, dict):
        raise RpcError(INVALID_REQUEST, "Invalid Request: params must be an object")
    if "id" in value:
        return Request(id=value["id"], method=method, params=params)
    return Notification(method=method, params=params)


def readable_id(data: bytes) -> Id | None:
    """Return the request id in `data` if there is one to be read, to address a refusal of the whole body."""
    try:
        value = decode(data)
    except RpcError:
        return None
    if not isinstance(value, dict) or not is_id(value.get("id")):
        return None
    identifier: Id = value["id"]
    return identifier


def request(identifier: Id, method: str, params: Mapping[str, JSON] | None = None) -> dict[str, JSON]:
    """Return a request."""
    return {"jsonrpc": "2.0", "id": identifier, "method": method} | ({"params": dict(params)} if params else {})


def notification(method: str, params: Mapping[str, JSON] | None = None) -> dict[str, JSON]:
    """Return a notification."""
    return {"jsonrpc": "2.0", "method": method} | ({"params": dict(params)} if params else {})


def success(identifier: Id, result: Mapping[str, JSON]) -> dict[str, JSON]:
    """Return the answer that carries `result`."""
    return {"jsonrpc": "2.0", "id": identifier, "result": dict(result)}


def failure(identifier: Id | None, error: RpcError) -> dict[str, JSON]:
    """Return the answer that carries `error`; without an id where none could be read (schema: id is optional)."""
    head: dict[str, JSON] = {"jsonrpc": "2.0"} if identifier is None else {"jsonrpc": "2.0", "id": identifier}
    body = {"code": error.code, "message": error.message}
    return head | {"error": body if error.data is None else {**body, "data": error.data}}
