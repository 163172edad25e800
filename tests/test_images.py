"""Images: what goes into a build, when a tag changes, and the image that a run derives."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile

import pytest

from conformance.errors import CannotJudgeError
from conformance.paths import FIXTURES
from conformance.stage import images
from conformance.stage.image_build import _tar, build_image
from conformance.stage.labels import OWNER_LABEL, RUN_LABEL, is_dead, owner_of, run_labels
from conformance.stage.manifest import load_backend, load_target
from conformance.wire.tap_address import TcpAddress
from tests.engine_setup import engine_run, engine_test


def test_a_layer_has_the_pins_and_the_lock_of_its_manifest():
    layer = images.layer_of(load_target("supergateway"), sources=False)
    files = images.context(layer)
    pinned = dict(one.rsplit("@", 1) for one in load_target("supergateway").install.npm)
    assert json.loads(files["build/package.json"])["dependencies"] == pinned
    assert b'"lockfileVersion"' in files["build/package-lock.json"]
    assert not any(name.startswith("src/conformance") for name in files)


def test_sources_bring_the_witness_the_tap_and_the_reference_gateways_but_no_judge():
    files = images.context(images.layer_of(load_target("passthrough"), sources=True))
    assert {"src/conformance/witness/__main__.py", "src/conformance/wire/stdio_tap.py"} <= files.keys()
    assert "src/fixtures/gateways/passthrough/gateway.py" in files
    assert not any("/rules/" in name or "/diagnosis/" in name for name in files)


def test_a_fixture_s_own_programs_travel_with_what_those_in_javascript_share():
    registry = load_target(FIXTURES / "replays" / "local_tool_discovery" / "gateway.toml")
    files = images.context(images.layer_of(registry, sources=True))
    place = images.folder_of(registry)
    assert place == f"{images.SOURCES}/fixtures/replays/local_tool_discovery"
    assert f"src/{place.removeprefix(f'{images.SOURCES}/')}/gateway.cjs" in files
    assert "src/fixtures/typescript_sdk_server.cjs" in files
    assert images.node_modules_of(registry) == f"{images.ROOT}/registry-gateway/node_modules"
    other = images.context(images.layer_of(load_target("supergateway"), sources=True))
    assert not any(name.endswith(".cjs") for name in other)


def test_a_manifest_folder_with_a_dockerfile_is_built_by_it():
    files = images.context(images.layer_of(load_backend("witness"), sources=True))
    assert b"ENTRYPOINT" in files["Dockerfile"]


@pytest.mark.parametrize("change", ["parent", "content", "name", "argument"])
def test_the_hash_changes_with_whatever_goes_in(change):
    before = images.content_hash("p", {"a": b"1", "b": b"2"}, {"X": "1"})
    after = {
        "parent": images.content_hash("q", {"a": b"1", "b": b"2"}, {"X": "1"}),
        "content": images.content_hash("p", {"a": b"1", "b": b"3"}, {"X": "1"}),
        "name": images.content_hash("p", {"a": b"1", "c": b"2"}, {"X": "1"}),
        "argument": images.content_hash("p", {"a": b"1", "b": b"2"}, {"X": "2"}),
    }[change]
    assert before != after
    assert before == images.content_hash("p", {"b": b"2", "a": b"1"}, {"X": "1"})


def test_the_registry_settings_of_this_machine_do_not_change_the_tag(monkeypatch):
    layer = images.own_layer()
    before = images.context(layer)
    monkeypatch.setenv("PIP_INDEX_URL", "https://user:secret@mirror.example/simple")
    assert images.context(layer) == before


def test_an_interpreter_is_the_one_with_the_packages():
    assert images.python_of(load_target("mcp-proxy")).startswith(f"{images.ROOT}/mcp-proxy/")
    assert images.python_of(load_target("passthrough")).startswith(f"{images.ROOT}/own/")


def test_an_empty_folder_of_the_context_exists():
    with tarfile.open(fileobj=io.BytesIO(_tar({"src/": b"", "a": b"x"}).getvalue())) as archive:
        assert archive.getmember("src").isdir()
        assert archive.extractfile("a").read() == b"x"


def test_a_run_is_dead_when_its_process_is_gone():
    assert not is_dead(run_labels("r"))
    with subprocess.Popen(["sleep", "60"]) as process:
        labels = {OWNER_LABEL: owner_of(process.pid)}
        assert not is_dead(labels)
        process.kill()
    assert is_dead(labels)


def test_a_run_is_dead_when_its_process_id_belongs_to_another_or_the_machine_was_restarted():
    host, boot, pid, started = owner_of(os.getpid()).split(" ")
    assert is_dead({OWNER_LABEL: f"{host} {boot} {pid} {float(started) - 60}"})
    assert is_dead({OWNER_LABEL: f"{host} another-boot {pid} {started}"})


def test_a_run_of_another_host_or_without_an_owner_is_left_alone():
    _, boot, _, started = owner_of(os.getpid()).split(" ")
    assert not is_dead({OWNER_LABEL: f"elsewhere {boot} 1 {started}"})
    assert not is_dead({RUN_LABEL: "r"})


class TestWithAnEngine:
    pytestmark = engine_test

    def test_a_failing_build_shows_its_last_lines(self):
        with engine_run() as (client, run_id, base):
            files = {"Dockerfile": f"FROM {base}\nRUN echo the reason; exit 3\n".encode()}
            with pytest.raises(CannotJudgeError, match=r"(?s)failed.*the reason"):
                build_image(client, tag=f"{run_id}:x", files=files, arguments={}, labels=run_labels(run_id))

    def test_the_derived_image_does_the_same_behind_the_tap_and_keeps_its_arguments_replaceable(self):
        with engine_run() as (client, run_id, base):
            files = {"Dockerfile": f'FROM {base}\nENTRYPOINT ["printf"]\nCMD ["default\\\\n"]\n'.encode()}
            original = build_image(
                client,
                tag=f"{run_id}:original",
                files=files,
                arguments={},
                labels=run_labels(run_id),
            )
            derived = images.derive_backend_image(
                client, original, run_id=run_id, collector=TcpAddress("127.0.0.1", 9), tap="stdio:main"
            )
            again = images.derive_backend_image(
                client, original, run_id=run_id, collector=TcpAddress("127.0.0.1", 9), tap="stdio:main"
            )
            assert again != derived, "the containers of two instances would be taken for each other's"
            assert client.images.get(derived).labels[RUN_LABEL] == run_id
            assert client.containers.run(derived, remove=True) == b"default\n"
            assert client.containers.run(derived, ["other\\n"], remove=True) == b"other\n"

    def test_an_image_without_a_command_cannot_be_wrapped(self):
        with engine_run() as (client, run_id, base):
            files = {"Dockerfile": f"FROM {base}\nENTRYPOINT []\nCMD []\n".encode()}
            tag = build_image(
                client,
                tag=f"{run_id}:original",
                files=files,
                arguments={},
                labels=run_labels(run_id),
            )
            with pytest.raises(CannotJudgeError, match="ENTRYPOINT"):
                images.derive_backend_image(
                    client, tag, run_id=run_id, collector=TcpAddress("127.0.0.1", 9), tap="stdio:main"
                )

    @pytest.mark.packages
    def test_a_second_run_builds_nothing_and_no_setting_of_a_registry_stays_in_the_image(self, monkeypatch):
        monkeypatch.setenv("PIP_TRUSTED_HOST", "mirror.example")
        backend = load_backend("time")
        with engine_run() as (client, _, _):
            tag = images.ensure_backend_image(client, backend, print)
            told: list[str] = []
            assert images.ensure_backend_image(client, backend, told.append) == tag
            assert told == []
            assert "mirror.example" not in json.dumps(client.images.get(tag).history())
