"""The manifests and lock files that the project ships."""

import json
import tomllib
from pathlib import Path

import jsonschema
import pytest
from packaging.licenses import canonicalize_license_expression

from conformance import paths
from conformance.stage.manifest import known_backends, known_targets, load_backend, load_target, target_json_schema


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
