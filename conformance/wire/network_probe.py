"""One try to reach an HTTP endpoint, told step by step: name, TCP, TLS, how an answer begins. It judges nothing.

Needs the standard library alone: its text also runs inside a container's network namespace, by `python3 -c`, and prints
the facts there as JSON. What is asked is a JSON-RPC ping without a session: any MCP server answers or refuses it, and
nothing is opened or kept because of it.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import json
import socket
import ssl
import sys
import time
from typing import Any, TypeAlias
from urllib.parse import SplitResult, urlsplit

Facts: TypeAlias = "dict[str, Any]"
"""What was seen; `facts_of` documents the members."""

_PING = b'{"jsonrpc":"2.0","id":"network-probe","method":"ping"}'
_HEAD = 4096
"""Bytes read of an answer at most; its head is all that is looked at."""
_BAD_REQUEST = 400
_NO_SUCH_FAMILY = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.ENETUNREACH)
_ALERT = b"\x15\x03"
"""How a TLS alert begins (RFC 8446, section 5.1): what a TLS server says to a client that spoke plain HTTP."""


def facts_of(url: str, *, authority: str | None, connect_seconds: float, read_seconds: float) -> Facts:
    """Return what one try to reach `url` (http or https) shows; blocks. Never raises for what the network does.

    authority: PEM text of the only certificate authority that is trusted, None for the machine's own.

    url, host, port, secure: what was asked for. resolved: addresses of the name; name_error: how looking it up failed
    (`EAI_NONAME` and the like). connected: the address that accepted; connect_error: how the last address failed
    (`ECONNREFUSED`, `timeout`, …), connect_seconds: after how long. tls: of an https URL, `ok`, `version`, and where it
    failed `error` (a reason of OpenSSL's, `closed`, `reset`, `timeout`), for a certificate that did not hold also
    `code` and `why` (X509_V_ERR_*). der: the certificate presented, base64. answer: how the answer to the request
    began: `http` (with status, content_type, server, via), `tls-alert`, `other`, `closed`, `reset`, `timeout`; empty
    where none was asked. otherwise: whether the endpoint speaks the other of HTTP and TLS, None where not tried.
    local: this side's address of each connection made.
    """
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    host, port = parts.hostname or "", parts.port or (443 if secure else 80)
    facts: Facts = {"url": url, "host": host, "port": port, "secure": secure, "resolved": [], "local": []}
    facts |= {"name_error": "", "connected": "", "connect_error": "", "tls": None, "answer": "", "otherwise": None}
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        return facts | {"name_error": _name_error(error)}
    except UnicodeError:  # no name at all: a label of it is empty, or longer than names may have
        return facts | {"name_error": "EAI_NONAME"}
    facts["resolved"] = list(dict.fromkeys(where[0] for _, _, _, _, where in found))
    _Try(facts, parts, authority, connect_seconds, read_seconds).make()
    return facts


class _Try:
    """The steps after the name; each writes into `facts`."""

    def __init__(
        self, facts: Facts, parts: SplitResult, authority: str | None, connect_seconds: float, read_seconds: float
    ) -> None:
        self.facts = facts
        self.parts = parts
        self.authority = authority
        self.connect_seconds = connect_seconds
        self.read_seconds = read_seconds

    def make(self) -> None:
        """Connect and ask; where that fails, see whether the endpoint speaks the other protocol."""
        sock = self._connect()
        if not self.facts["connected"]:
            return
        if sock is None:
            self._was_reset()
        else:
            with sock:
                self._converse(sock)
        if self.facts["secure"] and self.facts["answer"] == "":
            self._look_closer()
        elif not self.facts["secure"] and self._may_be_tls():
            self.facts["otherwise"] = self._presented() is not None

    def _converse(self, sock: socket.socket) -> None:
        if not self.facts["secure"]:
            self._ask(sock)
        elif (wrapped := self._handshake(sock)) is not None:
            with wrapped:
                self._ask(wrapped)

    def _was_reset(self) -> None:
        if self.facts["secure"]:
            self.facts["tls"] = {"ok": False, "version": None, "error": "reset"}
        else:
            self.facts["answer"] = "reset"

    def _connect(self) -> socket.socket | None:
        """Return a connection to the first address that accepts; None where none does, or it was reset right after."""
        begun = time.monotonic()
        for address in self.facts["resolved"]:
            try:
                sock = socket.create_connection((address, self.facts["port"]), self.connect_seconds)
            except ConnectionResetError:  # a SYN that is refused gives ECONNREFUSED: this one was accepted first
                self.facts |= {"connected": address, "connect_error": ""}
                return None
            except OSError as error:
                # An address of a family that this side does not have says nothing beside one that it has.
                if error.errno not in _NO_SUCH_FAMILY or not self.facts["connect_error"]:
                    self.facts["connect_error"] = _error(error)
                self.facts["connect_seconds"] = round(time.monotonic() - begun, 3)
                continue
            self.facts |= {"connected": address, "connect_error": ""}
            self.facts["connect_seconds"] = round(time.monotonic() - begun, 3)
            self.facts["local"].append(_text(sock.getsockname()))
            sock.settimeout(self.read_seconds)
            return sock
        return None

    def _handshake(self, sock: socket.socket) -> ssl.SSLSocket | None:
        context = ssl.create_default_context(cadata=self.authority)
        context.set_alpn_protocols(["http/1.1"])
        try:
            wrapped = _wrapped(context, sock, self.facts["host"])
        except ssl.SSLCertVerificationError as error:
            why = {"error": "certificate", "code": error.verify_code, "why": error.verify_message}
            self.facts["tls"] = {"ok": False, "version": None, **why}
            return None
        except OSError as error:
            self.facts["tls"] = {"ok": False, "version": None, "error": _error(error)}
            return None
        self.facts["tls"] = {"ok": True, "version": wrapped.version(), "error": ""}
        self.facts["der"] = _base64(wrapped.getpeercert(binary_form=True))
        return wrapped

    def _look_closer(self) -> None:
        """After a handshake that failed: fetch the certificate that did not hold, or ask in plain HTTP."""
        tls = self.facts["tls"] or {}
        if tls.get("error") == "certificate":
            self.facts["der"] = _base64(self._presented())
            return
        sock = self._connect()
        if sock is not None:
            with sock:
                plain: Facts = {"answer": ""}
                _read_answer(sock, self._request(), plain)
                self.facts["otherwise"] = plain["answer"] == "http"

    def _may_be_tls(self) -> bool:
        """Whether the answer to plain HTTP is what servers of TLS give: none, an alert, or a refusal in plain text."""
        facts = self.facts
        refused = facts.get("status") == _BAD_REQUEST and "json" not in str(facts.get("content_type"))
        return facts["answer"] in {"closed", "reset", "tls-alert", "other"} or (facts["answer"] == "http" and refused)

    def _presented(self) -> bytes | None:
        """Return the certificate presented, whatever it is worth; None where TLS is not spoken."""
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        sock = self._connect()
        if sock is None:
            return None
        try:
            with _wrapped(context, sock, self.facts["host"]) as wrapped:
                return wrapped.getpeercert(binary_form=True)
        except OSError:
            return None  # no TLS here, which is the answer to the question

    def _ask(self, sock: socket.socket) -> None:
        _read_answer(sock, self._request(), self.facts)

    def _request(self) -> bytes:
        target = (self.parts.path or "/") + (f"?{self.parts.query}" if self.parts.query else "")
        lines = (
            f"POST {target} HTTP/1.1",
            f"Host: {self.parts.netloc.rpartition('@')[2]}",
            "Content-Type: application/json",
            "Accept: application/json, text/event-stream",
            "User-Agent: mcp-gateway-conformance-network-probe",
            "Connection: close",
            f"Content-Length: {len(_PING)}",
        )
        return "\r\n".join((*lines, "", "")).encode() + _PING


def _wrapped(context: ssl.SSLContext, sock: socket.socket, host: str) -> ssl.SSLSocket:
    """Return the socket with TLS on it, after the handshake; it is closed where that fails, which raises OSError.

    What is reset before the handshake is found out here: `wrap_socket` takes the socket over and leaves it open then.
    """
    with contextlib.ExitStack() as closing:
        closing.callback(sock.close)
        try:
            sock.getpeername()
        except OSError as error:
            raise ConnectionResetError(errno.ECONNRESET, "reset before the handshake") from error
        wrapped = context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
        closing.push(wrapped)
        wrapped.do_handshake()
        closing.pop_all()
        return wrapped


def _read_answer(sock: socket.socket, request: bytes, facts: Facts) -> None:
    """Send the request and write down how the answer begins."""
    got = b""
    # A whole answer has as long as its first byte: one that drips is not waited for.
    until = time.monotonic() + (sock.gettimeout() or 0.0)
    try:
        sock.sendall(request)
        while b"\r\n\r\n" not in got and len(got) < _HEAD and time.monotonic() < until and (data := sock.recv(_HEAD)):
            got += data
    except OSError as error:
        if not got:
            facts["answer"] = _error(error)
            return
    if not got:
        facts["answer"] = "closed"
    elif got.startswith(_ALERT):
        facts["answer"] = "tls-alert"
    elif not got.startswith(b"HTTP/"):
        facts |= {"answer": "other", "head": got[:32].hex()}
    else:
        facts |= {"answer": "http", **_response(got)}


def _response(got: bytes) -> Facts:
    first, *lines = got.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    status = first.split(" ")[1] if " " in first else ""
    found = {"content_type": "content-type", "server": "server", "via": "via"}
    told = {name: headers.get(header, "") for name, header in found.items()}
    return {"status": int(status) if status.isdecimal() else 0, **told}


def _error(error: OSError) -> str:
    """Return one word for what went wrong with a connection."""
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, ssl.SSLEOFError):
        return "closed"
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return "reset"
    if isinstance(error, ssl.SSLError):
        return str(error.reason or error)
    return errno.errorcode.get(error.errno or 0, "") or str(error)


def _name_error(error: socket.gaierror) -> str:
    names = {value: name for name, value in vars(socket).items() if name.startswith("EAI_")}
    return names.get(error.errno or 0, str(error))


def _text(where: Any) -> str:
    return f"[{where[0]}]:{where[1]}" if ":" in where[0] else f"{where[0]}:{where[1]}"


def _base64(data: bytes | None) -> str | None:
    return base64.b64encode(data).decode("ascii") if data else None


if __name__ == "__main__":
    print(json.dumps(facts_of(**json.loads(sys.argv[1]))))
