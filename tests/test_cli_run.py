"""`run`: what is typed becomes a selection, and what cannot be is one sentence. Nothing is driven here."""

import socket

import pytest
from cli_setup import cli

from conformance.commands import choosing, one_sided, run, runtime_choice
from conformance.errors import CannotJudgeError, ExitCode
from conformance.stage import engine
from conformance.stage.manifest import known_clients, known_edges
from conformance.stage.plan import UrlTarget
from conformance.stage.scenario import ASKED_FOR, DEFAULT_SUITES

TARGET = """\
name = "mine"
title = "Mine"
version = "1"
[start]
command = ["gw", "--port", "{port}", "--upstream", "{backend_url}"]
"""


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """The selections that would have been run."""
    taken = []

    def take(selection):
        taken.append(selection)
        return ExitCode.OK

    monkeypatch.setattr(run, "execute", take)
    monkeypatch.setattr(run, "choose_runtime", lambda _: "containers")
    monkeypatch.chdir(tmp_path)
    return taken


@pytest.fixture
def target_file(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(TARGET)
    return file


@pytest.fixture
def listening(monkeypatch):
    """The URL of a port that accepts and says nothing, of which no initialize is asked."""
    monkeypatch.setattr(one_sided, "PROBE_SECONDS", 0.1)
    monkeypatch.setattr(one_sided, "refuse_uninitialized", lambda *_: None)
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/mcp"


def test_the_main_job(asked, capsys):
    assert cli(capsys, "run").code == 0
    (selection,) = asked
    assert [target.name for target in selection.targets] == ["fastmcp-proxy", "mcp-proxy", "supergateway"]
    assert [backend.name for backend in selection.backends] == ["witness", "everything"]
    assert (selection.revisions, selection.suites, selection.rules) == (("2025-11-25",), DEFAULT_SUITES, ())
    assert set(selection.suites).isdisjoint(ASKED_FOR)
    assert (selection.runtime, selection.quick, selection.keep) == ("containers", False, False)
    assert selection.expectations.fail_on == "practice"


def test_options_reach_the_selection(asked, capsys, target_file, tmp_path):
    arguments = (
        *("--target", str(target_file), "--target", "mcp-proxy", "--backend", "witness", "--runtime", "process"),
        *("--revision", "2025-06-18", "--revision", "2025-11-25", "--suite", "get_sse", "--rule", "MGC301"),
        *("--quick", "--keep", "--fail-on", "must", "--out", str(tmp_path / "o" / "p")),
    )
    assert cli(capsys, "run", *arguments).code == 0
    (selection,) = asked
    assert [target.name for target in selection.targets] == ["mine", "mcp-proxy"]
    assert [backend.name for backend in selection.backends] == ["witness"]
    assert selection.revisions == ("2025-06-18", "2025-11-25")
    assert (selection.suites, selection.rules) == (("get_sse",), ("MGC301",))
    assert (selection.runtime, selection.quick, selection.keep) == ("process", True, True)
    assert selection.expectations.fail_on == "must"
    assert selection.out == tmp_path / "o" / "p"


def test_a_command_is_a_target_of_this_machine(asked, capsys, monkeypatch):
    monkeypatch.setenv("UPSTREAM_PASSWORD", "from the environment")
    line = "gw --port {port} --upstream {backend_url}"
    given = ("--env", "MODE={host}", "--env", "API_TOKEN=typed-in", "--env", "UPSTREAM_PASSWORD", "--path", "/x")
    assert cli(capsys, "run", "--command", line, *given).code == 0
    (selection,) = asked
    (target,) = selection.targets
    assert target.start.command == ("gw", "--port", "{port}", "--upstream", "{backend_url}")
    assert target.start.env["MODE"] == "{host}"
    assert target.start.env["UPSTREAM_PASSWORD"] == "from the environment"
    assert target.endpoint.path == "/x"
    assert [backend.name for backend in selection.backends] == ["witness"]
    assert selection.runtime == "process"
    assert selection.secret_env == ("API_TOKEN", "UPSTREAM_PASSWORD")


def test_an_image_is_a_target_in_a_container(asked, capsys, monkeypatch):
    monkeypatch.setattr(run, "engine_trouble", lambda say: "")
    given = ("--command", "--port {port} --upstream {backend_url}", "--env", "MODE={host}", "--path", "/x")
    assert cli(capsys, "run", "--image", "registry.example/gw:1.2", *given).code == 0
    (selection,) = asked
    (target,) = selection.targets
    assert (target.name, target.install.image) == ("image", "registry.example/gw:1.2")
    assert target.start.command == ("--port", "{port}", "--upstream", "{backend_url}")
    assert (target.start.env["MODE"], target.endpoint.path) == ("{host}", "/x")
    assert selection.runtime == "containers"


def test_an_image_may_learn_all_from_its_environment(asked, capsys, monkeypatch):
    monkeypatch.setattr(run, "engine_trouble", lambda say: "")
    assert cli(capsys, "run", "--image", "gw:1", "--env", "UPSTREAM={backend_url}", "--env", "PORT={port}").code == 0
    assert asked[0].targets[0].start.command == ()


def test_an_image_without_an_engine_cannot_be_judged(asked, capsys, monkeypatch):
    monkeypatch.setattr(run, "engine_trouble", lambda say: "no container engine answers (refused)")
    shown = cli(capsys, "run", "--image", "gw:1", "--env", "UPSTREAM={backend_url}")
    said = "--image needs a container engine, and no container engine answers (refused); `doctor` says what to type."
    assert said in shown.sentence(ExitCode.CANNOT_JUDGE)
    assert asked == []


def test_a_url_is_one_sided_and_says_what_that_costs(asked, capsys, monkeypatch, listening):
    monkeypatch.setenv("GATEWAY_AUTH", "Bearer x")
    shown = cli(capsys, "run", "--url", listening, "--header-env", "Authorization=GATEWAY_AUTH")
    assert shown.code == 0
    (selection,) = asked
    assert selection.url == UrlTarget(listening, {"Authorization": "GATEWAY_AUTH"})
    assert selection.secret_env == ("GATEWAY_AUTH",)
    assert (selection.targets, selection.allow_destructive) == ((), False)
    said = next(line for line in shown.err.splitlines() if line.startswith("one-sided"))
    assert "MGC311" in said  # judges the gateway as a client
    assert "MGC301" not in said


def test_a_url_whose_upstream_is_the_witness_is_two_sided(asked, capsys):
    with socket.create_server(("127.0.0.1", 0)) as server:
        listen = f"127.0.0.1:{server.getsockname()[1]}"
    url = "http://127.0.0.1:9/mcp?api_key=hunter2"
    shown = cli(capsys, "run", "--url", url, "--witness-listen", listen)
    assert shown.code == 0
    (selection,) = asked
    assert selection.url == UrlTarget(url, {}, listen)
    assert [backend.name for backend in selection.backends] == ["witness"]
    assert "upstream must point there; a gateway that is not up yet at 127.0.0.1:9 is waited for" in shown.err
    assert "hunter2" not in shown.err
    said = next(line for line in shown.err.splitlines() if line.startswith("two-sided"))
    assert "MGC311" not in said  # judges the gateway as a client
    assert "MGC113" in said  # wants a backend that is not there yet


def test_a_taken_witness_address_is_told_before_anything_starts(asked, capsys):
    with socket.create_server(("127.0.0.1", 0)) as server:
        listen = f"127.0.0.1:{server.getsockname()[1]}"
        shown = cli(capsys, "run", "--url", "http://127.0.0.1:9/mcp", "--witness-listen", listen)
    assert f"{listen} cannot be listened on" in shown.sentence(ExitCode.USAGE)
    assert asked == []


def test_an_allowed_harm_reaches_the_selection(asked, capsys, listening):
    assert cli(capsys, "run", "--url", listening, "--allow-destructive").code == 0
    assert asked[0].allow_destructive


BAD = {
    "unknown target": (("--target", "fastmcp-prxy"), "did you mean 'fastmcp-proxy'?"),
    "missing file": (("--target", "./none.toml"), "does not exist"),
    "unknown backend": (("--backend", "witnes"), "did you mean 'witness'?"),
    "unknown suite": (("--suite", "get-sse"), "did you mean 'get_sse'?"),
    "unknown rule": (("--rule", "mgc301"), "did you mean 'MGC301'?"),
    "unknown revision": (("--revision", "2025-11-26"), "did you mean '2025-11-25'?"),
    "two ways": (("--target", "mcp-proxy", "--url", "http://127.0.0.1:9/mcp"), "exclude each other"),
    "header without url": (("--header-env", "A=B"), "--header-env goes with --url"),
    "witness without url": (("--witness-listen", "127.0.0.1:8900"), "--witness-listen goes with --url"),
    "witness nowhere": (("--url", "http://h/", "--witness-listen", "8900"), "write HOST:PORT"),
    "witness at any port": (("--url", "http://h/", "--witness-listen", "127.0.0.1:0"), "needs a port"),
    "env without command": (("--env", "A=B"), "--env goes with --command or --image"),
    "path without command": (("--path", "/x"), "--path goes with --command or --image"),
    "image and target": (("--image", "gw:1", "--target", "mcp-proxy"), "exclude each other"),
    "image without tag": (("--image", "gw", "--command", "{backend_url}"), "write it as NAME:TAG"),
    "image without backend": (("--image", "gw:1"), "{backend_url}"),
    "image as a process": (
        ("--image", "gw:1", "--env", "UPSTREAM={backend_url}", "--runtime", "process"),
        "runs in a container",
    ),
    "missing variable": (
        ("--url", "http://127.0.0.1:9/", "--header-env", "Authorization=NOT_SET"),
        "the environment variable named there is not set",
    ),
    "bad header": (("--url", "http://127.0.0.1:9/", "--header-env", "Authorization"), "NAME=VARIABLE"),
    "credentials in URL": (("--url", "http://user:pass@h/"), "must not hold credentials"),
    "no URL": (("--url", "gateway:80"), "not an HTTP URL"),
    "bad port": (("--url", "http://h:99999/"), "no usable port"),
    "bad host": (("--url", "http://[::1"), "its host is malformed"),
    "backend with URL": (("--url", "http://h/", "--backend", "witness"), "leave out --backend"),
    "unknown placeholder": (("--command", "gw {prot} {backend_url}"), "did you mean {port}?"),
    "no placeholder": (("--command", "gw"), "{backend_url}"),
    "open quotation": (("--command", "gw '{backend_url}"), "close the quotation"),
    "unset pass-through": (("--command", "gw {backend_url}", "--env", "NOT_SET"), "is not set"),
    "bad env": (("--command", "gw {backend_url}", "--env", "1=2"), "is not K=V"),
    "command in container": (("--command", "gw {backend_url}", "--runtime", "containers"), "(`init`)"),
    "baseline of many": (("--baseline", "b.toml"), "speaks of one target"),
    "write of many": (("--write-baseline", "b.toml"), "speaks of one target"),
    "no baseline": (("--target", "mcp-proxy", "--baseline", "none.toml"), "does not exist"),
    "out is a file": (("--target", "mcp-proxy", "--out", "/dev/null"), "cannot be written into"),
    "out in no folder of files": (("--target", "mcp-proxy", "--out", "/proc"), "cannot be written into"),
    "baseline nowhere": (("--target", "mcp-proxy", "--write-baseline", "none/b.toml"), "choose a folder that is there"),
    "baseline in a file": (("--target", "mcp-proxy", "--write-baseline", "/dev/null/b"), "choose a folder that is"),
    "baseline as a folder": (("--target", "mcp-proxy", "--write-baseline", "/"), "cannot be written"),
}


@pytest.mark.parametrize(("arguments", "said"), BAD.values(), ids=list(BAD))
def test_bad_input_is_one_sentence(asked, capsys, monkeypatch, arguments, said):
    monkeypatch.delenv("NOT_SET", raising=False)
    assert said in cli(capsys, "run", *arguments).sentence(ExitCode.USAGE)
    assert asked == []


URL = ("--url", "http://127.0.0.1:9/mcp")
COMMANDS_WITH_OUT = {
    "run": ("--target", "mcp-proxy"),
    "search": ("--target", "terminating", "--runtime", "process"),
    "matrix": ("--target", "mcp-proxy", "--runtime", "process"),
    "stability": (),
    "fleet-latest": ("--target", "mcp-proxy"),
    "broken-releases": (),
    "replays": (),
    "mutants": (),
}


@pytest.mark.parametrize("command", COMMANDS_WITH_OUT)
def test_a_folder_of_reports_that_cannot_be_used_is_told_before_anything_starts(asked, capsys, tmp_path, command):
    arguments = (command, *COMMANDS_WITH_OUT[command], "--out")
    (tmp_path / "file").write_text("mine")
    for out in ("file", "file/x"):
        shown = cli(capsys, *arguments, str(tmp_path / out))
        assert f"--out {tmp_path / out} cannot be written into" in shown.err.splitlines()[-1]
        assert shown.code == ExitCode.USAGE
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "evidence").write_text("mine")
    assert "is no folder" in cli(capsys, *arguments, str(tmp_path / "out")).err.splitlines()[-1]
    assert asked == []


