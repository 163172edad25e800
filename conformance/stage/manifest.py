"""Manifests: what a target (a gateway) and a backend (an MCP server) are, how they are installed and started.

A manifest is a TOML file: `fixtures/gateways/NAME/target.toml`, `fixtures/mutants/ID/target.toml` (named `mutant:ID`),
`fixtures/backends/NAME/backend.toml`, `fixtures/clients/NAME/client.toml` (`client_manifest.py`),
`fixtures/edges/NAME/edge.toml` (`edge_manifest.py`), or a user's own file.
Every mistake in one is a UsageError of one sentence.
"""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Self, TypeVar

from pydantic import Field, ValidationError, model_validator

from conformance.errors import UsageError
from conformance.evidence.meta_tools import MetaTool
from conformance.evidence.tool_names import ToolNames
from conformance.paths import FIXTURES, SCHEMAS
from conformance.stage import placeholders
from conformance.stage.attached import URL_TARGET
from conformance.stage.client_manifest import ClientManifest
from conformance.stage.edge_manifest import EdgeManifest
from conformance.stage.manifest_errors import did_you_mean, first_problem
from conformance.stage.manifest_registry import Registry
from conformance.stage.manifest_tables import (
    Claims,
    Container,
    Endpoint,
    Face,
    Faces,
    HttpFace,
    Install,
    Manifest,
    Needs,
    Ready,
    Request,
    SecretName,
    Sentinel,
    ServedFace,
    SpinUp,
    Start,
    Tools,
    Two,
)
from conformance.stage.plan import DIRECT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MUTANT_PREFIX: Final = "mutant:"
RESERVED: Final = {DIRECT: "the control run", URL_TARGET: "the gateway of --url"}
"""Target names of cells that have no manifest."""
_SECRET_RECIPE = re.compile(r"generate:hex:([1-9][0-9]{0,3})")


