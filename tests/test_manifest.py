"""Manifests: what loads, and the one sentence for each way a file can be wrong."""

import json
import tomllib
from pathlib import Path

import jsonschema
import pytest
from packaging.licenses import canonicalize_license_expression

from conformance import paths
from conformance.errors import ExitCode, UsageError
from conformance.evidence.meta_tools import MetaTool
from conformance.stage.launch import generate_secrets, prepare, write_files
from conformance.stage.manifest import (
    known_backends,
    known_targets,
    load_backend,
    load_target,
    target_from_command,
    target_json_schema,
)
from conformance.stage.placeholders import expand, expand_argv, expand_json
from conformance.stage.preparation import known_headers
from conformance.stage.scenario import SpinUp

HEAD = 'name = "gw"\ntitle = "A gateway"\nversion = "1.0"\n'
START = '[start]\ncommand = ["gw", "--port", "{port}", "{backend_url}"]\n'

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


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "gw.toml"
    file.write_text(text, encoding="utf-8")
    return file


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


BAD = {
    "toml": (
        HEAD + "[start\n",
        " is not valid TOML: Expected ']' at the end of a table declaration (at line 4, column 7); mend that line.",
    ),
    "unknown key": (
        HEAD + '[start]\ncomand = ["{backend_url}"]\n',
        ": unknown key 'comand' in [start]; did you mean 'command'?",
    ),
    "unknown key, nothing near": (
        HEAD + START + "[ready]\nzzz = 1\n",
        ": unknown key 'zzz' in [ready]; known are seconds.",
    ),
    "no transport": (
        HEAD + START + "[endpoint]\nstreamable = false\n",
        ": endpoint: streamable is false, so sse_path must say where HTTP+SSE is served.",
    ),
    "image and packages": (
        HEAD + START + '[install]\nimage = "gw:1"\npypi = ["gw==1"]\n',
        ": install: image is the whole gateway; leave out pypi and npm.",
    ),
    "image not pinned": (
        HEAD + START + '[install]\nimage = "registry.example:5000/gw"\n',
        (": install.image: 'registry.example:5000/gw' is not pinned; write it as NAME:TAG or NAME@sha256:DIGEST."),
    ),
    "a program in no image's place": (
        HEAD + START + '[install]\nbinary_env = "GW"\n',
        ": install: binary_env and binary_arguments stand in for an image; name it, or leave them out.",
    ),
    "a backend inside a ready image": (
        HEAD + '[install]\nimage = "gw:1"\n[start]\ncommand = ["{backend_command}"]\n',
        ": a ready image holds no backend to start; use {backend_url}, or {image} in [spin_up].",
    ),
    "engine without asking": (
        HEAD + START + "[container]\nspin_up = true\n",
        ": container: spin_up needs the engine's socket, which is given on request only; add engine_socket = true.",
    ),
    "unknown key in a list": (
        HEAD + START + 'files = [{ path = "x", contents = "y" }]\n',
        ": unknown key 'contents' in [start.files.0]; did you mean 'content'?",
    ),
    "missing": (HEAD, ": start is missing; add it."),
    "wrong type": (
        HEAD + '[start]\ncommand = "gw {backend_url}"\n',
        ": start.command must be a list, not a string.",
    ),
    "wrong element type": (
        HEAD + '[start]\ncommand = ["{backend_url}", 8080]\n',
        ": start.command.1 must be a string, not a number.",
    ),
    "table expected": (HEAD + "start = 1\n", ": start must be a table, not a number."),
    "empty": (HEAD + "[start]\ncommand = []\n", ": start.command is empty; give at least one element."),
    "placeholder": (
        HEAD + '[start]\ncommand = ["{backend_url}", "{prot}"]\n',
        ": unknown placeholder {prot} in start.command; did you mean {port}?",
    ),
    "placeholder of spin-up elsewhere": (
        HEAD + '[start]\ncommand = ["{backend_url}", "{image}"]\n',
        (
            ": unknown placeholder {image} in start.command; known are {backend_command}, {backend_url}, {config_dir}, "
            "{folder}, {host}, {node}, {node_modules}, {port}, {python}."
        ),
    ),
    "secret not declared": (
        HEAD + START + '[endpoint]\nheaders = { Authorization = "{KEY}" }\n',
        ": unknown placeholder {KEY} in endpoint.headers; known are none.",
    ),
    "second user with other headers": (
        HEAD + START + '[endpoint]\nheaders = { Authorization = "a" }\nother_headers = { X-Key = "b" }\n',
        ": endpoint.other_headers must name those of endpoint.headers, each with another value.",
    ),
    "second user with the first one's": (
        HEAD + START + '[endpoint]\nheaders = { X-Key = "a" }\nother_headers = { X-Key = "a" }\n',
        ": endpoint.other_headers must name those of endpoint.headers, each with another value.",
    ),
    "secret recipe": (
        HEAD + START + '[secrets]\nKEY = "hunter2"\n',
        ": secrets.KEY must be 'generate:hex:N' with N hex digits, not 'hunter2'.",
    ),
    "secret name": (
        HEAD + START + '[secrets]\nkey = "generate:hex:8"\n',
        ": secrets.key: the name of a secret is in capitals, as KEY.",
    ),
    "saved name": (
        HEAD + START + 'before = [{ command = ["x"], save = "token" }]\n',
        ": start.before.0.save: the name of a secret is in capitals, as TOKEN.",
    ),
    "saved twice": (
        HEAD + START + 'before = [{ command = ["x"], save = "T" }]\nrequests = [{ path = "/", save = { T = "t" } }]\n',
        ": two secrets are called T; choose another name for one of them.",
    ),
    "used before it is saved": (
        HEAD + START + 'requests = [{ path = "/", headers = { A = "{T}" } }, { path = "/", save = { T = "t" } }]\n',
        (
            ": unknown placeholder {T} in start.requests; known are {backend_command}, {backend_url}, {config_dir}, "
            "{folder}, {host}, {node}, {node_modules}, {port}, {python}."
        ),
    ),
    "saved too late for the start": (
        HEAD + '[start]\ncommand = ["gw", "{backend_url}", "{T}"]\nbefore = [{ command = ["x"], save = "T" }]\n',
        (
            ": unknown placeholder {T} in start.command; known are {backend_command}, {backend_url}, {config_dir}, "
            "{folder}, {host}, {node}, {node_modules}, {port}, {python}."
        ),
    ),
    "no status": (
        HEAD + START + 'requests = [{ path = "/", statuses = [] }]\n',
        ": start.requests.0.statuses is empty; give at least one element.",
    ),
    "fronts nothing": (
        HEAD + '[start]\ncommand = ["gw"]\n',
        (
            ": neither {backend_url} nor {backend_command} stands in [start], so the gateway would front nothing; "
            "put one where the gateway is told its backend."
        ),
    ),
    "pypi not pinned": (
        HEAD + START + '[install]\npypi = ["gw>=1"]\n',
        ": install.pypi.0: 'gw>=1' is not pinned; write it as NAME==VERSION.",
    ),
    "npm not pinned": (
        HEAD + START + '[install]\nnpm = ["gw@latest"]\n',
        ": install.npm.0: 'gw@latest' is not pinned; write it as NAME@MAJOR.MINOR.PATCH.",
    ),
    "python range": (
        HEAD + START + '[install]\npython = "3.12"\n',
        ": install.python: '3.12' is not a range of Python versions; write it as >=3.12 or >=3.11,<3.14.",
    ),
    "path": (
        HEAD + START + '[endpoint]\npath = "mcp"\n',
        ": endpoint.path: 'mcp' is not a path; write it from the first slash on, as /mcp.",
    ),
    "choice": (
        HEAD + START + '[claims]\nsessions = "none"\n',
        ": claims.sessions must be 'stateful' or 'stateless', not 'none'.",
    ),
    "number": (
        HEAD + START + '[ready]\nseconds = "30"\n',
        ": ready.seconds must be a number, not a string.",
    ),
    "range": (HEAD + START + "[ready]\nseconds = 0\n", ": ready.seconds: input should be greater than 0."),
    "pattern": (
        HEAD + START + '[tools]\npattern = "x-"\n',
        ": tools: tools.pattern 'x-' must hold {tool} and no other placeholder.",
    ),
    "name": (
        HEAD.replace("gw", "My Gateway") + START,
        ": name 'My Gateway' is not a name; use small letters, digits, '.', '_' and '-'.",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_each_mistake_has_its_sentence(tmp_path, case):
    text, sentence = BAD[case]
    file = write(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        load_target(file)
    assert str(caught.value) == f"{file}{sentence}"
    assert caught.value.exit_code is ExitCode.USAGE


def test_a_missing_file_and_a_binary_one(tmp_path):
    missing = tmp_path / "none.toml"
    with pytest.raises(UsageError) as caught:
        load_target(missing)
    assert str(caught.value) == f"{missing} does not exist; check the path, or write one with `init`."
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="must be a readable UTF-8 text file"):
        load_target(binary)


def test_unknown_names_are_met_with_the_nearest_known():
    with pytest.raises(UsageError, match=r"There is no target named 'fastmcp-prox'; did you mean 'fastmcp-proxy'\?"):
        load_target("fastmcp-prox")
    with pytest.raises(UsageError, match=r"There is no backend named 'everythin'; did you mean 'everything'\?"):
        load_backend("everythin")


@pytest.mark.parametrize("name", known_targets())
def test_every_target_of_ours_loads(name):
    target = load_target(name)
    assert target.name == name
    assert target.fronts
    jsonschema.validate(tomllib.loads(source_of(name).read_text()), target_json_schema())


def source_of(name: str) -> Path:
    kind, _, mutant = name.rpartition("mutant:")
    folder = paths.FIXTURES / ("mutants" if name.startswith("mutant:") else "gateways")
    return folder / (mutant or kind) / "target.toml"


@pytest.mark.parametrize("name", known_backends())
def test_every_backend_of_ours_loads(name):
    backend = load_backend(name)
    assert backend.name == name
    assert backend.offers


def test_the_shipped_gateways_and_backends_are_there():
    assert {"fastmcp-proxy", "mcp-proxy", "supergateway"} <= set(known_targets())
    backends = {"witness", "everything", "time", "fetch", "cloudtrail", "cloudwatch", "python-mcp", "fastmcp-server"}
    assert backends <= set(known_backends())
    everything = load_backend("everything")
    assert everything.offers == ("http", "stdio")
    assert everything.served("sse").path == "/sse"
    assert load_target("fastmcp-proxy").fronts == ("http",)
    assert load_target("mcp-proxy").fronts == load_target("supergateway").fronts == ("stdio",)


BACKEND = 'name = "b"\ntitle = "B"\nversion = "1"\n[faces.stdio]\ncommand = ["b"]\n'
BAD_BACKENDS = {
    "arguments of a list": (
        BACKEND + '[sentinel]\nmethod = "tools/list"\ntool = "t"\narguments = { a = 1 }\n',
        "sentinel: arguments and nonce_argument are of a call; leave them out, or leave out method.",
    ),
    "half a nonce": (
        BACKEND + '[sentinel]\ntool = "t"\nnonce_argument = "n"\n',
        "sentinel: nonce_argument and nonce_returned go together; give both or neither.",
    ),
    "a port on stdio": (
        BACKEND + 'env = { PORT = "{port}" }\n[sentinel]\ntool = "t"\n',
        "unknown placeholder {port} in faces.stdio; known are {config_dir}, {folder}, {node}, {node_modules}, {python}, {script}.",
    ),
}


@pytest.mark.parametrize("case", BAD_BACKENDS)
def test_each_mistake_of_a_backend_has_its_sentence(tmp_path, monkeypatch, case):
    text, sentence = BAD_BACKENDS[case]
    folder = tmp_path / "backends" / "b"
    folder.mkdir(parents=True)
    (folder / "backend.toml").write_text(text)
    monkeypatch.setattr("conformance.stage.manifest.FIXTURES", tmp_path)
    with pytest.raises(UsageError) as caught:
        load_backend("b")
    assert str(caught.value) == f"{folder / 'backend.toml'}: {sentence}"


def third_party() -> list[Path]:
    """Return the manifests that name a licence, but for those of mutants: these are the project's own."""
    return [
        file
        for file in sorted(paths.FIXTURES.glob("**/*.toml"))
        if "licence" in tomllib.loads(file.read_text()) and "mutants" not in file.parts
    ]


@pytest.mark.parametrize("file", third_party(), ids=lambda file: file.parent.name)
def test_each_licence_is_an_spdx_expression_and_each_homepage_an_address(file):
    manifest = tomllib.loads(file.read_text())
    assert canonicalize_license_expression(manifest["licence"]) == manifest["licence"]
    assert manifest.get("homepage", "").startswith("https://") == ("install" in manifest)


SHIPPED = [*paths.FIXTURES.glob("gateways/*/target.toml"), *paths.FIXTURES.glob("backends/*/backend.toml")]


@pytest.mark.parametrize("file", sorted(SHIPPED), ids=lambda file: file.parent.name)
def test_each_gateway_and_backend_names_its_licence(file):
    assert file in third_party()


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


def test_the_published_schema_is_the_models_own():
    published = json.loads((paths.SCHEMAS / "target.schema.json").read_text(encoding="utf-8"))
    assert published == target_json_schema(), "write it again: python -m conformance.stage.manifest"
    jsonschema.Draft202012Validator.check_schema(published)


@pytest.mark.parametrize(
    "lock", sorted(paths.FIXTURES.glob("*/*/package-lock.json")), ids=lambda file: file.parent.name
)
def test_npm_locks_name_no_registry(lock):
    packages = json.loads(lock.read_text(encoding="utf-8"))["packages"]
    assert not [name for name, package in packages.items() if "resolved" in package]
