//! What an operator sees of a cell: a snapshot, without secrets.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use super::error::Reason;
use crate::dqe::Scope;
use crate::metrics::RatioSums;

/// How a scope's token fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenState {
    /// There has been none yet.
    Waiting,
    /// Usable, and at least a quarter of its life is left.
    Fresh,
    /// Usable, with less than a quarter left: its renewal is in trouble.
    Stale,
    /// There was one; none is usable now.
    Expired,
    /// None is usable, and the scope is not granted to this licence.
    Refused,
}

impl TokenState {
    /// Every state.
    pub const ALL: [Self; 5] = [
        Self::Waiting,
        Self::Fresh,
        Self::Stale,
        Self::Expired,
        Self::Refused,
    ];

    /// The stable word, in metrics and in text.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Fresh => "fresh",
            Self::Stale => "stale",
            Self::Expired => "expired",
            Self::Refused => "refused",
        }
    }

    /// Whether requests can be sent with it.
    #[must_use]
    pub fn is_usable(self) -> bool {
        match self {
            Self::Fresh | Self::Stale => true,
            Self::Waiting | Self::Expired | Self::Refused => false,
        }
    }
}

/// A snapshot of one cell.
#[derive(Clone, Debug)]
pub struct CellView {
    /// Whose token.
    pub scope: Scope,
    /// How it fares.
    pub state: TokenState,
    /// Time to the expiry of the current token; `None` without a usable one.
    pub left: Option<Duration>,
    /// How long the current token lives in all.
    pub life: Option<Duration>,
    /// Number of the newest token; 0 before the first.
    pub generation: u64,
    /// Renewals that brought a new token.
    pub renewals_granted: u64,
    /// Renewals that brought the current token again.
    pub renewals_repeated: u64,
    /// Renewals that failed, by reason; those that never happened are left out.
    pub renewals_failed: Vec<(Reason, u64)>,
    /// What was left of each token's life when its successor was published, as
    /// a share; tokens that a server rejected are left out.
    pub slack: RatioSums,
    /// Token calls sent, hedges included.
    pub calls: u64,
    /// Renewals forced by rejected tokens.
    pub forced_renewals: u64,
    /// Replies that repeated the current token.
    pub same_token: u64,
    /// Times the renewal task had to be started again.
    pub restarts: u64,
    /// Callers that waited for a token.
    pub waits: u64,
    /// Time they waited, added up.
    pub waited: Duration,
    /// Why the latest attempt failed; `None` after a success.
    pub last_error: Option<Reason>,
    /// Time until the next attempt is due; zero while one is under way.
    pub next_attempt: Duration,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// A new token, with its life.
    Granted {
        /// Its number.
        generation: u64,
        /// How long it lives.
        life: Duration,
        /// What was left of the life of the one before; `None` when there was
        /// none, or a server had rejected it.
        slack: Option<Duration>,
    },
    /// The server repeated the current token.
    Repeated,
    /// An attempt failed.
    Failed {
        /// Why.
        reason: Reason,
        /// When the next one is due.
        next_try: Duration,
    },
    /// A token was rejected by the server and is in use no more: a renewal is
    /// forced, or the one under way will do.
    Rejected {
        /// Its number.
        generation: u64,
    },
    /// Answers look as if the token were dead: a renewal is forced, and the
    /// token stays in use meanwhile.
    Suspected {
        /// Its number.
        generation: u64,
    },
    /// The secret was read anew and differs, or the settings were reloaded.
    Reloaded,
    /// The renewal task was started again after a panic.
    Restarted,
}

/// One line of the token history.
#[derive(Clone, Debug)]
pub struct Event {
    /// When, by the wall clock.
    pub at: SystemTime,
    /// Whose token; `None` when it concerns all.
    pub scope: Option<Scope>,
    /// What happened.
    pub kind: EventKind,
}

impl Event {
    /// How many are kept.
    pub const KEPT: usize = 50;
}

/// The last 50 events. Never touched by a request that has a usable token.
#[derive(Debug, Default)]
pub(super) struct History(VecDeque<Event>);

impl History {
    pub(super) fn push(&mut self, scope: Option<Scope>, kind: EventKind) {
        if self.0.len() == Event::KEPT {
            self.0.pop_front();
        }
        let at = SystemTime::now();
        self.0.push_back(Event { at, scope, kind });
    }

    /// Oldest first.
    pub(super) fn list(&self) -> Vec<Event> {
        self.0.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_fifty_events_are_kept() {
        let mut history = History::default();
        for generation in 0..60 {
            history.push(None, EventKind::Rejected { generation });
        }
        let list = history.list();
        assert_eq!(list.len(), 50);
        assert_eq!(list[0].kind, EventKind::Rejected { generation: 10 });
    }
}
