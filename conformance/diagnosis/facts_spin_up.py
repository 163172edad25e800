"""Facts about a container that a gateway was to start: which cause of its not serving stands in the evidence."""

from __future__ import annotations

from conformance.diagnosis.failure import Failure
from conformance.rules import spin_up_cause as why
from conformance.rules.answers import without_good_result


def image_is_missing(failure: Failure) -> bool | None:
    """The engine has no image of the name that it was asked for."""
    return why.image_missing(failure.through) is not None


def engine_is_out_of_reach(failure: Failure) -> bool | None:
    """The engine cannot be reached from the gateway's place, or forbids it every change."""
    return why.unreachable(failure.through) is not None or why.refused(failure.through) is not None


def program_is_missing(failure: Failure) -> bool | None:
    """The program that the container is to run cannot be run."""
    return why.program_missing(failure.through) is not None


def memory_ran_out(failure: Failure) -> bool | None:
    """The engine's memory limit ended the container's server."""
    return why.out_of_memory(failure.through) is not None


def container_ended_unheard(failure: Failure) -> bool | None:
    """A container ended by itself before its server had said a word."""
    return why.exited(failure.through) is not None


def container_stayed_silent(failure: Failure) -> bool | None:
    """A container ran, and its server said nothing for longer than any start takes."""
    return why.silent(failure.through) is not None


def port_is_unpublished(failure: Failure) -> bool | None:
    """A container exposes a port that is not published, and nobody speaks to it on its standard input."""
    return why.unpublished(failure.through) is not None


def entry_is_not_enabled(failure: Failure) -> bool | None:
    """The gateway knows the backend and was not told to use it: it was started so, or its log says so."""
    return failure.through.header.get("spin_up") == "not-enabled" or why.not_enabled(failure.through) is not None


def revoked_backend_served(failure: Failure) -> bool | None:
    """A call had a result after the backend had been revoked."""
    revoked = failure.through.stimuli("backend.revoked")
    calls = (item for item in failure.through.client() if item.rpc_method == "tools/call")
    return bool(revoked) and any(item.t > revoked[0].t and not without_good_result(item) for item in calls)


def backend_was_revoked(failure: Failure) -> bool | None:
    """The backend was taken away from the running gateway."""
    return bool(failure.through.stimuli("backend.revoked"))


def engine_came_back(failure: Failure) -> bool | None:
    """The engine was gone for a while and could be reached again."""
    return bool(failure.through.stimuli("engine.back"))
