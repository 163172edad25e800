"""Sessions, which take their arguments after `--`.

conformance, matrix, fleet-latest, tests, mutants, broken-releases, replays, stability, search, lint, lock.
"""

from __future__ import annotations

import nox

nox.options.sessions = ["conformance"]
nox.options.reuse_venv = "yes"
nox.options.error_on_external_run = True

LOCK = "constraints.txt"
DEVELOPMENT = nox.project.dependency_groups(nox.project.load_toml("pyproject.toml"), "dev")


def install(session: nox.Session, *more: str) -> None:
    """Install the harness from this checkout and `more`, at the locked versions."""
    session.install("--quiet", "--constraint", LOCK, "--editable", ".", *more)


@nox.session
def conformance(session: nox.Session) -> None:
    """Judge gateways: `nox -s conformance -- --target NAME`; without arguments the three pinned targets."""
    install(session)
    session.run("python", "-m", "conformance", "run", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the harness's own tests; engine tests run where a container engine answers."""
    install(session, *DEVELOPMENT)
    session.run("python", "-m", "pytest", "tests", *session.posargs)


@nox.session
def matrix(session: nox.Session) -> None:
    """Judge clients x gateways x backends into reports/fleet; with `-- --shard K/N` a part, which `merge` completes."""
    install(session)
    session.run("python", "-m", "conformance", "matrix", *session.posargs)


@nox.session
def mutants(session: nox.Session) -> None:
    """Show that every rule can fail: drive each mutant gateway and print which rules caught it, classified as what."""
    install(session)
    session.run("python", "-m", "conformance", "mutants", *session.posargs)


@nox.session(name="broken-releases")
def broken_releases(session: nox.Session) -> None:
    """Show that published releases with a known defect are flagged, and the releases that mended it are not."""
    install(session)
    session.run("python", "-m", "conformance", "broken-releases", *session.posargs)


@nox.session
def replays(session: nox.Session) -> None:
    """Replay failures from the field on real parts; a page of each is written to reports/latest/replays."""
    install(session)
    session.run("python", "-m", "conformance", "replays", *session.posargs)


@nox.session(name="fleet-latest")
def fleet_latest(session: nox.Session) -> None:
    """Judge the newest releases of the fleet's gateways, and print what differs from the pinned ones."""
    install(session)
    session.run("python", "-m", "conformance", "fleet-latest", *session.posargs)


@nox.session
def stability(session: nox.Session) -> None:
    """Run a target 20 times idle and 20 times with every core busy; print each verdict that flips."""
    install(session)
    session.run("python", "-m", "conformance", "stability", *session.posargs)


@nox.session
def search(session: nox.Session) -> None:
    """Show that the search finds nothing on healthy gateways, and faults in the fewest steps."""
    install(session, *DEVELOPMENT)
    session.run("python", "-m", "pytest", "tests", "-m", "search", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and types."""
    install(session, *DEVELOPMENT)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")


@nox.session
def lock(session: nox.Session) -> None:
    """Write the lock file: the newest versions that pyproject.toml allows."""
    session.install("--quiet", "--upgrade", "--editable", ".", *DEVELOPMENT)
    frozen = session.run("python", "-m", "pip", "freeze", "--exclude-editable", silent=True)
    with open(LOCK, "w", encoding="utf-8") as file:  # noqa: PTH123 - one line beats an import
        file.write(str(frozen))
