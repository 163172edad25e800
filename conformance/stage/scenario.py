"""What a scenario is, how scenarios are registered and how they are found.

A scenario only drives; it never judges. It declares which preconditions it brings about, and every rule of those
preconditions is judged on its evidence.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Final, TypeAlias

from conformance.paths import ROOT, SCENARIOS
from conformance.spec.revisions import STREAMABLE_LEGACY
from conformance.stage.edge_variant import EdgeSetup

if TYPE_CHECKING:
    from conformance.stage.manifest_tables import ServedFace
    from conformance.stage.stage import Stage

CLIENTS: Final = "clients"
EDGES: Final = "edges"
NETWORK: Final = "network"
SUITES: Final = (
    "initialize_ordering",
    "session_reuse",
    "get_sse",
    "keep_alive",
    "streaming",
    "transparency",
    "isolation",
    "spin_up",
    CLIENTS,
    EDGES,
    NETWORK,
)

ASKED_FOR: Final = (CLIENTS, EDGES, NETWORK)
"""Suites that a run drives only when it is asked for them: they need or install what no gateway needs, or start one for
each of their scenarios."""

DEFAULT_SUITES: Final = tuple(suite for suite in SUITES if suite not in ASKED_FOR)
"""Suites that a run drives when it is not told which."""


REPLAYS: Final = "replays"
"""The scenarios of the field replays: driven by their own command, before the parts that each of them names."""


class ScenarioKind(StrEnum):
    """How a scenario may share a gateway instance."""

    IDLE = "idle"  # may overlap others on the same instance
    EXCLUSIVE = "exclusive"  # alone on its instance while it runs
    DESTRUCTIVE = "destructive"  # on a fresh instance, as a rule its own


class SpinUp(StrEnum):
    """A backend container that the gateway starts itself, by `docker run -i --rm IMAGE`, and what is wrong with it."""

    WORKS = "works"
    IMAGE_MISSING = "image-missing"  # there is no such image, and none can be pulled
    ENGINE_DENIED = "engine-denied"  # the engine tap answers 403 to every POST
    ENGINE_MISSING = "engine-missing"  # the socket the gateway is given is not there
    ENGINE_FORBIDDEN = "engine-forbidden"  # the socket is there and its permissions keep the gateway out
    ENGINE_READ_ONLY = "engine-read-only"  # the socket is mounted read-only, which hinders nobody
    COMMAND_MISSING = "command-missing"  # the program that the image is to run is not in it
    MEMORY_SHORT = "memory-short"  # the container may use less memory than its server takes
    NOT_ENABLED = "not-enabled"  # the gateway knows the backend and was not told to use it

    @property
    def serves(self) -> bool:
        """Whether a healthy gateway serves its clients all the same."""
        return self in (SpinUp.WORKS, SpinUp.ENGINE_READ_ONLY)


def deployed(asked: SpinUp | None, fault: str | None) -> SpinUp | None:
    """Return what is wrong where a gateway is to start its backend: what a scenario asks for, else its own fault."""
    return SpinUp(fault) if asked is SpinUp.WORKS and fault is not None else asked


class SecondBackend(StrEnum):
    """A second backend behind the gateway, another witness with the same tools, and what is wrong with it."""

    WORKS = "works"
    DOWN = "down"  # not running when the gateway starts; the drive may start it
    SILENT = "silent"  # never answers initialize

    @property
    def script(self) -> str:
        """Name of its script."""
        return "hang_on_initialize" if self is SecondBackend.SILENT else "correct"


class NetworkFault(StrEnum):
    """What is wrong on the way from a gateway to its backend; each has the name of the failure class that it is."""

    NONE = "none"
    TLS = "tls"  # nothing is wrong either, over TLS with a certificate of an authority that the gateway is given
    PORT_CLOSED = "port-closed"
    FILTERED = "connect-blocked"  # nothing answers TCP: a rule drops it, or in the process runtime a full accept queue
    PORT_UNPUBLISHED = "published-port-dead"  # the engine publishes a port on which the container does not listen
    NAME_MISSING = "name-not-resolved"
    LOOPBACK = "container-loopback-unreachable"  # `localhost`, in a container
    TLS_NAME = "tls-name-or-trust"
    TLS_EXPIRED = "tls-certificate-expired"
    TLS_UNTRUSTED = "tls-untrusted-issuer"
    PLAIN_TO_TLS = "plain-http-to-tls"
    TLS_TO_PLAIN = "tls-to-plain-http"
    PAGE = "proxy-answers-html"
    SILENT = "accepts-but-silent"


NEEDS_CONTAINERS: Final = {
    NetworkFault.PORT_UNPUBLISHED: "a port that an engine publishes: the process runtime publishes none",
    NetworkFault.LOOPBACK: "a loopback address that means another machine: processes share that of this one",
}
"""Faults that the process runtime cannot show, each with why."""


Drive: TypeAlias = Callable[["Stage"], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """A registered scenario.

    brings: names of the preconditions it brings about. witness_script: the backend is the witness with this script
    (and the instance is fresh). needs_witness: it calls the witness's own tools. http_backend: it has a
    meaning only where the gateway reaches its backend over HTTP. seconds: its longest deliberate wait.
    stdio_backend: it has a meaning only where the gateway runs its backend as a child on stdio.
    http_sse: it uses the gateway's HTTP+SSE endpoint, and is not exercised where the target names none. backend_face:
    `sse` where the backend speaks HTTP+SSE alone (and the instance is fresh).
    credentials: it has a meaning only where the target demands credentials and names those of two users.
    spin_up: the backend is a container the gateway starts, and what is wrong with it. revokes: the drive takes the
    backend away from the running gateway; not exercised where the manifest does not say how. late_backend: it is
    started by the drive. late_registration: the gateway is told its backend by the drive, as its manifest's
    registration says; not exercised where that says nothing. second_backend: the gateway has two backends over HTTP
    (and the instance is fresh), and what is wrong with the second; not exercised where the target's manifest does not
    say how it is started before two. network: what is wrong on the way from the gateway to its backend (and the
    instance is fresh). published: the backend is a container, and the engine publishes its port on this machine, at one
    of its choice, where the tap before it dials (and the instance is fresh). untold: the evidence does not say what was
    done to the network, so that rules judge as they do where nobody did it on purpose. control: whether the scenario
    also runs straight at the backend. sentinel: whether a sentinel call guards it; not where a gateway that serves none
    is what the scenario looks for. any_start: a gateway that does not get ready is what the scenario is about. client:
    name of the real client that the drive uses, empty where the harness itself is the client. renews: destructive as it
    is, it leaves a gateway that it started anew, on which others like it may follow. follows: destructive as it is, it
    may come after others on an instance that still serves (in a frugal run), for it counts nothing that they may leave.
    edge: what stands between the clients and the gateway, and how many replicas of it there are (`edge_variant.py`);
    without one, the gateway alone.
    """

    name: str
    suite: str
    kind: ScenarioKind
    brings: tuple[str, ...]
    seconds: float
    revisions: tuple[str, ...]
    witness_script: str
    needs_witness: bool
    http_backend: bool
    stdio_backend: bool
    http_sse: bool
    credentials: bool
    backend_face: ServedFace
    spin_up: SpinUp | None
    revokes: bool
    control: bool
    late_backend: bool
    late_registration: bool
    second_backend: SecondBackend | None
    network: NetworkFault | None
    published: bool
    untold: bool
    sentinel: bool
    any_start: bool
    client: str
    renews: bool
    follows: bool
    edge: EdgeSetup | None
    drive: Drive = field(repr=False)

    @property
    def about_start(self) -> bool:
        """Whether it is about how a backend starts: by script, as a container, or as a second one that is silent.

        Elsewhere what a gateway says of a backend that takes its time tells nothing of what is judged.
        """
        silent = self.second_backend is SecondBackend.SILENT
        return self.witness_script != "correct" or self.spin_up is not None or silent

    @property
    def guarded(self) -> bool:
        """Whether a sentinel exchange before and after the drive shows that all is up.

        A witness that misbehaves by script, or a backend that is not to work, can fail an innocent one.
        """
        ordinary = self.witness_script == "correct" and self.backend_face == "http"
        whole = not self.late_backend and self.second_backend in (None, SecondBackend.WORKS)
        return self.sentinel and ordinary and whole and self.spin_up is None

    @property
    def doc(self) -> str:
        """The first paragraph of the drive's docstring."""
        return (inspect.getdoc(self.drive) or "").partition("\n\n")[0]


