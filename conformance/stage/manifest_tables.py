"""The tables of manifests: installation, start, endpoint, claims and the like. Checked as they are read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr, model_validator

from conformance.evidence import meta_tools
from conformance.stage import placeholders

Face = Literal["http", "stdio"]
"""How a gateway reaches its backend: a Streamable HTTP URL, or a command that speaks MCP on stdin and stdout."""

ServedFace = Literal["http", "sse"]
"""The transport of a backend that is reached by a URL: Streamable HTTP, or HTTP+SSE of 2024-11-05."""

MEMORY_MB: Final = 150
"""Default of `needs.memory_mb`: the lighter gateways on record take 60 to 150 MB."""

READY_SECONDS: Final = 30.0
"""Default of `ready.seconds`: the slowest gateway on record needs 12 s, on a loaded 2-core machine up to twice that."""

_PYPI_PIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[A-Za-z0-9._,-]+\])?==[A-Za-z0-9][A-Za-z0-9.+!_-]*")
_NPM_PIN = re.compile(r"(@[a-z0-9._~-]+/)?[a-z0-9._~-]+@[0-9]+\.[0-9]+\.[0-9]+([-+][A-Za-z0-9.+-]+)?")
_IMAGE_PIN = re.compile(r"[a-z0-9][a-z0-9._:/-]*(:[A-Za-z0-9_][A-Za-z0-9._-]*|@sha256:[0-9a-f]{64})")
_SECRET_NAME = re.compile(r"[A-Z][A-Z0-9_]*")
_PYTHON_RANGE = re.compile(r"(>=|<)3\.[0-9]+(,(>=|<)3\.[0-9]+)?")

HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A header's name (token of RFC 9110, 5.6.2)."""
HEADER_VALUE: Final = re.compile(r"([!-~]([ \t!-~]*[!-~])?)?")
"""A header's value as clients send it (RFC 9110, 5.5): visible ASCII, with spaces and tabs only inside."""


def _pypi_pin(value: str) -> str:
    if not _PYPI_PIN.fullmatch(value):
        raise ValueError(f"{value!r} is not pinned; write it as NAME==VERSION.")
    return value


def _npm_pin(value: str) -> str:
    if not _NPM_PIN.fullmatch(value):
        raise ValueError(f"{value!r} is not pinned; write it as NAME@MAJOR.MINOR.PATCH.")
    return value


def _image_pin(value: str) -> str:
    if not _IMAGE_PIN.fullmatch(value):
        raise ValueError(f"{value!r} is not pinned; write it as NAME:TAG or NAME@sha256:DIGEST.")
    return value


def _python_range(value: str) -> str:
    if not _PYTHON_RANGE.fullmatch(value):
        raise ValueError(f"{value!r} is not a range of Python versions; write it as >=3.12 or >=3.11,<3.14.")
    return value


def _secret_name(value: str) -> str:
    if not _SECRET_NAME.fullmatch(value):
        raise ValueError(f"the name of a secret is in capitals, as {value.upper()}.")
    return value


def _header_name(value: str) -> str:
    if not HEADER_NAME.fullmatch(value):
        raise ValueError("this is no header's name; use letters, digits and '-'.")
    return value


def _header_value(value: str) -> str:
    if not HEADER_VALUE.fullmatch(value):
        raise ValueError("this value cannot be sent; use visible ASCII characters, spaces and tabs only between them.")
    return value


def _url_path(value: str) -> str:
    if not value.startswith("/"):
        raise ValueError(f"{value!r} is not a path; write it from the first slash on, as /mcp.")
    return value


# A TOML array is a Python list: only the container is taken leniently, its elements stay strict.
StringList = Annotated[tuple[str, ...], Field(strict=False)]
Command = Annotated[tuple[str, ...], Field(strict=False, min_length=1)]
UrlPath = Annotated[str, AfterValidator(_url_path)]
Headers = dict[Annotated[str, AfterValidator(_header_name)], Annotated[str, AfterValidator(_header_value)]]
SecretName = Annotated[str, AfterValidator(_secret_name)]
Status = Annotated[int, Field(ge=200, le=599)]


