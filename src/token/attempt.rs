//! One attempt to get a token: one call, and a second one beside it when the
//! first is silent. Both are polled in the caller's task.

use std::pin::{Pin, pin};

use tokio::time::Instant;

use super::endpoint::{Failure, Success};
use super::error::Reason;
use super::schedule::Plan;

/// Makes calls by `plan` until one brings a token or all have failed; a
/// refusal ends it at once. With `plan.again_every` the younger call is
/// replaced by a new one at that interval, while the older keeps its time: a
/// slow endpoint is waited for, and one that has come back is found soon. At
/// most two calls are in flight, and none begins once the first has had its
/// time, so that failures that come slowly have an end. When `hurried` ends,
/// callers have begun to be held for this attempt: from then on new calls come
/// as often as `plan.when_urgent` says.
pub(super) async fn attempt<F>(
    mut plan: Plan,
    hurried: impl Future<Output = ()>,
    mut call: impl FnMut() -> F,
) -> Result<Success, Failure>
where
    F: Future<Output = Result<Success, Failure>>,
{
    let latest = Instant::now() + plan.patience;
    let mut older = Some(Box::pin(call()));
    let mut younger: Option<Pin<Box<F>>> = None;
    let mut next_call = plan.hedge_after.map(|after| Instant::now() + after);
    let mut hurried = pin!(hurried);
    let mut is_hurried = false;
    loop {
        tokio::select! {
            biased;
            result = ended(&mut older) => {
                match result {
                    Ok(success) => return Ok(success),
                    Err(failure) => {
                        // After a whole patience of silence the caller decides what is next.
                        let is_over = younger.is_none()
                            || plan.ends_at(failure.reason)
                            || plan.again_every.is_some()
                                && failure.reason == Reason::TimedOut;
                        if is_over {
                            return Err(failure);
                        }
                        older = younger.take();
                    }
                }
            }
            result = ended(&mut younger) => {
                match result {
                    Ok(success) => return Ok(success),
                    Err(failure) if plan.ends_at(failure.reason) => return Err(failure),
                    Err(_) => younger = None,
                }
            }
            () = &mut hurried, if !is_hurried => {
                is_hurried = true;
                plan.again_every = Some(plan.when_urgent);
                let soon = Instant::now() + plan.when_urgent;
                next_call = Some(next_call.map_or(soon, |next| next.min(soon)));
            }
            () = until(next_call) => {
                younger = Some(Box::pin(call()));
                let next = plan.again_every.map(|interval| Instant::now() + interval);
                next_call = next.filter(|next| *next < latest);
            }
        }
    }
}

