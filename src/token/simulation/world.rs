//! True time, two clocks, cells that share a credential, and what they are
//! answered.

use std::time::Duration;

use crate::token::credential::{Credential, Effect};
use crate::token::error::Reason;
use crate::token::moment::Moment;
use crate::token::schedule::Schedule;

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const HOUR: Duration = Duration::from_secs(3600);
pub(super) const LIFE: Duration = Duration::from_secs(300);

/// What the endpoint answers, and after how long.
#[derive(Clone, Copy)]
pub(super) struct Answer {
    pub(super) after: Duration,
    pub(super) what: Result<Token, (Reason, Option<Duration>)>,
}

#[derive(Clone, Copy)]
pub(super) struct Token {
    pub(super) value: u64,
    pub(super) says: Duration,
    /// True time at which the server stops accepting it.
    pub(super) dies: Duration,
}

pub(super) fn failing(reason: Reason) -> Answer {
    Answer {
        after: Duration::from_millis(50),
        what: Err((reason, None)),
    }
}

pub(super) struct Seat {
    schedule: Schedule,
    pub(super) newest: Option<Token>,
    attempt: Option<(Duration, Moment, Answer)>,
    pub(super) repeats: u64,
}

/// True time, two clocks that may differ from it, and the cells.
pub(super) struct World {
    pub(super) time: Duration,
    start: Moment,
    monotonic_lag: Duration,
    pub(super) wall_shift: i64,
    pub(super) rate: (f64, f64),
    credential: Credential,
    pub(super) seats: Vec<Seat>,
    pub(super) calls: Vec<(Duration, usize)>,
    random: u64,
    pub(super) values: u64,
}

impl World {
    pub(super) fn new(cells: usize, seed: u64) -> Self {
        let seat = || Seat {
            schedule: Schedule::default(),
            newest: None,
            attempt: None,
            repeats: 0,
        };
        Self {
            time: Duration::ZERO,
            start: Moment::now(),
            monotonic_lag: Duration::ZERO,
            wall_shift: 0,
            rate: (1.0, 1.0),
            credential: Credential::new(cells),
            seats: (0..cells).map(|_| seat()).collect(),
            calls: Vec::new(),
            random: seed.wrapping_mul(2).wrapping_add(1),
            values: 0,
        }
    }

    fn now(&self) -> Moment {
        let monotonic = self.time.mul_f64(self.rate.0) - self.monotonic_lag;
        let wall = self.start.wall + self.time.mul_f64(self.rate.1);
        let shift = Duration::from_secs(self.wall_shift.unsigned_abs());
        Moment {
            monotonic: self.start.monotonic + monotonic,
            wall: if self.wall_shift < 0 {
                wall - shift
            } else {
                wall + shift
            },
        }
    }

    /// xorshift64, in 0..1.
    pub(super) fn chance(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        f64::from(u32::try_from(self.random >> 32).unwrap()) / 4_294_967_296.0
    }

    /// A new token that lives `life` from now.
    pub(super) fn token(&mut self, life: Duration) -> Token {
        self.values += 1;
        Token {
            value: self.values,
            says: life,
            dies: self.time + life,
        }
    }

    pub(super) fn grant(&mut self, life: Duration) -> Answer {
        Answer {
            after: Duration::from_millis(50),
            what: Ok(self.token(life)),
        }
    }

    /// Runs until `end` of true time; `watch` looks at every step.
    pub(super) fn run(
        &mut self,
        end: Duration,
        mut endpoint: impl FnMut(&mut Self, usize) -> Answer,
        mut watch: impl FnMut(&Self),
    ) {
        while self.time < end {
            let mut next = SECOND;
            for seat in 0..self.seats.len() {
                next = next.min(self.step(seat, &mut endpoint));
            }
            watch(self);
            self.assert_no_dead_token();
            self.time += next.max(Duration::from_millis(1)).min(end - self.time);
        }
    }

    /// Lets one cell do what is due; returns the time to its next step.
    fn step(
        &mut self,
        index: usize,
        endpoint: &mut impl FnMut(&mut Self, usize) -> Answer,
    ) -> Duration {
        let now = self.now();
        if let Some((ends, asked, answer)) = self.seats[index].attempt {
            if self.time < ends {
                return ends - self.time;
            }
            self.seats[index].attempt = None;
            self.settle(index, asked, answer, &now);
        }
        let seat = &mut self.seats[index];
        seat.schedule.anchor_again(&now);
        let wait = seat.schedule.wait(&now);
        if !wait.is_zero() {
            return wait;
        }
        let wait = self.credential.ask(index, &now);
        if !wait.is_zero() {
            return wait;
        }
        let probing = self.credential.is_probing();
        let plan = self.seats[index].schedule.begin(&now, probing);
        self.calls.push((self.time, index));
        let mut answer = endpoint(self, index);
        if answer.after > plan.patience {
            answer.after = plan.patience;
            answer.what = Err((Reason::TimedOut, None));
        }
        let ends = self.time + answer.after;
        self.seats[index].attempt = Some((ends, now, answer));
        answer.after
    }

    fn settle(&mut self, index: usize, asked: Moment, answer: Answer, now: &Moment) {
        let chance = self.chance();
        let seat = &mut self.seats[index];
        match answer.what {
            Ok(token) => {
                let repeated = seat
                    .newest
                    .is_some_and(|newest| newest.value == token.value);
                seat.repeats += u64::from(repeated);
                seat.schedule
                    .granted(asked, token.says, repeated, now, chance);
                seat.newest = Some(token);
                if self.credential.granted(index, now) {
                    for seat in &mut self.seats {
                        seat.schedule.wake(false);
                    }
                }
            }
            Err((reason, retry_after)) => {
                let reason = seat.schedule.failed(reason, retry_after, now, chance);
                let first = seat.schedule.first_cool_down(now);
                match self.credential.failed(index, reason, now, first) {
                    Effect::OwnMatter => {}
                    Effect::ScopeRefused => seat.schedule.refuse(),
                    Effect::AllWait { reason, wait } => {
                        for seat in &mut self.seats {
                            seat.schedule.block(reason, now, wait);
                        }
                    }
                }
            }
        }
    }

    pub(super) fn usable(&self, index: usize) -> bool {
        self.seats[index].schedule.is_usable(&self.now())
    }

    pub(super) fn assert_no_dead_token(&self) {
        for (index, seat) in self.seats.iter().enumerate() {
            if let Some(token) = seat.newest.filter(|_| self.usable(index)) {
                assert!(self.time < token.dies, "a dead token at {:?}", self.time);
            }
        }
    }

    /// Puts the machine to sleep: only true time and the wall clock go on.
    pub(super) fn suspend(&mut self, length: Duration) {
        self.time += length;
        self.monotonic_lag += length.mul_f64(self.rate.0);
    }
}
