"""Who imports whom: the one-way flow of ARCHITECTURE.md, as the modules have it."""

import ast
from pathlib import Path

import pytest

from conformance.paths import ROOT

ALLOWED = {
    "evidence": set(),
    "wire": {"evidence"},
    "spec": set(),
    "witness": set(),
    "stage": {"wire", "evidence", "spec", "witness"},
    "rules": {"evidence", "spec"},
    "diagnosis": {"rules", "evidence", "spec", "stage.scenario"},
    "report": {"diagnosis", "rules", "evidence", "spec"},
}
"""Packages that the modules of a package may import, of each other's; modules beside the packages are everybody's."""


def imported(file: Path) -> set[str]:
    """Return the dotted names below `conformance` that a module imports."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{item.name}" for item in node.names} if node.module == "conformance" else set()
        elif isinstance(node, ast.Import):
            found |= {item.name for item in node.names}
    return {name.removeprefix("conformance.") for name in found if name.startswith("conformance.")}


@pytest.mark.parametrize("package", ALLOWED)
def test_a_package_imports_only_what_stands_before_it(package):
    folder = ROOT / "conformance"
    others = {item.name for item in folder.iterdir() if item.is_dir()} - {package}
    for file in (folder / package).rglob("*.py"):
        for name in imported(file):
            top = name.partition(".")[0]
            assert top not in others or {top, name} & ALLOWED[package], f"{file.relative_to(ROOT)} imports {name}"


def test_every_suite_can_be_imported_first():
    """A circle of imports shows only where its modules are reached from a certain side."""
    for file in sorted((ROOT / "scenarios").glob("*/drives*.py")):
        own = f"scenarios.{file.parent.name}"
        beside = {name for name in _names(file) if name.startswith(f"{own}.")}
        back = {name for other in beside for name in _names(ROOT / f"{other.replace('.', '/')}.py")}
        assert f"{own}.{file.stem}" not in back, f"{file.relative_to(ROOT)} and {beside} import each other"


def _names(file: Path) -> set[str]:
    """Return what a module imports of `scenarios`, modules imported from their package among them."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if file.is_file() else ():
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("scenarios"):
            found |= {node.module, *(f"{node.module}.{item.name}" for item in node.names)}
    return found
