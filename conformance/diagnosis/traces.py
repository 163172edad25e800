"""What must stand in the evidence for a failure class to be possible at all.

`TRACES[class]` is a fact that every case of the class shows. Where it is false the class is ruled out, whatever else it
shares with the failure: a class about several replicas where one gateway stood, about a second GET where none was sent.
Where it is true the class may be the one, even if the failed rule does not name it. Where it is None, or a class has no
entry, nothing follows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from conformance.diagnosis import facts_behind as behind
from conformance.diagnosis import facts_cancellation as cancellation
from conformance.diagnosis import facts_client as client
from conformance.diagnosis import facts_edge as edge
from conformance.diagnosis import facts_http_sse as http_sse
from conformance.diagnosis import facts_isolation as isolation
from conformance.diagnosis import facts_messages as messages
from conformance.diagnosis import facts_network as network
from conformance.diagnosis import facts_scene as scene
from conformance.diagnosis import facts_spin_up as spin_up
from conformance.diagnosis.failure import Fact

TRACES: Final[Mapping[str, Fact]] = {
    # lifecycle and sessions
    "reinitialize-rejected": scene.initialize_was_refused,
    "initialize-request-incomplete": scene.incomplete_initialize_sent,
    "connect-refresh-collision": scene.connects_overlapped,
    "cancel-poisons-session": scene.cancelled,
    "cancel-not-propagated": scene.cancelled,
    "cancelled-call-left-open": scene.cancelled,
    "stray-cancel-does-harm": scene.cancelled,
    "disconnect-taken-for-cancel": cancellation.client_left_a_request,
    "unknown-session-wrong-status": scene.unknown_session_sent,
    "session-id-demanded": scene.refused_without_session,
    "stateless-rejects-session-header": scene.sessions_never_issued,
    "session-minted-on-error": scene.refusal_minted_session,
    "session-not-bound-to-principal": scene.credentials_used,
    "upstream-session-per-call": behind.backend_has_many_sessions,
    "upstream-session-shared": behind.backend_sessions_are_shared,
    "replica-affinity-missing": scene.several_replicas,
    "ephemeral-state-loss": scene.calls_met_several_processes,
    "era-mismatch": scene.modern_peer,
    "version-header-dropped": scene.version_missing,
    "version-header-unchecked": scene.wrong_version_sent,
    # streams
    "get-sse-wrong-status": scene.get_refused,
    "http-sse-backend-mishandled": http_sse.backend_is_old,
    "sse-endpoint-astray": http_sse.endpoint_was_named,
    "sse-response-off-stream": http_sse.endpoint_was_named,
    "get-sse-dead-stream": scene.silent_get,
    "get-sse-409-stale": scene.second_get,
    "second-get-destroys-session": scene.second_get,
    "resumption-broken": scene.resumed,
    "server-messages-not-relayed": scene.server_spoke,
    "nonconforming-sse-event": scene.foreign_event,
    "proxy-buffers-sse": scene.came_late,
    "middleware-breaks-stream": scene.stream_encoded_or_cut,
    "empty-200-stream": scene.empty_stream,
    "intermediary-idle-cut": scene.stream_was_cut,
    "heartbeat-kills-session": scene.server_ping_unanswered,
    "keepalive-socket-race": scene.reused_connection_lost,
    # calls
    "hang-on-upstream-error": behind.backend_had_failed,
    "head-of-line-block": scene.posts_overlapped,
    "response-crosswire": scene.answers_swapped,
    "cancel-crosses-clients": isolation.another_client_cancelled,
    "unsafe-retry": scene.call_doubled,
    "request-id-mishandled": messages.id_mishandled,
    "malformed-message": messages.malformed_message_sent,
    "error-misclassified": scene.error_answered,
    "jsonrpc-error-as-http-error": scene.error_under_http_error,
    # lists
    "empty-tools-startup-race": scene.list_was_empty,
    "list-changed-not-propagated": scene.list_changed,
    "one-bad-backend-empties-all": scene.several_backends,
    "silent-partial-aggregate": scene.several_backends,
    "pagination-broken": scene.paginated,
    # backends and containers
    "dead-child-zombie": behind.something_exited,
    "stdout-contamination": scene.stdout_contaminated,
    "container-not-ready": scene.backend_came_late,
    "container-leak-or-storm": behind.containers_remain,
    "container-loopback-unreachable": network.ran_into("container-loopback-unreachable"),
    "docker-socket-unusable": behind.engine_refused,
    "enabled-but-not-started": scene.nothing_was_started,
    "wrong-gateway-instance": scene.another_asked_the_engine,
    "image-missing": spin_up.image_is_missing,
    "container-command-missing": spin_up.program_is_missing,
    "container-exits-at-once": spin_up.container_ended_unheard,
    "container-oom-killed": spin_up.memory_ran_out,
    "container-silent": spin_up.container_stayed_silent,
    "container-port-unpublished": spin_up.port_is_unpublished,
    "entry-not-enabled": spin_up.entry_is_not_enabled,
    "engine-loss-not-recovered": spin_up.engine_came_back,
    "revoked-entry-served": spin_up.backend_was_revoked,
    # the network and what stands before the gateway
    "header-lost-at-edge": edge.header_was_lost,
    "dead-replica-in-rotation": edge.replica_had_ended,
    "silent-replica-awaited": edge.replica_was_silent,
    "connect-blocked": scene.connect_failed,
    "tls-name-or-trust": scene.backend_silent,
    **{
        kind: network.ran_into(kind)
        for kind in (
            *("port-closed", "name-not-resolved", "published-port-dead", "accepts-but-silent", "proxy-answers-html"),
            *("plain-http-to-tls", "tls-to-plain-http", "tls-certificate-expired", "tls-untrusted-issuer"),
        )
    },
    "accept-406": scene.status(406),
    "host-header-421": scene.status(421),
    "auth-challenge-incomplete": scene.status(401),
    "auth-scheme-mismatch": scene.credentials_used,
    "transport-mismatch": client.transports_differ,
    "wrong-route-html": scene.another_handler_answered,
    "slash-redirect": scene.redirected,
    "cors-headers-hidden": scene.browser_came,
    "credential-dropped": isolation.own_credential_missing,
    "origin-not-checked": isolation.foreign_page_served,
    "listens-on-every-interface": isolation.wide_socket_seen,
}