class Table(BaseModel):
    """A table of a manifest: no unknown keys, no lenient types, not changed once read."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Manifest(Table):
    """What every manifest says of its program: its name, which its folder has too, and where it comes from."""

    name: str
    title: str = Field(description="what people call it")
    version: str = Field(description="version that the install section pins")
    licence: str = Field(default="", description="SPDX identifier")
    homepage: str = Field(default="", description="where it is developed")
    _folder: Path | None = PrivateAttr(default=None)

    @property
    def folder(self) -> Path | None:
        """Folder of the manifest file (with its Dockerfile and lock files), None if made in memory."""
        return self._folder


class Install(Table):
    """What is installed from the package registries, exactly pinned; or the ready image that the target is."""

    pypi: Annotated[tuple[Annotated[str, AfterValidator(_pypi_pin)], ...], Field(strict=False)] = Field(
        default=(), description="PyPI packages, each NAME==VERSION"
    )
    npm: Annotated[tuple[Annotated[str, AfterValidator(_npm_pin)], ...], Field(strict=False)] = Field(
        default=(), description="npm packages, each NAME@VERSION"
    )
    python: Annotated[str, AfterValidator(_python_range)] = Field(
        default=">=3.11", description="Python versions the PyPI packages run on, as >=3.12 or >=3.11,<3.14"
    )
    image: Annotated[str, AfterValidator(_image_pin)] | None = Field(
        default=None,
        description="ready image of the gateway, as NAME:TAG: of this machine's engine, else pulled; nothing is built",
    )
    binary_env: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="environment variable that names the image's program on this machine, for the process runtime",
    )
    binary_arguments: StringList = Field(
        default=(), description="what the image's ENTRYPOINT puts between its program and start.command"
    )

    @model_validator(mode="after")
    def _is_one_or_the_other(self) -> Self:
        if self.image is not None and (self.pypi or self.npm):
            raise ValueError("image is the whole gateway; leave out pypi and npm.")
        if self.image is None and (self.binary_env is not None or self.binary_arguments):
            raise ValueError("binary_env and binary_arguments stand in for an image; name it, or leave them out.")
        return self


class ConfigFile(Table):
    """A file written before the start."""

    path: str = Field(description="where, usually {config_dir}/NAME")
    content: str = Field(description="its text; placeholders are replaced, {{name}} gives a literal {name}")


class Before(Table):
    """A program that is run to its end before the gateway starts, in the same environment and folder."""

    command: Command = Field(description="argument list; a program of the installed packages goes by its bare name")
    save: SecretName | None = Field(
        default=None, description="NAME under which the last line it prints is kept as a secret, used as {NAME}"
    )


class Sent(Table):
    """An HTTP request that the gateway is sent, and the statuses of its success."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = Field(default="POST", description="HTTP method")
    path: UrlPath = Field(description="path and query")
    headers: Headers = Field(default={}, description="headers, such as Authorization")
    body: dict[str, Any] | None = Field(default=None, description="sent as JSON; placeholders in its strings count")
    statuses: Annotated[tuple[Status, ...], Field(strict=False, min_length=1)] = Field(
        default=(200, 201, 202, 204), description="statuses of a success"
    )

    def texts(self) -> Iterator[str]:
        """Yield every string that may hold placeholders."""
        yield self.path
        yield from self.headers.values()
        yield from placeholders.strings_in(self.body)


class Request(Sent):
    """One that is sent once the port accepts, at the gateway's own address: it is never judged."""

    repeat: bool = Field(
        default=False,
        description="send it again until it succeeds, within ready.seconds, as is right for a health check",
    )
    save: dict[SecretName, str] = Field(
        default={},
        description="NAME = 'access_token': that member of the JSON answer (a.b: b of a) is a secret, used as {NAME}",
    )


class Start(Table):
    """How the gateway is started, as a child process or as a container's command."""

    command: StringList = Field(
        description="argument list; a program of the installed packages goes by its bare name; for a ready image the "
        "arguments of its own ENTRYPOINT, empty to leave them to the image"
    )
    env: dict[str, str] = Field(default={}, description="environment variables")
    files: Annotated[tuple[ConfigFile, ...], Field(strict=False)] = Field(
        default=(), description="files written before the start"
    )
    before: Annotated[tuple[Before, ...], Field(strict=False)] = Field(
        default=(), description="programs run one after another before the start, when the files are written"
    )
    requests: Annotated[tuple[Request, ...], Field(strict=False)] = Field(
        default=(), description="requests made one after another once the port accepts: logging in, registering"
    )

    def texts(self) -> Iterator[tuple[str, str]]:
        """Yield every string that may hold placeholders with its key; those of `requests` aside."""
        yield from (("start.command", element) for element in self.command)
        yield from (("start.env", value) for value in self.env.values())
        for file in self.files:
            yield "start.files.path", file.path
            yield "start.files.content", file.content
        yield from (("start.before", element) for before in self.before for element in before.command)

    def saved(self) -> Iterator[str]:
        """Yield the names of the secrets that `before` and `requests` save, in order."""
        yield from (before.save for before in self.before if before.save is not None)
        yield from (name for request in self.requests for name in request.save)


