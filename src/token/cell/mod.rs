//! One scope's token as its readers see it. Readers never wait for the token
//! endpoint while there is a usable token, and take no lock then.

mod writer;

pub(super) use writer::Failed;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::access_token::AccessToken;
use super::error::{Reason, Unavailable};
use super::moment::Moment;
use super::schedule::{Rejection, Schedule};
use super::view::{CellView, EventKind, History, TokenState};
use crate::dqe::Scope;
use crate::metrics::{RatioSums, Ratios};

/// One scope's token: read by every request, written by its renewal task.
#[derive(Debug)]
pub struct Cell {
    scope: Scope,
    /// The door for readers. Written only while `ledger` is locked.
    token: ArcSwapOption<AccessToken>,
    refused: AtomicBool,
    /// The newest generation that a server has accepted.
    worked: AtomicU64,
    ledger: Mutex<Ledger>,
    /// Counts what may interest a waiting caller.
    progress: watch::Sender<u64>,
    /// Wakes the renewal task.
    nudge: Notify,
    /// Tells the attempt under way that callers are held for it.
    hurry: Notify,
    history: Arc<Mutex<History>>,
    calls: AtomicU64,
    waits: AtomicU64,
    waited_micros: AtomicU64,
}

/// What is behind the lock. Held for a few instructions, never across an
/// await, and never by a request that has a usable token.
#[derive(Debug, Default)]
struct Ledger {
    schedule: Schedule,
    /// The newest token, usable or not, to know a repeated one by.
    newest: Option<Arc<AccessToken>>,
    granted: u64,
    repeated: u64,
    /// Share of a token's life left when its successor was published.
    slack: Ratios,
    failed: [u64; Reason::FAILURES.len()],
    forced: u64,
    same_token: u64,
    restarts: u64,
}

impl Cell {
    pub(super) fn new(scope: Scope, history: Arc<Mutex<History>>) -> Self {
        Self {
            scope,
            token: ArcSwapOption::empty(),
            refused: AtomicBool::new(false),
            worked: AtomicU64::new(0),
            ledger: Mutex::default(),
            progress: watch::Sender::new(0),
            nudge: Notify::new(),
            hurry: Notify::new(),
            history,
            calls: AtomicU64::new(0),
            waits: AtomicU64::new(0),
            waited_micros: AtomicU64::new(0),
        }
    }

    /// Whose token.
    #[must_use]
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// The token to send now, if there is a usable one. Wait-free: no lock, no
    /// allocation.
    #[must_use]
    pub fn current(&self, now: &Moment) -> Option<Arc<AccessToken>> {
        self.with_current(now, Arc::clone)
    }

    /// What `work` makes of the token to send now, if there is a usable one. As
    /// [`Self::current`], and nothing is written that another thread may use.
    #[must_use]
    pub fn with_current<T>(
        &self,
        now: &Moment,
        work: impl FnOnce(&Arc<AccessToken>) -> T,
    ) -> Option<T> {
        let token = self.token.load();
        let token = token.as_ref()?;
        token.is_usable(now).then(|| work(token))
    }

    /// A server has accepted the token `generation`. One that worked before it
    /// was rejected may be replaced sooner than one that never did. Costs a
    /// load, and a store once per token.
    pub fn note_worked(&self, generation: u64) {
        if self.worked.load(Ordering::Relaxed) < generation {
            self.worked.fetch_max(generation, Ordering::Relaxed);
        }
    }

    /// A usable token, for a caller that found none. It is held for at most
    /// `limit`, and only while there is hope: the first attempt of a cold start
    /// has not ended, or the token was lost within the last second, by a
    /// rejection or as a repeated one at its end. Otherwise the answer comes at
    /// once.
    pub async fn wait(&self, limit: Duration) -> Option<Arc<AccessToken>> {
        if let Some(token) = self.current(&Moment::now()) {
            return Some(token);
        }
        let mut progress = self.progress.subscribe();
        if !self.is_worth_waiting() {
            return self.current(&Moment::now());
        }
        // After a suspend the renewal task may not have looked at the clock yet.
        self.nudge.notify_one();
        let _waited = Waited::new(self);
        let deadline = Instant::now() + limit;
        loop {
            if let Some(token) = self.current(&Moment::now()) {
                return Some(token);
            }
            if !self.is_worth_waiting() {
                return self.current(&Moment::now());
            }
            let is_late = tokio::time::timeout_at(deadline, progress.changed())
                .await
                .is_err();
            if is_late {
                return self.current(&Moment::now());
            }
        }
    }

    /// A server rejected the token `rejected_generation`. Invalidates it if it
    /// is still current and forces one renewal, which all who were rejected
    /// with it join. Returns a usable token of a newer generation within
    /// `limit`, or `None`: not in time, refused, the server repeats the token,
    /// or the last forced renewal is too recent (then nothing is invalidated).
    pub async fn renewed_after(
        &self,
        rejected_generation: u64,
        limit: Duration,
    ) -> Option<Arc<AccessToken>> {
        if let Some(newer) = self.newer_than(rejected_generation) {
            return Some(newer);
        }
        let mut progress = self.progress.subscribe();
        if self.reject(rejected_generation) == Rejection::TooSoon {
            return None;
        }
        // Whoever only asks for a renewal does not wait for it.
        let _waited = (!limit.is_zero()).then(|| Waited::new(self));
        let deadline = Instant::now() + limit;
        loop {
            // In this order: the newer token is there before its renewal is over.
            let is_renewing = self
                .ledger()
                .schedule
                .is_renewing_after(rejected_generation);
            if let Some(newer) = self.newer_than(rejected_generation) {
                return Some(newer);
            }
            if !is_renewing {
                return None;
            }
            let is_late = tokio::time::timeout_at(deadline, progress.changed())
                .await
                .is_err();
            if is_late {
                return self.newer_than(rejected_generation);
            }
        }
    }

