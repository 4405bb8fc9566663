//! The task behind a cell: waits until a token is due, gets one, publishes it,
//! for ever. No failure ends it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use super::attempt::attempt;
use super::cell::Cell;
use super::endpoint::{Failure, Success};
use super::engine::Engine;
use super::error::Reason;
use super::moment::Moment;
use super::schedule::Granted;
use super::secrets::Candidate;
use super::view::TokenState;

/// Longest sleep without a look at the clocks: a timer stands still while the
/// machine sleeps, and the wall clock may be set.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);
/// A reason that changes back and forth is warned of no more often than this.
const WARNING_INTERVAL: Duration = Duration::from_secs(10);

/// Keeps the token of `cell` renewed.
pub(super) async fn run(engine: Arc<Engine>, cell: Arc<Cell>) -> Infallible {
    cell.taken_over();
    let mut reporter = Reporter::new(&cell);
    loop {
        let now = Moment::now();
        let (state, is_failing) = cell.look(&now);
        reporter.state_is(state, is_failing);
        let due_in = cell.due_in(&now);
        let turn = if due_in.is_zero() {
            engine.ask_turn(&cell, &now)
        } else {
            Err(due_in)
        };
        match turn {
            Ok(quiet) => renew(&engine, &cell, quiet, &mut reporter).await,
            Err(wait) => {
                tokio::select! {
                    () = tokio::time::sleep(wait.min(LONGEST_SLEEP)) => {}
                    () = cell.nudged() => {}
                }
            }
        }
    }
}

async fn renew(engine: &Engine, cell: &Cell, quiet: bool, reporter: &mut Reporter) {
    let candidates = engine.candidates();
    let epoch = engine.epoch();
    let outcome = match candidates {
        Ok(candidates) => try_each(engine, cell, quiet, &candidates).await,
        Err(error) => {
            cell.begin(&Moment::now(), quiet);
            let detail = Some(error.to_string());
            Err(Failure::without_reply(Reason::SecretUnreadable, detail))
        }
    };
    let now = Moment::now();
    match outcome {
        Ok(success) => granted(engine, cell, success, &now, reporter),
        Err(failure) => {
            let failed = cell.failed(&failure, &now, chance());
            let (reason, next_try) = engine.settle_failure(cell, &failed, &now);
            let trouble = Trouble {
                reason,
                next_try,
                attempt: failed.attempt,
                detail: failure.detail.as_deref(),
            };
            reporter.failed(&trouble, &now);
            if engine.epoch() != epoch {
                // It failed with a secret or a client that is no longer used.
                cell.wake(false);
            }
        }
    }
}

/// One attempt, with the next secret in the place of each that is refused. An
/// attempt that failed for another reason is what counts in the end: with the
/// secret it used, it may succeed the next time.
async fn try_each(
    engine: &Engine,
    cell: &Cell,
    quiet: bool,
    candidates: &[Candidate],
) -> Result<Success, Failure> {
    let mut refused = None;
    for candidate in candidates {
        if refused.is_some() && !engine.may_try_others() {
            break;
        }
        let quiet = quiet || refused.is_some() && engine.is_in_trouble();
        let plan = cell.begin(&Moment::now(), quiet);
        let endpoint = engine.endpoint();
        let call = || {
            cell.note_call();
            endpoint.ask(&candidate.value, cell.scope(), plan.patience)
        };
        match attempt(plan, cell.hurried(), call).await {
            Ok(success) => {
                engine.secret_worked(candidate.which);
                return Ok(success);
            }
            Err(failure) if failure.reason.may_be_the_secret() => {
                refused.get_or_insert(failure);
            }
            Err(failure) => {
                if refused.is_some() {
                    engine.others_are_unclear();
                }
                return Err(failure);
            }
        }
    }
    let nothing = || Failure::without_reply(Reason::SecretUnreadable, None);
    Err(refused.unwrap_or_else(nothing))
}