class Endpoint(Table):
    """Where the gateway serves MCP."""

    path: UrlPath = Field(default="/mcp", description="path of the Streamable HTTP endpoint")
    sse_path: UrlPath | None = Field(
        default=None, description="path where GET opens the stream of HTTP+SSE (2024-11-05), if the gateway serves it"
    )
    streamable: bool = Field(
        default=True, description="whether it serves Streamable HTTP; one that does not is reached by HTTP+SSE alone"
    )
    headers: Headers = Field(default={}, description="headers each request needs, such as Authorization")
    other_headers: Headers = Field(
        default={},
        description="the same headers for a second user; where given, suite isolation judges how credentials are kept",
    )

    @property
    def only_stream(self) -> str | None:
        """Path of the HTTP+SSE stream where the gateway serves nothing else."""
        return None if self.streamable else self.sse_path

    @model_validator(mode="after")
    def _is_reachable(self) -> Self:
        if not self.streamable and self.sse_path is None:
            raise ValueError("streamable is false, so sse_path must say where HTTP+SSE is served.")
        return self


class Ready(Table):
    """When the gateway counts as started: its `initialize` is answered."""

    seconds: Annotated[float, Field(gt=0, le=600)] = Field(
        default=READY_SECONDS, description="longest start-up that is waited for, in seconds"
    )


class Needs(Table):
    """What a running instance takes of the machine."""

    memory_mb: Annotated[int, Field(ge=1, le=65536)] = Field(
        default=MEMORY_MB, description="resident memory of the gateway and all it starts (its backend aside), in MB"
    )


class Claims(Table):
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
    containers: Literal["call", "session", "shared"] | None = Field(
        default=None,
        description="whom a container that it starts serves: a call, a session or all clients; not judged if unsaid",
    )


class Via(Table):
    """The gateway's own tool through which its backend's tools are called, where it does not list these."""

    tool: str = Field(min_length=1, description="name of the gateway's tool")
    arguments: dict[str, Any] = Field(
        description="its arguments; one value is '{tool}', for the backend's tool, and one '{arguments}', for its own"
    )
    text_in: str = Field(
        default="",
        description="member of a JSON object, the text of its result, that is the backend's text; "
        "left out where its result is the backend's own",
    )

    @model_validator(mode="after")
    def _has_both(self) -> Self:
        for mark in (meta_tools.TOOL, meta_tools.ARGUMENTS):
            if list(meta_tools.texts(self.arguments)).count(mark) != 1:
                raise ValueError(f"tools.via.arguments must hold {mark!r} as a value, exactly once.")
        return self


class Tools(Table):
    """How clients reach the backend's tools."""

    pattern: str = Field(
        default="{tool}", description="name by which a client calls one; {tool} is the backend's own name"
    )
    replaced: dict[str, str] = Field(
        default={}, description="texts in a tool's own name, and what stands in their place in the gateway's lists"
    )
    via: Via | None = None

    @model_validator(mode="after")
    def _has_tool(self) -> Self:
        if placeholders.names_in(self.pattern) != {"tool"}:
            raise ValueError(f"tools.pattern {self.pattern!r} must hold {{tool}} and no other placeholder.")
        return self


class Container(Table):
    """How the target runs in a container."""

    dockerfile: str = Field(default="Dockerfile", description="file in the manifest's folder")
    engine_socket: bool = Field(
        default=False,
        description="in suite spin_up the gateway gets the engine's socket, tapped: it can do anything on this engine",
    )
    spin_up: bool = Field(default=False, description="the gateway can start its backend as a container itself")
    built_as: str = Field(
        default="", description="name of its image among those built here, where several targets are started from one"
    )
    fault: Literal["engine-missing", "engine-forbidden", "engine-read-only", "command-missing"] | None = Field(
        default=None, description="what is wrong with this deployment, on purpose, wherever it starts containers"
    )

    @model_validator(mode="after")
    def _socket_is_asked_for(self) -> Self:
        if self.spin_up and not self.engine_socket:
            raise ValueError(
                "spin_up needs the engine's socket, which is given on request only; add engine_socket = true."
            )
        return self


