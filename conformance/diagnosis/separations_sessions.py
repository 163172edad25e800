"""What separates failures of the lifecycle, of sessions and of who may see what from their neighbours."""

from __future__ import annotations

from typing import Final

from conformance.diagnosis import facts_behind as behind
from conformance.diagnosis import facts_client as client
from conformance.diagnosis import facts_isolation as isolation
from conformance.diagnosis import facts_scene as scene
from conformance.diagnosis import facts_spin_up as spin_up
from conformance.diagnosis.failure import Separations

LIFECYCLE: Final[Separations] = {
    "init-race-rejected": {
        "request-before-initialize": (client.initialize_was_answered, True),
        "error-misclassified": (client.session_served_after, True),
    },
    "negotiation-ignored": {
        "server-messages-not-relayed": (client.client_can_be_asked, False),
        "request-before-initialize": (client.initialize_was_answered, True),
    },
    "request-before-initialize": {
        "init-race-rejected": (client.initialize_was_answered, False),
        "reinitialize-rejected": (client.subject_is_initialize, False),
        "session-id-demanded": (client.initialize_was_answered, False),
        "initialize-request-incomplete": (behind.initialize_came_first, False),
    },
    "initialize-request-incomplete": {"request-before-initialize": (behind.initialize_came_first, True)},
    "initialize-result-invalid": {"initialize-hang": (client.subject_answered, True)},
    "reinitialize-rejected": {
        "request-before-initialize": (client.subject_is_initialize, True),
        "one-client-kills-all": (client.bystanders_are_served, True),
        "unknown-session-wrong-status": (client.subject_has_session, False),
    },
    "initialize-hang": {
        "client-turned-away": (client.subject_refused, False),
        "hang-on-upstream-error": (client.subject_is_initialize, True),
        "container-not-ready": (behind.backend_was_still_starting, False),
        "get-sse-dead-stream": (client.subject_is_get, False),
        "empty-200-stream": (client.stream_ended_empty, False),
        "connect-blocked": (client.connection_was_made, True),
        "gateway-timeout-too-short": (client.response_stayed_open, True),
        "docker-socket-unusable": (behind.engine_refused, False),
        "initialize-result-invalid": (client.subject_answered, False),
        "container-silent": (spin_up.container_stayed_silent, False),
    },
    "one-client-kills-all": {
        "stale-session-after-restart": (client.something_was_restarted, False),
        "reinitialize-rejected": (client.working_session_failed, True),
        "dead-child-zombie": (client.initialize_is_still_answered, False),
        "keepalive-socket-race": (client.only_the_connection_was_lost, False),
    },
    "era-mismatch": {"version-header-dropped": (client.initialize_was_answered, False)},
    "version-header-unchecked": {"version-header-dropped": (client.version_header_was_wrong, True)},
    "version-header-dropped": {"version-header-unchecked": (scene.wrong_version_sent, False)},
}

SESSION: Final[Separations] = {
    "unknown-session-wrong-status": {
        "stale-session-after-restart": (client.subject_is_404, False),
        "session-id-demanded": (client.subject_has_session, True),
        "replica-affinity-missing": (client.session_was_valid, False),
        "jsonrpc-error-as-http-error": (client.session_was_valid, False),
        "reinitialize-rejected": (client.subject_is_initialize, False),
    },
    "stale-session-after-restart": {
        "unknown-session-wrong-status": (client.subject_is_404, True),
        "replica-affinity-missing": (client.session_served_after, False),
        "dead-child-zombie": (client.new_sessions_work, True),
        "intermediary-idle-cut": (client.subject_refused, True),
        "one-client-kills-all": (client.new_sessions_work, True),
        "stateless-rejects-session-header": (client.session_was_served, True),
        "keepalive-socket-race": (client.subject_refused, True),
    },
    "upstream-session-per-call": {
        "upstream-session-shared": (behind.backend_has_many_sessions, True),
        "session-leak": (behind.backend_has_many_sessions, True),
    },
    "upstream-session-shared": {
        "upstream-session-per-call": (behind.backend_has_many_sessions, False),
        "response-crosswire": (client.nonces_are_right, True),
        "cache-crosses-clients": (behind.backend_sessions_are_shared, True),
    },
    "session-id-demanded": {
        "stateless-rejects-session-header": (client.subject_has_session, False),
        "unknown-session-wrong-status": (client.subject_has_session, False),
        "request-before-initialize": (client.initialize_was_answered, True),
        "get-sse-wrong-status": (client.session_id_sent_or_not_needed, False),
    },
    "session-minted-on-error": {"session-leak": (client.subject_refused, True)},
    "session-leak": {
        "session-minted-on-error": (client.subject_refused, False),
        "upstream-session-per-call": (behind.backend_has_many_sessions, False),
    },
}

REPEATS_AND_VERSIONS: Final[Separations] = {
    "reinitialize-breaks-session": {
        "reinitialize-rejected": (client.session_was_valid, True),
        "stale-session-after-restart": (client.something_was_restarted, False),
    },
    "session-id-adopted": {"session-not-bound-to-principal": (client.subject_is_initialize, True)},
    "initialize-in-batch-served": {"request-before-initialize": (client.subject_answered, False)},
    "unsupported-version-used": {
        "era-mismatch": (scene.modern_peer, False),
        "version-header-unchecked": (scene.wrong_version_sent, False),
    },
    "version-header-wrong-leg": {"version-header-dropped": (scene.version_missing, False)},
    "version-header-demanded": {
        "version-header-unchecked": (client.version_header_was_wrong, False),
        "session-id-demanded": (client.subject_has_session, True),
    },
    "session-id-changed": {
        "session-minted-on-error": (client.subject_refused, False),
        "replica-affinity-missing": (client.subject_refused, False),
    },
    "stdio-child-killed": {
        "container-leak-or-storm": (behind.containers_remain, False),
        "dead-child-zombie": (client.new_sessions_work, True),
    },
}

EXPOSURE: Final[Separations] = {
    "origin-not-checked": {
        "cors-headers-hidden": (isolation.foreign_page_served, True),
        "listens-on-every-interface": (isolation.subject_is_page, True),
    },
    "credential-exposed": {
        "session-not-bound-to-principal": (isolation.subject_was_served_unduly, False),
        "credential-dropped": (isolation.own_credential_missing, False),
    },
    "credential-dropped": {
        "credential-exposed": (isolation.own_credential_missing, True),
        "auth-scheme-mismatch": (isolation.own_credential_missing, True),
    },
    "session-not-bound-to-principal": {
        "credential-exposed": (isolation.subject_was_served_unduly, True),
        "auth-scheme-mismatch": (isolation.subject_was_served_unduly, True),
    },
    "cache-crosses-clients": {
        "response-crosswire": (isolation.subject_met_another, False),
        "upstream-session-shared": (behind.backend_sessions_are_shared, False),
    },
    "listens-on-every-interface": {"origin-not-checked": (isolation.subject_is_page, False)},
    "cors-headers-hidden": {"origin-not-checked": (isolation.foreign_page_served, False)},
}
