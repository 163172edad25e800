"""Which runtime a plan asks for."""

from __future__ import annotations

from collections.abc import Callable

from conformance.stage.plan import Plan
from conformance.stage.runtime import Runtime


def make_runtime(plan: Plan, on_progress: Callable[[str], None]) -> Runtime:
    """Return the runtime of a plan; on_progress is told of each installation and build.

    Raises CannotJudgeError when the runtime cannot work on this machine.
    """
    if plan.runtime == "containers":
        from conformance.stage.container_runtime import ContainerRuntime  # noqa: PLC0415 - imports the engine's client

        return ContainerRuntime(plan, on_progress=on_progress)
    from conformance.stage.process_runtime import ProcessRuntime  # noqa: PLC0415 - only one of the two is needed

    return ProcessRuntime(plan, on_progress=on_progress)
