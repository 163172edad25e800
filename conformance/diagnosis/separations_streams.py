"""What separates failures of streams, of idle connections and of calls under way from their neighbours."""

from __future__ import annotations

from typing import Final

from conformance.diagnosis import facts_behind as behind
from conformance.diagnosis import facts_cancellation as cancellation
from conformance.diagnosis import facts_client as client
from conformance.diagnosis import facts_edge as edge
from conformance.diagnosis import facts_http_sse as http_sse
from conformance.diagnosis import facts_isolation as isolation
from conformance.diagnosis import facts_messages as messages
from conformance.diagnosis import facts_resumption as resumption
from conformance.diagnosis import facts_scene as scene
from conformance.diagnosis.failure import Separations

STREAM: Final[Separations] = {
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

KEEP_ALIVE: Final[Separations] = {
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

CANCELLATION: Final[Separations] = {
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