    /// Answers look as if the token `generation` were dead, without proof:
    /// asks for one renewal in the background, at most once a minute (a fifth
    /// of a life, when that is shorter); the token stays in use. False when it
    /// is too soon or not the newest token.
    pub fn suspect(&self, generation: u64) -> bool {
        let mut ledger = self.ledger();
        let is_due = ledger.schedule.suspect(generation, &Moment::now());
        if is_due {
            ledger.forced += 1;
            self.note(EventKind::Suspected { generation });
            drop(ledger);
            self.nudge.notify_one();
        }
        is_due
    }

    /// As [`Self::suspect`], and waits for what comes of it, or of the renewal
    /// that is under way: returns a usable token of a newer generation within
    /// `limit`, or `None`.
    pub async fn renewed_on_suspicion(
        &self,
        generation: u64,
        limit: Duration,
    ) -> Option<Arc<AccessToken>> {
        let mut progress = self.progress.subscribe();
        if let Some(newer) = self.newer_than(generation) {
            return Some(newer);
        }
        self.suspect(generation);
        // The first attempt that ends decides: the caller has an answer at hand.
        let _ = tokio::time::timeout(limit, progress.changed()).await;
        self.newer_than(generation)
    }

    /// Whether the scope is not granted to this licence, so that a route falls
    /// back to another scope. Worth asking only when there is no usable token.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }

    /// Why there is no usable token, and when to ask again.
    #[must_use]
    pub fn unavailable(&self) -> Unavailable {
        let (reason, wait) = self.ledger().schedule.trouble(&Moment::now());
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Unavailable {
            reason,
            retry_after: Duration::from_secs(seconds.clamp(1, 60)),
        }
    }

    /// Counts a restart of the renewal task after a panic.
    pub fn note_restart(&self) {
        self.ledger().restarts += 1;
        self.note(EventKind::Restarted);
    }

    /// A snapshot for operators.
    #[must_use]
    pub fn view(&self) -> CellView {
        let now = Moment::now();
        let current = self.current(&now);
        let ledger = self.ledger();
        let failed = Reason::FAILURES.into_iter().zip(ledger.failed);
        let mut slack = RatioSums::default();
        ledger.slack.add_to(&mut slack);
        let (_, next_attempt) = ledger.schedule.trouble(&now);
        CellView {
            scope: self.scope,
            state: self.state_of(current.as_deref(), &ledger, &now),
            left: current.as_ref().map(|token| token.left(&now)),
            life: current.as_ref().map(|token| token.life()),
            generation: ledger.schedule.generation(),
            renewals_granted: ledger.granted,
            renewals_repeated: ledger.repeated,
            renewals_failed: failed.filter(|(_, count)| *count > 0).collect(),
            slack,
            calls: self.calls.load(Ordering::Relaxed),
            forced_renewals: ledger.forced,
            same_token: ledger.same_token,
            restarts: ledger.restarts,
            waits: self.waits.load(Ordering::Relaxed),
            waited: Duration::from_micros(self.waited_micros.load(Ordering::Relaxed)),
            last_error: ledger.schedule.last_error(),
            next_attempt,
        }
    }

    fn state_of(&self, current: Option<&AccessToken>, ledger: &Ledger, now: &Moment) -> TokenState {
        match current {
            Some(token) if token.is_stale(now) => TokenState::Stale,
            Some(_) => TokenState::Fresh,
            None if self.is_refused() => TokenState::Refused,
            None if ledger.newest.is_some() => TokenState::Expired,
            None => TokenState::Waiting,
        }
    }

    fn is_worth_waiting(&self) -> bool {
        self.ledger().schedule.is_worth_waiting(&Moment::now())
    }

    fn newer_than(&self, generation: u64) -> Option<Arc<AccessToken>> {
        self.current(&Moment::now())
            .filter(|token| token.generation() > generation)
    }

    fn reject(&self, generation: u64) -> Rejection {
        let had_worked = self.worked.load(Ordering::Relaxed) >= generation;
        let mut ledger = self.ledger();
        let verdict = ledger
            .schedule
            .reject(generation, had_worked, &Moment::now());
        match verdict {
            Rejection::Forced => {
                ledger.forced += 1;
                self.token.store(None);
                self.note(EventKind::Rejected { generation });
                self.nudge.notify_one();
                let scope = self.scope.as_str();
                tracing::warn!(
                    scope,
                    generation,
                    "a server rejected the token: it is renewed"
                );
            }
            Rejection::Hastened => {
                self.token.store(None);
                self.note(EventKind::Rejected { generation });
                self.hurry.notify_one();
            }
            Rejection::Joined => self.token.store(None),
            Rejection::Outdated | Rejection::TooSoon => {}
        }
        verdict
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        // A panic elsewhere leaves counters at worst one short.
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, kind: EventKind) {
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        history.push(Some(self.scope), kind);
    }
}

/// Adds the time a caller waited, also when the caller goes away meanwhile.
struct Waited<'a> {
    cell: &'a Cell,
    since: Instant,
}

impl<'a> Waited<'a> {
    fn new(cell: &'a Cell) -> Self {
        let since = Instant::now();
        Self { cell, since }
    }
}

impl Drop for Waited<'_> {
    fn drop(&mut self) {
        let micros = u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.cell.waits.fetch_add(1, Ordering::Relaxed);
        self.cell.waited_micros.fetch_add(micros, Ordering::Relaxed);
    }
}
