"""What separates failures of real clients from their neighbours."""

from __future__ import annotations

from typing import Final

from conformance.diagnosis import facts_behind as behind
from conformance.diagnosis import facts_client as client
from conformance.diagnosis import facts_isolation as isolation
from conformance.diagnosis import facts_lists as lists
from conformance.diagnosis.failure import Separations

CLIENTS: Final[Separations] = {
    "transport-mismatch": dict.fromkeys(
        ("initialize-hang", "get-sse-wrong-status", "get-sse-dead-stream", "client-turned-away"),
        (client.transports_differ, True),
    ),
    "client-turned-away": {"initialize-hang": (client.subject_got_status, True)},
    "one-bad-backend-empties-all": {
        "initialize-hang": (behind.one_of_several_was_silent, True),
        "silent-partial-aggregate": (lists.a_client_was_listed_tools, False),
    },
    "auth-scheme-mismatch": {
        "client-turned-away": (client.key_is_taken_otherwise, True),
        "auth-challenge-incomplete": (client.key_is_taken_otherwise, True),
        "session-not-bound-to-principal": (isolation.subject_was_served_unduly, False),
        "credential-dropped": (client.key_is_taken_otherwise, True),
    },
}
