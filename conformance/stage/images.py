"""The images of gateways and backends: base, packages of one manifest each, and the harness's own sources on top.

Tags carry a hash of everything that goes in, so a second run builds nothing. What a run derives from them carries the
run's label and is removed with it.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import ssl
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

import certifi

from conformance import paths
from conformance.errors import CannotJudgeError
from conformance.stage.base_image import Progress, ensure_base
from conformance.stage.edge_manifest import EdgeManifest
from conformance.stage.image_build import build_image, files_below, image_exists
from conformance.stage.labels import IMAGE_LABEL, run_labels
from conformance.stage.manifest import BackendManifest, TargetManifest
from conformance.stage.manifest_tables import Install

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import docker

    from conformance.wire.tap_address import TcpAddress

ROOT: Final = "/opt/mcp-gateway-conformance"
"""Folder, inside images, of all that the harness puts there."""

NODE: Final = "/usr/bin/node"
BASE_PYTHON: Final = "/usr/bin/python3"
SOURCES: Final = f"{ROOT}/src"
STDIO_TAP: Final = f"{SOURCES}/conformance/wire/stdio_tap.py"

MISSING_PROGRAM: Final = "/usr/local/bin/mcp-server"
"""What an image runs whose program is missing: a name such as servers have, and nothing of that name."""

OWN: Final = "own"
"""Name of the environment that the reference gateways, the mutants and the witness run in."""

NETWORK_TOOLS: Final = "mcp-gateway-conformance/network-tools"
"""Name of the image that sets rules in other containers' network namespaces."""