class TargetManifest(Manifest):
    """A gateway under test."""

    name: str = Field(pattern=r"^(mutant:)?[a-z0-9][a-z0-9._-]*$", description="as in --target; the folder's name")
    install: Install = Install()
    start: Start
    registration: Annotated[tuple[Request, ...], Field(strict=False)] = Field(
        default=(),
        description="requests that tell the running gateway its backend, made after those of start.requests, "
        "or later where a scenario is about that",
    )
    endpoint: Endpoint = Endpoint()
    ready: Ready = Ready()
    needs: Needs = Needs()
    claims: Claims = Claims()
    tools: Tools = Tools()
    secrets: dict[SecretName, str] = Field(
        default={}, description="NAME = 'generate:hex:48': 48 hex digits made anew for each stage, used as {NAME}"
    )
    container: Container = Container()
    spin_up: SpinUp | None = None
    two_backends: Two | None = None
    registry: Registry | None = None

    @property
    def fronts(self) -> tuple[Face, ...]:
        """Faces of a backend that the gateway is started with, seen from the placeholders it uses."""
        used = _placeholders_of(self.start, self.registration)
        faces: tuple[tuple[str, Face], ...] = (("backend_url", "http"), ("backend_command", "stdio"))
        return tuple(face for name, face in faces if name in used)

    @property
    def tool_names(self) -> ToolNames:
        """What the target makes of its backend's names for tools, beside the pattern."""
        return ToolNames(self.tools.replaced)

    def tool_name(self, backend_tool: str, pattern: str = "") -> str:
        """Return the name under which the target claims to offer the backend's tool; pattern: in place of its own."""
        return (pattern or self.tools.pattern).replace("{tool}", self.tool_names.changed(backend_tool))

    @property
    def meta_tool(self) -> MetaTool | None:
        """The gateway's own tool through which its backend's are called, None where these can be called themselves."""
        via = self.tools.via
        return MetaTool(via.tool, via.arguments, via.text_in) if via else None

    def unregistered(self) -> TargetManifest:
        """Return the target as it is started before anybody has told it its backend."""
        return self.model_copy(update={"registration": ()})

    def before_two(self) -> TargetManifest:
        """Return the target as it is started before two backends. Raises UsageError where it does not say how."""
        two = self.two_backends
        if two is None:
            raise UsageError(f"{self.name} has no [two_backends] in its manifest; say there how it fronts two.")
        given = {"command": two.command, "files": two.files, "requests": two.requests}
        changed = {name: value for name, value in given.items() if value is not None}
        start = self.start.model_copy(update={"env": {**self.start.env, **two.env}, **changed})
        tools = self.tools.model_copy(update={"pattern": two.pattern})
        return self.model_copy(update={"start": start, "tools": tools})

    @model_validator(mode="after")
    def _secrets_are_well_made(self) -> Self:
        for name, recipe in self.secrets.items():
            if not _SECRET_RECIPE.fullmatch(recipe):
                raise ValueError(f"secrets.{name} must be 'generate:hex:N' with N hex digits, not {recipe!r}.")
        names = [*self.secrets, *self.start.saved()]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"two secrets are called {twice}; choose another name for one of them.")
        return self

    @model_validator(mode="after")
    def _placeholders_are_known(self) -> Self:
        saved = self._check_start(self.start, placeholders.GATEWAY_PLACEHOLDERS.union(self.secrets))
        if self.two_backends is not None:
            self._check_start(self.before_two().start, placeholders.TWO_PLACEHOLDERS.union(self.secrets))
        for text in (text for request in self.registration for text in request.texts()):
            placeholders.check(text, placeholders.GATEWAY_PLACEHOLDERS | saved.union(self.secrets), "registration")
        for value in (*self.endpoint.headers.values(), *self.endpoint.other_headers.values()):
            placeholders.check(value, saved.union(self.secrets), "endpoint.headers")
        for text in self.registry.texts() if self.registry else ():
            placeholders.check(text, placeholders.REGISTRY_PLACEHOLDERS.union(self.secrets, saved), "registry")
        spun = self.spin_up.texts() if self.spin_up else ()
        for text in spun:
            placeholders.check(text, placeholders.SPIN_UP_PLACEHOLDERS.union(self.secrets), "spin_up")
        return self

    @model_validator(mode="after")
    def _says_what_is_started(self) -> Self:
        if self.install.image is None and not self.start.command:
            raise ValueError("start.command is empty; give at least one element.")
        if self.install.image is not None and "stdio" in self.fronts:
            raise ValueError("a ready image holds no backend to start; use {backend_url}, or {image} in [spin_up].")
        return self

    @staticmethod
    def _check_start(start: Start, allowed: frozenset[str]) -> set[str]:
        """Check the placeholders of a start; return the names of the secrets that it saves."""
        for where, text in start.texts():
            placeholders.check(text, allowed, where)
        saved = {before.save for before in start.before if before.save}
        for request in start.requests:
            for text in request.texts():
                placeholders.check(text, allowed | saved, "start.requests")
            saved |= set(request.save)
        return saved

    @model_validator(mode="after")
    def _two_are_fronted(self) -> Self:
        if self.two_backends is not None:
            two = self.before_two()
            used = _placeholders_of(two.start, two.registration)
            for name in ("backend_url", "second_backend_url"):
                if name not in used:
                    raise ValueError(f"{{{name}}} does not stand in [two_backends]; put it where that backend is told.")
        return self

    @model_validator(mode="after")
    def _second_user_has_the_same_headers(self) -> Self:
        first, second = self.endpoint.headers, self.endpoint.other_headers
        if second and (first.keys() != second.keys() or any(first[name] == second[name] for name in first)):
            raise ValueError("endpoint.other_headers must name those of endpoint.headers, each with another value.")
        return self

    @model_validator(mode="after")
    def _name_is_free(self) -> Self:
        if self.name in RESERVED:
            raise ValueError(f"the name {self.name!r} means {RESERVED[self.name]} in results; choose another.")
        return self

    @model_validator(mode="after")
    def _fronts_something(self) -> Self:
        if not self.fronts:
            raise ValueError(
                "neither {backend_url} nor {backend_command} stands in [start], so the gateway would front nothing; "
                "put one where the gateway is told its backend."
            )
        return self


