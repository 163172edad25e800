"""Manifests: what a target (a gateway) and a backend (an MCP server) are, how they are installed and started.

A manifest is a TOML file: `fixtures/gateways/NAME/target.toml`, `fixtures/mutants/ID/target.toml` (named `mutant:ID`),
`fixtures/backends/NAME/backend.toml`, or a user's own file. Every mistake in one is a UsageError of one sentence.
"""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, model_validator

from conformance.errors import UsageError
from conformance.paths import FIXTURES, SCHEMAS
from conformance.stage import placeholders
from conformance.stage.attached import URL_TARGET
from conformance.stage.manifest_errors import did_you_mean, first_problem
from conformance.stage.plan import DIRECT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Face = Literal["http", "stdio"]
"""How a gateway reaches its backend: a Streamable HTTP URL, or a command that speaks MCP on stdin and stdout."""

ServedFace = Literal["http", "sse"]
"""The transport of a backend that is reached by a URL: Streamable HTTP, or HTTP+SSE of 2024-11-05."""

MUTANT_PREFIX: Final = "mutant:"
RESERVED: Final = {DIRECT: "the control run", URL_TARGET: "the gateway of --url"}
"""Target names of cells that have no manifest."""
READY_SECONDS: Final = 30.0
"""Default of `ready.seconds`: the slowest gateway on record needs 12 s, on a loaded 2-core machine up to twice that."""

_PYPI_PIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[A-Za-z0-9._,-]+\])?==[A-Za-z0-9][A-Za-z0-9.+!_-]*")
_NPM_PIN = re.compile(r"(@[a-z0-9._~-]+/)?[a-z0-9._~-]+@[0-9]+\.[0-9]+\.[0-9]+([-+][A-Za-z0-9.+-]+)?")
_PYTHON_RANGE = re.compile(r"(>=|<)3\.[0-9]+(,(>=|<)3\.[0-9]+)?")
_SECRET_NAME = re.compile(r"[A-Z][A-Z0-9_]*")
_SECRET_RECIPE = re.compile(r"generate:hex:([1-9][0-9]{0,3})")


def _pypi_pin(value: str) -> str:
    if not _PYPI_PIN.fullmatch(value):
        raise ValueError(f"{value!r} is not pinned; write it as NAME==VERSION.")
    return value


def _npm_pin(value: str) -> str:
    if not _NPM_PIN.fullmatch(value):
        raise ValueError(f"{value!r} is not pinned; write it as NAME@MAJOR.MINOR.PATCH.")
    return value


def _python_range(value: str) -> str:
    if not _PYTHON_RANGE.fullmatch(value):
        raise ValueError(f"{value!r} is not a range of Python versions; write it as >=3.12 or >=3.11,<3.14.")
    return value


def _url_path(value: str) -> str:
    if not value.startswith("/"):
        raise ValueError(f"{value!r} is not a path; write it from the first slash on, as /mcp.")
    return value


# A TOML array is a Python list: only the container is taken leniently, its elements stay strict.
StringList = Annotated[tuple[str, ...], Field(strict=False)]
Command = Annotated[tuple[str, ...], Field(strict=False, min_length=1)]
UrlPath = Annotated[str, AfterValidator(_url_path)]


