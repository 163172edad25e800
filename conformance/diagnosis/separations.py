"""Which fact separates a failure class from each of its neighbours.

`SEPARATIONS[class][neighbour] = (fact, value)`: where the fact has that value the neighbour is ruled out; where it has
the other one the evidence speaks for the neighbour; where it is None the observation was not made. The sentences stand
in `failure_classes.toml`. A neighbour without an entry here is ruled out by its missing trace (`traces.py`) or not at
all, and then lowers the confidence.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

from conformance.diagnosis import facts_behind as behind
from conformance.diagnosis import facts_cancellation as cancellation
from conformance.diagnosis import facts_client as client
from conformance.diagnosis import facts_edge as edge
from conformance.diagnosis import facts_http_sse as http_sse
from conformance.diagnosis import facts_isolation as isolation
from conformance.diagnosis import facts_lists as lists
from conformance.diagnosis import facts_messages as messages
from conformance.diagnosis import facts_network as network
from conformance.diagnosis import facts_resumption as resumption
from conformance.diagnosis import facts_scene as scene
from conformance.diagnosis import facts_spin_up as spin_up
from conformance.diagnosis.failure import Fact

Separator: TypeAlias = tuple[Fact, bool]

_LIFECYCLE: Final[Mapping[str, Mapping[str, Separator]]] = {
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

_SESSION: Final[Mapping[str, Mapping[str, Separator]]] = {
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

_STREAM: Final[Mapping[str, Mapping[str, Separator]]] = {
    "get-sse-wrong-status": {
        "get-sse-dead-stream": (client.subject_is_stream, False),
        "session-id-demanded": (client.session_id_sent_or_not_needed, True),
        "wrong-route-html": (client.post_is_served, True),
        "accept-406": (client.accept_was_enough, True),
        "sse-endpoint-astray": (client.subject_is_stream, False),
    },
    "sse-endpoint-astray": {
        "get-sse-wrong-status": (http_sse.endpoint_was_named, True),
        "sse-response-off-stream": (http_sse.endpoint_took_posts, False),
        "http-sse-backend-mishandled": (http_sse.fault_is_behind, False),
    },
    "http-sse-backend-mishandled": {"sse-endpoint-astray": (http_sse.fault_is_behind, True)},
    "sse-response-off-stream": {
        "sse-endpoint-astray": (http_sse.endpoint_took_posts, True),
        "response-crosswire": (http_sse.another_stream_answered, False),
    },
    "get-sse-dead-stream": {
        "idle-stream-no-heartbeat": (behind.server_message_arrived, False),
        "proxy-buffers-sse": (behind.hop_behind_wrote, False),
        "get-sse-wrong-status": (client.subject_refused, False),
        "server-messages-not-relayed": (client.stream_carried_bytes, False),
        "initialize-hang": (client.initialize_was_answered, True),
        "heartbeat-kills-session": (client.session_served_after, True),
        "list-changed-not-propagated": (client.stream_carried_bytes, False),
    },
    "second-get-destroys-session": {
        "get-sse-409-stale": (client.session_served_after, False),
        "stale-session-after-restart": (client.something_was_restarted, False),
        "one-client-kills-all": (client.bystanders_are_served, True),
    },
    "get-sse-409-stale": {
        "second-get-destroys-session": (client.session_served_after, True),
        "get-sse-wrong-status": (resumption.get_was_refused_as_second, True),
        "resumption-broken": (resumption.get_was_refused_as_second, True),
        "intermediary-idle-cut": (resumption.get_was_refused_as_second, True),
    },
    "resumption-broken": {
        "server-messages-not-relayed": (resumption.lost_by_interruption_only, True),
        "get-sse-409-stale": (resumption.get_was_refused_as_second, False),
        "response-crosswire": (resumption.response_came_uninterrupted, False),
    },
    "server-messages-garbled": {
        "server-messages-not-relayed": (behind.server_message_arrived, True),
        "response-crosswire": (client.nonces_are_right, True),
        "proxy-buffers-sse": (scene.came_late, False),
    },
    "server-messages-not-relayed": {
        "server-messages-garbled": (behind.all_messages_arrived, False),
        "negotiation-ignored": (behind.all_messages_arrived, False),
        "get-sse-dead-stream": (client.client_streams_carry_bytes, True),
        "proxy-buffers-sse": (client.response_stayed_open, False),
        "list-changed-not-propagated": (behind.other_notifications_arrive, False),
        "response-crosswire": (behind.another_client_received, False),
    },
    "nonconforming-sse-event": {"empty-200-stream": (client.stream_ended_empty, False)},
    "proxy-buffers-sse": {
        "server-messages-garbled": (scene.came_late, True),
        "middleware-breaks-stream": (behind.hop_behind_wrote, True),
        "idle-stream-no-heartbeat": (behind.hop_behind_wrote, True),
        "get-sse-dead-stream": (behind.hop_behind_wrote, True),
        "server-messages-not-relayed": (behind.all_messages_arrived, True),
    },
    "sse-misread": {
        "hang-on-upstream-error": (behind.an_answer_came_of_it, True),
        "middleware-breaks-stream": (behind.an_answer_came_of_it, True),
    },
    "empty-200-stream": {
        "hang-on-upstream-error": (client.response_stayed_open, False),
        "initialize-hang": (client.response_stayed_open, False),
        "dead-child-zombie": (client.stream_ended_empty, True),
        "middleware-breaks-stream": (behind.backend_answered, False),
        "nonconforming-sse-event": (client.stream_ended_empty, True),
        "wrong-gateway-instance": (client.gateway_saw_the_trigger, True),
    },
}

_KEEP_ALIVE: Final[Mapping[str, Mapping[str, Separator]]] = {
    "idle-stream-no-heartbeat": {
        "intermediary-idle-cut": (edge.open_or_missed_a_beat, True),
        "get-sse-dead-stream": (behind.server_message_arrived, True),
        "proxy-buffers-sse": (scene.came_late, False),
        "heartbeat-storm": (client.stream_carried_bytes, False),
    },
    "heartbeat-storm": {"idle-stream-no-heartbeat": (client.stream_carried_bytes, True)},
    "intermediary-idle-cut": {
        "idle-stream-no-heartbeat": (edge.cut_without_excuse, True),
        "gateway-timeout-too-short": (client.subject_is_get, True),
        "stale-session-after-restart": (client.session_served_after, True),
        "keepalive-socket-race": (client.subject_got_status, True),
    },
    "keepalive-socket-race": {
        "intermediary-idle-cut": (client.subject_got_status, False),
        "one-client-kills-all": (client.fresh_connection_served, True),
        "stale-session-after-restart": (client.session_served_after, True),
        "container-not-ready": (client.connection_served_before, True),
    },
    "gateway-timeout-too-short": {
        "hang-on-upstream-error": (behind.backend_had_failed, False),
        "initialize-hang": (client.response_stayed_open, False),
        "intermediary-idle-cut": (client.subject_is_get, False),
    },
    "hang-on-upstream-error": {
        "large-payload-lost": (behind.backend_had_failed, True),
        "sse-misread": (behind.backend_had_failed, True),
        "fault-poisons-session": (behind.backend_saw_the_call, True),
        "gateway-timeout-too-short": (client.response_stayed_open, True),
        "initialize-hang": (client.subject_is_initialize, False),
        "dead-child-zombie": (client.response_stayed_open, True),
        "empty-200-stream": (client.stream_ended_empty, False),
        "error-misclassified": (client.response_stayed_open, True),
    },
    "response-crosswire": {
        "server-messages-garbled": (client.nonces_are_right, False),
        "upstream-session-shared": (client.nonces_are_right, False),
        "head-of-line-block": (client.nonces_are_right, False),
        "server-messages-not-relayed": (client.nonces_are_right, False),
        "cancel-crosses-clients": (isolation.another_client_cancelled, False),
        "cache-crosses-clients": (isolation.subject_met_another, True),
        "request-id-mishandled": (client.nonces_are_right, False),
        "sse-response-off-stream": (http_sse.another_stream_answered, True),
        "resumption-broken": (resumption.response_came_uninterrupted, True),
    },
    "content-altered": {"error-misclassified": (messages.errors_keep_their_kind, True)},
    "error-misclassified": {
        "content-altered": (messages.errors_keep_their_kind, False),
        "hang-on-upstream-error": (client.response_stayed_open, False),
        "init-race-rejected": (client.initialized_was_accepted, True),
        "tool-name-mangled": (behind.backend_saw_the_call, True),
        "http-form-mishandled": (behind.backend_had_failed, True),
    },
    "malformed-message": {
        "content-altered": (messages.malformed_message_sent, True),
        "request-id-mishandled": (messages.malformed_message_sent, True),
    },
    "unsafe-retry": {
        "gateway-timeout-too-short": (scene.call_doubled, True),
        "container-leak-or-storm": (scene.call_doubled, True),
    },
    "request-id-mishandled": {"response-crosswire": (client.nonces_are_right, True)},
    "head-of-line-block": {
        "response-crosswire": (client.nonces_are_right, True),
        "gateway-timeout-too-short": (client.subject_answered, True),
    },
    "cancel-crosses-clients": {
        "response-crosswire": (client.nonces_are_right, True),
        "cancel-poisons-session": (isolation.canceller_is_served, True),
    },
}

_CANCELLATION: Final[Mapping[str, Mapping[str, Separator]]] = {
    "cancel-poisons-session": {
        "cancel-crosses-clients": (isolation.another_client_cancelled, False),
        "one-client-kills-all": (client.bystanders_are_served, True),
        "cancel-not-propagated": (isolation.canceller_is_served, False),
        "cancelled-call-left-open": (isolation.canceller_is_served, False),
        "stray-cancel-does-harm": (client.session_served_after, False),
        "head-of-line-block": (client.response_stayed_open, False),
    },
    "cancel-not-propagated": {
        "cancel-poisons-session": (isolation.canceller_is_served, True),
        "cancelled-call-left-open": (cancellation.backend_was_told, False),
        "gateway-timeout-too-short": (scene.cancelled, True),
        "timed-out-call-runs-on": (scene.cancelled, True),
    },
    "timed-out-call-runs-on": {"cancel-not-propagated": (scene.cancelled, False)},
    "stray-cancel-does-harm": {"cancel-poisons-session": (client.session_served_after, True)},
    "disconnect-taken-for-cancel": {"gateway-timeout-too-short": (cancellation.client_left_a_request, True)},
    "cancelled-call-left-open": {
        "cancel-poisons-session": (isolation.canceller_is_served, True),
        "cancel-not-propagated": (cancellation.backend_was_told, True),
    },
}

_DISCOVERY: Final[Mapping[str, Mapping[str, Separator]]] = {
    "empty-tools-startup-race": {
        "list-changed-not-propagated": (client.list_had_tools_before, False),
        "container-not-ready": (behind.backend_was_ready, True),
        "enabled-but-not-started": (behind.backend_was_ready, True),
        "init-race-rejected": (client.initialized_was_accepted, True),
        "pagination-broken": (scene.list_was_empty, True),
    },
    "pagination-broken": {
        "silent-partial-aggregate": (behind.backend_listed_tools, True),
        "empty-tools-startup-race": (client.list_had_tools_before, True),
        "tool-name-mangled": (lists.part_of_a_page_is_missing, False),
    },
    "list-changed-not-propagated": {
        "empty-tools-startup-race": (client.list_had_tools_before, True),
        "server-messages-not-relayed": (behind.other_notifications_arrive, True),
        "get-sse-dead-stream": (client.client_streams_carry_bytes, True),
        "enabled-but-not-started": (behind.backend_listed_tools, True),
    },
}

_FORMS: Final[Mapping[str, Mapping[str, Separator]]] = {
    "http-form-mishandled": {
        "accept-406": (scene.status(406), False),
        "error-misclassified": (behind.backend_had_failed, False),
    },
    "fault-poisons-session": {
        "hang-on-upstream-error": (behind.backend_saw_the_call, False),
        "one-client-kills-all": (client.bystanders_are_served, True),
    },
    "large-payload-lost": {
        "middleware-breaks-stream": (client.session_was_served, True),
        "hang-on-upstream-error": (behind.backend_had_failed, False),
    },
    "accept-406": {"http-form-mishandled": (scene.status(406), True)},
}

_SPIN_UP: Final[Mapping[str, Mapping[str, Separator]]] = {
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

_REPEATS_AND_VERSIONS: Final[Mapping[str, Mapping[str, Separator]]] = {
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

_ROUTES: Final[Mapping[str, Mapping[str, Separator]]] = {
    "slash-redirect": {
        "wrong-route-html": (client.subject_redirects_to_other_spelling, True),
    },
    "wrong-route-html": {
        "slash-redirect": (client.subject_redirects_to_other_spelling, False),
        "get-sse-wrong-status": (client.subject_is_get, False),
        "accept-406": (client.accept_was_enough, True),
    },
}

_EXPOSURE: Final[Mapping[str, Mapping[str, Separator]]] = {
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

_NETWORK: Final[Mapping[str, Mapping[str, Separator]]] = {
    "name-not-resolved": {
        "port-closed": (network.name_has_address, False),
        "connect-blocked": (network.name_has_address, False),
    },
    "port-closed": {
        "name-not-resolved": (network.name_has_address, True),
        "connect-blocked": (network.tcp_was_refused, True),
        "container-loopback-unreachable": (network.loopback_means_another, False),
        "published-port-dead": (network.tcp_was_accepted, False),
    },
    "connect-blocked": {
        "name-not-resolved": (network.name_has_address, True),
        "port-closed": (network.tcp_was_refused, False),
        "container-loopback-unreachable": (network.tcp_was_refused, False),
        "accepts-but-silent": (network.tcp_was_accepted, False),
        "tls-name-or-trust": (network.tcp_was_accepted, False),
        "initialize-hang": (network.tcp_was_accepted, False),
    },
    "container-loopback-unreachable": {
        "port-closed": (network.loopback_means_another, True),
        "connect-blocked": (network.loopback_means_another, True),
        "host-header-421": (scene.status(421), False),
    },
    "published-port-dead": {
        "port-closed": (network.tcp_was_accepted, True),
        "accepts-but-silent": (network.stayed_silent, False),
        "plain-http-to-tls": (network.speaks_tls, False),
    },
    "accepts-but-silent": {
        "connect-blocked": (network.tcp_was_accepted, True),
        "published-port-dead": (network.stayed_silent, True),
    },
    "plain-http-to-tls": {
        "tls-to-plain-http": (network.speaks_tls, True),
        "published-port-dead": (network.speaks_tls, True),
        "proxy-answers-html": (network.speaks_tls, True),
    },
    "tls-to-plain-http": {
        "plain-http-to-tls": (network.speaks_plain_http, True),
        "tls-name-or-trust": (network.speaks_tls, False),
    },
    "tls-name-or-trust": {
        "connect-blocked": (network.tcp_was_accepted, True),
        "host-header-421": (scene.status(421), False),
        "empty-tools-startup-race": (scene.backend_silent, True),
        "tls-to-plain-http": (network.speaks_tls, True),
        "tls-certificate-expired": (network.certificate_is_for_the_name, False),
        "tls-untrusted-issuer": (network.issuer_is_trusted, True),
    },
    "tls-certificate-expired": {
        "tls-name-or-trust": (network.certificate_is_for_the_name, True),
        "tls-untrusted-issuer": (network.issuer_is_trusted, True),
    },
    "tls-untrusted-issuer": {
        "tls-name-or-trust": (network.issuer_is_trusted, False),
        "tls-certificate-expired": (network.issuer_is_trusted, False),
        "certificate-not-checked": (network.requests_followed_a_bad_certificate, False),
    },
    "certificate-not-checked": {"tls-untrusted-issuer": (network.requests_followed_a_bad_certificate, True)},
    "proxy-answers-html": {
        "plain-http-to-tls": (network.speaks_tls, False),
        "wrong-route-html": (network.page_came, True),
    },
}

_EDGE: Final[Mapping[str, Mapping[str, Separator]]] = {
    "replica-affinity-missing": {
        "dead-replica-in-rotation": (edge.edge_answered_itself, False),
        "session-id-changed": (edge.session_met_several_replicas, True),
        "stale-session-after-restart": (edge.session_met_several_replicas, True),
        "upstream-session-per-call": (edge.session_met_several_replicas, True),
        "unknown-session-wrong-status": (edge.session_met_several_replicas, True),
    },
    "header-lost-at-edge": {
        "session-id-demanded": (edge.header_was_lost, True),
        "version-header-dropped": (edge.header_was_lost, True),
        "accept-406": (scene.status(406), False),
        "host-header-421": (scene.status(421), False),
    },
    "dead-replica-in-rotation": {
        "replica-affinity-missing": (edge.edge_answered_itself, True),
        "silent-replica-awaited": (edge.edge_answered_itself, True),
        "stale-session-after-restart": (edge.edge_answered_itself, True),
        "connect-blocked": (client.connection_was_made, True),
        "container-not-ready": (edge.replica_had_ended, True),
    },
    "silent-replica-awaited": {
        "dead-replica-in-rotation": (edge.edge_answered_itself, False),
        "initialize-hang": (edge.other_replicas_served, True),
        "hang-on-upstream-error": (edge.replica_was_silent, True),
    },
}

SEPARATIONS: Final[Mapping[str, Mapping[str, Separator]]] = {
    **_LIFECYCLE,
    **_SESSION,
    **_STREAM,
    **_KEEP_ALIVE,
    **_CANCELLATION,
    **_DISCOVERY,
    **_FORMS,
    **_SPIN_UP,
    **_ROUTES,
    **_REPEATS_AND_VERSIONS,
    **_EXPOSURE,
    **_NETWORK,
    **_EDGE,
}