class BackendManifest(Manifest):
    """An MCP server that gateways are put before."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", description="as in --backend; the folder's name")
    install: Install = Install()
    faces: Faces
    sentinel: Sentinel
    progress: Sentinel | None = Field(default=None, description="a tool that reports progress while it runs")
    ready: Ready = Ready()

    @property
    def offers(self) -> tuple[Face, ...]:
        """Faces the backend has."""
        return tuple(face for face in ("http", "stdio") if getattr(self.faces, face) is not None)

    def served(self, face: ServedFace) -> HttpFace | None:
        """Return one of the faces that are served over HTTP."""
        return self.faces.sse if face == "sse" else self.faces.http

    @model_validator(mode="after")
    def _placeholders_are_known(self) -> Self:
        for name, face in (("faces.http", self.faces.http), ("faces.sse", self.faces.sse)):
            for text in (*face.command, *face.env.values()) if face else ():
                placeholders.check(text, placeholders.BACKEND_PLACEHOLDERS, name)
        stdio = self.faces.stdio
        for text in (*stdio.command, *stdio.env.values()) if stdio else ():
            placeholders.check(text, placeholders.BACKEND_PLACEHOLDERS - {"host", "port"}, "faces.stdio")
        return self


def load_target(path_or_name: str | Path) -> TargetManifest:
    """Return the target of that name, or of that file when the argument is a Path, ends in .toml or holds a slash.

    Raises UsageError with what to mend.
    """
    if isinstance(path_or_name, Path) or path_or_name.endswith(".toml") or "/" in path_or_name:
        return _load(Path(path_or_name), TargetManifest)
    file = _target_files().get(path_or_name)
    if file is None:
        remedy = did_you_mean(path_or_name, known_targets())
        if not remedy.startswith("did you mean"):
            gateways = (name for name in known_targets() if not name.startswith(MUTANT_PREFIX))
            remedy = f"known are {', '.join(gateways)}, and the mutants that `list mutants` shows."
        raise UsageError(f"There is no target named {path_or_name!r}; {remedy}")
    return _named(_load(file, TargetManifest), path_or_name, file)


def load_backend(name: str) -> BackendManifest:
    """Return the backend of that name. Raises UsageError with what to mend."""
    file = _backend_files().get(name)
    if file is None:
        raise UsageError(f"There is no backend named {name!r}; {did_you_mean(name, known_backends())}")
    return _named(_load(file, BackendManifest), name, file)


def load_client(name: str) -> ClientManifest:
    """Return the client of that name. Raises UsageError with what to mend."""
    file = _client_files().get(name)
    if file is None:
        raise UsageError(f"There is no client named {name!r}; {did_you_mean(name, known_clients())}")
    return _named(_load(file, ClientManifest), name, file)


def load_edge(name: str) -> EdgeManifest:
    """Return the edge of that name. Raises UsageError with what to mend."""
    file = _edge_files().get(name)
    if file is None:
        raise UsageError(f"There is no edge named {name!r}; {did_you_mean(name, known_edges())}")
    return _named(_load(file, EdgeManifest), name, file)


def known_targets() -> tuple[str, ...]:
    """Return the names of the gateways and mutants that come with the harness, sorted."""
    return tuple(sorted(_target_files()))


def known_backends() -> tuple[str, ...]:
    """Return the names of the backends that come with the harness, sorted."""
    return tuple(sorted(_backend_files()))


def known_clients() -> tuple[str, ...]:
    """Return the names of the clients that come with the harness, sorted."""
    return tuple(sorted(_client_files()))


def known_edges() -> tuple[str, ...]:
    """Return the names of the edges that come with the harness, sorted."""
    return tuple(sorted(_edge_files()))


def target_of(data: object, folder: str | None) -> TargetManifest:
    """Return the manifest that a plan holds as data, with the folder it came from."""
    target = TargetManifest.model_validate(data)
    target._folder = Path(folder) if folder else None  # noqa: SLF001 - set once, as `load_target` does
    return target


def target_from_command(
    name: str, command: str, *, env: Mapping[str, str], path: str = "/mcp", image: str | None = None
) -> TargetManifest:
    """Return a target made from a command line with placeholders, split as a shell would.

    image: NAME:TAG of a ready image that is the gateway; the command is then the arguments of its ENTRYPOINT, empty to
    leave them to the image. Raises UsageError with what to mend.
    """
    try:
        argv = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"--command cannot be split into arguments ({error}); close the quotation.") from error
    data = {
        "name": name,
        "title": image or command,
        "version": "unknown",
        "install": {"image": image} if image else {},
        "start": {"command": argv, "env": dict(env)},
        "endpoint": {"path": path},
    }
    return _validate(data, TargetManifest, "--image" if image else "--command")


def target_json_schema() -> dict[str, Any]:
    """Return the JSON schema of a target manifest, as published in `reports/schema/target.schema.json`."""
    schema = TargetManifest.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def write_schema(file: Path = SCHEMAS / "target.schema.json") -> None:
    """Publish the JSON schema of a target manifest."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(target_json_schema(), indent=2) + "\n", encoding="utf-8")