class _Table(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Install(_Table):
    """What is installed from the package registries, exactly pinned."""

    pypi: Annotated[tuple[Annotated[str, AfterValidator(_pypi_pin)], ...], Field(strict=False)] = Field(
        default=(), description="PyPI packages, each NAME==VERSION"
    )
    npm: Annotated[tuple[Annotated[str, AfterValidator(_npm_pin)], ...], Field(strict=False)] = Field(
        default=(), description="npm packages, each NAME@VERSION"
    )
    python: Annotated[str, AfterValidator(_python_range)] = Field(
        default=">=3.11", description="Python versions the PyPI packages run on, as >=3.12 or >=3.11,<3.14"
    )


class ConfigFile(_Table):
    """A file written before the start."""

    path: str = Field(description="where, usually {config_dir}/NAME")
    content: str = Field(description="its text; placeholders are replaced, {{name}} gives a literal {name}")


class Start(_Table):
    """How the gateway is started, as a child process or as a container's command."""

    command: Command = Field(description="argument list; a program of the installed packages goes by its bare name")
    env: dict[str, str] = Field(default={}, description="environment variables")
    files: Annotated[tuple[ConfigFile, ...], Field(strict=False)] = Field(
        default=(), description="files written before the start"
    )


class Endpoint(_Table):
    """Where the gateway serves MCP."""

    path: UrlPath = Field(default="/mcp", description="path of the Streamable HTTP endpoint")
    sse_path: UrlPath | None = Field(
        default=None, description="path where GET opens the stream of HTTP+SSE (2024-11-05), if the gateway serves it"
    )
    streamable: bool = Field(
        default=True, description="whether it serves Streamable HTTP; one that does not is reached by HTTP+SSE alone"
    )
    headers: dict[str, str] = Field(default={}, description="headers each request needs, such as Authorization")
    other_headers: dict[str, str] = Field(
        default={},
        description="the same headers for a second user; where given, suite isolation judges how credentials are kept",
    )

    @model_validator(mode="after")
    def _is_reachable(self) -> Self:
        if not self.streamable and self.sse_path is None:
            raise ValueError("streamable is false, so sse_path must say where HTTP+SSE is served.")
        return self


class Ready(_Table):
    """When the gateway counts as started: its `initialize` is answered."""

    seconds: Annotated[float, Field(gt=0, le=600)] = Field(
        default=READY_SECONDS, description="longest start-up that is waited for, in seconds"
    )


class Claims(_Table):
    """What the target says of itself; a claimed thing that is missing is a failure."""

    sessions: Literal["stateful", "stateless"] = Field(
        default="stateful", description="whether initialize hands out an Mcp-Session-Id"
    )
    relays_credentials: bool = Field(
        default=False, description="whether it hands its clients' credentials on to the backend by design"
    )
    request_timeout: Annotated[float, Field(gt=0, le=600)] | None = Field(
        default=None, description="seconds after which a call that its backend does not answer is ended with an error"
    )
    session_idle_timeout: float | None = Field(
        default=None, gt=0, description="seconds after which a session that nobody uses is ended"
    )


class Tools(_Table):
    """How the gateway renames its backend's tools."""

    pattern: str = Field(default="{tool}", description="name a client sees; {tool} is the backend's own name")

    @model_validator(mode="after")
    def _has_tool(self) -> Self:
        if placeholders.names_in(self.pattern) != {"tool"}:
            raise ValueError(f"tools.pattern {self.pattern!r} must hold {{tool}} and no other placeholder.")
        return self


class Container(_Table):
    """How the target runs in a container."""

    dockerfile: str = Field(default="Dockerfile", description="file in the manifest's folder")
    engine_socket: bool = Field(
        default=False, description="hand the gateway the (tapped) engine socket: it can then do anything on this engine"
    )
    spin_up: bool = Field(default=False, description="the gateway can start its backend as a container itself")


class SpinUp(_Table):
    """How the gateway is started where it starts its backend's container itself."""

    command: Command = Field(
        description="argument list; {image} is the backend's image, {backend_command} is docker run -i --rm IMAGE"
    )


class TargetManifest(_Table):
    """A gateway under test."""

    name: str = Field(pattern=r"^(mutant:)?[a-z0-9][a-z0-9._-]*$", description="as in --target; the folder's name")
    title: str = Field(description="what people call it")
    version: str = Field(description="version that the install section pins")
    licence: str = Field(default="", description="SPDX identifier")
    homepage: str = Field(default="", description="where it is developed")
    install: Install = Install()
    start: Start
    endpoint: Endpoint = Endpoint()
    ready: Ready = Ready()
    claims: Claims = Claims()
    tools: Tools = Tools()
    secrets: dict[str, str] = Field(
        default={}, description="NAME = 'generate:hex:48': 48 hex digits made anew for each stage, used as {NAME}"
    )
    container: Container = Container()
    spin_up: SpinUp | None = None
    _folder: Path | None = PrivateAttr(default=None)

    @property
    def folder(self) -> Path | None:
        """Folder of the manifest file (with its Dockerfile and lock files), None if made in memory."""
        return self._folder

    @property
    def fronts(self) -> tuple[Face, ...]:
        """Faces of a backend that the gateway is started with, seen from the placeholders it uses."""
        used = frozenset[str]().union(*(placeholders.names_in(text) for _, text in self._start_texts()))
        faces: tuple[tuple[str, Face], ...] = (("backend_url", "http"), ("backend_command", "stdio"))
        return tuple(face for name, face in faces if name in used)

    def tool_name(self, backend_tool: str) -> str:
        """Return the name under which the target claims to offer the backend's tool."""
        return self.tools.pattern.replace("{tool}", backend_tool)

    def _start_texts(self) -> Iterator[tuple[str, str]]:
        yield from (("start.command", element) for element in self.start.command)
        yield from (("start.env", value) for value in self.start.env.values())
        for file in self.start.files:
            yield "start.files.path", file.path
            yield "start.files.content", file.content

    @model_validator(mode="after")
    def _placeholders_are_known(self) -> Self:
        for name, recipe in self.secrets.items():
            if not _SECRET_NAME.fullmatch(name):
                raise ValueError(f"secrets.{name}: the name of a secret is in capitals, as {name.upper()}.")
            if not _SECRET_RECIPE.fullmatch(recipe):
                raise ValueError(f"secrets.{name} must be 'generate:hex:N' with N hex digits, not {recipe!r}.")
        allowed = placeholders.GATEWAY_PLACEHOLDERS.union(self.secrets)
        for where, text in self._start_texts():
            placeholders.check(text, allowed, where)
        for value in (*self.endpoint.headers.values(), *self.endpoint.other_headers.values()):
            placeholders.check(value, self.secrets, "endpoint.headers")
        for element in self.spin_up.command if self.spin_up else ():
            placeholders.check(element, placeholders.SPIN_UP_PLACEHOLDERS.union(self.secrets), "spin_up.command")
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


class HttpFace(_Table):
    """A backend served over HTTP."""

    command: Command = Field(description="argument list; it must listen at {host}:{port}")
    env: dict[str, str] = Field(default={}, description="environment variables")
    path: UrlPath = Field(default="/mcp", description="path of its endpoint")


class StdioFace(_Table):
    """A backend that a gateway starts and speaks to on stdin and stdout."""

    command: Command = Field(description="argument list")


class Faces(_Table):
    """How the backend can be reached."""

    http: HttpFace | None = None
    stdio: StdioFace | None = None
    sse: HttpFace | None = Field(default=None, description="HTTP+SSE (2024-11-05) and nothing else")

    @model_validator(mode="after")
    def _has_one(self) -> Self:
        if self.http is None and self.stdio is None:
            raise ValueError("a backend needs [faces.http] or [faces.stdio].")
        return self


class Sentinel(_Table):
    """A read-only tool that is called to see whether the backend still answers."""

    tool: str = Field(description="name of the tool")
    arguments: dict[str, Any] = Field(default={}, description="arguments of the call")
    nonce_argument: str | None = Field(
        default=None, description="argument whose text comes back in the result, so that a call can be told from others"
    )
    nonce_returned: Literal["text", "structured"] | None = Field(
        default=None, description="where it comes back: inside the first text content, or in structuredContent"
    )

    @model_validator(mode="after")
    def _nonce_is_whole(self) -> Self:
        if (self.nonce_argument is None) != (self.nonce_returned is None):
            raise ValueError("nonce_argument and nonce_returned go together; give both or neither.")
        return self


class BackendManifest(_Table):
    """An MCP server that gateways are put before."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", description="as in --backend; the folder's name")
    title: str = Field(description="what people call it")
    version: str = Field(description="version that the install section pins")
    licence: str = Field(default="", description="SPDX identifier")
    homepage: str = Field(default="", description="where it is developed")
    install: Install = Install()
    faces: Faces
    sentinel: Sentinel
    ready: Ready = Ready()
    _folder: Path | None = PrivateAttr(default=None)

    @property
    def folder(self) -> Path | None:
        """Folder the manifest was read from, None if made in memory."""
        return self._folder

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
        for element in self.faces.stdio.command if self.faces.stdio else ():
            placeholders.check(element, placeholders.BACKEND_PLACEHOLDERS - {"host", "port"}, "faces.stdio.command")
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
        raise UsageError(f"There is no target named {path_or_name!r}; {remedy}")
    return _named(_load(file, TargetManifest), path_or_name, file)


def load_backend(name: str) -> BackendManifest:
    """Return the backend of that name. Raises UsageError with what to mend."""
    file = _backend_files().get(name)
    if file is None:
        raise UsageError(f"There is no backend named {name!r}; {did_you_mean(name, known_backends())}")
    return _named(_load(file, BackendManifest), name, file)


def known_targets() -> tuple[str, ...]:
    """Return the names of the gateways and mutants that come with the harness, sorted."""
    return tuple(sorted(_target_files()))


def known_backends() -> tuple[str, ...]:
    """Return the names of the backends that come with the harness, sorted."""
    return tuple(sorted(_backend_files()))


def target_from_command(name: str, command: str, *, env: Mapping[str, str], path: str = "/mcp") -> TargetManifest:
    """Return a target made from a command line with placeholders, split as a shell would.

    Raises UsageError with what to mend.
    """
    try:
        argv = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"--command cannot be split into arguments ({error}); close the quotation.") from error
    data = {
        "name": name,
        "title": command,
        "version": "unknown",
        "start": {"command": argv, "env": dict(env)},
        "endpoint": {"path": path},
    }
    return _validate(data, TargetManifest, "--command")


def target_json_schema() -> dict[str, Any]:
    """Return the JSON schema of a target manifest, as published in `reports/schema/target.schema.json`."""
    schema = TargetManifest.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def write_schema(file: Path = SCHEMAS / "target.schema.json") -> None:
    """Publish the JSON schema of a target manifest."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(target_json_schema(), indent=2) + "\n", encoding="utf-8")


_Manifest = TypeVar("_Manifest", TargetManifest, BackendManifest)


def _target_files() -> dict[str, Path]:
    gateways = {file.parent.name: file for file in FIXTURES.glob("gateways/*/target.toml")}
    mutants = {MUTANT_PREFIX + file.parent.name: file for file in FIXTURES.glob("mutants/*/target.toml")}
    return gateways | mutants


def _backend_files() -> dict[str, Path]:
    return {file.parent.name: file for file in FIXTURES.glob("backends/*/backend.toml")}


def _load(file: Path, model: type[_Manifest]) -> _Manifest:
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(f"{file} does not exist; check the path, or write one with `init`.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read ({error}); it must be a readable UTF-8 text file.") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{file} is not valid TOML: {error}; mend that line.") from error
    manifest = _validate(data, model, str(file))
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
