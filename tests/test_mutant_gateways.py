"""Every mutant's class can be made as its `main` makes it: what a reference gateway takes, its variants take."""

import importlib

import pytest

from conformance.paths import FIXTURES
from fixtures.gateways.passthrough.gateway import PassthroughGateway
from fixtures.gateways.terminating.gateway import TerminatingGateway
from fixtures.gateways.terminating.protocol import Settings

MODULES = sorted(file.parent.name for file in FIXTURES.glob("mutants/*/gateway.py"))
OPTIONS = {"upstream": "http://127.0.0.1:9/mcp", "command": ["true"], "json_only": False, "stateless": False}
MORE = {"tokens": (), "upstream_token": None, "settings": Settings()}


@pytest.mark.parametrize("name", MODULES)
def test_it_takes_what_its_base_takes(name, monkeypatch, tmp_path):
    monkeypatch.setenv("SESSION_STORE", str(tmp_path / "config"))
    module = importlib.import_module(f"fixtures.mutants.{name}.gateway")
    bases = (PassthroughGateway, TerminatingGateway)
    made = [item for item in vars(module).values() if isinstance(item, type) and issubclass(item, bases)]
    variants = [item for item in made if item not in bases]
    assert variants
    for variant in variants:
        if issubclass(variant, TerminatingGateway):
            variant(**OPTIONS, **MORE)
        else:
            variant(OPTIONS["upstream"])
