"""Every duration the harness waits for or judges by, in seconds, each with where it comes from.

Tolerances are one-sided: a thing that comes earlier than asked is never a failure, and what is compared with a limit is
the limit plus the harness's own recorded lag.
"""

from __future__ import annotations

from typing import Final

KEEPALIVE_PERIOD: Final = 15.0
"""Longest silence a healthy server leaves on an open stream: TypeScript SDK 1.32, Python SDK 2.3 and FastMCP 4.1 all
send a comment each 15.0 s (measured)."""

KEEPALIVE_TOLERANCE: Final = 3.0
"""Added to KEEPALIVE_PERIOD for a loaded machine's timers; the shortest common idle limit of intermediaries is 30 s, so
a beat each 18 s still protects."""

IDLE_OBSERVATION: Final = 62.0
"""How long an idle stream is watched: four keep-alive periods, so that an interval is seen and not only a first beat,
and longer than 60 s, the most common idle limit of intermediaries."""

LONG_IDLE: Final = 305.0
"""How long it is watched with --long: longer than 300 s, the longest common limit."""

LONG_CALL: Final = 20.0
"""How long the slow tool call lasts in keep_alive: longer than KEEPALIVE_PERIOD + KEEPALIVE_TOLERANCE, so that a
healthy stream must have beaten once."""

HEADERS_PROMPT: Final = 5.0
"""Response headers of a GET stream must come without waiting for an event. Healthy: under 0.01 s; a gateway that
holds them until its first ping: 15 s. Three times less than 15 s, five hundred times more than 0.01 s."""

ANSWER: Final = 20.0
"""How long the driver waits for the answer to an ordinary request before it gives up and says so. Slowest healthy
start-up of a stdio backend on this path: 6.1 s."""

STREAM_END: Final = 2.0
"""How long the driver lets a server take to end a POST stream after its response, before it goes on without it."""

HANG_OBSERVATION: Final = 12.0
"""How long a request against a backend that fails or stays silent is watched before it is called a hang; the upstream
issue (fastmcp#2803) takes 10 s."""

RELAY_PROMPT: Final = 5.0
"""A server message must be relayed within this time of reaching the gateway. Healthy: under 0.1 s; the nearest fault is
a buffer until the stream ends or the next 15 s beat."""

SPIN_UP: Final = 10.0
"""From a client's initialize (or a gateway's own start) to the start of its backend's container, the image being there.
Healthy on two cores: 0.2 to 0.9 s, under a load of 15 1.5 s; with the start of a gateway in Python before it 0.9 and
2.5 s. Who takes longer than four times that waits for something else. A server that needs longer than this to answer
initialize once its container runs (healthy: 0.4 to 1.1 s, under that load 7 s) excuses a gateway that gave up on it."""

SILENT: Final = 15.0
"""A container whose server has said nothing for this long counts as silent. Healthy: 0.4 to 1.1 s; slowest seen: 12 s,
on two cores under a load of 28. Clients that are driven in vain wait for 18 s."""

STRAINED: Final = 1.5
"""Where the engine takes longer than this from create to start, or the first process in a container from start to its
own first record, the machine is too busy to call a server silent. Healthy: under 1.0 and 0.4 s; under a load of 28: up
to 9 and 5 s."""

REMOVED_AFTER: Final = 15.0
"""How long after its session's end a container may remain. The engine's own stop grace is 10 s; plus tolerance."""

STARTED_AGAIN: Final = 2.0
"""Between two calls to a session whose container has died. After five in vain it had SPIN_UP for another container."""

LONG_LIMIT: Final = 90.0
"""Scenarios whose longest deliberate wait is above this are driven with --long only."""

QUICK_LIMIT: Final = 2.0
"""Scenarios whose longest deliberate wait is above this are left out by --quick."""

RATE_LIMITED: Final = 30.0
"""Longest wait after a 429, whatever its Retry-After says: a gateway that asks for more is left alone by then, and what
was not judged says so."""

ITEM_BACKSTOP: Final = 1800.0
"""When pytest gives up on one item, for each target of a run: beyond every deadline of the engine child (a first
installation may take minutes), so that it ends only what has really come to a stop."""

STARTING: Final = 2.0
"""Between two questions to a backend that its gateway starts and that may not be up yet. Slowest on record: 6.1 s."""

BACKEND_START: Final = 5.0
"""How long a backend may leave initialize unanswered before errors that its gateway gives meanwhile are put down to its
start. Healthy: 0.3 to 2 s; slowest on record: 6.1 s. Gateways that wait for none give their error at once."""

SAMPLING: Final = 60.0
"""How long sessions are opened one after another for a sample of their ids. A dozen children of a backend that starts
in 1 s: 15 s; too few of one that starts slowly are not judged."""

SENTINEL: Final = 20.0
"""Time allowed for the sentinel exchange (initialize, initialized, tools/list, one call)."""

