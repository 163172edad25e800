"""What separates failures of lists, of HTTP forms and of routes from their neighbours."""

from __future__ import annotations

from typing import Final

from conformance.diagnosis import facts_behind as behind
from conformance.diagnosis import facts_client as client
from conformance.diagnosis import facts_lists as lists
from conformance.diagnosis import facts_scene as scene
from conformance.diagnosis.failure import Separations

DISCOVERY: Final[Separations] = {
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

FORMS: Final[Separations] = {
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

ROUTES: Final[Separations] = {
    "slash-redirect": {
        "wrong-route-html": (client.subject_redirects_to_other_spelling, True),
    },
    "wrong-route-html": {
        "slash-redirect": (client.subject_redirects_to_other_spelling, False),
        "get-sse-wrong-status": (client.subject_is_get, False),
        "accept-406": (client.accept_was_enough, True),
    },
}