@pytest.mark.parametrize("name", ["report.jsonl", "junit.xml", "plan.json", "summary.md"])
def test_a_folder_in_the_place_of_a_report_is_told_before_anything_starts(asked, capsys, tmp_path, name):
    (tmp_path / "out" / name).mkdir(parents=True)
    shown = cli(capsys, "run", "--target", "mcp-proxy", "--out", str(tmp_path / "out"))
    assert f"{tmp_path / 'out' / name} is a folder" in shown.sentence(ExitCode.USAGE)
    assert asked == []


def test_a_file_that_is_no_baseline_is_told_before_the_run(asked, capsys, tmp_path):
    notes = tmp_path / "notes.txt"
    notes.write_text("my notes")
    shown = cli(capsys, "run", "--target", "mcp-proxy", "--write-baseline", str(notes))
    assert "is no baseline" in shown.sentence(ExitCode.USAGE)
    assert (notes.read_text(), asked) == ("my notes", [])


SECRETS = {
    "userinfo of no URL": (("--url", "http://user:hunter2@[::1"), "its host is malformed"),
    "userinfo that reads as a port": (("--url", "http://user:hunter2/x@h/mcp"), "no usable port"),
    "query beside a bad port": (("--url", "http://h:99999/mcp?api_key=hunter2"), "no usable port"),
    "query of another scheme": (("--url", "ftp://h/mcp?api_key=hunter2"), "not an HTTP URL"),
    "header as curl takes it": ((*URL, "--header-env", "Authorization: Bearer hunter2"), "'Authorization'… is not"),
    "header with its value": ((*URL, "--header-env", "Authorization=Bearer hunter2"), "'Authorization'… is not"),
    "header with a token": ((*URL, "--header-env", "Authorization=hunter2"), "Authorization=…: the environment"),
    "value alone": ((*URL, "--header-env", "Bearer hunter2"), "'Bearer'… is not NAME=VARIABLE"),
    "variable with a space": (("--command", "gw {backend_url}", "--env", "A B=hunter2"), "'A'… is not K=V"),
    "variable as a header": (("--command", "gw {backend_url}", "--env", "Key: hunter2"), "'Key'… is not K=V"),
}


