"""Manifests: what loads, and what becomes of it."""

import json

import pytest

from conformance.errors import UsageError
from conformance.evidence.meta_tools import MetaTool
from conformance.stage.launch import generate_secrets, prepare, write_files
from conformance.stage.manifest import known_targets, load_target, target_from_command
from conformance.stage.placeholders import expand, expand_argv, expand_json
from conformance.stage.preparation import known_headers
from conformance.stage.scenario import SpinUp
from tests.manifest_setup import HEAD, START, write

FULL = (
    HEAD
    + """
licence = "MIT"
homepage = "https://example.org/gw"

[install]
pypi = ["gw[proxy]==1.0.post1"]
npm = ["@scope/gw@1.2.3-rc.1"]
python = ">=3.12,<3.14"

[start]
command = ["gw", "--config", "{config_dir}/gw.json", "--", "{backend_command}"]
env = { GW_KEY = "sk-{KEY}" }
files = [{ path = "{config_dir}/gw.json", content = '{"servers": {"a": {"url": "{backend_url}"}}, "raw": "{{port}}"}' }]

[endpoint]
path = "/mcp/"
headers = { Authorization = "Bearer sk-{KEY}" }

[ready]
seconds = 45

[claims]
sessions = "stateless"

[tools]
pattern = "one-{tool}"

[secrets]
KEY = "generate:hex:48"

[container]
engine_socket = true
spin_up = true

[spin_up]
command = ["gw", "--image", "{image}", "--", "{backend_command}"]
"""
)


def test_minimal_target_has_the_documented_defaults(tmp_path):
    target = load_target(write(tmp_path, HEAD + START))
    assert target.fronts == ("http",)
    assert target.endpoint.path == "/mcp"
    assert target.claims.sessions == "stateful"
    assert target.tool_name("echo") == "echo"
    assert not target.container.engine_socket
    assert target.folder == tmp_path.resolve()


def test_a_target_may_spell_its_backends_names_in_its_own_way(tmp_path):
    tools = '[tools]\npattern = "x_{tool}"\nreplaced = { "_" = "-" }\n'
    target = load_target(write(tmp_path, HEAD + START + tools))
    assert target.tool_name("add_tool") == "x_add-tool"
    assert target.tool_name("add_tool", "y_{tool}") == "y_add-tool"


REGISTRY = """
[registry]
pattern = "{server}_{tool}"
[registry.add]
path = "/servers"
body = { name = "{server}", url = "{server_url}" }
[registry.remove]
method = "DELETE"
path = "/servers/{server_id}"
"""


def test_a_target_says_how_servers_are_registered(tmp_path):
    target = load_target(write(tmp_path, HEAD + START + REGISTRY))
    assert set(target.registry.changes) == {"add", "remove"}
    assert target.registry.refused == (401, 403)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("{server}_{tool}", "{tool}", r"must hold \{server\} and \{tool\}"),
        ("{server_url}", "{server}", r"\{server_url\} does not stand in registry\.add"),
        ("{server_id}", "{sever_id}", r"did you mean \{server_id\}"),
    ],
)
def test_what_is_wrong_with_a_registry_is_said(tmp_path, old, new, said):
    with pytest.raises(UsageError, match=said):
        load_target(write(tmp_path, HEAD + START + REGISTRY.replace(old, new)))


VIA = """
[tools.via]
tool = "run"
arguments = { call = { what = "{tool}", with = "{arguments}" } }
"""


def test_a_target_names_the_tool_through_which_its_backends_tools_are_called(tmp_path):
    target = load_target(write(tmp_path, HEAD + START + VIA))
    assert target.meta_tool == MetaTool("run", {"call": {"what": "{tool}", "with": "{arguments}"}})
    assert load_target(write(tmp_path, HEAD + START)).meta_tool is None


@pytest.mark.parametrize(
    "arguments", ["{}", '{ what = "{tool}" }', '{ a = "{tool}", b = "{tool}", c = "{arguments}" }']
)
def test_the_template_of_its_arguments_has_each_place_once(tmp_path, arguments):
    via = f'[tools.via]\ntool = "run"\narguments = {arguments}\n'
    with pytest.raises(UsageError, match=r"tools\.via\.arguments must hold '\{.*exactly once"):
        load_target(write(tmp_path, HEAD + START + via))