_SCENARIOS: dict[str, Scenario] = {}


def scenario(
    *,
    suite: str,
    kind: ScenarioKind,
    brings: tuple[str, ...],
    seconds: float = 0.0,
    revisions: tuple[str, ...] = STREAMABLE_LEGACY,
    witness_script: str = "correct",
    needs_witness: bool = False,
    http_backend: bool = False,
    stdio_backend: bool = False,
    http_sse: bool = False,
    credentials: bool = False,
    backend_face: ServedFace = "http",
    spin_up: SpinUp | None = None,
    revokes: bool = False,
    control: bool | None = None,
    late_backend: bool = False,
    late_registration: bool = False,
    second_backend: SecondBackend | None = None,
    network: NetworkFault | None = None,
    published: bool = False,
    untold: bool = False,
    sentinel: bool = True,
    any_start: bool = False,
    client: str = "",
    renews: bool = False,
    follows: bool = False,
    edge: EdgeSetup | None = None,
    name: str = "",
) -> Callable[[Drive], Drive]:
    """Register an async function as a scenario called `name`, or after the function with dashes.

    control: unless said, where the backend alone stands for all that is behind the gateway, and nothing before it.
    """

    def register(drive: Drive) -> Drive:
        called = name or drive.__name__.replace("_", "-")
        own = second_backend is not None
        scripted = witness_script != "correct" or backend_face == "sse" or network is not None or published
        if called in _SCENARIOS and inspect.getfile(_SCENARIOS[called].drive) != inspect.getfile(drive):
            raise ValueError(f"two scenarios are called {called}; their names are part of cell ids, rename one")
        _SCENARIOS[called] = Scenario(
            name=called,
            suite=suite,
            kind=ScenarioKind.DESTRUCTIVE if scripted or own else kind,
            brings=brings,
            seconds=seconds,
            revisions=revisions,
            witness_script=witness_script,
            needs_witness=needs_witness or witness_script != "correct" or own,
            http_backend=http_backend or backend_face == "sse" or network is not None or published,
            stdio_backend=stdio_backend,
            http_sse=http_sse,
            credentials=credentials,
            backend_face=backend_face,
            spin_up=spin_up,
            revokes=revokes,
            control=(not own and edge is None and network is None) if control is None else control,
            late_backend=late_backend,
            late_registration=late_registration,
            second_backend=second_backend,
            network=network,
            published=published,
            untold=untold,
            sentinel=sentinel and network is None,
            any_start=any_start or network is not None,
            client=client,
            renews=renews,
            follows=follows,
            edge=edge,
            drive=drive,
        )
        return drive

    return register


@cache
def scenarios() -> dict[str, Scenario]:
    """Return every scenario by name, loading the suites' `drives` modules on first use."""
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    for suite in (*SUITES, REPLAYS):
        if (SCENARIOS / suite / "drives.py").is_file():
            importlib.import_module(f"scenarios.{suite}.drives")
    return dict(sorted(_SCENARIOS.items()))
