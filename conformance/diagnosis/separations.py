"""Which fact separates a failure class from each of its neighbours.

`SEPARATIONS[class][neighbour] = (fact, value)`: where the fact has that value the neighbour is ruled out; where it has
the other one the evidence speaks for the neighbour; where it is None the observation was not made. The sentences stand
in `failure_classes.toml`. A neighbour without an entry cannot be told apart by evidence of one cell, and lowers the
confidence.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

from conformance.diagnosis import facts
from conformance.diagnosis.facts import Fact

Separator: TypeAlias = tuple[Fact, bool]

SEPARATIONS: Final[Mapping[str, Mapping[str, Separator]]] = {
    "init-race-rejected": {
        "request-before-initialize": (facts.initialize_was_answered, True),
        "empty-tools-startup-race": (facts.subject_refused, True),
        "error-misclassified": (facts.session_served_after, True),
    },
    "request-before-initialize": {
        "init-race-rejected": (facts.backend_is_up, True),
        "reinitialize-rejected": (facts.subject_is_initialize, False),
        "session-id-demanded": (facts.initialize_was_answered, False),
        "connect-refresh-collision": (facts.requests_overlapped, False),
        "era-mismatch": (facts.modern_metadata_was_sent, False),
        "initialize-request-incomplete": (facts.subject_is_initialize, False),
    },
    "initialize-result-invalid": {
        "initialize-hang": (facts.response_stayed_open, False),
        "initialize-request-incomplete": (facts.subject_is_initialize, True),
    },
    "initialize-request-incomplete": {
        "initialize-result-invalid": (facts.backend_exchanged_http, True),
        "request-before-initialize": (facts.backend_exchanged_http, True),
    },
    "ping-not-answered": {
        "head-of-line-block": (facts.session_served_after, True),
        "heartbeat-kills-session": (facts.server_ping_unanswered, False),
    },
    "heartbeat-storm": {
        "idle-stream-no-heartbeat": (facts.stream_carried_bytes, True),
    },
    "reinitialize-rejected": {
        "request-before-initialize": (facts.subject_is_initialize, True),
        "connect-refresh-collision": (facts.requests_overlapped, False),
        "one-client-kills-all": (facts.bystanders_are_served, True),
        "unknown-session-wrong-status": (facts.subject_has_session, False),
    },
    "initialize-hang": {
        "hang-on-upstream-error": (facts.subject_is_initialize, True),
        "initialize-result-invalid": (facts.response_stayed_open, True),
        "container-not-ready": (facts.control_is_served, True),
        "get-sse-dead-stream": (facts.subject_is_get, False),
        "empty-200-stream": (facts.stream_ended_empty, False),
        "connect-blocked": (facts.connection_was_made, True),
        "one-bad-backend-empties-all": (facts.control_is_served, True),
        "gateway-timeout-too-short": (facts.response_stayed_open, True),
        "docker-socket-unusable": (facts.spun_up, False),
    },
    "one-client-kills-all": {
        "cancel-poisons-session": (facts.bystanders_are_served, False),
        "second-get-destroys-session": (facts.bystanders_are_served, False),
        "stale-session-after-restart": (facts.something_was_restarted, False),
        "reinitialize-rejected": (facts.bystanders_are_served, False),
        "dead-child-zombie": (facts.something_exited, False),
        "keepalive-socket-race": (facts.bystanders_are_served, False),
    },
    "unknown-session-wrong-status": {
        "stale-session-after-restart": (facts.subject_is_404, False),
        "session-id-demanded": (facts.subject_has_session, True),
        "stateless-rejects-session-header": (facts.session_ids_are_issued, True),
        "replica-affinity-missing": (facts.session_was_served, False),
        "jsonrpc-error-as-http-error": (facts.subject_refused, True),
        "reinitialize-rejected": (facts.subject_is_initialize, False),
    },
    "stale-session-after-restart": {
        "unknown-session-wrong-status": (facts.subject_is_404, True),
        "replica-affinity-missing": (facts.session_served_after, False),
        "heartbeat-kills-session": (facts.server_ping_unanswered, False),
        "second-get-destroys-session": (facts.second_get_came_before, False),
        "dead-child-zombie": (facts.something_exited, False),
        "intermediary-idle-cut": (facts.session_served_after, False),
        "one-client-kills-all": (facts.new_sessions_work, True),
        "stateless-rejects-session-header": (facts.session_was_served, True),
        "keepalive-socket-race": (facts.subject_refused, True),
    },
    "upstream-session-per-call": {
        "upstream-session-shared": (facts.backend_has_many_sessions, True),
        "ephemeral-state-loss": (facts.backend_processes_grew, False),
        "replica-affinity-missing": (facts.backend_has_many_sessions, True),
        "container-leak-or-storm": (facts.backend_processes_grew, False),
        "session-leak": (facts.backend_has_many_sessions, True),
    },
    "upstream-session-shared": {
        "upstream-session-per-call": (facts.backend_has_many_sessions, False),
        "response-crosswire": (facts.nonces_are_right, True),
        "session-not-bound-to-principal": (facts.initialize_was_answered, True),
    },
    "session-id-demanded": {},
    "session-minted-on-error": {
        "session-leak": (facts.subject_refused, True),
    },
    "get-sse-wrong-status": {
        "get-sse-dead-stream": (facts.subject_refused, True),
        "get-sse-409-stale": (facts.second_get_came_before, False),
        "session-id-demanded": (facts.post_is_served, True),
        "wrong-route-html": (facts.post_is_served, True),
        "accept-406": (facts.accept_lists_both, True),
    },
    "get-sse-dead-stream": {
        "idle-stream-no-heartbeat": (facts.stream_carried_bytes, False),
        "proxy-buffers-sse": (facts.backend_sent_beats, False),
        "get-sse-wrong-status": (facts.subject_refused, False),
        "server-messages-not-relayed": (facts.stream_carried_bytes, False),
        "initialize-hang": (facts.initialize_was_answered, True),
        "auth-challenge-incomplete": (facts.post_is_served, True),
        "heartbeat-kills-session": (facts.session_served_after, True),
        "list-changed-not-propagated": (facts.stream_carried_bytes, False),
    },
    "second-get-destroys-session": {
        "get-sse-409-stale": (facts.session_served_after, False),
        "stale-session-after-restart": (facts.something_was_restarted, False),
        "one-client-kills-all": (facts.bystanders_are_served, True),
        "heartbeat-kills-session": (facts.server_ping_unanswered, False),
    },
    "server-messages-not-relayed": {
        "get-sse-dead-stream": (facts.stream_carried_bytes, True),
        "list-changed-not-propagated": (facts.other_notifications_arrive, False),
        "response-crosswire": (facts.another_client_received, False),
        "resumption-broken": (facts.response_stayed_open, True),
    },
    "nonconforming-sse-event": {
        "stdout-contamination": (facts.stdout_was_contaminated, False),
        "middleware-breaks-stream": (facts.response_stayed_open, False),
        "empty-200-stream": (facts.stream_ended_empty, False),
    },
    "idle-stream-no-heartbeat": {
        "heartbeat-storm": (facts.stream_carried_bytes, False),
        "intermediary-idle-cut": (facts.response_stayed_open, True),
        "get-sse-dead-stream": (facts.session_ids_are_issued, True),
        "proxy-buffers-sse": (facts.subject_got_status, True),
    },
    "intermediary-idle-cut": {
        "idle-stream-no-heartbeat": (facts.stream_carried_bytes, True),
        "gateway-timeout-too-short": (facts.subject_is_get, True),
        "stale-session-after-restart": (facts.session_served_after, True),
        "keepalive-socket-race": (facts.subject_got_status, True),
        "get-sse-409-stale": (facts.second_get_came_before, False),
    },
    "keepalive-socket-race": {
        "intermediary-idle-cut": (facts.subject_got_status, False),
        "one-client-kills-all": (facts.bystanders_are_served, True),
        "connect-refresh-collision": (facts.requests_overlapped, False),
        "stale-session-after-restart": (facts.subject_refused, False),
        "container-not-ready": (facts.initialize_was_answered, True),
        "replica-affinity-missing": (facts.subject_refused, False),
    },
    "gateway-timeout-too-short": {
        "hang-on-upstream-error": (facts.backend_answered, False),
        "initialize-hang": (facts.subject_is_initialize, False),
        "intermediary-idle-cut": (facts.subject_is_get, False),
        "unsafe-retry": (facts.nonce_arrived_twice, False),
        "head-of-line-block": (facts.requests_overlapped, False),
    },
    "hang-on-upstream-error": {
        "gateway-timeout-too-short": (facts.response_stayed_open, True),
        "initialize-hang": (facts.subject_is_initialize, False),
        "dead-child-zombie": (facts.response_stayed_open, True),
        "empty-200-stream": (facts.stream_ended_empty, False),
        "error-misclassified": (facts.response_stayed_open, True),
        "head-of-line-block": (facts.requests_overlapped, False),
    },
    "proxy-buffers-sse": {
        "idle-stream-no-heartbeat": (facts.backend_sent_beats, True),
        "get-sse-dead-stream": (facts.subject_got_status, True),
        "server-messages-not-relayed": (facts.subject_got_status, True),
        "heartbeat-kills-session": (facts.server_ping_unanswered, False),
    },
    "empty-200-stream": {
        "hang-on-upstream-error": (facts.response_stayed_open, False),
        "initialize-hang": (facts.response_stayed_open, False),
        "dead-child-zombie": (facts.stream_ended_empty, True),
        "middleware-breaks-stream": (facts.backend_answered, False),
        "stdout-contamination": (facts.stdout_was_contaminated, False),
        "nonconforming-sse-event": (facts.stream_ended_empty, True),
        "wrong-gateway-instance": (facts.gateway_saw_the_trigger, True),
    },
    "empty-tools-startup-race": {
        "list-changed-not-propagated": (facts.something_was_restarted, True),
        "one-bad-backend-empties-all": (facts.backend_is_up, True),
        "silent-partial-aggregate": (facts.backend_is_up, True),
        "container-not-ready": (facts.control_is_served, True),
        "enabled-but-not-started": (facts.spun_up, False),
        "init-race-rejected": (facts.initialize_was_answered, True),
        "tls-name-or-trust": (facts.backend_exchanged_http, True),
        "pagination-broken": (facts.initialize_was_answered, True),
    },
    "list-changed-not-propagated": {
        "empty-tools-startup-race": (facts.backend_listed_tools, True),
        "server-messages-not-relayed": (facts.other_notifications_arrive, True),
        "get-sse-dead-stream": (facts.initialize_was_answered, True),
        "enabled-but-not-started": (facts.backend_listed_tools, True),
    },
    "enabled-but-not-started": {
        "wrong-gateway-instance": (facts.gateway_saw_the_trigger, True),
        "docker-socket-unusable": (facts.engine_refused, False),
        "container-not-ready": (facts.container_was_created, False),
        "list-changed-not-propagated": (facts.backend_listed_tools, False),
        "empty-tools-startup-race": (facts.container_was_started, False),
    },
    "container-not-ready": {
        "enabled-but-not-started": (facts.container_was_started, True),
        "dead-child-zombie": (facts.initialize_was_answered, False),
        "initialize-hang": (facts.something_exited, True),
        "empty-tools-startup-race": (facts.backend_listed_tools, False),
        "docker-socket-unusable": (facts.engine_refused, False),
        "stdout-contamination": (facts.stdout_was_contaminated, False),
        "keepalive-socket-race": (facts.initialize_was_answered, False),
        "connect-blocked": (facts.connection_was_made, True),
    },
    "docker-socket-unusable": {
        "enabled-but-not-started": (facts.engine_refused, True),
        "container-not-ready": (facts.container_was_started, False),
        "wrong-gateway-instance": (facts.gateway_saw_the_trigger, True),
        "initialize-hang": (facts.engine_refused, True),
    },
    "container-leak-or-storm": {
        "ephemeral-state-loss": (facts.container_was_started, True),
        "session-leak": (facts.container_was_started, True),
        "upstream-session-per-call": (facts.container_was_started, True),
        "unsafe-retry": (facts.nonce_arrived_twice, False),
    },
    "dead-child-zombie": {
        "hang-on-upstream-error": (facts.response_stayed_open, False),
        "stale-session-after-restart": (facts.new_sessions_work, False),
        "container-not-ready": (facts.session_was_served, True),
        "empty-200-stream": (facts.stream_ended_empty, False),
        "one-client-kills-all": (facts.something_exited, True),
    },
    "response-crosswire": {
        "upstream-session-shared": (facts.nonces_are_right, False),
        "head-of-line-block": (facts.nonces_are_right, False),
        "server-messages-not-relayed": (facts.post_is_served, True),
        "unsafe-retry": (facts.nonce_arrived_twice, False),
    },
    "session-leak": {
        "session-minted-on-error": (facts.subject_refused, False),
        "container-leak-or-storm": (facts.spun_up, False),
        "upstream-session-per-call": (facts.backend_has_many_sessions, False),
    },
    "version-header-unchecked": {
        "version-header-dropped": (facts.subject_refused, False),
        "era-mismatch": (facts.modern_metadata_was_sent, False),
    },
    "version-header-dropped": {
        "version-header-unchecked": (facts.backend_exchanged_http, True),
        "era-mismatch": (facts.backend_is_up, True),
    },
}
