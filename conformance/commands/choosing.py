"""From what was typed to what is meant: rules, suites, revisions, targets, backends, baselines."""

from __future__ import annotations

import fnmatch
import os
import re
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, get_args
from urllib.parse import urlsplit

from conformance.commands.records import baseline_of, gateways_with_baseline
from conformance.commands.teaching import nearest
from conformance.diagnosis.failure_classes import failure_classes
from conformance.errors import UsageError
from conformance.expectations import Expectations, Known, load_baseline
from conformance.rules.all import rule_named, rules
from conformance.rules.base import Rule
from conformance.spec.revisions import LEGACY, REVISIONS
from conformance.stage.attached import UNSEEN, URL_TARGET, parse_url
from conformance.stage.manifest import (
    BackendManifest,
    TargetManifest,
    known_backends,
    known_clients,
    known_edges,
    load_backend,
    load_client,
    load_edge,
    load_target,
)
from conformance.stage.manifest_tables import HEADER_NAME, HEADER_VALUE
from conformance.stage.plan import RuntimeName, UrlTarget
from conformance.stage.scenario import CLIENTS, DEFAULT_SUITES, EDGES, SUITES, scenarios
from conformance.stage.supplied import is_credential
from conformance.witness import parse_listen

DEFAULT_TARGETS: Final = ("fastmcp-proxy", "mcp-proxy", "supergateway")
DEFAULT_BACKENDS: Final = ("witness", "everything")
DEFAULT_REVISIONS: Final = ("2025-11-25",)
ALL: Final = "all"

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
"""Name of an environment variable."""


def chosen_rules(ids: Iterable[str]) -> tuple[Rule, ...]:
    """Return the rules of those ids, none when none are given. Raises UsageError."""
    found = []
    for rule_id in ids:
        rule = rule_named(rule_id)
        if rule is None:
            known = [item.id for item in rules()]
            raise UsageError(f"There is no rule {rule_id!r}; {nearest(rule_id, known, '`list rules` shows them.')}")
        found.append(rule)
    return tuple(found)


def chosen_suites(names: Sequence[str]) -> tuple[str, ...]:
    """Return the suites of those names; when none are given, those that a run drives unasked. Raises UsageError."""
    return _of_vocabulary("suite", names, SUITES) or DEFAULT_SUITES


@dataclass(frozen=True, slots=True)
class Asked:
    """The suites to drive, and which real clients and edges those that are driven on request are driven with.

    clients, edges: empty for all.
    """

    suites: tuple[str, ...]
    clients: tuple[str, ...] = ()
    edges: tuple[str, ...] = ()


def chosen_asked(suites: Sequence[str], *, clients: Sequence[str] = (), edges: Sequence[str] = ()) -> Asked:
    """Return what those names ask for: who names a client, or an edge, asks for that suite. Raises UsageError."""
    if clients and suites and not {CLIENTS, EDGES} & set(suites):
        raise UsageError("--client goes with --suite clients or edges; name that suite too, or leave --suite out.")
    if edges and suites and EDGES not in suites:
        raise UsageError("--edge goes with --suite edges; name that suite too, or leave --suite out.")
    # Who names both wants those clients behind those edges.
    named = (EDGES,) if edges else (CLIENTS,) if clients else ()
    return Asked(
        suites=chosen_suites(suites or named),
        clients=known_clients() if ALL in clients else _once(load_client(name).name for name in clients),
        edges=known_edges() if ALL in edges else _once(load_edge(name).name for name in edges),
    )