LAG_SHARE: Final = 0.5
"""A timing verdict is inconclusive when the harness lagged, or the gateway waited for a processor, for more than this
share of the distance to the limit."""

SESSION_PAUSE: Final = 20.0
"""How long a session is left alone before it is used again: longer than KEEPALIVE_PERIOD + KEEPALIVE_TOLERANCE, so that
a server that would have noticed a silent client has done so; idle limits of healthy servers begin at minutes."""

SOCKET_PAUSES: Final = (1.5, 6.5)
"""How long a TCP connection is left idle before each reuse: under and over the 5 s after which Node and uvicorn close
an idle connection by default."""

PAUSE_NOTICED: Final = 1.0
"""Shortest time between two exchanges on a connection that counts as idle."""

PING_PROMPT: Final = 5.0
"""A ping must be answered within this time. Healthy: under 0.01 s; nearest fault: behind a call of LONG_CALL."""

CALL_NOTICED: Final = 5.0
"""A call that takes at least this long counts as long: the shortest fixed limit reported for gateways is 5 s."""

PROGRESS_CALL: Final = 3.0
"""How long the call lasts whose progress is watched: PROGRESS_EVERY apart, its reports span 2 s."""

PROGRESS_EVERY: Final = 0.5
"""Time between the progress reports of that call; healthy relays add under 0.05 s to each."""

SPACED_CALL: Final = 1.5
"""How long the call lasts whose events are compared one by one with their departures."""

SPACED_EVERY: Final = 0.25
"""Time between the events of that call: each is due before the next one leaves. Healthy relays take under 0.05 s, the
nearest fault holds an event until the stream's end or until a buffer of some KiB is full."""

HELD_SHARE: Final = 0.5
"""A report counts as held back when it was under way for more than this share of the time over which the backend sent
its reports: one that is relayed takes a hundredth, one that is kept until the answer the whole of it."""

RELEASED_BEFORE: Final = 0.1
"""A call that is answered with more than this share of a slow one's time left waited for something else: one that is
held up by the slow call is released at its end."""

STORM_RATE: Final = 1.0
"""Beats and pings a second above which they are a storm (2025-11-25 ping, Implementation Considerations: not
excessive). Healthy: one in 15 s; the busiest implementation reported on pinged once a second."""

STORM_OBSERVED: Final = 5.0
"""Shortest time over which a rate of beats is judged."""

CROSSED_CALL: Final = 0.6
"""How long the longer of two calls with equal ids lasts: the other begins a sixth later and ends before or after it,
also where a gateway takes 50 ms for each."""

SLOW_BESIDE: Final = 2.0
"""How long the call lasts beside which others are timed. Healthy gateways take under 0.05 s for theirs, on a loaded
machine under 0.5 s; who waits for the slow one to end takes 1.8 s."""

BYSTANDER_CALL: Final = 1.0
"""How long a bystander's call lasts while others do harm: it is in flight at the harm and for 0.5 s after it."""

PAYLOAD: Final = 30.0
"""How long a call is watched whose body has up to 16 MB. Healthy, in Python on two cores: 2 s."""

CLAIM_OBSERVED: Final = 60.0
"""Longest claimed request timeout that is waited for; the SDKs' clients give up after 60 s themselves."""

CLAIM_TOLERANCE: Final = 5.0
"""Added to a claimed request timeout: gateways look at their timers at most each few seconds. Healthy: under 0.1 s."""

NEVER_ANSWERED: Final = 3600.0
"""How long the call lasts that stands for one that is never answered: beyond every limit of a gateway."""

LOST_ANSWER: Final = 5.0
"""After this time a call of at most CROSSED_CALL counts as never answered. Healthy: 0.05 s more than the call lasts."""

PROGRESS_EARLY: Final = 0.2
"""Progress reported this long before its call's answer is not read together with it. The witness reports 0.4 s before;
a gateway on a loaded machine reads within 0.1 s."""

CANCEL_PROMPT: Final = 1.5
"""A cancel must have had its effect on the gateway's other side within this time, and a cancelled call's response its
end. Healthy: 0.02 s, on a loaded machine 0.2 s; the nearest fault waits for the call's own end or a 15 s beat."""

CANCEL_RACE: Final = 0.5
"""How long after it relayed the answer a gateway may still cancel the call, and by how much a cancel may arrive before
its request on another connection: the two cross on the way, by 0.02 s in healthy gateways."""

CALL_UNDER_WAY: Final = 0.2
"""How long a call is given to reach the backend before something is done beside it. Healthy gateways take 0.02 s; where
a whole call could be timed before, twice that is added."""

CANCELLED_CALL: Final = 3.0
"""How long the call would last that is cancelled: what is judged CANCEL_PROMPT after the cancel is not its own end."""

