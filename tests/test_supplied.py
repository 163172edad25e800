"""What a user supplied and what is therefore written nowhere."""

import os

import pytest

from conformance.commands.choosing import command_environment
from conformance.paths import FIXTURES
from conformance.stage.manifest import load_target
from conformance.stage.plan import Plan, UrlTarget
from conformance.stage.supplied import is_credential, supplied_by


def plan(**given):
    return Plan(run_id="r", out="o", work="w", runtime="process", cells=(), **given)


@pytest.mark.parametrize(
    ("name", "value", "known"),
    [
        ("API_TOKEN", "typed-in", True),
        ("X-Api-Key", "k-1234", True),
        ("Authorization", "Bearer literal-secret-4455", True),
        ("GITHUB_PAT", "ghp_0123", True),
        ("GW_JWT", "eyJhbGciOi", True),
        ("DATABASE_URL", "postgres://u:pw@h/db", True),
        ("DATABASE_URL", "postgres://u@h/db", False),
        ("DATABASE_URL", "http://h:80/a:b@c", False),
        ("CONFIG_PATH", "/etc/gw.toml", False),
        ("PATTERN", "echo", False),
        ("AUTH_REQUIRED", "False", False),
        ("TOKEN_SECONDS", "3600", False),
    ],
)
def test_what_is_taken_for_a_secret(name, value, known):
    assert is_credential(name, value) is known


def test_what_is_passed_on_for_a_command_is_a_secret_where_it_holds_one(monkeypatch):
    for name in ("GITHUB_PAT", "DATABASE_URL", "MODE"):
        monkeypatch.setenv(name, "")
    given = ["GITHUB_PAT=ghp_0123", "DATABASE_URL=postgres://u:password-1@h/db", "MODE=http://{host}:{port}/"]
    assert command_environment(given)[1] == ("GITHUB_PAT", "DATABASE_URL")
    assert os.environ["GITHUB_PAT"] == "ghp_0123"
    assert not os.environ["MODE"]


def test_what_stands_literally_in_a_manifest_is_supplied(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_VARIABLE", "from-the-environment")
    file = tmp_path / "target.toml"
    file.write_text(
        """
name = "gw"
title = "A gateway"
version = "1"
secrets = { MADE = "generate:hex:32" }
[start]
command = ["gw", "{port}", "{backend_url}"]
env = { MY_TOKEN = "env-secret-9988", MODE = "plain-mode", AUTH_ENABLED = "true", OTHER_KEY = "sk-{MADE}" }
[[start.requests]]
path = "/login"
headers = { X-Api-Key = "request-secret-1", Accept = "text/html" }
body = { user = "alice", login = { password = "body-secret-2" } }
[endpoint]
headers = { Authorization = "Bearer literal-secret-4455", X-Tenant = "tenant-1" }
other_headers = { Authorization = "Bearer {MADE}", X-Tenant = "tenant-2" }
"""
    )
    target = load_target(str(file))
    found = supplied_by(plan(targets={"gw": target.model_dump(mode="json")}, secret_env=("MY_VARIABLE", "UNSET")))
    literal = {"env-secret-9988", "request-secret-1", "body-secret-2", "Bearer literal-secret-4455"}
    assert set(found) == {"from-the-environment", *literal}


def test_no_shipped_gateway_holds_a_secret():
    shipped = {path.parent.name: load_target(path.parent.name) for path in FIXTURES.glob("gateways/*/target.toml")}
    assert supplied_by(plan(targets={name: item.model_dump(mode="json") for name, item in shipped.items()})) == ()


def test_the_query_of_a_url_and_long_words_of_its_path_are_supplied():
    url = "https://h/s/pathsecret-778899/a%2Fb-0123456789abcdef/mcp?api_key=k%2B1&mode=sse&profile=production&sk0123456789abcdef"
    found = supplied_by(plan(url=UrlTarget(url)))
    assert found == ("k+1", "production", "sk0123456789abcdef", "pathsecret-778899", "a/b-0123456789abcdef")