fn granted(engine: &Engine, cell: &Cell, success: Success, now: &Moment, reporter: &mut Reporter) {
    let life_was_assumed = success.life_was_assumed;
    let decision = cell.granted(success, now, chance());
    engine.settle_grant(cell, now);
    reporter.granted(&decision, life_was_assumed);
}

/// A random number in 0..1. Should the system have none, the middle will do:
/// it only spreads load.
pub(super) fn chance() -> f64 {
    let bits = getrandom::u32().unwrap_or(u32::MAX / 2);
    f64::from(bits) / (f64::from(u32::MAX) + 1.0)
}

/// A failed attempt, as it is told.
struct Trouble<'a> {
    reason: Reason,
    next_try: Duration,
    /// Failed ones in a row; 0 when it does not count as a failure.
    attempt: u32,
    detail: Option<&'a str>,
}

/// Says in the log what has changed, once per change, so that an hour without
/// an endpoint is a few lines.
struct Reporter {
    scope: &'static str,
    has_been_granted: bool,
    life_warned: bool,
    warned: Option<(Reason, Moment)>,
    state: TokenState,
}

impl Reporter {
    fn new(cell: &Cell) -> Self {
        Self {
            scope: cell.scope().as_str(),
            has_been_granted: false,
            life_warned: false,
            warned: None,
            state: TokenState::Waiting,
        }
    }

    fn granted(&mut self, decision: &Granted, life_was_assumed: bool) {
        let scope = self.scope;
        if life_was_assumed && !self.life_warned {
            self.life_warned = true;
            tracing::warn!(
                scope,
                "the token endpoint does not say how long its tokens live: 240 s are assumed"
            );
        }
        let had_failed = self.warned.take().is_some();
        match decision {
            Granted::Publish { generation, term } => {
                let life_s = term.life.as_secs();
                if !self.has_been_granted {
                    tracing::info!(scope, generation, life_s, "the first token is there");
                } else if had_failed {
                    tracing::info!(scope, generation, life_s, "tokens are renewed again");
                } else {
                    tracing::debug!(scope, generation, life_s, "the token has been renewed");
                }
                self.has_been_granted = true;
            }
            Granted::Keep { .. } | Granted::Ended => {
                tracing::debug!(scope, "the token endpoint repeats the current token");
            }
        }
    }

    fn failed(&mut self, trouble: &Trouble<'_>, now: &Moment) {
        // At the end of a repeated token, "not yet" is what was to be expected.
        let is_expected = trouble.attempt == 0;
        let is_known = is_expected
            || self.warned.is_some_and(|(reason, at)| {
                reason == trouble.reason || now.since(&at) < WARNING_INTERVAL
            });
        let scope = self.scope;
        let code = trouble.reason.as_str();
        let attempt = trouble.attempt;
        let next_try_ms = u64::try_from(trouble.next_try.as_millis()).unwrap_or(u64::MAX);
        let detail = trouble.detail;
        let reason = trouble.reason.sentence();
        if is_known {
            tracing::debug!(
                scope,
                code,
                attempt,
                next_try_ms,
                detail,
                "no token: {reason}"
            );
        } else {
            self.warned = Some((trouble.reason, *now));
            tracing::warn!(
                scope,
                code,
                attempt,
                next_try_ms,
                detail,
                "no token: {reason}"
            );
        }
    }

    fn state_is(&mut self, state: TokenState, is_failing: bool) {
        let scope = self.scope;
        // The moment between two tokens of a repeating server, or after a
        // rejection, is no news.
        if state == self.state || state == TokenState::Expired && !is_failing {
            return;
        }
        match state {
            TokenState::Stale => {
                tracing::warn!(scope, "less than a quarter of the token's life is left");
            }
            TokenState::Expired => tracing::error!(scope, "there is no usable token any more"),
            TokenState::Refused => {
                tracing::warn!(scope, "the scope is not granted to this licence");
            }
            TokenState::Waiting | TokenState::Fresh => {}
        }
        self.state = state;
    }
}