_Manifest = TypeVar("_Manifest", TargetManifest, BackendManifest, ClientManifest, EdgeManifest)


def _placeholders_of(start: Start, registration: Sequence[Request]) -> frozenset[str]:
    """Return the names of the placeholders that a start and what is then requested use."""
    requests = (*start.requests, *registration)
    texts = (*(text for _, text in start.texts()), *(text for one in requests for text in one.texts()))
    return frozenset[str]().union(*(placeholders.names_in(text) for text in texts))


def _target_files() -> dict[str, Path]:
    gateways = {file.parent.name: file for file in FIXTURES.glob("gateways/*/target.toml")}
    mutants = {MUTANT_PREFIX + file.parent.name: file for file in FIXTURES.glob("mutants/*/target.toml")}
    return gateways | mutants


def _backend_files() -> dict[str, Path]:
    return {file.parent.name: file for file in FIXTURES.glob("backends/*/backend.toml")}


def _client_files() -> dict[str, Path]:
    return {file.parent.name: file for file in FIXTURES.glob("clients/*/client.toml")}


def _edge_files() -> dict[str, Path]:
    return {file.parent.name: file for file in FIXTURES.glob("edges/*/edge.toml")}


def _load(file: Path, model: type[_Manifest]) -> _Manifest:
    try:
        manifest = _validate(tomllib.loads(file.read_text(encoding="utf-8-sig")), model, str(file))
    except FileNotFoundError as error:
        raise UsageError(f"{file} does not exist; check the path, or write one with `init`.") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{file} is not valid TOML: {error}; mend that line.") from error
    except (OSError, ValueError) as error:  # a NUL in the path is a ValueError, too
        raise UsageError(f"{file} cannot be read ({error}); it must be a readable UTF-8 text file.") from error
    except RecursionError:
        raise UsageError(f"{file} is nested too deeply to be read; flatten its tables and lists.") from None
    # Not a key of the file, and frozen models keep private attributes writable: set once, here.
    manifest._folder = file.resolve().parent  # noqa: SLF001
    return manifest


def _validate(data: dict[str, Any], model: type[_Manifest], source: str) -> _Manifest:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise UsageError(f"{source}: {first_problem(error, model)}") from error


def _named(manifest: _Manifest, name: str, file: Path) -> _Manifest:
    if manifest.name != name:
        raise UsageError(f"{file}: name must be {name!r}, after its folder, not {manifest.name!r}.")
    return manifest


if __name__ == "__main__":
    write_schema()
