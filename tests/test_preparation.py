"""Commands before a gateway's start and requests after it, in the process runtime; failures are nobody's verdict."""

import asyncio
import http.server
import json
import threading

import pytest

from conformance.errors import CannotJudgeError, PreparationError
from conformance.evidence.events import Kind
from conformance.stage import process_runtime
from conformance.stage.manifest import TargetManifest
from conformance.stage.plan import Plan
from conformance.stage.process_runtime import ProcessRuntime
from conformance.stage.runtime import Ready

# A gateway that knows a user from its database, hands out a token for the password, and serves with the token alone.
GATEWAY = """
import http.server, json, pathlib, sys, time
user, password = pathlib.Path("users").read_text().split()
token, asked = "t-" + password[::-1], 0
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        global asked
        asked += 1
        self.answer(200 if asked > 2 else 503, {"asked": asked})
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/login":
            known = body == {"user": user, "password": password}
            self.answer(200 if known else 401, {"data": {"token": token}} if known else {"no\\x1b": body})
        elif self.path == "/hang":
            time.sleep(600)
        else:
            known = self.headers["Authorization"] == "Bearer " + token
            self.answer(200 if known else 401, {"jsonrpc": "2.0", "id": body.get("id"), "result": {}})
    def answer(self, status, content):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
ADD_USER = "import pathlib, sys; pathlib.Path('users').write_text(' '.join(sys.argv[1:])); print('noise'); print('u-7')"
HEALTH = {"method": "GET", "path": "/health", "repeat": True}
LOGIN = {
    "path": "/login",
    "body": {"user": "alice", "password": "{PASSWORD}"},
    "save": {"TOKEN": "data.token"},
}


class Events:
    """Remembers readiness events."""

    def __init__(self) -> None:
        self.told: list[dict] = []

    def __call__(self, kind: Kind, data: dict) -> None:
        if kind is Kind.READINESS:
            self.told.append(data)


@pytest.fixture
def runtime(tmp_path) -> ProcessRuntime:
    return ProcessRuntime(Plan(run_id="r", out=str(tmp_path), work=str(tmp_path / "w"), runtime="process", cells=()))


def target(*requests: dict, before: str | None = ADD_USER, seconds: float = 60.0) -> TargetManifest:
    data = {
        "name": "gw",
        "title": "The gateway",
        "version": "1",
        "secrets": {"PASSWORD": "generate:hex:12"},
        "ready": {"seconds": seconds},
        "start": {
            "command": ["{python}", "-c", GATEWAY, "{port}", "{backend_url}"],
            "before": [{"command": ["{python}", "-c", before, "alice", "{PASSWORD}"], "save": "USER"}]
            if before
            else [],
            "files": [{"path": "{config_dir}/users", "content": "nobody nothing"}],
            "requests": list(requests),
        },
        "endpoint": {"headers": {"Authorization": "Bearer {TOKEN}"} if LOGIN in requests else {}},
    }
    return TargetManifest.model_validate(data)


def started(runtime, gateway, *, ready=Ready.ANSWERS, events=None):
    async def drive() -> dict[str, str]:
        running = await runtime.start_gateway(
            gateway,
            values={"backend_url": "u"},
            secrets={"PASSWORD": "c0ffee"},
            spin_up=None,
            engine=None,
            ready=ready,
            on_event=events or Events(),
        )
        await running.stop()
        return dict(running.saved)

    return asyncio.run(drive())


def test_users_are_made_before_and_tokens_fetched_after_the_start(runtime):
    events = Events()
    assert started(runtime, target(HEALTH, LOGIN), events=events) == {"USER": "u-7", "TOKEN": "t-eeff0c"}
    what = [(one["what"].partition(" of ")[0], one["ok"]) for one in events.told if "accepts" not in one["what"]]
    assert what[0][0].startswith("command 1")
    assert what[1:5] == [("GET /health", False), ("GET /health", False), ("GET /health", True), ("POST /login", True)]
    assert "c0ffee" not in json.dumps(events.told)
    assert "eeff0c" not in json.dumps(events.told)


def test_a_refused_request_is_said_with_status_and_body_escaped_and_without_secrets(runtime):
    wrong = {**LOGIN, "body": {"user": "mallory", "password": "{PASSWORD}"}}
    with pytest.raises(PreparationError) as caught:
        started(runtime, target(wrong))
    said = str(caught.value)
    assert said.startswith("The gateway could not be prepared: POST /login was answered 401 ")
    assert said.endswith("; correct start.requests in its manifest.")
    assert "mallory" in said
    assert "c0ffee" not in said
    assert "redacted:" in said
    assert "\x1b" not in said


def test_an_answer_without_what_is_to_be_saved_is_no_success(runtime):
    with pytest.raises(PreparationError, match=r"POST /login was answered 200 without data.key: "):
        started(runtime, target({**LOGIN, "save": {"KEY": "data.key"}}))


def test_a_command_that_fails_is_said_and_the_gateway_not_started(runtime):
    events = Events()
    with pytest.raises(PreparationError, match=r"command 1 of start.before \(\S+\) ended with status 3: .*the reason"):
        started(runtime, target(before="import sys; print('the reason', file=sys.stderr); sys.exit(3)"), events=events)
    assert len(events.told) == 1


@pytest.mark.parametrize(
    ("before", "seconds", "said"),
    [
        ("pass", 60, "the command that gives USER printed nothing"),
        ("import time; time.sleep(600)", 1, "start.before did not end within 1 s"),
    ],
)
def test_a_command_that_says_nothing_or_never_ends(runtime, before, seconds, said):
    with pytest.raises(PreparationError, match=said):
        started(runtime, target(before=before, seconds=seconds))


@pytest.mark.parametrize(("ready", "error"), [(Ready.ANSWERS, CannotJudgeError), (Ready.TRIED, PreparationError)])
def test_a_request_that_is_not_answered_ends_with_the_start(runtime, ready, error):
    """Where whatever comes of a start is evidence, a gateway that was not prepared is still no gateway to judge."""
    with pytest.raises(error, match="not within 5 s"):
        started(runtime, target({"path": "/hang", "body": {}}, before=None, seconds=5), ready=ready)


def test_another_program_at_the_port_is_not_taken_for_the_gateway(runtime, monkeypatch):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as foreign:
        threading.Thread(target=foreign.serve_forever, daemon=True).start()
        ports = iter([foreign.server_address[1], process_runtime.free_port()])
        monkeypatch.setattr(process_runtime, "free_port", lambda: next(ports))
        assert started(runtime, target(LOGIN))["TOKEN"] == "t-eeff0c"
        foreign.shutdown()
