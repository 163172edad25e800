"""Which fact separates a failure class from each of its neighbours.

`SEPARATIONS[class][neighbour] = (fact, value)`: where the fact has that value the neighbour is ruled out; where it has
the other one the evidence speaks for the neighbour; where it is None the observation was not made. The sentences stand
in `failure_classes.toml`. A neighbour without an entry here is ruled out by its missing trace (`traces.py`) or not at
all, and then lowers the confidence.
"""

from __future__ import annotations

from typing import Final

from conformance.diagnosis import separations_clients as clients
from conformance.diagnosis import separations_messages as messages
from conformance.diagnosis import separations_network as network
from conformance.diagnosis import separations_sessions as sessions
from conformance.diagnosis import separations_spin_up as spin_up
from conformance.diagnosis import separations_streams as streams
from conformance.diagnosis.failure import Separations

SEPARATIONS: Final[Separations] = {
    **sessions.LIFECYCLE,
    **sessions.SESSION,
    **streams.STREAM,
    **streams.KEEP_ALIVE,
    **streams.CANCELLATION,
    **messages.DISCOVERY,
    **messages.FORMS,
    **spin_up.SPIN_UP,
    **sessions.REPEATS_AND_VERSIONS,
    **messages.ROUTES,
    **clients.CLIENTS,
    **sessions.EXPOSURE,
    **network.NETWORK,
    **network.EDGE,
}