@pytest.mark.parametrize(("arguments", "said"), SECRETS.values(), ids=list(SECRETS))
def test_what_may_be_a_secret_is_not_printed_back(asked, capsys, arguments, said):
    sentence = cli(capsys, "run", *arguments).sentence(ExitCode.USAGE)
    assert said in sentence
    assert "hunter2" not in sentence
    assert asked == []


@pytest.mark.parametrize("value", ["Bearer hunter2\n", "Bearer\thunter2\x1b", " hunter2", "hunter2é"])
def test_a_header_value_that_cannot_be_sent_is_told_at_once_by_its_variable(asked, capsys, monkeypatch, value):
    monkeypatch.setenv("GATEWAY_AUTH", value)
    sentence = cli(capsys, "run", *URL, "--header-env", "Authorization=GATEWAY_AUTH").sentence(ExitCode.USAGE)
    assert "GATEWAY_AUTH: the variable's value cannot be sent in a header" in sentence
    assert "hunter2" not in sentence
    assert asked == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("name =", "nmae =", "did you mean 'name'?"),
        ("{port}", "{prot}", "did you mean {port}?"),
        ('title = "Mine"', "title = ", "not valid TOML"),
        ('version = "1"', "version = 1", "must be a string"),
    ],
)
def test_a_malformed_target_file_is_one_sentence(asked, capsys, target_file, old, new, said):
    target_file.write_text(TARGET.replace(old, new))
    sentence = cli(capsys, "run", "--target", str(target_file)).sentence(ExitCode.USAGE)
    assert said in sentence
    assert str(target_file) in sentence
    assert asked == []