RACED_CALL: Final = 0.3
"""How long each call lasts that is cancelled at about the time of its answer."""

RETRY: Final = 0.7
"""The reconnection time that the witness asks for: shorter than the 1 s and 3 s that clients take by themselves (Python
and TypeScript SDK, browsers), so that waiting less is seen; far above RETRY_EARLY."""

BESIDE_CALL: Final = 1.0
"""How long each of three calls lasts that are made at once: side by side 1 s in all, one after the other 3 s."""

KEPT_BACK: Final = 0.5
"""A gateway that sends a call on later than this, and only after another was answered, kept it back. Healthy: 0.01 s,
loaded 0.2 s; behind one call of BESIDE_CALL: 1 s."""

BESIDE_SHARE: Final = 0.75
"""Calls made at once that take more than this share of the sum of their durations were made one after the other: three
side by side take a third, one after the other the whole of it."""

RETRY_EARLY: Final = 0.02
"""How much earlier than asked a reconnection may come: timers of Node and asyncio fire up to 1 ms early."""

RECONNECT: Final = 1.0
"""How long the driver waits before it resumes a stream where the server named no time (TypeScript SDK 1.32: 1 s)."""

RECONNECTED: Final = 5.0
"""From the asked time (RECONNECT where none was asked) on, a client that polls has polled by now. Healthy: 0.01 s after
it; the longest that SDK clients take by themselves: 1 s."""

RESUMED: Final = 8.0
"""How long an answer is waited for whose stream was closed, cut or left: RECONNECT + RECONNECTED, and 2 s."""

VANISHED_WATCHED: Final = 5.0
"""How long is watched what vanished clients leave behind, beyond the time that the target says it keeps it."""

LONGEST_CLAIM: Final = 60.0
"""A claimed idle limit is waited for up to this; a longer one is not judged."""

SESSION_END: Final = 5.0
"""How long after a client ended its session the gateway may take to end the backend's. Healthy: 0.2 s; a stdio child
that ignores the end of its stdin gets SIGTERM from the Python and TypeScript SDKs after 2 s and SIGKILL after 4 s."""

AFTER_ANSWER: Final = 0.3
"""How long after a call's answer its progress still counts as sent before it, where the two came on different
connections: healthy gateways send both within 0.01 s, and nothing orders two connections."""

AFTER_ANSWER_WATCHED: Final = 1.5
"""How long progress is watched for after the answer: five times AFTER_ANSWER, so that a loaded harness's own lag (0.4 s
seen) does not decide."""

LIFECYCLE_ANSWER: Final = 10.0
"""How long the search waits for each answer. Slowest healthy start-up of a stdio backend on this path: 6.1 s; a search
meets a gateway that stays silent dozens of times while it shrinks, so it does not wait as long as ANSWER."""

CLOSE_NOTICED: Final = 0.3
"""How long the search waits after it closed a GET stream: what a server does because of it, it does within 0.05 s."""

REGISTRATION_SHOWS: Final = 3.0
"""How long a change of what is registered may take to show in lists: the gateways on record show it in the next one; a
list that was kept for longer is what the search is to find."""

REGISTRATION_LOOKS: Final = 4
"""How often the lists are looked at in that time, the first one at once."""

REGISTRATION_STEP: Final = 60.0
"""Longest that one step of a search over registrations may take: its request (ANSWER), the looks, a call of each
server (LIFECYCLE_ANSWER)."""

CLIENT_STEP: Final = 30.0
"""How long a real client is given for one step. The slowest here, a command line program on Node that starts anew for
each step, takes 2 s and on a loaded machine 10 s; the SDKs' own limit is 60 s."""

AGENT_START: Final = 100.0
"""How long an agent's session is given to start. Claude Code gives a server 30 s for the handshake and 60 s for each
list, which it asks for side by side; the Agent SDK gives up after 60 s itself. A healthy start takes 1 to 3 s."""

EDGE_QUIET: Final = 20.0
"""How long a stream, or a call, is left alone behind an edge: longer than KEEPALIVE_PERIOD + KEEPALIVE_TOLERANCE, so
that one heartbeat has come, and far shorter than any limit that is recommended before event streams."""

EDGE_CUT: Final = 5.0
"""Idle limit of an edge that is set too short: under KEEPALIVE_PERIOD, so that no healthy heartbeat saves a stream."""

EDGE_SILENT: Final = 6.0
"""Idle limit of an edge before which a replica falls silent: what is under way to it has failed by then."""

EDGE_NOTICES: Final = 5.0
"""How long an edge is given to find out that a replica is gone. HAProxy's checks here come every 2 s; nginx and Caddy
notice with the first request that is refused."""

EDGE_ANSWERS: Final = 12.0
"""A request through an edge to a replica that is silent must have failed, or been served elsewhere, within this time:
twice EDGE_SILENT. SDK clients give up after 60 s by themselves."""
