//! True time, two clocks, cells that share a credential and its secrets, and
//! what they are answered.

use std::time::Duration;

use super::hedge::{Ended, Hedge};
use crate::token::credential::{Credential, Effect};
use crate::token::error::Reason;
use crate::token::moment::Moment;
use crate::token::schedule::{Granted, Rejection, Schedule};
use crate::token::timing::Term;

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

/// A state to begin with, never zero: xorshift takes long to leave a small one.
fn mixed(seed: u64) -> u64 {
    let mut state = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (state ^ (state >> 31)) | 1
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
    attempt: Option<Attempt>,
    /// When the latest attempt ended.
    pub(super) attempted: Duration,
    /// The times of the newest token, as the engine takes them.
    pub(super) term: Option<Term>,
    /// The newest generation that a server accepted.
    worked: u64,
    pub(super) grants: u64,
    pub(super) repeats: u64,
}

/// The secrets are tried one after the other, as the renewal task does.
struct Attempt {
    hedge: Hedge,
    /// The one it is made with.
    secret: usize,
    /// Secrets that may still be tried.
    others: usize,
    /// What the first secret was refused with.
    refused: Option<(Reason, Option<Duration>)>,
}

/// True time, two clocks that may differ from it, and the cells.
pub(super) struct World {
    pub(super) time: Duration,
    start: Moment,
    monotonic_lag: Duration,
    pub(super) wall_shift: i64,
    pub(super) rate: (f64, f64),
    credential: Credential,
    /// How many there are, the one that is tried first, and the one in use now.
    secrets: usize,
    first_secret: usize,
    pub(super) secret: usize,
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
            attempted: Duration::ZERO,
            term: None,
            worked: 0,
            grants: 0,
            repeats: 0,
        };
        Self {
            time: Duration::ZERO,
            start: Moment::now(),
            monotonic_lag: Duration::ZERO,
            wall_shift: 0,
            rate: (1.0, 1.0),
            credential: Credential::new(cells),
            secrets: 1,
            first_secret: 0,
            secret: 0,
            seats: (0..cells).map(|_| seat()).collect(),
            calls: Vec::new(),
            random: mixed(seed),
            values: 0,
        }
    }

    pub(super) fn with_secrets(self, secrets: usize) -> Self {
        Self { secrets, ..self }
    }

    pub(super) fn now(&self) -> Moment {
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
    pub(super) fn step(
        &mut self,
        index: usize,
        endpoint: &mut impl FnMut(&mut Self, usize) -> Answer,
    ) -> Duration {
        let now = self.now();
        if let Some(mut attempt) = self.seats[index].attempt.take() {
            self.secret = attempt.secret;
            let time = self.time;
            let ended = attempt.hedge.step(time, now, || {
                self.calls.push((time, index));
                endpoint(self, index)
            });
            let Some(Ended { asked, mut answer }) = ended else {
                let next = attempt.hedge.next() - time;
                self.seats[index].attempt = Some(attempt);
                return next;
            };
            if let Err((reason, retry_after)) = answer.what
                && reason.may_be_the_secret()
            {
                let refused = attempt.refused.unwrap_or((reason, retry_after));
                if attempt.others > 0 && self.credential.may_try_others() {
                    self.secret = (self.secret + 1) % self.secrets;
                    return self.attempt(index, attempt.others - 1, Some(refused), endpoint);
                }
                answer.what = Err(refused);
            } else if answer.what.is_err() && attempt.refused.is_some() {
                self.credential.others_are_unclear();
            }
            self.seats[index].attempted = time;
            self.settle(index, asked, answer, &now);
        }
        let seat = &mut self.seats[index];
        seat.schedule.note_end(&now);
        if let Some(term) = seat.schedule.anchor_again(&now) {
            seat.term = Some(term);
        }
        let wait = seat.schedule.wait(&now);
        if !wait.is_zero() {
            return wait;
        }
        let wait = self.credential.ask(index, &now);
        if !wait.is_zero() {
            return wait;
        }
        let is_probing = self.credential.is_probing();
        let probe = if is_probing {
            self.credential.probes()
        } else {
            0
        };
        self.secret = (self.first_secret + probe) % self.secrets;
        let others = if is_probing { 0 } else { self.secrets - 1 };
        self.attempt(index, others, None, endpoint)
    }

    /// Begins an attempt with the secret that is set.
    fn attempt(
        &mut self,
        index: usize,
        others: usize,
        refused: Option<(Reason, Option<Duration>)>,
        endpoint: &mut impl FnMut(&mut Self, usize) -> Answer,
    ) -> Duration {
        let now = self.now();
        let is_another_secret = refused.is_some() && self.credential.is_in_trouble();
        let quiet = is_another_secret || self.credential.is_quiet(index);
        let plan = self.seats[index].schedule.begin(&now, quiet);
        self.calls.push((self.time, index));
        let answer = endpoint(self, index);
        let hedge = Hedge::begin(plan, self.time, now, answer);
        let next = hedge.next() - self.time;
        self.seats[index].attempt = Some(Attempt {
            hedge,
            secret: self.secret,
            others,
            refused,
        });
        next
    }

    fn settle(&mut self, index: usize, asked: Moment, answer: Answer, now: &Moment) {
        let chance = self.chance();
        let seat = &mut self.seats[index];
        match answer.what {
            Ok(token) => {
                let repeated = seat
                    .newest
                    .is_some_and(|newest| newest.value == token.value);
                seat.grants += 1;
                seat.repeats += u64::from(repeated);
                seat.schedule.answered_in(answer.after);
                let granted = seat
                    .schedule
                    .granted(asked, token.says, repeated, now, chance);
                match granted {
                    Granted::Publish { term, .. } | Granted::Keep { term } => {
                        seat.term = Some(term);
                    }
                    Granted::Ended => {}
                }
                seat.newest = Some(token);
                self.first_secret = self.secret;
                if self.credential.granted(index, now) {
                    let time = self.time;
                    for seat in &mut self.seats {
                        seat.schedule.wake(false);
                        if let Some(attempt) = &mut seat.attempt
                            && seat.schedule.is_attempting_without_token(now)
                        {
                            attempt.hedge.hurry(time);
                        }
                    }
                }
            }
            Err((reason, retry_after)) => {
                if reason != Reason::TimedOut {
                    seat.schedule.answered_in(answer.after);
                }
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

    /// Whether a clock set back makes an ended token look alive.
    pub(super) fn is_revived(&self, index: usize) -> bool {
        self.seats[index].schedule.is_revived(&self.now())
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

    pub(super) fn is_attempting(&self, index: usize) -> bool {
        self.seats[index].attempt.is_some()
    }

    /// A server accepted the token.
    pub(super) fn accepted(&mut self, index: usize) {
        let seat = &mut self.seats[index];
        seat.worked = seat.schedule.generation();
    }

    /// A server rejected the newest token.
    pub(super) fn reject(&mut self, index: usize) -> Rejection {
        let now = self.now();
        let time = self.time;
        let seat = &mut self.seats[index];
        let generation = seat.schedule.generation();
        let had_worked = seat.worked >= generation;
        let verdict = seat.schedule.reject(generation, had_worked, &now);
        if verdict == Rejection::Hastened
            && let Some(attempt) = &mut seat.attempt
        {
            attempt.hedge.hurry(time);
        }
        verdict
    }

    /// Puts the machine to sleep: only true time and the wall clock go on.
    pub(super) fn suspend(&mut self, length: Duration) {
        for attempt in self.seats.iter_mut().filter_map(|it| it.attempt.as_mut()) {
            attempt.hedge.slept(length);
        }
        self.time += length;
        self.monotonic_lag += length.mul_f64(self.rate.0);
    }
}
