"""Family initialize_ordering: who may say what before, during and after the handshake (basic/lifecycle).

The rules stand in the modules imported here, by what is judged: the answers to sound initializes, to messages out of
order, the gateway's own handshakes, what is offered after them, repeated and crowded initializes, versions,
and one of two backends that is not there.
"""

from __future__ import annotations

from conformance.rules import (
    initialize_ordering_client,
    initialize_ordering_connects,
    initialize_ordering_handshake,
    initialize_ordering_offer,
    initialize_ordering_refusal,
    initialize_ordering_repeats,
    initialize_ordering_silence,
    initialize_ordering_two,
    initialize_ordering_versions,
)

__all__ = [
    "initialize_ordering_client",
    "initialize_ordering_connects",
    "initialize_ordering_handshake",
    "initialize_ordering_offer",
    "initialize_ordering_refusal",
    "initialize_ordering_repeats",
    "initialize_ordering_silence",
    "initialize_ordering_two",
    "initialize_ordering_versions",
]
