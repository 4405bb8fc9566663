//! One attempt as the renewal task makes it, in steps of simulated time: the
//! same calls at the same instants as `attempt`, which a test here shows.

use std::time::Duration;

use super::world::Answer;
use crate::token::error::Reason;
use crate::token::moment::Moment;
use crate::token::schedule::Plan;

#[derive(Clone, Copy)]
struct Call {
    asked: Moment,
    ends: Duration,
    answer: Answer,
}

/// How an attempt ended: the answer that counts, and when it was asked for.
pub(super) struct Ended {
    pub(super) asked: Moment,
    pub(super) answer: Answer,
}

/// An attempt under way.
pub(super) struct Hedge {
    plan: Plan,
    older: Call,
    younger: Option<Call>,
    next_call: Option<Duration>,
    /// No call begins from then on.
    latest: Duration,
    is_hurried: bool,
}

impl Hedge {
    /// Begins at `time`, which the clocks call `now`, with one call.
    pub(super) fn begin(plan: Plan, time: Duration, now: Moment, answer: Answer) -> Self {
        Self {
            plan,
            older: Call::new(&plan, time, now, answer),
            younger: None,
            next_call: plan.hedge_after.map(|after| time + after),
            latest: time + plan.patience,
            is_hurried: false,
        }
    }

    /// Callers are held for it from `time` on.
    pub(super) fn hurry(&mut self, time: Duration) {
        if std::mem::replace(&mut self.is_hurried, true) {
            return;
        }
        self.plan.again_every = Some(self.plan.when_urgent);
        let soon = time + self.plan.when_urgent;
        self.next_call = Some(self.next_call.map_or(soon, |next| next.min(soon)));
    }

    /// Does what is due at `time`. `Some` when the attempt has ended.
    pub(super) fn step(
        &mut self,
        time: Duration,
        now: Moment,
        mut call: impl FnMut() -> Answer,
    ) -> Option<Ended> {
        loop {
            if self.older.ends <= time {
                let Err((reason, _)) = self.older.answer.what else {
                    return Some(self.older.ended());
                };
                let is_over = self.plan.ends_at(reason)
                    || self.plan.again_every.is_some() && reason == Reason::TimedOut;
                match self.younger.take() {
                    Some(younger) if !is_over => self.older = younger,
                    Some(_) | None => return Some(self.older.ended()),
                }
            } else if let Some(younger) = self.younger.filter(|call| call.ends <= time) {
                match younger.answer.what {
                    Err((reason, _)) if !self.plan.ends_at(reason) => self.younger = None,
                    Ok(_) | Err(_) => return Some(younger.ended()),
                }
            } else if self.next_call.is_some_and(|next| next <= time) {
                self.younger = Some(Call::new(&self.plan, time, now, call()));
                let next = self.plan.again_every.map(|interval| time + interval);
                self.next_call = next.filter(|next| *next < self.latest);
            } else {
                return None;
            }
        }
    }

    /// When something is due next.
    pub(super) fn next(&self) -> Duration {
        let younger = self.younger.map(|call| call.ends);
        let due = [younger, self.next_call].into_iter().flatten();
        due.fold(self.older.ends, Duration::min)
    }

    /// The machine slept for `length`: timers stood still, replies wait.
    pub(super) fn slept(&mut self, length: Duration) {
        self.older.ends += length;
        if let Some(younger) = &mut self.younger {
            younger.ends += length;
        }
        self.next_call = self.next_call.map(|next| next + length);
        self.latest += length;
    }
}

impl Call {
    fn new(plan: &Plan, time: Duration, asked: Moment, mut answer: Answer) -> Self {
        if answer.after > plan.patience {
            answer.after = plan.patience;
            answer.what = Err((Reason::TimedOut, None));
        }
        Self {
            asked,
            ends: time + answer.after,
            answer,
        }
    }