/// The outcome of the call in `slot`; never resolves when there is none.
async fn ended<F: Future>(slot: &mut Option<Pin<Box<F>>>) -> F::Output {
    match slot {
        Some(call) => call.await,
        None => std::future::pending().await,
    }
}

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::time::Duration;

    use super::*;
    use crate::token::moment::Moment;

    const COLD: Plan = Plan {
        patience: Duration::from_secs(3),
        hedge_after: Some(Duration::from_millis(350)),
        again_every: Some(Duration::from_millis(600)),
        when_urgent: Duration::from_millis(100),
        ends_at_500: false,
    };
    const LIVING: Plan = Plan {
        patience: Duration::from_secs(3),
        hedge_after: Some(Duration::from_millis(1500)),
        again_every: None,
        when_urgent: Duration::from_millis(100),
        ends_at_500: false,
    };

    fn success() -> Result<Success, Failure> {
        Ok(Success {
            asked: Moment::now(),
            header: http::HeaderValue::from_static("Bearer t"),
            life: Duration::from_secs(300),
            life_was_assumed: false,
            took: Duration::ZERO,
        })
    }

    fn failure(reason: Reason) -> Result<Success, Failure> {
        Err(Failure::without_reply(reason, None))
    }

    /// Runs an attempt against an endpoint that answers call number `n` as
    /// `script(n)` says: after so long, this. Returns when each call was made,
    /// when it ended, both in ms, and how.
    async fn run(
        plan: Plan,
        script: impl Fn(usize) -> (u64, Result<(), Reason>),
    ) -> (Vec<u128>, u128, Result<(), Reason>) {
        run_hurried(plan, std::future::pending(), script).await
    }

    async fn run_hurried(
        plan: Plan,
        hurried: impl Future<Output = ()>,
        script: impl Fn(usize) -> (u64, Result<(), Reason>),
    ) -> (Vec<u128>, u128, Result<(), Reason>) {
        let start = Instant::now();
        let calls = RefCell::new(Vec::new());
        let result = attempt(plan, hurried, || {
            let mut calls = calls.borrow_mut();
            let (after, what) = script(calls.len());
            calls.push(start.elapsed().as_millis());
            async move {
                let answer = tokio::time::sleep(Duration::from_millis(after));
                match tokio::time::timeout(plan.patience, answer).await {
                    Err(_) => failure(Reason::TimedOut),
                    Ok(()) => match what {
                        Ok(()) => success(),
                        Err(reason) => failure(reason),
                    },
                }
            }
        })
        .await;
        let result = result.map(|_| ()).map_err(|failure| failure.reason);
        (calls.into_inner(), start.elapsed().as_millis(), result)
    }

    const SILENCE: u64 = 1_000_000;

    #[tokio::test(start_paused = true)]
    async fn one_quick_answer_is_one_call() {
        for plan in [COLD, LIVING] {
            let (calls, ..) = run(plan, |_| (100, Ok(()))).await;
            assert_eq!(calls, [0]);
            let (calls, _, result) = run(plan, |_| (100, Err(Reason::HtmlReply))).await;
            assert_eq!((calls, result), (vec![0], Err(Reason::HtmlReply)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_call_gets_company_and_the_first_answer_counts() {
        let first_is_silent = |n| (if n == 0 { SILENCE } else { 100 }, Ok(()));
        let (calls, end, result) = run(LIVING, first_is_silent).await;
        assert_eq!((calls, end, result), (vec![0, 1500], 1600, Ok(())));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_companion_does_not_end_the_older_call() {
        let script = |n| match n {
            0 => (2500, Ok(())),
            _ => (10, Err(Reason::EndpointUnavailable)),
        };
        let (_, end, result) = run(LIVING, script).await;
        assert_eq!((end, result), (2500, Ok(())));
        let (_, end, result) = run(COLD, script).await;
        assert_eq!((end, result), (2500, Ok(())));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_endpoint_is_asked_anew_while_it_is_waited_for() {
        let (calls, end, result) = run(COLD, |_| (SILENCE, Ok(()))).await;
        assert_eq!(calls, [0, 350, 950, 1550, 2150, 2750]);
        assert_eq!((end, result), (3000, Err(Reason::TimedOut)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_endpoint_is_waited_for() {
        let (_, end, result) = run(COLD, |_| (2900, Ok(()))).await;
        assert_eq!((end, result), (2900, Ok(())));
    }

    #[tokio::test(start_paused = true)]
    async fn callers_that_begin_to_wait_hurry_a_silent_attempt() {
        let script = |n| match n {
            0 | 1 => (SILENCE, Ok(())),
            _ => (10, Ok(())),
        };
        let hurried = tokio::time::sleep(Duration::from_millis(500));
        let (calls, end, result) = run_hurried(LIVING, hurried, script).await;
        assert_eq!((calls, end, result), (vec![0, 600, 700], 710, Ok(())));
        // One that answers soon is enough.
        let hurried = std::future::ready(());
        let (calls, end, _) = run_hurried(LIVING, hurried, |_| (90, Ok(()))).await;
        assert_eq!((calls, end), (vec![0], 90));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_ends_the_attempt_at_once() {
        let script = |n| match n {
            0 => (SILENCE, Ok(())),
            _ => (10, Err(Reason::InvalidClient)),
        };
        let (_, end, result) = run(COLD, script).await;
        assert_eq!((end, result), (360, Err(Reason::InvalidClient)));
    }
}
