"""Family transparency, HTTP: what the transport carries for the messages, in modules each topic."""

from __future__ import annotations

from conformance.rules import (
    transparency_http_answers,
    transparency_http_forms,
    transparency_http_lists,
    transparency_http_offers,
    transparency_http_payloads,
    transparency_http_posts,
    transparency_http_timeouts,
)

__all__ = [
    "transparency_http_answers",
    "transparency_http_forms",
    "transparency_http_lists",
    "transparency_http_offers",
    "transparency_http_payloads",
    "transparency_http_posts",
    "transparency_http_timeouts",
]
