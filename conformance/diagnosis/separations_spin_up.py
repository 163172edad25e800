"""What separates failures of containers that a gateway starts from their neighbours."""

from __future__ import annotations

from typing import Final

from conformance.diagnosis import facts_behind as behind
from conformance.diagnosis import facts_client as client
from conformance.diagnosis import facts_spin_up as spin_up
from conformance.diagnosis.failure import Separations

SPIN_UP: Final[Separations] = {
    "enabled-but-not-started": {
        "wrong-gateway-instance": (client.gateway_saw_the_trigger, True),
        "docker-socket-unusable": (behind.engine_refused, False),
        "container-not-ready": (behind.container_came_of_it, False),
        "list-changed-not-propagated": (behind.container_came_of_it, False),
        "empty-tools-startup-race": (behind.container_came_of_it, False),
        "image-missing": (spin_up.image_is_missing, False),
        "container-command-missing": (spin_up.program_is_missing, False),
        "entry-not-enabled": (spin_up.entry_is_not_enabled, False),
    },
    "container-not-ready": {
        "enabled-but-not-started": (behind.container_was_started, True),
        "dead-child-zombie": (client.list_had_tools_before, False),
        "initialize-hang": (client.new_sessions_work, True),
        "empty-tools-startup-race": (behind.backend_listed_tools, False),
        "docker-socket-unusable": (behind.engine_refused, False),
        "keepalive-socket-race": (client.connection_served_before, False),
        "container-silent": (spin_up.container_stayed_silent, False),
    },
    "docker-socket-unusable": {
        "enabled-but-not-started": (behind.engine_refused, True),
        "container-not-ready": (behind.container_was_started, False),
        "wrong-gateway-instance": (behind.engine_refused, True),
        "initialize-hang": (behind.engine_refused, True),
        "image-missing": (spin_up.image_is_missing, False),
        "engine-loss-not-recovered": (spin_up.engine_came_back, False),
    },
    "image-missing": {
        "enabled-but-not-started": (behind.engine_was_asked, True),
        "docker-socket-unusable": (spin_up.engine_is_out_of_reach, False),
        "container-command-missing": (behind.container_was_created, False),
    },
    "container-command-missing": {
        "image-missing": (behind.container_was_created, True),
        "enabled-but-not-started": (behind.container_was_created, True),
        "container-exits-at-once": (spin_up.container_ended_unheard, False),
    },
    "container-exits-at-once": {
        "container-command-missing": (spin_up.program_is_missing, False),
        "container-oom-killed": (spin_up.memory_ran_out, False),
        "container-silent": (spin_up.container_ended_unheard, True),
        "dead-child-zombie": (spin_up.container_ended_unheard, True),
    },
    "container-oom-killed": {"container-exits-at-once": (spin_up.memory_ran_out, True)},
    "container-silent": {
        "container-exits-at-once": (spin_up.container_ended_unheard, False),
        "container-port-unpublished": (spin_up.port_is_unpublished, False),
        "container-not-ready": (spin_up.container_stayed_silent, True),
        "initialize-hang": (spin_up.container_stayed_silent, True),
    },
    "container-port-unpublished": {
        "container-silent": (spin_up.port_is_unpublished, True),
        "container-loopback-unreachable": (spin_up.port_is_unpublished, True),
    },
    "entry-not-enabled": {
        "enabled-but-not-started": (spin_up.entry_is_not_enabled, True),
        "wrong-gateway-instance": (client.gateway_saw_the_trigger, True),
    },
    "revoked-entry-served": {
        "list-changed-not-propagated": (spin_up.revoked_backend_served, True),
        "container-leak-or-storm": (spin_up.revoked_backend_served, True),
    },
    "engine-loss-not-recovered": {
        "docker-socket-unusable": (spin_up.engine_came_back, True),
        "dead-child-zombie": (spin_up.engine_came_back, True),
    },
    "container-leak-or-storm": {
        "ephemeral-state-loss": (behind.containers_remain, True),
        "session-leak": (behind.containers_remain, True),
        "upstream-session-per-call": (behind.containers_remain, True),
        "revoked-entry-served": (spin_up.revoked_backend_served, False),
    },
    "dead-child-zombie": {
        "hang-on-upstream-error": (client.response_stayed_open, False),
        "stale-session-after-restart": (client.new_sessions_work, False),
        "container-not-ready": (behind.backend_was_still_starting, False),
        "empty-200-stream": (client.stream_ended_empty, False),
        "one-client-kills-all": (client.initialize_is_still_answered, True),
        "ephemeral-state-loss": (client.subject_answered, False),
        "container-exits-at-once": (spin_up.container_ended_unheard, False),
        "engine-loss-not-recovered": (spin_up.engine_came_back, False),
    },
}