def test_two_targets_of_one_name(asked, capsys, target_file, tmp_path):
    other = tmp_path / "other.toml"
    other.write_text(TARGET)
    shown = cli(capsys, "run", "--target", str(target_file), "--target", str(other))
    assert "Two targets are called 'mine'" in shown.sentence(ExitCode.USAGE)


def test_an_unreachable_url_cannot_be_judged(asked, capsys):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    shown = cli(capsys, "run", "--url", f"http://127.0.0.1:{port}/mcp")
    assert f"127.0.0.1:{port} refuses connections" in shown.sentence(ExitCode.CANNOT_JUDGE)
    assert asked == []


def test_the_baseline_beside_the_manifest_is_the_default(asked, capsys, target_file, tmp_path):
    entry = '[[known]]\nrule = "MGC301"\nfailure_class = "get-sse-wrong-status"\nseen = "400"\nissue = "{}"\n'
    (tmp_path / "baseline.toml").write_text(entry.format("not reported"))
    (tmp_path / "mine-too.toml").write_text(entry.format("elsewhere"))
    cli(capsys, "run", "--target", str(target_file))
    cli(capsys, "run", "--target", str(target_file), "--baseline", str(tmp_path / "mine-too.toml"))
    known = [selection.expectations.known for selection in asked]
    assert [(entry.target, entry.issue) for (entry,) in known] == [("mine", "not reported"), ("mine", "elsewhere")]


