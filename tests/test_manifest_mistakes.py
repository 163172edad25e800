"""Manifests: the one sentence for each way a file can be wrong."""

import pytest

from conformance.errors import ExitCode, UsageError
from conformance.stage.manifest import load_backend, load_target
from tests.manifest_setup import HEAD, START, write

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
    "header name": (
        HEAD + START + '[endpoint]\nheaders = { "X Y" = "a" }\n',
        ": endpoint.headers.X Y: this is no header's name; use letters, digits and '-'.",
    ),
    "header name of two lines": (
        HEAD + START + 'requests = [{ path = "/", headers = { "a\\nb: c" = "d" } }]\n',
        r": start.requests.0.headers.'a\nb: c': this is no header's name; use letters, digits and '-'.",
    ),
    "header value": (
        HEAD + START + '[endpoint]\nheaders = { X-Key = "hunter2\\nb: c" }\n',
        (
            ": endpoint.headers.X-Key: this value cannot be sent; "
            "use visible ASCII characters, spaces and tabs only between them."
        ),
    ),
    "header value of another user": (
        HEAD + START + '[endpoint]\nheaders = { X-Key = "a" }\nother_headers = { X-Key = "é" }\n',
        (
            ": endpoint.other_headers.X-Key: this value cannot be sent; "
            "use visible ASCII characters, spaces and tabs only between them."
        ),
    ),
    "nested too deeply": (
        HEAD + "deep = " + "[" * 5000,
        " is nested too deeply to be read; flatten its tables and lists.",
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


def test_a_byte_order_mark_is_no_mistake(tmp_path):
    file = write(tmp_path, "\ufeff" + HEAD + START)
    assert load_target(file).name == "gw"


def test_a_path_that_no_file_can_have():
    with pytest.raises(UsageError, match="cannot be read"):
        load_target("x\0.toml")


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


def test_an_unknown_target_is_met_with_the_gateways_not_with_hundreds_of_mutants():
    with pytest.raises(UsageError, match=r"known are .*fastmcp-proxy.*`list mutants`") as caught:
        load_target("zzzzzz")
    assert "mutant:" not in str(caught.value)


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
