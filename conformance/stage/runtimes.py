"""Which runtime a plan asks for."""

from __future__ import annotations

from conformance.stage.plan import Plan
from conformance.stage.runtime import Runtime


def make_runtime(plan: Plan) -> Runtime:
    """Return the runtime of a plan. Raises CannotJudgeError when it cannot work on this machine."""
    if plan.runtime == "containers":
        from conformance.stage.container_runtime import ContainerRuntime  # noqa: PLC0415 - imports the engine's client

        return ContainerRuntime(plan)
    from conformance.stage.process_runtime import ProcessRuntime  # noqa: PLC0415 - only one of the two is needed

    return ProcessRuntime(plan)
