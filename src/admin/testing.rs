//! A running proxy, as the tests of this part imagine it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Renewals, Source, TokenState, TokenView};
use crate::metrics::Metrics;

pub(super) struct Fake {
    pub(super) tokens: Vec<TokenView>,
    pub(super) is_draining: AtomicBool,
    pub(super) metrics: Arc<Metrics>,
}

impl Fake {
    /// Two scopes, one of them refused; two routes, two worker threads.
    pub(super) fn new() -> Self {
        let refused = TokenView {
            renewals: vec![renewals("permanent", "unauthorized_client", 3)],
            reason: Some("DQE grants no such scope".to_owned()),
            ..token("client_phone", TokenState::Refused, None)
        };
        let fresh = TokenView {
            generation: 7,
            renewals: vec![renewals("ok", "", 7), renewals("transient", "timeout", 2)],
            forced_renewals: 1,
            same_token: 4,
            ..token("client_address", TokenState::Fresh, Some(142.5))
        };
        let routes = vec!["/RNVP".to_owned(), "/odd \"route\"\\*".to_owned()];
        Self {
            tokens: vec![fresh, refused],
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
        generation: 0,
        renewals: Vec::new(),
        forced_renewals: 0,
        same_token: 0,
        restarts: 0,
        reason: None,
    }
}

impl Source for Fake {
    fn tokens(&self) -> Vec<TokenView> {
        self.tokens.clone()
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

    fn started(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(1_763_951_521_250)
    }
}
