//! A running proxy, as the tests of this part imagine it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{LastError, Renewals, Source, TokenView};
use crate::dqe::Scope;
use crate::metrics::{Metrics, RatioSums};
use crate::token::{Event, EventKind, Reason, TokenState};

pub(super) struct Fake {
    pub(super) tokens: Vec<TokenView>,
    pub(super) events: Vec<Event>,
    pub(super) is_draining: AtomicBool,
    pub(super) metrics: Arc<Metrics>,
}

impl Fake {
    /// Two scopes, one of them refused; two routes, two worker threads.
    pub(super) fn new() -> Self {
        let refused = TokenView {
            renewals: vec![renewals("permanent", "unauthorized_scope", 3)],
            next_renewal_seconds: 60.0,
            last_error: Some(LastError {
                code: "unauthorized_scope",
                sentence: "DQE grants no such scope",
            }),
            ..token("client_phone", TokenState::Refused, None)
        };
        let fresh = TokenView {
            generation: 7,
            life_seconds: Some(300.0),
            renewals: vec![
                renewals("granted", "", 7),
                renewals("transient", "timed_out", 2),
            ],
            slack: RatioSums {
                buckets: [1, 0, 0, 0, 0, 0, 5, 0, 0, 0],
                sum: 2.4,
            },
            calls: 10,
            forced_renewals: 1,
            same_token: 4,
            waits: 3,
            waited_seconds: 0.25,
            next_renewal_seconds: 12.0625,
            ..token("client_address", TokenState::Fresh, Some(142.5))
        };
        let routes = vec!["/RNVP".to_owned(), "/odd \"route\"\\*".to_owned()];
        Self {
            tokens: vec![fresh, refused],
            events: every_event(),
            is_draining: AtomicBool::new(false),
            metrics: Arc::new(Metrics::new(
                routes,
                &["ok", "not_found"],
                vec!["client_address", "client_phone"],
                2,
            )),
        }
    }

    pub(super) fn drain(&self) {
        self.is_draining.store(true, Ordering::Relaxed);
    }
}

/// One of each kind, a second apart.
fn every_event() -> Vec<Event> {
    let second = Duration::from_secs(1);
    let kinds = [
        (None, EventKind::Reloaded),
        (
            Some(Scope::Address),
            EventKind::Granted {
                generation: 7,
                life: 300 * second,
                slack: Some(150 * second),
            },
        ),
        (
            Some(Scope::Phone),
            EventKind::Granted {
                generation: 1,
                life: 2 * second,
                slack: None,
            },
        ),
        (Some(Scope::Address), EventKind::Repeated),
        (
            Some(Scope::Address),
            EventKind::Failed {
                reason: Reason::TimedOut,
                next_try: Duration::from_micros(1_234_567),
            },
        ),
        (Some(Scope::Address), EventKind::Rejected { generation: 7 }),
        (Some(Scope::Address), EventKind::Suspected { generation: 8 }),
        (Some(Scope::Address), EventKind::Restarted),
    ];
    let start = UNIX_EPOCH + Duration::from_millis(1_763_951_600_500);
    let seconds = (0..).map(|seconds| start + second * seconds);
    let events = kinds.into_iter().zip(seconds);
    events
        .map(|((scope, kind), at)| Event { at, scope, kind })
        .collect()
}

fn renewals(outcome: &'static str, reason: &'static str, count: u64) -> Renewals {
    Renewals {
        outcome,
        reason,
        count,
    }
}

/// A token with nothing to tell.
pub(super) fn token(scope: &'static str, state: TokenState, seconds: Option<f64>) -> TokenView {
    TokenView {
        scope,
        state,
        seconds_to_expiry: seconds,
        life_seconds: None,
        generation: 0,
        renewals: Vec::new(),
        slack: RatioSums::default(),
        calls: 0,
        forced_renewals: 0,
        same_token: 0,
        restarts: 0,
        waits: 0,
        waited_seconds: 0.0,
        next_renewal_seconds: 0.0,
        last_error: None,
    }
}

impl Source for Fake {
    fn tokens(&self) -> Vec<TokenView> {
        self.tokens.clone()
    }

    fn token_events(&self) -> Vec<Event> {
        self.events.clone()
    }

    fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Relaxed)
    }

    fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.metrics)
    }

    fn access_log_dropped(&self) -> Option<u64> {
        Some(11)
    }

    fn event_log_dropped(&self) -> u64 {
        12
    }

    fn resident_memory(&self) -> Option<u64> {
        Some(13_000_000)
    }

    fn is_memory_short(&self) -> bool {
        false
    }

    fn started(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(1_763_951_521_250)
    }
}
