"""The run's two networks: nothing passes between them but through this machine's addresses."""

from __future__ import annotations

import asyncio
import socket

from conformance.stage.networks import Routes, check_routes, container_address, create_networks
from tests.engine_setup import engine_run, engine_test

pytestmark = engine_test

DIAL = """\
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), 2)
    print("reached")
except TimeoutError:
    print("nothing comes back")
"""


def test_taps_can_stand_between_containers():
    with engine_run() as (client, run_id, base):
        sides = create_networks(client, run_id)
        for side in (sides.gateway, sides.backend):
            assert asyncio.run(check_routes(client, side, base, run_id)).both
        assert not client.containers.list(all=True, filters={"label": f"mcp-gateway-conformance.run={run_id}"})


def test_an_address_that_is_not_of_this_machine_is_no_route():
    with engine_run() as (client, run_id, base):
        side = create_networks(client, run_id).gateway
        client.networks.get(side.id).remove()
        assert asyncio.run(check_routes(client, side, base, run_id)) == Routes(
            container_to_host=False,
            host_to_container=False,
            why=f"{side.host} is not an address of this machine (Cannot assign requested address)",
        )


def test_the_gateway_side_reaches_its_tap_but_no_backend():
    with engine_run() as (client, run_id, base):
        sides = create_networks(client, run_id)
        labels = {"mcp-gateway-conformance.run": run_id}
        server = ["-m", "http.server", "8080"]
        backend = client.containers.run(
            base, server, entrypoint=["python3"], network=sides.backend.name, labels=labels, detach=True, init=True
        )
        address = container_address(backend, sides.backend.name)

        def dialled(host: str, port: int) -> str:
            output = client.containers.run(
                base, ["-c", DIAL, host, str(port)], entrypoint=["python3"], network=sides.gateway.name, remove=True
            )
            return output.decode().strip()

        with socket.create_server((sides.gateway.host, 0)) as tap:
            assert dialled(*tap.getsockname()) == "reached"
        assert dialled(address, 8080) == "nothing comes back"
