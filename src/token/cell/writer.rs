//! The renewal task's side of a cell: every change of the token goes through
//! here, under the lock.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Cell, Ledger};
use crate::token::access_token::AccessToken;
use crate::token::endpoint::{Failure, Success};
use crate::token::error::Reason;
use crate::token::moment::Moment;
use crate::token::schedule::{Granted, Plan};
use crate::token::timing::Term;
use crate::token::view::{EventKind, TokenState};

/// What the renewal task does with its cell.
impl Cell {
    /// The renewal task begins, perhaps after one that ended in mid-attempt.
    pub(in crate::token) fn taken_over(&self) {
        self.ledger().schedule.interrupted();
    }

    /// The token's state by the clock, and whether its renewal fails, which is not known
    /// yet in the first moments after a loss. Also puts a token whose wall clock was set
    /// back onto it again.
    pub(in crate::token) fn look(&self, now: &Moment) -> (TokenState, bool) {
        let mut ledger = self.ledger();
        if ledger.schedule.note_end(now) {
            self.token.store(None);
        }
        if let Some(term) = ledger.schedule.anchor_again(now) {
            self.publish_again(&mut ledger, term);
        }
        let current = self.current(now);
        let state = self.state_of(current.as_deref(), &ledger, now);
        let has_failed = ledger.schedule.last_error().is_some();
        (state, has_failed && !ledger.schedule.is_urgent(now))
    }

    /// Time until the next attempt is due.
    pub(in crate::token) fn due_in(&self, now: &Moment) -> Duration {
        self.ledger().schedule.wait(now)
    }

    pub(in crate::token) fn begin(&self, now: &Moment, quiet: bool) -> Plan {
        self.ledger().schedule.begin(now, quiet)
    }

    /// Counts one call to the token endpoint.
    pub(in crate::token) fn note_call(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    /// Publishes a granted token.
    pub(in crate::token) fn granted(&self, success: Success, now: &Moment, chance: f64) -> Granted {
        let mut ledger = self.ledger();
        ledger.schedule.answered_in(success.took);
        let repeated = ledger
            .newest
            .as_ref()
            .is_some_and(|newest| newest.has_value(&success.header));
        let decision = ledger
            .schedule
            .granted(success.asked, success.life, repeated, now, chance);
        ledger.same_token += u64::from(repeated);
        match decision {
            Granted::Publish { generation, term } => {
                ledger.granted += 1;
                let slack = self.slack(&ledger, now);
                let token = Arc::new(AccessToken::new(success.header, generation, term));
                ledger.newest = Some(Arc::clone(&token));
                self.token.store(Some(token));
                let life = term.life;
                self.note(EventKind::Granted {
                    generation,
                    life,
                    slack,
                });
            }
            Granted::Keep { term } => {
                ledger.repeated += 1;
                self.publish_again(&mut ledger, term);
                self.note(EventKind::Repeated);
            }
            Granted::Ended => {
                ledger.repeated += 1;
                self.note(EventKind::Repeated);
            }
        }
        self.refused.store(false, Ordering::Relaxed);
        drop(ledger);
        self.tell();
        decision
    }

    /// What is left at `now` of the life of the token in use, counted as its
    /// renewal's slack; `None` when there was none yet, or a server rejected
    /// it: a token taken out of use early says nothing of renewals in time.
    fn slack(&self, ledger: &Ledger, now: &Moment) -> Option<Duration> {
        let token = self.token.load();
        let token = token.as_ref()?;
        let left = token.left(now);
        ledger.slack.observe(left, token.life());
        Some(left)
    }

    fn publish_again(&self, ledger: &mut Ledger, term: Term) {
        let Some(newest) = &ledger.newest else {
            return;
        };
        let token = Arc::new(newest.with_term(term));
        ledger.newest = Some(Arc::clone(&token));
        self.token.store(Some(token));
    }

    /// Takes note of a failed attempt: the reason that counts, the attempts
    /// that failed in a row, the time to the next one, and the first cool-down
    /// of the credential, should it be the credential's fault.
    pub(in crate::token) fn failed(&self, failure: &Failure, now: &Moment, chance: f64) -> Failed {
        let mut ledger = self.ledger();
        if let Some(took) = failure.took {
            ledger.schedule.answered_in(took);
        }
        let reason = ledger
            .schedule
            .failed(failure.reason, failure.retry_after, now, chance);
        if let Some(index) = reason.index() {
            ledger.failed[index] += 1;
        }
        self.refused
            .store(ledger.schedule.is_refused(), Ordering::Relaxed);
        let failed = Failed {
            reason,
            attempt: ledger.schedule.failures(),
            next_try: ledger.schedule.wait(now),
            first_cool_down: ledger.schedule.first_cool_down(now),
        };
        drop(ledger);
        let next_try = failed.next_try;
        self.note(EventKind::Failed { reason, next_try });
        self.tell();
        failed
    }

    /// The credential works for another scope, so this one is refused.
    pub(in crate::token) fn refuse(&self) {
        self.ledger().schedule.refuse();
        self.refused.store(true, Ordering::Relaxed);
    }

    /// Another cell found the credential in trouble.
    pub(in crate::token) fn block(&self, reason: Reason, now: &Moment, wait: Duration) {
        self.ledger().schedule.block(reason, now, wait);
        self.tell();
    }

    /// Something changed that may help.
    pub(in crate::token) fn wake(&self, settings_changed: bool) {
        let mut ledger = self.ledger();
        ledger.schedule.wake(settings_changed);
        self.refused
            .store(ledger.schedule.is_refused(), Ordering::Relaxed);
        drop(ledger);
        self.nudge.notify_one();
    }

    /// The endpoint answers others: an attempt that is under way without a
    /// usable token need not wait for a call that is silent.
    pub(in crate::token) fn hasten(&self, now: &Moment) {
        if self.ledger().schedule.is_attempting_without_token(now) {
            self.hurry.notify_one();
        }
    }

    /// Ends when callers begin to be held for the attempt under way.
    pub(in crate::token) async fn hurried(&self) {
        self.hurry.notified().await;
    }

    /// Ends when somebody wants the renewal task to look again.
    pub(in crate::token) async fn nudged(&self) {
        self.nudge.notified().await;
    }

    fn tell(&self) {
        self.progress.send_modify(|steps| *steps += 1);
    }
}

/// What follows from a failed attempt.
pub(in crate::token) struct Failed {
    pub(in crate::token) reason: Reason,
    pub(in crate::token) attempt: u32,
    pub(in crate::token) next_try: Duration,
    pub(in crate::token) first_cool_down: Duration,
}