def test_full_target_becomes_a_launch(tmp_path):
    target = load_target(str(write(tmp_path, FULL)))
    assert target.fronts == ("http", "stdio")
    assert target.tool_name("echo") == "one-echo"
    secrets = generate_secrets(target)
    assert len(secrets["KEY"]) == 48
    assert secrets != generate_secrets(target)
    values = {
        "config_dir": str(tmp_path),
        "backend_url": "http://127.0.0.1:1/mcp",
        "backend_command": ("node", "a b.js"),
        "port": "9",
    }
    launch = prepare(target, values, secrets)
    assert launch.argv == ("gw", "--config", f"{tmp_path}/gw.json", "--", "node", "a b.js")
    assert launch.env == {"GW_KEY": f"sk-{secrets['KEY']}"}
    assert known_headers(target.endpoint.headers, secrets) == {"Authorization": f"Bearer sk-{secrets['KEY']}"}
    assert known_headers(target.endpoint.headers, {}) == {}
    write_files(launch, tmp_path)
    written = json.loads((tmp_path / "gw.json").read_text())
    assert written == {"servers": {"a": {"url": "http://127.0.0.1:1/mcp"}}, "raw": "{port}"}
    assert (tmp_path / "gw.json").stat().st_mode & 0o077 == 0
    spun = prepare(target, {**values, "image": "img:1"}, secrets, spin_up=SpinUp.WORKS)
    assert spun.argv == ("gw", "--image", "img:1", "--", "node", "a b.js")


def test_an_image_may_be_left_to_its_own_command_and_has_files_of_its_own_for_spin_up(tmp_path):
    text = """
[install]
image = "example.org/gw@sha256:{digest}"
[start]
command = []
env = {{ UPSTREAM = "{{backend_url}}" }}
files = [{{ path = "{{config_dir}}/a", content = "{{backend_url}}" }}]
[container]
engine_socket = true
spin_up = true
[spin_up]
command = ["--config", "{{config_dir}}/b"]
files = [{{ path = "{{config_dir}}/b", content = "{{image}}" }}]
"""
    target = load_target(write(tmp_path, HEAD + text.format(digest="0" * 64)))
    values = {"config_dir": "/c", "backend_url": "http://127.0.0.1:1/mcp", "image": "img:1"}
    assert prepare(target, values, {}).argv == ()
    assert prepare(target, values, {}).files == (("/c/a", "http://127.0.0.1:1/mcp"),)
    spun = prepare(target, values, {}, spin_up=SpinUp.WORKS)
    assert (spun.argv, spun.files) == (("--config", "/c/b"), (("/c/b", "img:1"),))


def test_backend_command_is_quoted_inside_a_longer_element():
    values = {"backend_command": ("node", "a b.js", "it's")}
    assert expand_argv(["--stdio={backend_command}"], values) == ("--stdio=node 'a b.js' 'it'\"'\"'s'",)
    assert expand_argv(["{backend_command}"], values) == ("node", "a b.js", "it's")


def test_a_gateway_may_be_told_its_backend_by_a_request(tmp_path):
    text = (
        HEAD
        + '[start]\ncommand = ["gw"]\nrequests = [{ path = "/add", body = { of = [{ url = "{backend_url}" }] } }]\n'
    )
    target = load_target(write(tmp_path, text))
    assert target.fronts == ("http",)
    body = target.start.requests[0].body
    assert expand_json(body, {"backend_url": "http://b/mcp"}) == {"of": [{"url": "http://b/mcp"}]}
    assert expand_json({"n": 1, "t": True, "none": None}, {}) == {"n": 1, "t": True, "none": None}


def test_a_placeholder_without_a_value_is_an_error():
    with pytest.raises(UsageError, match=r"^\{backend_url\} has no value in this set-up"):
        expand("{backend_url}", {})


def test_a_file_outside_the_config_dir_is_refused(tmp_path):
    text = HEAD + START + 'files = [{ path = "/etc/gw.json", content = "" }]\n'
    launch = prepare(load_target(write(tmp_path, text)), {"port": "1", "backend_url": "u"}, {})
    with pytest.raises(UsageError, match=r"/etc/gw\.json lies outside \{config_dir\}"):
        write_files(launch, tmp_path)


def test_mutants_are_targets_by_their_prefixed_name(tmp_path, monkeypatch):
    folder = tmp_path / "mutants" / "drops-comments"
    folder.mkdir(parents=True)
    text = HEAD.replace('"gw"', '"mutant:drops-comments"') + START
    (folder / "target.toml").write_text(text)
    monkeypatch.setattr("conformance.stage.manifest.FIXTURES", tmp_path)
    assert known_targets() == ("mutant:drops-comments",)
    assert load_target("mutant:drops-comments").folder == folder.resolve()
    (folder / "target.toml").write_text(HEAD + START)
    with pytest.raises(UsageError, match="name must be 'mutant:drops-comments', after its folder, not 'gw'"):
        load_target("mutant:drops-comments")


def test_a_command_line_becomes_a_target():
    target = target_from_command("command", "gw --upstream '{backend_url}'", env={"A": "{port}"}, path="/x")
    assert target.start.command == ("gw", "--upstream", "{backend_url}")
    assert target.endpoint.path == "/x"
    with pytest.raises(UsageError, match=r"^--command: unknown placeholder \{backend\}"):
        target_from_command("command", "gw {backend}", env={})
    with pytest.raises(UsageError, match=r"cannot be split into arguments .* close the quotation"):
        target_from_command("command", "gw 'x", env={})
    with pytest.raises(UsageError, match=r"^--command: start.command is empty"):
        target_from_command("command", "", env={})