def test_a_baseline_entry_that_matches_nothing_is_a_usage_error(asked, capsys, target_file, tmp_path):
    text = '[[known]]\nrule = "MGC999"\nfailure_class = "x"\nseen = "s"\nissue = "i"\n'
    (tmp_path / "baseline.toml").write_text(text)
    assert "MGC999" in cli(capsys, "run", "--target", str(target_file)).sentence(ExitCode.USAGE)


@pytest.mark.parametrize(
    ("key", "pattern", "said"),
    [
        ("scenario", "get-in-sesion", "did you mean 'get-in-session'?"),
        ("backend", "everyting", "did you mean 'everything'?"),
        ("runtime", "docker", "known are containers, process"),
        ("revision", "2025-11-26", "did you mean '2025-11-25'?"),
    ],
)
def test_a_pattern_that_matches_nothing_is_a_usage_error(asked, capsys, target_file, tmp_path, key, pattern, said):
    text = '[[known]]\nrule = "MGC301"\nfailure_class = "get-sse-wrong-status"\nseen = "s"\nissue = "i"\n'
    (tmp_path / "baseline.toml").write_text(f'{text}{key} = "{pattern}"\n')
    sentence = cli(capsys, "run", "--target", str(target_file)).sentence(ExitCode.USAGE)
    assert f"MGC301 is never judged on {key} {pattern!r}" in sentence
    assert said in sentence


def test_an_entry_about_other_versions_is_set_aside(asked, capsys, target_file, tmp_path):
    text = '[[known]]\nrule = "MGC301"\nfailure_class = "get-sse-wrong-status"\nseen = "s"\nissue = "i"\n'
    (tmp_path / "baseline.toml").write_text(f'{text}versions = ">=2"\n')
    cli(capsys, "run", "--target", str(target_file))
    (selection,) = asked
    assert (selection.expectations.known, len(selection.expectations.outside)) == ((), 1)


def test_all_means_every_real_gateway_with_a_baseline(monkeypatch):
    monkeypatch.setattr(choosing, "gateways_with_baseline", lambda: ("mcp-proxy", "supergateway"))
    assert [target.name for target in choosing.chosen_targets(["all", "mcp-proxy"])] == ["mcp-proxy", "supergateway"]


def test_without_an_engine_processes_are_used_and_one_line_says_so(monkeypatch):
    def none():
        raise CannotJudgeError("No container engine answers (refused); start it.")

    monkeypatch.setattr(engine, "connect", none)
    said = []
    assert runtime_choice.choose_runtime(said.append) == "process"
    assert said == [
        "runtime: process, because no container engine answers (refused); what only containers can show is not exercised"
    ]


def test_who_names_a_client_asks_for_the_suite_of_clients(asked, capsys):
    for given in (("--client", "reference"), ("--suite", "clients", "--client", "reference", "--client", "python-mcp")):
        assert cli(capsys, "run", *given).code == 0
    alone, both = asked
    assert (alone.suites, alone.clients) == (("clients",), ("reference",))
    assert (both.suites, both.clients) == (("clients",), ("reference", "python-mcp"))


def test_who_names_an_edge_asks_for_the_suite_of_edges(asked, capsys):
    for given in (("--edge", "nginx"), ("--edge", "all"), ("--edge", "caddy", "--client", "reference")):
        assert cli(capsys, "run", *given).code == 0
    alone, every, both = asked
    assert (alone.suites, alone.edges) == (("edges",), ("nginx",))
    assert every.edges == known_edges()
    assert (both.suites, both.edges, both.clients) == (("edges",), ("caddy",), ("reference",))


def test_all_means_every_client_and_none_given_too(asked, capsys):
    for given in (("--client", "all"), ("--suite", "clients")):
        assert cli(capsys, "run", *given).code == 0
    named, unnamed = asked
    assert named.clients == known_clients()
    assert (unnamed.suites, unnamed.clients) == (("clients",), ())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--client", "pyton-mcp"), "did you mean 'python-mcp'?"),
        (("--client", "reference", "--suite", "get_sse"), "--client goes with --suite clients or edges"),
        (("--edge", "nginks"), "did you mean 'nginx'?"),
        (("--edge", "nginx", "--suite", "clients"), "--edge goes with --suite edges"),
    ],
)
def test_a_client_or_edge_that_cannot_be_driven_is_one_sentence(capsys, given, said):
    assert said in cli(capsys, "run", *given).sentence(ExitCode.USAGE)
