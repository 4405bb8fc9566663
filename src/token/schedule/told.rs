//! What others tell a cell: servers that reject its token, other cells of the
//! credential, and the operator.

use std::time::Duration;

use super::{Rejection, Schedule};
use crate::token::error::Reason;
use crate::token::moment::Moment;
use crate::token::timing::URGENCY;

/// Longest time a forced renewal is put off with callers waiting for it. One
/// that would come later is not made, and the token stays in use.
const LONGEST_DELAY: Duration = Duration::from_millis(URGENCY.as_millis() as u64 / 2);

impl Schedule {
    /// A server rejected the token `generation` as a credential;
    /// `had_worked`: it had accepted it before.
    pub(in crate::token) fn reject(
        &mut self,
        generation: u64,
        had_worked: bool,
        now: &Moment,
    ) -> Rejection {
        let Some(held) = self.held else {
            return Rejection::TooSoon;
        };
        if held.generation > generation {
            return Rejection::Outdated;
        }
        if self.rejected.is_some() {
            return Rejection::Joined;
        }
        if self.attempting {
            // The call under way brings a newer token: that one is enough.
            self.lose(generation, now, Duration::ZERO);
            return Rejection::Hastened;
        }
        if held.revoked {
            return Rejection::TooSoon;
        }
        let delay = self.forcing.may_force(held.term.life, had_worked, now);
        let is_soon = delay.is_zero() || had_worked && delay <= LONGEST_DELAY;
        if !is_soon {
            return Rejection::TooSoon;
        }
        self.lose(generation, now, delay);
        Rejection::Forced
    }

    fn lose(&mut self, generation: u64, now: &Moment, delay: Duration) {
        self.rejected = Some(generation);
        self.lost = Some((*now, delay));
        if let Some(held) = &mut self.held {
            held.revoked = true;
        }
    }

    /// Answers look as if the token were dead, without proof: it is renewed
    /// and stays in use meanwhile. True when a renewal is due now.
    pub(in crate::token) fn suspect(&mut self, generation: u64, now: &Moment) -> bool {
        let Some(held) = self.held.filter(|held| held.generation == generation) else {
            return false;
        };
        if self.attempting || !self.forcing.may_suspect(held.term.life, now) {
            return false;
        }
        self.suspected = true;
        true
    }

    /// Something changed that may help: the next attempt is due at once.
    /// `settings_changed`: what is known of the old settings no longer counts.
    pub(in crate::token) fn wake(&mut self, settings_changed: bool) {
        if self.failure.is_some() || self.blocked.is_some() {
            self.woken = true;
        }
        self.blocked = None;
        if settings_changed {
            self.refusals = 0;
            self.quick_tries = 0;
            self.ever_granted = false;
            self.refused = false;
        }
    }

    /// Another cell found the credential refused; the next probe is in `wait`.
    pub(in crate::token) fn block(&mut self, reason: Reason, now: &Moment, wait: Duration) {
        self.blocked = Some((reason, *now, wait));
        // Nobody waits for a renewal that will not come soon.
        self.rejected = None;
    }

    /// Only this scope is refused: the credential works for another one.
    pub(in crate::token) fn refuse(&mut self) {
        self.refused = true;
    }
}