    fn ended(&self) -> Ended {
        Ended {
            asked: self.asked,
            answer: self.answer,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use tokio::time::Instant;

    use super::*;
    use crate::token::attempt::attempt;
    use crate::token::endpoint::{Failure, Success};
    use crate::token::simulation::world::{Token, World};

    type Told = (Vec<Duration>, Duration, Result<u64, Reason>);

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// A random whole number below `limit`.
    fn below(world: &mut World, limit: u64) -> u64 {
        (world.chance() * limit as f64) as u64
    }

    fn plan(world: &mut World) -> Plan {
        Plan {
            patience: millis(1 + below(world, 3000)),
            hedge_after: (world.chance() < 0.8).then(|| millis(1 + below(world, 1500))),
            again_every: (world.chance() < 0.5).then(|| millis(20 + below(world, 600))),
            when_urgent: millis(20 + below(world, 300)),
            ends_at_500: world.chance() < 0.5,
        }
    }

    fn answer(world: &mut World, number: u64) -> Answer {
        let token = Token {
            value: number,
            says: millis(300_000),
            dies: millis(300_000),
        };
        let longest = [50, 500, 4000][below(world, 3) as usize];
        let what = match below(world, 8) {
            0..4 => Ok(token),
            4 => Err((Reason::InvalidClient, None)),
            5 => Err((Reason::EndpointUnavailable, None)),
            6 => Err((Reason::TimedOut, None)),
            _ => Err((Reason::InternalError, None)),
        };
        Answer {
            after: millis(below(world, longest)),
            what,
        }
    }

    async fn really(plan: Plan, hurry: Option<Duration>, script: &[Answer]) -> Told {
        let start = Instant::now();
        let calls = RefCell::new(Vec::new());
        let hurried = async {
            match hurry {
                Some(after) => tokio::time::sleep(after).await,
                None => std::future::pending().await,
            }
        };
        let result = attempt(plan, hurried, || {
            let mut calls = calls.borrow_mut();
            let answer = script[calls.len()];
            calls.push(start.elapsed());
            async move {
                let asked = Moment::now();
                let reply = tokio::time::sleep(answer.after);
                if tokio::time::timeout(plan.patience, reply).await.is_err() {
                    return Err(Failure::without_reply(Reason::TimedOut, None));
                }
                match answer.what {
                    Ok(token) => Ok(Success {
                        asked,
                        header: http::HeaderValue::from(token.value),
                        life: token.says,
                        life_was_assumed: false,
                        took: answer.after,
                    }),
                    Err((reason, _)) => Err(Failure::without_reply(reason, None)),
                }
            }
        })
        .await;
        let result = result
            .map(|success| success.header.to_str().unwrap().parse().unwrap())
            .map_err(|failure| failure.reason);
        (calls.into_inner(), start.elapsed(), result)
    }

    fn modelled(plan: Plan, hurry: Option<Duration>, script: &[Answer]) -> Told {
        let now = Moment::now();
        let mut calls = vec![Duration::ZERO];
        let mut hurry = hurry;
        let mut time = Duration::ZERO;
        let mut hedge = Hedge::begin(plan, time, now, script[0]);
        loop {
            let mut call = || {
                calls.push(time);
                script[calls.len() - 1]
            };
            // What ended at the same instant comes before the hurry.
            let ended = if hurry == Some(time) {
                let next_call = hedge.next_call.take();
                let ended = hedge.step(time, now, &mut call);
                hedge.next_call = next_call;
                hurry = None;
                hedge.hurry(time);
                ended.or_else(|| hedge.step(time, now, &mut call))
            } else {
                hedge.step(time, now, &mut call)
            };
            if let Some(Ended { answer, .. }) = ended {
                let what = answer.what.map(|token| token.value);
                return (calls, time, what.map_err(|(reason, _)| reason));
            }
            time = hurry.map_or(hedge.next(), |at| at.min(hedge.next()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_model_makes_the_calls_that_the_renewal_task_makes() {
        let mut hedged = 0;
        for seed in 0..4000 {
            let mut world = World::new(1, seed);
            let plan = plan(&mut world);
            let hurry = (world.chance() < 0.4).then(|| millis(below(&mut world, 1000)));
            let script: Vec<_> = (0..400).map(|n| answer(&mut world, n)).collect();
            let real = really(plan, hurry, &script).await;
            assert_eq!(
                modelled(plan, hurry, &script),
                real,
                "seed {seed}, {plan:?}"
            );
            hedged += u64::from(real.0.len() > 1);
        }
        assert!(hedged > 1000, "{hedged} attempts with more than one call");
    }
}
