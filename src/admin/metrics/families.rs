//! Every metric that is shown, with its help. Names and labels are a promise
//! to dashboards: a change is a line in the changelog.

use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::MetricType::{Counter, Gauge, Histogram, Info};

/// A metric: its name (without the `_total` and `_info` that its type adds),
/// its type and its help.
pub(super) struct Family(
    pub(super) &'static str,
    pub(super) MetricType,
    pub(super) &'static str,
);

pub(super) const REQUESTS: Family = Family(
    "dqe_proxy_requests",
    Counter,
    "Requests answered, by route and by outcome: the class of DQE's status, or the code of an error.",
);
pub(super) const REQUEST_DURATION: Family = Family(
    "dqe_proxy_request_duration_seconds",
    Histogram,
    "Time from a request's head to the end of its answer.",
);
pub(super) const REPLAYS: Family = Family(
    "dqe_proxy_replays",
    Counter,
    "Requests sent again with a newer token.",
);
pub(super) const REDIRECTS_FOLLOWED: Family = Family(
    "dqe_proxy_redirects_followed",
    Counter,
    "Redirects of DQE to itself that were followed for the caller.",
);
pub(super) const REQUESTS_IN_FLIGHT: Family = Family(
    "dqe_proxy_requests_in_flight",
    Gauge,
    "Requests whose answer has not ended yet.",
);
pub(super) const CALLER_CONNECTIONS: Family = Family(
    "dqe_proxy_caller_connections",
    Gauge,
    "Connections of callers that are open.",
);
pub(super) const CALLER_CONNECTIONS_PARKED: Family = Family(
    "dqe_proxy_caller_connections_parked",
    Gauge,
    "Connections of callers on which nothing happens, so that they cost next to no memory.",
);
pub(super) const CALLER_CONNECTIONS_OPENED: Family = Family(
    "dqe_proxy_caller_connections_opened",
    Counter,
    "Connections of callers that were accepted.",
);
pub(super) const CALLER_CONNECTIONS_REFUSED: Family = Family(
    "dqe_proxy_caller_connections_refused",
    Counter,
    "Connections refused by the list of allowed networks.",
);
pub(super) const CALLER_CONNECTIONS_SHED: Family = Family(
    "dqe_proxy_caller_connections_shed",
    Counter,
    "Connections answered with 503 at once, by the setting of [listener] that was reached.",
);
pub(super) const HEADS_REFUSED: Family = Family(
    "dqe_proxy_caller_heads_refused",
    Counter,
    "What callers sent that is no HTTP request or has too large a head, by the status it was answered with.",
);
pub(super) const ACCEPTS_FAILED: Family = Family(
    "dqe_proxy_accept_failures",
    Counter,
    "Times no connection could be accepted although one waited, for want of descriptors mostly.",
);
pub(super) const UPSTREAM_CONNECTIONS: Family = Family(
    "dqe_proxy_upstream_connections",
    Gauge,
    "Connections to DQE that are open.",
);
pub(super) const UPSTREAM_CONNECTIONS_OPENED: Family = Family(
    "dqe_proxy_upstream_connections_opened",
    Counter,
    "Connections made to DQE.",
);
pub(super) const TOKEN_STATE: Family = Family(
    "dqe_proxy_token_state",
    Gauge,
    "1 for the state that the token of a scope is in, 0 for the others.",
);
pub(super) const TOKEN_SECONDS_TO_EXPIRY: Family = Family(
    "dqe_proxy_token_seconds_to_expiry",
    Gauge,
    "Seconds until the token expires; absent without a usable one.",
);
pub(super) const TOKEN_GENERATION: Family = Family(
    "dqe_proxy_token_generation",
    Gauge,
    "Number of the token in use, counted from the start of the process.",
);
pub(super) const TOKEN_RENEWALS: Family = Family(
    "dqe_proxy_token_renewals",
    Counter,
    "Attempts to get a token: granted, repeated (the one held), transient or permanent.",
);
pub(super) const TOKEN_LIFE_LEFT: Family = Family(
    "dqe_proxy_token_life_left_ratio",
    Histogram,
    "Share of the token's life that was left, each time a request was sent.",
);
pub(super) const TOKEN_SLACK: Family = Family(
    "dqe_proxy_token_renewal_slack_ratio",
    Histogram,
    "Share of a token's life that was left when its successor was there; rejected tokens apart.",
);
pub(super) const TOKEN_CALLS: Family = Family(
    "dqe_proxy_token_calls",
    Counter,
    "Calls sent to the token endpoint, those that joined a silent one included.",
);
pub(super) const TOKEN_FORCED_RENEWALS: Family = Family(
    "dqe_proxy_token_forced_renewals",
    Counter,
    "Renewals forced because DQE rejected the token.",
);
pub(super) const TOKEN_REPLAYS: Family = Family(
    "dqe_proxy_token_replays",
    Counter,
    "Requests sent again with a newer token of the scope.",
);
pub(super) const TOKEN_WAITS: Family = Family(
    "dqe_proxy_token_waits",
    Counter,
    "Callers held because there was no usable token.",
);
pub(super) const TOKEN_WAIT_SECONDS: Family = Family(
    "dqe_proxy_token_wait_seconds",
    Counter,
    "Seconds callers were held because there was no usable token.",
);
pub(super) const TOKEN_SAME: Family = Family(
    "dqe_proxy_token_same",
    Counter,
    "Renewals that brought the token already held.",
);
pub(super) const TOKEN_RESTARTS: Family = Family(
    "dqe_proxy_token_renewer_restarts",
    Counter,
    "Times the task that renews a token was started again after a panic.",
);
pub(super) const ACCESS_LOG_DROPPED: Family = Family(
    "dqe_proxy_access_log_dropped",
    Counter,
    "Lines of the access log lost because standard output was not read or could not be written.",
);
pub(super) const EVENT_LOG_DROPPED: Family = Family(
    "dqe_proxy_event_log_dropped",
    Counter,
    "Lines of the log lost because standard error was not read or could not be written.",
);
pub(super) const READY: Family = Family("dqe_proxy_ready", Gauge, "1 when calls can be served.");
pub(super) const DRAINING: Family = Family(
    "dqe_proxy_draining",
    Gauge,
    "1 when the proxy has been told to stop.",
);
pub(super) const BUILD: Family = Family("dqe_proxy_build", Info, "The version that runs.");
pub(super) const RESIDENT_MEMORY: Family = Family(
    "process_resident_memory_bytes",
    Gauge,
    "Resident memory of the process.",
);
pub(super) const MEMORY_SHORT: Family = Family(
    "dqe_proxy_memory_short",
    Gauge,
    "1 while fewer requests are let in because listener.max_memory is reached.",
);
pub(super) const START_TIME: Family = Family(
    "process_start_time_seconds",
    Gauge,
    "Start of the process, in seconds since 1970.",
);
