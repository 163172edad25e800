"""The broken releases: published packages with a known defect, each beside the release that mended it.

Each has a folder `fixtures/broken_releases/ID` with `release.toml` (what is wrong, and where that was reported) and a
target manifest with a lock file in each of `bad/` and `fixed/`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from conformance.paths import FIXTURES
from conformance.spec.rows import read
from conformance.stage.manifest import TargetManifest, load_target
from conformance.stage.scenario import SUITES


@dataclass(frozen=True, slots=True)
class BrokenRelease:
    """One defect. failure_class: what the bad release must be flagged with and the fixed one must not.

    suites: those that bring the defect about. scenarios: the only ones that count, empty where all do: a fixed release
    may have another defect of the same class. issue: where it was reported, as owner/repository#number.
    """

    id: str
    package: str
    registry: str
    bad: str
    fixed: str
    failure_class: str
    what: str
    issue: str
    suites: tuple[str, ...]
    scenarios: tuple[str, ...]
    folder: Path

    def target(self, which: str) -> TargetManifest:
        """Return the target made of the `bad` or the `fixed` release. Raises UsageError when it is malformed."""
        return load_target(self.folder / which / "target.toml")


@cache
def broken_releases() -> tuple[BrokenRelease, ...]:
    """Return every broken release, by id. Raises CannotJudgeError naming file and key when one is malformed."""
    return tuple(_broken_release(file) for file in sorted(FIXTURES.glob("broken_releases/*/release.toml")))


def _broken_release(file: Path) -> BrokenRelease:
    row = read(file)
    row.allow_only(
        "id", "package", "registry", "bad", "fixed", "failure_class", "what", "issue", "suites", "scenarios"
    )  # fmt: skip
    if row.text("id") != file.parent.name:
        raise row.error(f"{file}: `id` must be {file.parent.name!r}, after its folder")
    suites = row.texts("suites")
    if unknown := set(suites) - set(SUITES):
        raise row.error(f"{file}: there is no suite {', '.join(sorted(unknown))}")
    return BrokenRelease(
        id=row.text("id"),
        package=row.text("package"),
        registry=row.text("registry"),
        bad=row.text("bad"),
        fixed=row.text("fixed"),
        failure_class=row.text("failure_class"),
        what=row.text("what"),
        issue=row.text("issue"),
        suites=suites,
        scenarios=row.texts("scenarios") if "scenarios" in row.cells else (),
        folder=file.parent,
    )
