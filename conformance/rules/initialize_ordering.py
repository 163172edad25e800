"""Family initialize_ordering: who may say what before, during and after the handshake (basic/lifecycle).

The rules stand in the modules imported here, by what is judged: the answers to sound initializes, to messages out of
order, the gateway's own handshakes, and what is offered after them.
"""

from __future__ import annotations

from conformance.rules import (
    initialize_ordering_client,
    initialize_ordering_handshake,
    initialize_ordering_offer,
    initialize_ordering_refusal,
)

__all__ = [
    "initialize_ordering_client",
    "initialize_ordering_handshake",
    "initialize_ordering_offer",
    "initialize_ordering_refusal",
]