def _once(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def chosen_revisions(names: Sequence[str]) -> tuple[str, ...]:
    """Return the revisions of those names, the default when none are given.

    Raises UsageError for a name that is none, and for a revision that nothing judges yet.
    """
    chosen = _of_vocabulary("revision", names, [str(revision) for revision in REVISIONS]) or DEFAULT_REVISIONS
    for revision in chosen:
        if revision not in LEGACY:
            raise UsageError(f"Nothing judges revision {revision} yet; choose from {', '.join(LEGACY)}.")
    return chosen


def chosen_targets(names: Sequence[str]) -> tuple[TargetManifest, ...]:
    """Return the targets of those names or files: the default ones when none are given. Raises UsageError."""
    meant: list[str] = []
    for name in names or DEFAULT_TARGETS:
        meant += gateways_with_baseline() if name == ALL else [name]
    if not meant:
        raise UsageError("No gateway has a baseline yet, so `--target all` means none; `list targets` shows the names.")
    targets: dict[str, TargetManifest] = {}
    for target in (load_target(name) for name in dict.fromkeys(meant)):
        if target.name in targets:
            raise UsageError(f"Two targets are called {target.name!r}; results could not be told apart, rename one.")
        targets[target.name] = target
    return tuple(targets.values())


def chosen_backends(names: Sequence[str], default: Sequence[str] = DEFAULT_BACKENDS) -> tuple[BackendManifest, ...]:
    """Return the backends of those names. Raises UsageError."""
    return tuple(load_backend(name) for name in dict.fromkeys(names or default))


def chosen_expectations(targets: Sequence[TargetManifest], baseline: Path | None, fail_on: str) -> Expectations:
    """Return what the targets are known to fail: from the file given, else from the one beside each manifest.

    Without targets the file speaks of the gateway that is known by its URL. Raises UsageError.
    """
    rule_ids = [rule.id for rule in rules()]
    classes = [known.id for known in failure_classes()]
    files = {target.name: baseline or baseline_of(target) for target in targets} or {URL_TARGET: baseline}
    if baseline is not None and len(files) > 1:
        raise UsageError("--baseline speaks of one target; select one with --target.")
    versions = {target.name: target.version for target in targets}
    known: list[Known] = []
    outside: list[Known] = []
    for name, file in files.items():
        for entry in load_baseline(file, name, rule_ids, classes) if file is not None else ():
            _refuse_unmatched(file, entry)
            (known if entry.speaks_of(versions.get(name, "")) else outside).append(entry)
    return Expectations(tuple(known), fail_on, tuple(outside))


def _refuse_unmatched(file: Path | None, entry: Known) -> None:
    """Raise UsageError for an entry whose patterns match nothing that could ever be driven."""
    rule = rule_named(entry.rule)
    judged = [item.name for item in scenarios().values() if rule is not None and rule.when.name in item.brings]
    vocabulary = {
        "scenario": judged,
        "backend": [*known_backends(), UNSEEN],
        "runtime": list(get_args(RuntimeName)),
        "revision": [str(revision) for revision in REVISIONS],
    }
    for key, names in vocabulary.items():
        pattern = getattr(entry, key)
        if not fnmatch.filter(names, pattern):
            remedy = nearest(pattern, names, f"known are {', '.join(names)}.")
            raise UsageError(f"{file}: {entry.rule} is never judged on {key} {pattern!r}; {remedy}")


def url_target(url: str, header_env: Sequence[str], witness_listen: str = "") -> UrlTarget:
    """Return a gateway that already runs. header_env: NAME=VARIABLE each. Raises UsageError.

    witness_listen: HOST:PORT where the witness is to be for it, empty for nowhere; it must be free.
    """
    parse_url(url)
    if "@" in urlsplit(url).netloc:
        raise UsageError("--url must not hold credentials; give them with --header-env 'Authorization=VARIABLE'.")
    headers: dict[str, str] = {}
    for given in header_env:
        name, equals, variable = given.partition("=")
        if not equals or not HEADER_NAME.fullmatch(name) or not _VARIABLE.fullmatch(variable):
            raise UsageError(
                f"--header-env {_name_in(given)!r}… is not NAME=VARIABLE; write it as 'Authorization=MY_VARIABLE'."
            )
        value = os.environ.get(variable)
        if not value:
            # What stands there may be the secret itself, so it is not printed.
            raise UsageError(
                f"--header-env {name}=…: the environment variable named there is not set; export it and try again."
            )
        if not HEADER_VALUE.fullmatch(value):
            raise UsageError(
                f"--header-env {name}={variable}: the variable's value cannot be sent in a header; "
                "leave line ends, spaces at its ends, control characters and what is not ASCII out of it."
            )
        headers[name] = variable
    if witness_listen:
        _refuse_taken(witness_listen)
    return UrlTarget(url, headers, witness_listen)


def _refuse_taken(listen: str) -> None:
    """Raise UsageError when nothing can listen at HOST:PORT."""
    host, port = parse_listen(listen)
    if not port:
        raise UsageError("--witness-listen needs a port that the gateway's upstream can name, such as 127.0.0.1:8900.")
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        why = error.strerror or error
        raise UsageError(f"--witness-listen {listen} cannot be listened on ({why}); name another.") from error


def command_environment(given: Sequence[str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the variables of `--env` and the names of those whose values are secrets. Raises UsageError.

    `K=V` sets a variable; `K` alone passes on this process's own and takes it for a secret, as is the value of a name
    that sounds like a credential and a URL with a password.
    """
    variables: dict[str, str] = {}
    secret: list[str] = []
    for item in given:
        name, equals, value = item.partition("=")
        if not _VARIABLE.fullmatch(name):
            raise UsageError(f"--env {_name_in(item)!r}… is not K=V; write it as --env 'NAME=value'.")
        if not equals and name not in os.environ:
            raise UsageError(f"--env {name}: the environment variable is not set; export it, or write --env {name}=V.")
        variables[name] = value if equals else os.environ[name]
        if not equals or is_credential(name, variables[name]):
            os.environ[name] = variables[name]  # where redaction looks the values of secrets up
            secret.append(name)
    return variables, tuple(secret)


def _name_in(given: str) -> str:
    """Return the part of a malformed NAME=VALUE that may be printed: behind it a secret may stand."""
    return re.split(r"[=:\s]", given, maxsplit=1)[0]


def _of_vocabulary(what: str, names: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    listed = f"known are {', '.join(known)}."
    for name in names:
        if name not in known:
            raise UsageError(f"There is no {what} {name!r}; {nearest(name, known, listed)}")
    return tuple(dict.fromkeys(names))