class SpinUp(Table):
    """How the gateway is started where it starts its backend's container itself."""

    command: Command = Field(
        description="argument list; {image} is the backend's image, {backend_command} ends in docker run -i --rm IMAGE"
    )
    files: Annotated[tuple[ConfigFile, ...], Field(strict=False)] = Field(
        default=(), description="files written before the start, in place of start.files; {image} as in the command"
    )
    not_enabled: Command | None = Field(
        default=None, description="argument list by which it knows the backend and is not told to use it"
    )
    not_enabled_log: str = Field(
        default="", description="what it then writes to its log, so that this is told from a start that failed"
    )

    revoke: Annotated[tuple[Request, ...], Field(strict=False)] = Field(
        default=(), description="requests by which the backend is taken away from the running gateway"
    )

    @property
    def takes_command(self) -> bool:
        """Whether the gateway is told how to run the container, not only its image."""
        return any("backend_command" in placeholders.names_in(text) for text in self.texts())

    def texts(self) -> Iterator[str]:
        """Yield every string that may hold placeholders; those of `revoke` aside."""
        yield from (*self.command, *(self.not_enabled or ()))
        yield from (f"{file.path} {file.content}" for file in self.files)


class Two(Table):
    """How the gateway is started before two backends over HTTP; what is left out is as in [start]."""

    command: Command | None = Field(default=None, description="argument list")
    env: dict[str, str] = Field(default={}, description="environment variables, beside or in place of those of [start]")
    files: Annotated[tuple[ConfigFile, ...], Field(strict=False)] | None = Field(
        default=None, description="files written before the start, in place of those of [start]"
    )
    requests: Annotated[tuple[Request, ...], Field(strict=False)] | None = Field(
        default=None, description="requests made once the port accepts, in place of those of [start]"
    )
    pattern: str = Field(description="name by which a client calls one of the first backend's tools, as tools.pattern")
    second_pattern: str = Field(description="the same for the second backend, at {second_backend_url}")
    alone_pattern: str = Field(
        default="",
        description="the first one's while the gateway knows of no other tool with the name; "
        "left out where it is the same",
    )

    @model_validator(mode="after")
    def _have_tool(self) -> Self:
        for pattern in (self.pattern, self.second_pattern, self.alone_pattern or "{tool}"):
            if placeholders.names_in(pattern) != {"tool"}:
                raise ValueError(f"two_backends: the pattern {pattern!r} must hold {{tool}} and no other placeholder.")
        return self


class HttpFace(Table):
    """A backend served over HTTP."""

    command: Command = Field(description="argument list; it must listen at {host}:{port}")
    env: dict[str, str] = Field(default={}, description="environment variables")
    path: UrlPath = Field(default="/mcp", description="path of its endpoint")


class StdioFace(Table):
    """A backend that a gateway starts and speaks to on stdin and stdout."""

    command: Command = Field(description="argument list")
    env: dict[str, str] = Field(default={}, description="environment variables, whoever starts it")


class Faces(Table):
    """How the backend can be reached."""

    http: HttpFace | None = None
    stdio: StdioFace | None = None
    sse: HttpFace | None = Field(default=None, description="HTTP+SSE (2024-11-05) and nothing else")

    @model_validator(mode="after")
    def _has_one(self) -> Self:
        if self.http is None and self.stdio is None:
            raise ValueError("a backend needs [faces.http] or [faces.stdio].")
        return self


class Sentinel(Table):
    """What is asked to see whether the backend still answers, or what such a call does: of a tool, or for the list."""

    method: Literal["tools/call", "tools/list"] = Field(
        default="tools/call",
        description="tools/list for a backend none of whose tools can be called without credentials or the Internet",
    )
    tool: str = Field(description="name of the tool that is called, or that the list must hold")
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

    @model_validator(mode="after")
    def _list_has_no_arguments(self) -> Self:
        if self.method == "tools/list" and (self.arguments or self.nonce_argument is not None):
            raise ValueError("arguments and nonce_argument are of a call; leave them out, or leave out method.")
        return self
