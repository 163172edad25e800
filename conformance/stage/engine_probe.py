"""What the container engine of this machine can do for a run, and what to type where it cannot."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from docker.errors import DockerException

from conformance.errors import HarnessError
from conformance.stage.base_image import BASE_TAG, BUILD_COMMAND, is_current
from conformance.stage.container_network import filter_trouble
from conformance.stage.engine import connect
from conformance.stage.engine_cleanup import remove_run_with
from conformance.stage.networks import check_routes, create_networks

if TYPE_CHECKING:
    import docker


FILTERS: Final = "network filters"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at. ok: None when it could not be looked at. remedy: what to type or choose, empty when ok."""

    what: str
    ok: bool | None
    seen: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class EngineReport:
    """What the engine can do. version and platform are empty when none answers."""

    version: str
    platform: str
    engine: Check
    base_image: Check
    routes: Check
    filters: Check

    @property
    def checks(self) -> tuple[Check, ...]:
        """All checks, in the order in which they depend on each other."""
        return (self.engine, self.base_image, self.routes, self.filters)

    @property
    def usable(self) -> bool:
        """Whether a containers run can start at once; only one scenario of suite network needs filters."""
        return all(check.ok for check in (self.engine, self.base_image, self.routes))


def engine_answers() -> bool:
    """Whether a container engine answers: what decides between the two runtimes when none was asked for. Blocks."""
    try:
        connect().close()
    except HarnessError:
        return False
    return True


async def probe_engine() -> EngineReport:
    """Look at the engine, the base image and the routes between containers and taps; leaves nothing behind."""
    try:
        client = await asyncio.to_thread(connect)
    except HarnessError as error:
        told, _, remedy = str(error).partition("; ")
        engine = Check("container engine", ok=False, seen=told, remedy=remedy)
        unknown = "no engine answers"
        unseen = (_unseen(what, unknown) for what in ("base image", "tap routes", FILTERS))
        return EngineReport("", "", engine, *unseen)
    try:
        about = await asyncio.to_thread(client.info)
        version = str(about["ServerVersion"])
        platform = f"{about['OperatingSystem']}, {about['Architecture']}"
        seen = f"version {version} on {platform}, storage driver {about['Driver']}"
        base = await asyncio.to_thread(_base_image, client)
        routes = await _routes(client) if base.ok else _unseen("tap routes", "there is no base image to try them with")
        filters = await asyncio.to_thread(_filters, client)
        return EngineReport(version, platform, Check("container engine", ok=True, seen=seen), base, routes, filters)
    finally:
        await asyncio.to_thread(client.close)


def _base_image(client: docker.DockerClient) -> Check:
    if is_current(client, BASE_TAG):
        return Check("base image", ok=True, seen=BASE_TAG)
    return Check(
        "base image",
        ok=False,
        seen=f"{BASE_TAG} is not there or out of date",
        remedy=f"a run makes it from the public Debian image; where that cannot be pulled, type `{BUILD_COMMAND}`",
    )


async def _routes(client: docker.DockerClient) -> Check:
    run_id = f"probe-{secrets.token_hex(4)}"
    try:
        networks = await asyncio.to_thread(create_networks, client, run_id)
        routes = await check_routes(client, networks.gateway, BASE_TAG, run_id)
    except (HarnessError, DockerException) as error:
        return Check("tap routes", ok=None, seen=str(error), remedy="mend that and look again")
    finally:
        await asyncio.to_thread(remove_run_with, client, run_id)
    if routes.both:
        return Check("tap routes", ok=True, seen="containers reach taps on this machine, and taps reach containers")
    remedy = "use --runtime process, or an engine that runs on this machine itself (not in a virtual machine)"
    return Check("tap routes", ok=False, seen=routes.why, remedy=remedy)


def _filters(client: docker.DockerClient) -> Check:
    """Look whether a rule can be set in a container's network namespace, for what suite network filters."""
    trouble = filter_trouble(client, f"probe-{secrets.token_hex(4)}")
    if trouble == "":
        return Check(FILTERS, ok=True, seen="a helper container with NET_ADMIN sets rules with Debian's iptables")
    if trouble is None:
        remedy = "suite network builds it, from the base image and a Debian mirror"
        return Check(FILTERS, ok=None, seen="the helper image with Debian's iptables is not built yet", remedy=remedy)
    remedy = "let the engine grant NET_ADMIN, on a kernel with iptables; else a filtered port is not exercised"
    return Check(FILTERS, ok=False, seen=trouble, remedy=remedy)


def _unseen(what: str, why: str) -> Check:
    return Check(what, ok=None, seen=why, remedy="mend that first")
