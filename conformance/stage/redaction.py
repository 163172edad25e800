"""What evidence is redacted with: made once for a plan, of all that is known of its secrets."""

from __future__ import annotations

from conformance.evidence.redact import Redactor
from conformance.stage.plan import Plan
from conformance.stage.supplied import supplied_by
from conformance.wire.driver import CLIENT_INFO


def redactor_for(plan: Plan) -> Redactor:
    """Return the redactor for everything that driving a plan writes; its key is its own."""
    return Redactor(
        supplied=supplied_by(plan),
        foreign=plan.url is not None,
        own_conversation=plan.url is not None and bool(plan.url.witness),
        own=frozenset(CLIENT_INFO.values()),
    )