_OWN_PACKAGES: Final = ("h11", "httpx", "starlette", "uvicorn")
_OWN_MODULES: Final = ("__init__.py", "errors.py", "timing.py", "wire/__init__.py", "wire/stdio_tap.py")
_REGISTRY_SETTINGS: Final = (
    *("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST", "PIP_DEFAULT_TIMEOUT", "NPM_CONFIG_REGISTRY"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
)
"""Variables handed on to builds where they are set. Those that name files of this machine would mean nothing there."""


@dataclass(frozen=True, slots=True)
class Layer:
    """What one build adds: packages of one manifest, in a folder of their own below ROOT.

    lock: text of `constraints.txt` and `package-lock.json` by name. folder: of a manifest that has its own Dockerfile.
    scripts: programs of the manifest's own, by their place in the build context.
    """

    name: str
    pypi: tuple[str, ...] = ()
    npm: tuple[str, ...] = ()
    lock: tuple[tuple[str, str], ...] = ()
    folder: Path | None = None
    sources: bool = False
    scripts: tuple[tuple[str, bytes], ...] = ()

    @property
    def prefix(self) -> str:
        """Folder inside the image."""
        return f"{ROOT}/{self.name}"


def layer_of(manifest: TargetManifest | BackendManifest, *, sources: bool) -> Layer:
    """Return what the manifest's packages add. sources: also the harness's own modules, on top."""
    install: Install = manifest.install
    folder = manifest.folder
    lock = _lock_files(folder)
    own_build = folder if folder and (folder / dockerfile_name(manifest)).is_file() else None
    scripts = tuple(_scripts(folder).items()) if sources else ()
    return Layer(
        _image_name(manifest), install.pypi, install.npm, lock, own_build if sources else None, sources, scripts
    )


def folder_of(manifest: TargetManifest | BackendManifest) -> str | None:
    """Return where, inside an image, the programs of the manifest's folder are; None where it is no fixture."""
    place = _place(manifest.folder)
    return f"{SOURCES}/{place}" if place else None


def node_modules_of(manifest: TargetManifest | BackendManifest) -> str | None:
    """Return the folder, inside an image, of the manifest's npm packages; None where it has none."""
    return f"{ROOT}/{_image_name(manifest)}/node_modules" if manifest.install.npm else None


def _place(folder: Path | None) -> str:
    """Return a folder's place below the sources of an image, empty for one that is not among the fixtures."""
    if folder is None or not folder.is_relative_to(paths.FIXTURES):
        return ""
    return f"fixtures/{folder.relative_to(paths.FIXTURES).as_posix()}"


def _scripts(folder: Path | None) -> dict[str, bytes]:
    """Return the programs in a manifest's folder, and what those in JavaScript share."""
    place = _place(folder)
    if folder is None or not place:
        return {}
    found = files_below(folder, prefix=f"src/{place}/", suffixes=(".py", ".cjs"))
    if any(name.endswith(".cjs") for name in found):
        shared = sorted(paths.FIXTURES.glob("*.cjs"))
        found |= {f"src/fixtures/{file.name}": file.read_bytes() for file in shared}
    return found


def edge_layer(edge: EdgeManifest) -> Layer:
    """Return what an edge's packages add: by its own Dockerfile where it has one."""
    own_build = edge.folder if edge.folder and (edge.folder / "Dockerfile").is_file() else None
    return Layer(f"edge-{_slug(edge.name)}", edge.install.pypi, (), _lock_files(edge.folder), own_build)


def _lock_files(folder: Path | None) -> tuple[tuple[str, str], ...]:
    found = [folder / name for name in ("constraints.txt", "package-lock.json")] if folder else []
    return tuple((file.name, file.read_text("utf-8")) for file in found if file.is_file())


def own_layer() -> Layer:
    """Return the packages that the harness's own gateways and witness need, in the versions installed here."""
    return Layer(OWN, pypi=tuple(f"{name}=={version(name)}" for name in _OWN_PACKAGES))


def dockerfile_name(manifest: TargetManifest | BackendManifest) -> str:
    """Return the name of the manifest's own Dockerfile, which need not exist."""
    return manifest.container.dockerfile if isinstance(manifest, TargetManifest) else "Dockerfile"


def python_of(manifest: TargetManifest | BackendManifest) -> str:
    """Return the interpreter, inside an image, that has the manifest's packages."""
    name = _image_name(manifest) if manifest.install.pypi else OWN
    return f"{ROOT}/{name}/venv/bin/python"


def ensure_gateway_image(
    client: docker.DockerClient, target: TargetManifest, backends: Sequence[BackendManifest], on_progress: Progress
) -> str:
    """Return the tag of the target's image, with the stdio backends that it may be told to start. Blocks.

    Raises CannotJudgeError when the base is missing or a build fails.
    """
    below = [layer_of(one, sources=False) for one in backends if "stdio" in one.offers and "stdio" in target.fronts]
    packages = [layer for layer in sorted(below, key=lambda layer: layer.name) if layer.pypi or layer.npm]
    return _ensure(client, [own_layer(), *packages, layer_of(target, sources=True)], on_progress)


def ensure_backend_image(client: docker.DockerClient, backend: BackendManifest, on_progress: Progress) -> str:
    """Return the tag of the backend's image. Blocks. Raises CannotJudgeError."""
    own = () if backend.install.pypi or backend.install.npm else (own_layer(),)
    return _ensure(client, [*own, layer_of(backend, sources=True)], on_progress)


def ensure_edge_image(client: docker.DockerClient, edge: EdgeManifest, on_progress: Progress) -> str:
    """Return the tag of an edge's image. Blocks. Raises CannotJudgeError."""
    return _ensure(client, [edge_layer(edge)], on_progress)


def ensure_network_tools(client: docker.DockerClient, on_progress: Progress) -> str:
    """Return the tag of the image that sets rules in other containers' network namespaces. Blocks.

    Raises CannotJudgeError.
    """
    name = NETWORK_TOOLS.rpartition("/")[2]
    return _ensure(client, [Layer(name, folder=paths.FIXTURES / "network")], on_progress)


def derive_backend_image(
    client: docker.DockerClient,
    image: str,
    *,
    run_id: str,
    collector: TcpAddress,
    tap: str,
    command: Sequence[str] | None = None,
    program_missing: bool = False,
) -> str:
    """Return the tag of an image of this run that does what `image` does, watched by the stdio tap. Blocks.

    The entrypoint becomes the tap in front of the original one; arguments given to `docker run` still replace the
    original CMD. command: used in place of the original entrypoint and CMD. program_missing: its entrypoint is one that
    is not in it. Containers inherit the run's label from it, whoever starts them. Raises CannotJudgeError, also when
    the image has no python3.
    """
    config = client.images.get(image).attrs["Config"]
    entrypoint = list(command) if command is not None else list(config.get("Entrypoint") or ())
    arguments = [] if command is not None else list(config.get("Cmd") or ())
    if not entrypoint and not arguments:
        raise CannotJudgeError(f"The image {image} has no command of its own; give it an ENTRYPOINT or CMD.")
    relay = ["python3", f"{ROOT}/stdio_tap.py", "--name", tap, "--collector", str(collector), "--"]
    lines = [
        f"FROM {image}",
        f"COPY stdio_tap.py {ROOT}/stdio_tap.py",
        'RUN ["python3", "--version"]',
        f"ENTRYPOINT {json.dumps([MISSING_PROGRAM] if program_missing else [*relay, *entrypoint])}",
        f"CMD {json.dumps(arguments)}",
    ]
    files = {"Dockerfile": "\n".join(lines).encode(), "stdio_tap.py": _package_file("wire/stdio_tap.py")}
    # Of its own: by its image a container is known to be this instance's, and a later one may have the same collector.
    tag = f"mcp-gateway-conformance/run:{_slug(run_id)}-{secrets.token_hex(4)}"
    return build_image(client, tag=tag, files=files, arguments={}, labels=run_labels(run_id))


def _ensure(client: docker.DockerClient, layers: Sequence[Layer], on_progress: Progress) -> str:
    """Build the layers on each other, the last one being the image; each only if its tag is not there."""
    parent = ensure_base(client, on_progress)
    parent_id = str(client.images.get(parent).id)
    for layer in layers:
        files = context(layer)
        arguments = {
            "BASE_IMAGE": parent,
            "PREFIX": layer.prefix,
            "PYPI_PACKAGES": " ".join(layer.pypi),
            "NPM_PACKAGES": " ".join(layer.npm),
        }
        digest = content_hash(parent_id, files, arguments)
        tag = f"mcp-gateway-conformance/{layer.name}:{digest}"
        if not image_exists(client, tag):
            on_progress(f"building the image {tag}")
            settings = {name: os.environ[name] for name in _REGISTRY_SETTINGS if os.environ.get(name)}
            secret = {"build/ca.crt": _ca_bundle()}
            build_image(
                client,
                tag=tag,
                files={**files, **secret},
                arguments={**arguments, **settings},
                labels={IMAGE_LABEL: digest},
            )
        parent = parent_id = tag
    return parent


def context(layer: Layer) -> dict[str, bytes]:
    """Return the build context of a layer: path to content, without this machine's CA bundle."""
    files = files_below(layer.folder) if layer.folder else {}
    if "Dockerfile" not in files:
        files["Dockerfile"] = (paths.FIXTURES / "Dockerfile").read_bytes()
    files["build/constraints.txt"] = b""
    if layer.npm:
        dependencies = dict(package.rsplit("@", 1) for package in layer.npm)
        files["build/package.json"] = json.dumps({"private": True, "dependencies": dependencies}).encode()
    files |= {f"build/{name}": text.encode() for name, text in layer.lock}
    files["src/"] = b""
    if layer.sources:
        files |= _sources()
    return files | dict(layer.scripts)


def content_hash(parent: str, files: Mapping[str, bytes], arguments: Mapping[str, str]) -> str:
    """Return 12 hex digits that change when anything that goes into the image does."""
    digest = sha256(parent.encode())
    for name, content in sorted(files.items()):
        digest.update(f"\0{name}\0{len(content)}\0".encode() + content)
    digest.update(json.dumps(sorted(arguments.items())).encode())
    return digest.hexdigest()[:12]


@cache
def _sources() -> dict[str, bytes]:
    """Return the modules that run inside images. Cached: one run is one state of the sources."""
    files = {f"src/conformance/{name}": _package_file(name) for name in _OWN_MODULES}
    files |= files_below(_PACKAGE / "witness", prefix="src/conformance/witness/", suffixes=(".py",))
    for folder in ("backends", "gateways", "mutants"):
        files |= files_below(paths.FIXTURES / folder, prefix=f"src/fixtures/{folder}/", suffixes=(".py",))
    return files


_PACKAGE: Final = Path(paths.__file__).parent


def _package_file(name: str) -> bytes:
    return (_PACKAGE / name).read_bytes()


def _ca_bundle() -> bytes:
    """Return this machine's trusted authorities (SSL_CERT_FILE, else OpenSSL's default, else Mozilla's)."""
    return Path(ssl.get_default_verify_paths().cafile or certifi.where()).read_bytes()


def _image_name(manifest: TargetManifest | BackendManifest) -> str:
    built_as = manifest.container.built_as if isinstance(manifest, TargetManifest) else ""
    return _slug(built_as or manifest.name)


def _slug(name: str) -> str:
    """Return the name as part of an image's name: lower case, no separator twice."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
