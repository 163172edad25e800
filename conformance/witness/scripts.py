"""What the witness can be told to do wrong: each script is the correct server with a few named fields changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from conformance.errors import UsageError
from conformance.timing import KEEPALIVE_PERIOD


class Face(StrEnum):
    """The transport the witness answers on."""

    HTTP = "http"
    STDIO = "stdio"
    SSE = "sse"


class OnGet(StrEnum):
    """What GET of the MCP endpoint yields."""

    STREAM = "stream"
    HEADERS_WITHHELD = "headers-withheld"
    BAD_REQUEST = "400"
    NOT_ALLOWED = "405"


class OnCall(StrEnum):
    """How tools/call is answered. But for SILENT the tool has run by then, and a repeated call runs it again."""

    ANSWER = "answer"
    SILENT = "silent"
    HTML_500 = "html-500"
    JSON_500 = "json-500"
    RESET_MID_EVENT = "reset-mid-event"
    EMPTY_STREAM = "empty-stream"
    HALF_BODY = "half-body"


EVERY: Final = frozenset(Face)
HTTP_ONLY: Final = frozenset({Face.HTTP})
STDIO_ONLY: Final = frozenset({Face.STDIO})
SSE_ONLY: Final = frozenset({Face.SSE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """One behaviour of the witness; the defaults are the correct server.

    description: one sentence on what it does. failure_class: the class it stands for or provokes, None for correct
    and benign scripts. faces: where the script has a meaning. Durations are seconds.
    """

    name: str
    title: str
    description: str
    failure_class: str | None = None
    faces: frozenset[Face] = EVERY

    # the process
    start_delay: float = 0.0
    memory_mib: int = 0
    exit_at_start: int | None = None
    answers: bool = True
    stdout_banner: str | None = None

    # lifecycle and sessions
    initialize_delay: float = 0.0
    hangs_on_initialize: bool = False
    answers_version: str | None = None
    requires_initialized: bool = False
    stateless: bool = False
    single_session: bool = False
    forgets_session_after: int | None = None

    shown: bool = False
    """Whether each request and notification that comes in is printed on stderr, with its session."""

    # HTTP
    page: bool = False
    """Whether every request is answered as by a proxy that does not reach the server behind it."""
    json_answers: bool = False
    on_get: OnGet = OnGet.STREAM
    on_call: OnCall = OnCall.ANSWER
    keepalive_period: float | None = KEEPALIVE_PERIOD
    newline: str = "\n"

    # HTTP+SSE: statuses that POSTs of the URL that only GET serves are refused with, in turn
    post_refusals: tuple[int, ...] = (405,)

    # lists and server messages
    tools_only: bool = False
    tools_delay: float = 0.0
    announces_late_tools: bool = True
    page_size: int | None = None
    list_changed_delay: float | None = None
    ping_period: float | None = None


_ALL: Final = (
    Script(
        name="correct",
        title="Correct server",
        description="Answers as the specification and the reference SDKs do.",
    ),
    Script(
        name="strict_single_session",
        title="One session at a time",
        description="Refuses with 400 a second initialize while a session lives, and any request before the first.",
        failure_class="reinitialize-rejected",
        single_session=True,
    ),
    Script(
        name="get_400",
        title="GET answered 400",
        description="Answers GET with 400 where the specification wants a stream or 405.",
        failure_class="get-sse-wrong-status",
        faces=HTTP_ONLY,
        on_get=OnGet.BAD_REQUEST,
    ),
    Script(
        name="get_405",
        title="GET answered 405",
        description="Offers no GET stream and says so with 405, which is legal.",
        faces=HTTP_ONLY,
        on_get=OnGet.NOT_ALLOWED,
    ),
    Script(
        name="get_headers_withheld",
        title="GET headers held back",
        description="Sends the headers of the GET stream only together with its first byte, 15 s later.",
        failure_class="get-sse-dead-stream",
        faces=HTTP_ONLY,
        on_get=OnGet.HEADERS_WITHHELD,
    ),
    Script(
        name="late_tools",
        title="Tools appear late, announced",
        description="Lists no tool until 3 s after the first initialize, then sends tools/list_changed.",
        failure_class="empty-tools-startup-race",
        tools_delay=3.0,
    ),
    Script(
        name="late_tools_silent",
        title="Tools appear late, unannounced",
        description="Lists no tool until 3 s after the first initialize, and never says that the list changed.",
        failure_class="empty-tools-startup-race",
        tools_delay=3.0,
        announces_late_tools=False,
    ),
    Script(
        name="slow_initialize",
        title="Slow initialize",
        description="Answers initialize after 3 s; requests sent meanwhile jumped the handshake.",
        failure_class="request-before-initialize",
        initialize_delay=3.0,
    ),
    Script(
        name="hang_on_initialize",
        title="Initialize never answered",
        description="Accepts initialize and never answers it, not even with headers.",
        failure_class="initialize-hang",
        hangs_on_initialize=True,
    ),
    Script(
        name="unknown_version",
        title="Initialize answered with an unknown version",
        description="Answers initialize with protocol version 1999-01-01, and serves whoever goes on all the same.",
        failure_class="unsupported-version-used",
        answers_version="1999-01-01",
    ),
    Script(
        name="slow_start",
        title="Slow start",
        description="Listens (on stdio: reads) only 5 s after the process started.",
        failure_class="container-not-ready",
        start_delay=5.0,
    ),
    Script(
        name="forgets_sessions",
        title="Forgets sessions",
        description="Answers 404 for a session after its first 3 requests, as a server does that was restarted.",
        failure_class="stale-session-after-restart",
        faces=HTTP_ONLY,
        forgets_session_after=3,
    ),
    Script(
        name="no_keepalive",
        title="No keep-alive",
        description="Writes no comment on open streams, however long they stay idle.",
        failure_class="idle-stream-no-heartbeat",
        faces=HTTP_ONLY,
        keepalive_period=None,
    ),
    Script(
        name="html_500",
        title="Calls answered with an HTML error page",
        description="Answers tools/call with 500 and text/html.",
        failure_class="error-misclassified",
        faces=HTTP_ONLY,
        on_call=OnCall.HTML_500,
    ),
    Script(
        name="call_500_json",
        title="Calls answered 500 with a JSON-RPC error",
        description="Answers tools/call with 500 and a JSON-RPC error of the right id.",
        failure_class="hang-on-upstream-error",
        faces=HTTP_ONLY,
        on_call=OnCall.JSON_500,
    ),
    Script(
        name="reset_mid_event",
        title="Call reset in the middle of its event",
        description="Sends half of the event that answers tools/call, then resets the connection.",
        failure_class="hang-on-upstream-error",
        faces=HTTP_ONLY,
        on_call=OnCall.RESET_MID_EVENT,
    ),
    Script(
        name="half_answer",
        title="Call answered with half a body",
        description="Announces a JSON body to tools/call, sends half of it and closes the connection.",
        failure_class="hang-on-upstream-error",
        faces=HTTP_ONLY,
        on_call=OnCall.HALF_BODY,
    ),
    Script(
        name="silent_call",
        title="Call never answered",
        description="Never answers tools/call while the keep-alive comments of its stream go on.",
        failure_class="hang-on-upstream-error",
        on_call=OnCall.SILENT,
    ),
    Script(
        name="empty_200_stream",
        title="Call answered with an empty stream",
        description="Answers tools/call with 200 and an event stream that ends without an event.",
        failure_class="empty-200-stream",
        faces=HTTP_ONLY,
        on_call=OnCall.EMPTY_STREAM,
    ),
    Script(
        name="rejects_before_initialized",
        title="Strict about initialized",
        description="Refuses requests with -32602 until notifications/initialized has come.",
        failure_class="init-race-rejected",
        requires_initialized=True,
    ),
    Script(
        name="json_only",
        title="Stateless, JSON only",
        description="Issues no session, answers with application/json and GET with 405, which is legal.",
        faces=HTTP_ONLY,
        stateless=True,
        json_answers=True,
        on_get=OnGet.NOT_ALLOWED,
    ),
    Script(
        name="exits_at_once",
        title="Exits at once",
        description="Ends with exit code 3 before it serves anything.",
        failure_class="dead-child-zombie",
        exit_at_start=3,
    ),
    Script(
        name="takes_memory",
        title="Takes much memory",
        description="Takes 256 MiB before it serves anything.",
        failure_class="container-oom-killed",
        memory_mib=256,
    ),
    Script(
        name="silent",
        title="Reads and never answers",
        description="Takes every message and answers none.",
        failure_class="initialize-hang",
        answers=False,
    ),
    Script(
        name="proxy_page",
        title="A proxy's page in the server's place",
        description="Answers every request with 502 and a web page, as a proxy does that reaches no server.",
        failure_class="proxy-answers-html",
        faces=HTTP_ONLY,
        page=True,
    ),
    Script(
        name="banner_on_stdout",
        title="Banner on stdout",
        description="Writes two lines that are not JSON to stdout before the first message.",
        failure_class="stdout-contamination",
        faces=STDIO_ONLY,
        stdout_banner="*** witness MCP server ***\nINFO: starting up\n",
    ),
    Script(
        name="paginated",
        title="Paginated tool list",
        description="Serves the tool list in pages of four, so that the cursor must be followed.",
        failure_class="pagination-broken",
        page_size=4,
    ),
    Script(
        name="crlf",
        title="CRLF event streams",
        description="Ends the lines of event streams with CRLF, as the Python SDK does.",
        faces=HTTP_ONLY,
        newline="\r\n",
    ),
    Script(
        name="old_transport_barred",
        title="Old transport, POST refused for other reasons",
        description="Refuses initialize with 401, 500 and 429 in turn: none is a sign of the old transport.",
        faces=SSE_ONLY,
        post_refusals=(401, 500, 429),
    ),
    Script(
        name="events_out_of_band",
        title="List change out of band",
        description="Sends tools/list_changed 1 s after a client began to listen, unrelated to any request.",
        failure_class="server-messages-not-relayed",
        list_changed_delay=1.0,
    ),
    Script(
        name="tools_only",
        title="Tools and nothing else",
        description="Declares tools alone and knows no method of prompts, resources or logging.",
        tools_only=True,
    ),
    Script(
        name="pings_client",
        title="Pings its client",
        description="Pings each listening client every 2 s; whoami tells how many pings were sent and answered.",
        failure_class="server-messages-not-relayed",
        ping_period=2.0,
    ),
)

SCRIPTS: Final[Mapping[str, Script]] = MappingProxyType({script.name: script for script in _ALL})
"""Every script by name."""


def find_script(name: str, face: Face) -> Script:
    """Return the script called `name`; UsageError if there is none or it means nothing on this face."""
    script = SCRIPTS.get(name)
    if script is None:
        raise UsageError(f"The witness has no script {name!r}; choose one of: {', '.join(SCRIPTS)}.")
    if face not in script.faces:
        raise UsageError(f"The script {name!r} has no meaning over {face}; choose another script or face.")
    return script
