//! What the admin side asks of the running proxy: plain values, without
//! secrets, taken at the moment of the question.

use std::sync::Arc;
use std::time::SystemTime;

use crate::metrics::{Metrics, RatioSums};
use crate::token::{Event, TokenState};

/// The running proxy, as operators see it. Asked at each request of an
/// operator, from the control thread; must not block.
pub trait Source: Send + Sync + 'static {
    /// One per scope that a token is kept for; scopes differ.
    fn tokens(&self) -> Vec<TokenView>;

    /// What happened to the tokens lately, oldest first.
    fn token_events(&self) -> Vec<Event>;

    /// Whether the proxy has been told to stop.
    fn is_draining(&self) -> bool;

    /// The counters now in use; a reload may have replaced those of before.
    fn metrics(&self) -> Arc<Metrics>;

    /// Lines of the access log that were lost; `None` when there is no such log.
    fn access_log_dropped(&self) -> Option<u64>;

    /// Lines of the log of events that were lost.
    fn event_log_dropped(&self) -> u64;

    /// Resident memory of the process in bytes, where the system tells it.
    fn resident_memory(&self) -> Option<u64>;

    /// Whether fewer requests are let in because memory is short.
    fn is_memory_short(&self) -> bool;

    /// When the process started.
    fn started(&self) -> SystemTime;
}

/// Whether calls can be served.
pub(super) fn is_ready(is_draining: bool, tokens: &[TokenView]) -> bool {
    !is_draining && tokens.iter().any(|token| token.state.is_usable())
}

/// A scope's token, without the token.
#[derive(Clone, Debug)]
pub struct TokenView {
    /// The scope, as on the wire.
    pub scope: &'static str,
    /// How the token stands.
    pub state: TokenState,
    /// Seconds until DQE stops accepting the token; `None` without a usable one.
    pub seconds_to_expiry: Option<f64>,
    /// Seconds the token lives in all; `None` without a usable one.
    pub life_seconds: Option<f64>,
    /// Number of tokens obtained so far.
    pub generation: u64,
    /// Renewals so far; no two with the same outcome and reason.
    pub renewals: Vec<Renewals>,
    /// Share of each token's life that was left when its successor was there.
    pub slack: RatioSums,
    /// Token calls sent, those that joined a silent one included.
    pub calls: u64,
    /// Renewals forced by a rejected token.
    pub forced_renewals: u64,
    /// Renewals that brought the token already held.
    pub same_token: u64,
    /// Times the renewing task had to be started again after a panic.
    pub restarts: u64,
    /// Callers that were held because there was no usable token.
    pub waits: u64,
    /// Seconds they were held, added up.
    pub waited_seconds: f64,
    /// Seconds until the next renewal; 0 while one is under way.
    pub next_renewal_seconds: f64,
    /// Why the last renewal failed; `None` when it did not.
    pub last_error: Option<LastError>,
}

/// Why a renewal failed. Both are fixed texts, never words of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastError {
    /// The stable word, as in the metrics.
    pub code: &'static str,
    /// A sentence fit for anybody who may see this port.
    pub sentence: &'static str,
}

/// How many renewals ended in one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renewals {
    /// How they ended: `granted`, `repeated`, `transient` or `permanent`.
    pub outcome: &'static str,
    /// Why they ended so, a stable word; empty when there is nothing to say.
    pub reason: &'static str,
    /// How many.
    pub count: u64,
}
