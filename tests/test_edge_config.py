"""Edges as data: their manifests, and the configurations that come of their templates."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from conformance.errors import CannotJudgeError, NotExercisedError, UsageError
from conformance.stage import packages
from conformance.stage.certificates import present
from conformance.stage.edge_config import EdgePlan
from conformance.stage.edge_manifest import EdgeManifest
from conformance.stage.edge_variant import FEATURES, Affinity, Buffering, EdgeSetup, EdgeVariant, Tls
from conformance.stage.manifest import known_edges, load_edge
from conformance.wire.tap_address import TcpAddress

LISTEN = TcpAddress("127.0.0.1", 8080)
REPLICAS = (TcpAddress("127.0.0.1", 9001), TcpAddress("127.0.0.1", 9002))


def config(name: str, variant: EdgeVariant, folder: Path = Path("/config")) -> str:
    presented = present(variant.tls, folder)
    launch = EdgePlan(load_edge(name), variant, REPLICAS, "/mcp", presented).launch(LISTEN, "/config")
    return dict(launch.files)[f"/config/{load_edge(name).config}"]


def test_the_three_edges_are_there() -> None:
    assert known_edges() == ("caddy", "haproxy", "nginx")


@pytest.mark.parametrize("name", known_edges())
def test_a_manifest_says_where_it_comes_from(name: str) -> None:
    edge = load_edge(name)
    assert edge.licence
    assert edge.homepage.startswith("https://")
    assert bool(edge.install.debian) is not bool(edge.install.pypi)
    assert edge.folder is not None
    assert (edge.folder / edge.template).is_file()
    assert bool(edge.install.debian) is (edge.folder / "Dockerfile").is_file()


@pytest.mark.parametrize("name", known_edges())
def test_every_replica_and_the_port_are_in_the_configuration(name: str) -> None:
    text = config(name, EdgeVariant())
    assert all(str(address) in text for address in REPLICAS)
    assert "8080" in text


@pytest.mark.parametrize("name", known_edges())
@pytest.mark.parametrize(
    "variant",
    [
        EdgeVariant(affinity=Affinity.COOKIE),
        EdgeVariant(affinity=Affinity.SESSION_HASH),
        EdgeVariant(affinity=Affinity.SESSION_LEARNED),
        EdgeVariant(buffering=Buffering.ON),
        EdgeVariant(buffering=Buffering.FORCED),
        EdgeVariant(gzip=True),
        EdgeVariant(idle_seconds=7.5),
        EdgeVariant(upstream_http="1.0"),
        EdgeVariant(path_prefix="/tools"),
        EdgeVariant(slash_redirect=True),
        EdgeVariant(keeps_host=False),
        EdgeVariant(forwards=False),
        EdgeVariant(strips=("Last-Event-ID",)),
        EdgeVariant(replaces_errors=True),
        EdgeVariant(heeds_failures=False),
        EdgeVariant(heeds_leaving=False),
    ],
    ids=lambda variant: " ".join(variant.features()),
)
def test_a_variant_changes_the_configuration_or_cannot_be_had(name: str, variant: EdgeVariant) -> None:
    lacking = load_edge(name).lacks(variant)
    assert lacking or config(name, variant) != config(name, EdgeVariant())


@pytest.mark.parametrize("name", known_edges())
def test_what_an_edge_cannot_do_is_said_with_the_reason(name: str) -> None:
    edge = load_edge(name)
    for feature, reason in edge.cannot.items():
        assert feature in FEATURES
        assert not reason.endswith(".")
    assert edge.lacks(EdgeVariant()) == ""


def test_a_limit_is_written_to_the_millisecond() -> None:
    assert "proxy_read_timeout 7500ms" in config("nginx", EdgeVariant(idle_seconds=7.5))


def test_a_setup_is_told_in_the_evidence_s_header() -> None:
    told = EdgeSetup("nginx", EdgeVariant(affinity=Affinity.COOKIE, strips=("Accept",)), replicas=3).to_json()
    assert (told["name"], told["replicas"], told["variant"]["affinity"]) == ("nginx", 3, "cookie")


@pytest.mark.parametrize(
    ("tls", "name", "trusted"),
    [
        (Tls.PRIVATE_CA, "edge.test", True),
        (Tls.WRONG_NAME, "other.test", True),
        (Tls.EXPIRED, "edge.test", True),
        (Tls.UNTRUSTED, "edge.test", False),
    ],
)
def test_what_is_presented(tls: Tls, name: str, trusted: bool, tmp_path: Path) -> None:
    presented = present(tls, tmp_path)
    assert presented is not None
    assert presented.name == name
    assert (presented.ca is not None) is trusted
    file = tmp_path / "server.pem"
    file.write_text(presented.pem, encoding="ascii")
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(file)  # raises where key and certificate do not belong


def test_without_tls_nothing_is_presented(tmp_path: Path) -> None:
    assert present(Tls.NONE, tmp_path) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", known_edges())
def test_with_tls_the_certificate_is_a_file_beside_the_configuration(name: str, tmp_path: Path) -> None:
    presented = present(Tls.PRIVATE_CA, tmp_path)
    launch = EdgePlan(load_edge(name), EdgeVariant(tls=Tls.PRIVATE_CA), REPLICAS, "/mcp", presented).launch(
        LISTEN, "/config"
    )
    files = dict(launch.files)
    assert presented is not None
    assert files["/config/server.pem"] == presented.pem
    assert "/config/server.pem" in files[f"/config/{load_edge(name).config}"]


def test_an_unknown_edge_is_named_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'nginx'"):
        load_edge("ngnix")


def test_a_reason_for_what_nobody_asks_is_refused() -> None:
    table = load_edge("nginx").model_dump() | {"cannot": {"gzipping": "why"}}
    with pytest.raises(ValueError, match="'gzipping' is nothing that a variant asks for"):
        EdgeManifest.model_validate(table)


def test_a_broken_template_is_one_sentence(tmp_path: Path) -> None:
    edge = load_edge("nginx").model_copy()
    edge._folder = tmp_path
    (tmp_path / edge.template).write_text("{{ nobody_knows }}", encoding="utf-8")
    with pytest.raises(CannotJudgeError, match="mend the template"):
        EdgePlan(edge, EdgeVariant(), REPLICAS, "/mcp").launch(LISTEN, "/config")


def test_an_edge_that_is_not_installed_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages.shutil, "which", lambda *_, **__: None)
    with pytest.raises(NotExercisedError, match="install nginx: apt-get install nginx"):
        packages.ensure_edge(load_edge("nginx"), print)
