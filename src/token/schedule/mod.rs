//! When one cell asks for a token, and what each outcome means for the next
//! time. Pure: time and chance come in as arguments, nothing is sent here.

mod told;

use std::time::Duration;

use super::error::Reason;
use super::forcing::Forcing;
use super::moment::Moment;
use super::pause::{Pause, Stake};
use super::repeats::Repeats;
use super::timing::{
    COLD_INTERVAL, COLD_SILENCE, LONGEST_ATTEMPT, QUICK_TRIES, Term, Timing, URGENCY,
};

/// Largest silence before a second call, however slow the endpoint usually is.
const LONGEST_SILENCE: Duration = Duration::from_millis(1500);

/// How one attempt is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// Longest time for each call.
    pub(super) patience: Duration,
    /// A second call joins after this much silence.
    pub(super) hedge_after: Option<Duration>,
    /// The second call is replaced by a new one this often.
    pub(super) again_every: Option<Duration>,
    /// Takes the place of both when callers are held for this attempt.
    pub(super) when_urgent: Duration,
    /// A 500 ends the attempt, as a refusal does: nothing has been granted yet,
    /// so that it may well be one.
    pub(super) ends_at_500: bool,
}

impl Plan {
    /// Whether a failure for this reason ends the attempt, whatever else is
    /// still in flight.
    pub(super) fn ends_at(&self, reason: Reason) -> bool {
        reason.is_permanent() || self.ends_at_500 && reason == Reason::InternalError
    }
}

/// What is to be done with a granted token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Granted {
    /// It is a new one.
    Publish {
        /// Its number.
        generation: u64,
        /// Its times.
        term: Term,
    },
    /// It is the current one again, with these times.
    Keep {
        /// Its times, never later than before.
        term: Term,
    },
    /// It is the last one again, which has ended: ask again shortly.
    Ended,
}

/// What a rejection leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rejection {
    /// A newer token than the rejected one is there already.
    Outdated,
    /// This one forces a renewal, at once or in a moment.
    Forced,
    /// The attempt under way will do: callers are held for it from now on.
    Hastened,
    /// A renewal that will do has been forced already.
    Joined,
    /// The last forced renewal is too close: no loop.
    TooSoon,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    term: Term,
    generation: u64,
    revoked: bool,
    /// It was seen to be no longer usable: a wall clock set back afterwards
    /// does not bring it to life again.
    ended: bool,
}

impl Held {
    /// It has ended, and a clock set back makes it look alive.
    fn is_revived(&self, now: &Moment) -> bool {
        self.ended && self.term.is_usable(now)
    }
}

#[derive(Clone, Copy, Debug)]
struct Failure {
    at: Moment,
    reason: Reason,
    pause: Pause,
}

/// What one cell remembers, and what follows from it.
#[derive(Clone, Debug, Default)]
pub(super) struct Schedule {
    held: Option<Held>,
    generation: u64,
    /// An attempt is under way.
    attempting: bool,
    /// The next wait is skipped: something changed that may help.
    woken: bool,
    /// The generation a forced renewal is under way for.
    rejected: Option<u64>,
    /// When the token was rejected, and how long its renewal has to wait.
    lost: Option<(Moment, Duration)>,
    /// A renewal is wanted although the token is usable.
    suspected: bool,
    forcing: Forcing,
    failure: Option<Failure>,
    /// Failed attempts in a row.
    failures: u32,
    /// Refusals since the last grant.
    refusals: u32,
    quick_tries: u32,
    /// A token has been granted with these settings.
    ever_granted: bool,
    /// Not granted to this licence, although the licence works.
    refused: bool,
    /// The credential as a whole is in trouble, found out by another cell.
    blocked: Option<(Reason, Moment, Duration)>,
    repeats: Repeats,
    /// How long the endpoint last took to answer.
    round_trip: Option<Duration>,
}

impl Schedule {
    /// Whether there is a token that may be sent.
    pub(super) fn is_usable(&self, now: &Moment) -> bool {
        self.held
            .is_some_and(|held| !held.revoked && !held.ended && held.term.is_usable(now))
    }

    /// Time until the next attempt is due; zero when it is.
    pub(super) fn wait(&self, now: &Moment) -> Duration {
        if self.woken {
            return Duration::ZERO;
        }
        if let Some(failure) = self.failure {
            let pause = self.pause_length(failure.pause, now);
            return pause.saturating_sub(now.since(&failure.at));
        }
        if let (Some(_), Some((at, pause))) = (self.rejected, self.lost) {
            return pause.saturating_sub(now.since(&at));
        }
        if let Some((number, at)) = self.repeats.at_end() {
            let pause = self.pause_length(Pause::AtEnd(number), now);
            return pause.saturating_sub(now.since(&at));
        }
        let lives = |held: &Held| !held.revoked && !held.is_revived(now);
        let Some(held) = self.held.filter(|held| lives(held) && !self.suspected) else {
            return Duration::ZERO;
        };
        held.term.renew_after.saturating_sub(held.term.age(now))
    }

    fn pause_length(&self, pause: Pause, now: &Moment) -> Duration {
        let stake = match self.held.filter(|_| self.is_usable(now)) {
            Some(held) => Stake::Living(Timing::of(held.term.life)),
            None if self.is_urgent(now) => Stake::Urgent,
            None => Stake::None,
        };
        pause.length(stake)
    }

    /// Whether the usable token was lost a moment ago and all at once, by a
    /// rejection or as a repeated one at its end: callers are held, and the
    /// next token is asked for without the pauses of an outage.
    pub(super) fn is_urgent(&self, now: &Moment) -> bool {
        let Some(held) = self.held.filter(|_| !self.is_usable(now)) else {
            return false;
        };
        if held.is_revived(now) {
            // When it was lost is no longer known.
            return false;
        }
        let since = match self.lost {
            Some((at, _)) if held.revoked => now.since(&at),
            Some(_) | None if self.repeats.is_expected() => {
                held.term.age(now).saturating_sub(held.term.unusable_after)
            }
            Some(_) | None => return false,
        };
        since < URGENCY
    }

    /// Begins an attempt at `now`. `quiet`: by one call at a time, since it only
    /// looks whether the credential is still refused, or another cell asks for all.
    pub(super) fn begin(&mut self, now: &Moment, quiet: bool) -> Plan {
        self.woken = false;
        self.attempting = true;
        // A 500 that has never been anything else is tried again a few times, slowly
        // answered or not.
        let is_500 = |it: Failure| it.reason == Reason::InternalError;
        let ends_at_500 = !self.ever_granted;
        let quiet = quiet || ends_at_500 && self.failure.is_some_and(is_500);
        let timing = self.held.map(|held| Timing::of(held.term.life));
        // An endpoint that is known to be slow is given its time.
        let usual = self.round_trip.map_or(Duration::ZERO, |time| time * 2);
        let when_urgent = timing.map_or(COLD_SILENCE, |timing| {
            timing.urgent_silence(self.round_trip)
        });
        if self.is_urgent(now) && !quiet {
            return Plan {
                patience: URGENCY.max(usual).min(LONGEST_ATTEMPT),
                hedge_after: Some(when_urgent),
                again_every: Some(when_urgent),
                when_urgent,
                ends_at_500,
            };
        }
        if let Some(timing) = timing.filter(|_| self.is_usable(now)) {
            let patience = timing.attempt_timeout().max(usual).min(LONGEST_ATTEMPT);
            return Plan {
                patience,
                hedge_after: (!quiet).then_some(patience / 2),
                again_every: None,
                when_urgent,
                ends_at_500,
            };
        }
        let silence = timing.map_or(COLD_SILENCE, |timing| {
            COLD_SILENCE.min(timing.attempt_timeout() / 2)
        });
        let at_least_usual = |time: Duration| time.max(usual).min(LONGEST_SILENCE);
        Plan {
            patience: LONGEST_ATTEMPT,
            hedge_after: (!quiet).then(|| at_least_usual(silence)),
            again_every: (!quiet).then(|| at_least_usual(COLD_INTERVAL)),
            when_urgent,
            ends_at_500,
        }
    }

    /// Notes how long the endpoint took to answer.
    pub(super) fn answered_in(&mut self, round_trip: Duration) {
        self.round_trip = Some(round_trip);
    }

    /// An attempt brought a token that was asked for at `asked` and lives for
    /// `life`; `repeated`: it is the newest one we have had.
    pub(super) fn granted(
        &mut self,
        asked: Moment,
        life: Duration,
        repeated: bool,
        now: &Moment,
        chance: f64,
    ) -> Granted {
        self.attempting = false;
        self.rejected = None;
        self.lost = None;
        self.suspected = false;
        self.failure = None;
        self.failures = 0;
        self.refusals = 0;
        self.quick_tries = 0;
        self.ever_granted = true;
        self.refused = false;
        self.blocked = None;
        match self.held {
            Some(held) if repeated => self.granted_again(held, asked, life, now, chance),
            Some(_) | None => self.granted_anew(asked, life, chance),
        }
    }

    fn granted_anew(&mut self, asked: Moment, life: Duration, chance: f64) -> Granted {
        let mut term = Term::new(asked, life, chance);
        if self.repeats.begin_life() {
            term = term.until_its_end();
        }
        self.hold(term)
    }

    fn hold(&mut self, term: Term) -> Granted {
        self.generation += 1;
        let generation = self.generation;
        self.held = Some(Held {
            term,
            generation,
            revoked: false,
            ended: false,
        });
        Granted::Publish { generation, term }
    }

    fn granted_again(
        &mut self,
        held: Held,
        asked: Moment,
        life: Duration,
        now: &Moment,
        chance: f64,
    ) -> Granted {
        // The earlier of the two expiries is the one to trust. A rest told in whole
        // seconds may be cut by up to one, which says nothing against the first.
        let told = asked.since(&held.term.asked) + life;
        let cut = if life.subsec_nanos() == 0 {
            Duration::from_secs(1)
        } else {
            Duration::ZERO
        };
        let says_less = told + cut <= held.term.life;
        let term = Term {
            life: if says_less { told } else { held.term.life },
            ..held.term
        };
        let age = term.age(now);
        if age < term.life {
            self.repeats.seen();
            let term = term.until_its_end();
            self.held = Some(Held {
                term,
                revoked: false,
                ended: false,
                ..held
            });
            return Granted::Keep { term };
        }
        // How far past its end it was repeated: the reply may have been slow.
        let grace = Timing::of(held.term.life).repeat_grace();
        let by_clock = asked.monotonic_since(&held.term.asked);
        let past_by_clock = by_clock.checked_sub(held.term.life);
        let past = asked.since(&held.term.asked).saturating_sub(term.life);
        if past <= grace || past_by_clock.is_some_and(|past| past <= grace) {
            self.repeats.seen_at_end(now);
            self.held = Some(Held {
                revoked: false,
                ..held
            });
            return Granted::Ended;
        }
        // The server still hands it out well past what we took for its end: a
        // clock of ours was wrong, or the server prolongs. What the monotonic
        // clock knows still bounds it.
        let life = held
            .term
            .life
            .checked_sub(by_clock)
            .map_or(life, |left| life.min(left));
        self.repeats.end_is_over();
        self.hold(Term::new(asked, life, chance))
    }

    /// An attempt failed. Returns what counts as the reason from now on, since
    /// a 500 that has never been anything else becomes a refusal.
    pub(super) fn failed(
        &mut self,
        reason: Reason,
        retry_after: Option<Duration>,
        now: &Moment,
        chance: f64,
    ) -> Reason {
        self.attempting = false;
        self.blocked = None;
        if reason == Reason::NoLife && self.is_at_repeated_end(now) {
            // The server told what is left of the token it repeats: less than a second.
            self.repeats.seen_at_end(now);
            return reason;
        }
        self.repeats.end_is_over();
        let is_first_500 = reason == Reason::InternalError && !self.ever_granted;
        let quick_tries_are_over = self.quick_tries as usize == QUICK_TRIES.len();
        let reason = if is_first_500 && quick_tries_are_over {
            Reason::NeverWorked
        } else {
            reason
        };
        let pause = if reason.is_permanent() {
            // Whoever waits for a newer token need not wait longer.
            self.rejected = None;
            self.suspected = false;
            self.refused |= reason.is_scope_refusal();
            self.refusals += 1;
            Pause::CoolDown(self.refusals - 1)
        } else if is_first_500 {
            self.quick_tries += 1;
            Pause::QuickTry(self.quick_tries - 1)
        } else if reason == Reason::SecretUnreadable {
            Pause::Secret
        } else {
            Pause::Transient {
                retry_after,
                exponent: self.failures,
                chance,
                was_silent: reason == Reason::TimedOut,
            }
        };
        self.failures = self.failures.saturating_add(1);
        self.failure = Some(Failure {
            at: *now,
            reason,
            pause,
        });
        reason
    }

    fn is_at_repeated_end(&self, now: &Moment) -> bool {
        self.held.is_some_and(|held| {
            let grace = Timing::of(held.term.life).repeat_grace();
            let past = held.term.age(now).saturating_sub(held.term.life);
            self.repeats.is_expected() && !held.term.is_usable(now) && past <= grace
        })
    }

    /// An attempt was dropped half-way: its task has ended.
    pub(super) fn interrupted(&mut self) {
        self.attempting = false;
    }

    pub(super) fn is_attempting_without_token(&self, now: &Moment) -> bool {
        self.attempting && !self.is_usable(now)
    }

    pub(super) fn is_refused(&self) -> bool {
        self.refused
    }

    /// Whether a caller without a token has reason to wait: the first attempt
    /// since the token was lost has not ended, or it was lost a moment ago and
    /// nothing says that the next try is of no use.
    pub(super) fn is_worth_waiting(&self, now: &Moment) -> bool {
        let is_refused = self.failure.is_some_and(|it| it.reason.is_permanent());
        self.blocked.is_none() && (self.failures == 0 || !is_refused && self.is_urgent(now))
    }

    /// Whether a renewal that answers a rejection of `generation` is still due.
    pub(super) fn is_renewing_after(&self, generation: u64) -> bool {
        self.rejected.is_some_and(|rejected| rejected >= generation)
    }

    /// Why there is no usable token, and when the next attempt is due.
    pub(super) fn trouble(&self, now: &Moment) -> (Reason, Duration) {
        if let Some((reason, at, wait)) = self.blocked {
            return (reason, wait.saturating_sub(now.since(&at)));
        }
        let reason = match (self.failure, self.held) {
            (Some(failure), _) => failure.reason,
            (None, Some(_)) => Reason::Renewing,
            (None, None) => Reason::Starting,
        };
        (reason, self.wait(now))
    }

    /// Why the latest attempt failed; `None` after a success.
    pub(super) fn last_error(&self) -> Option<Reason> {
        self.failure
            .map(|failure| failure.reason)
            .or(self.blocked.map(|(reason, ..)| reason))
    }

    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// First cool-down of the credential when this cell finds it refused.
    pub(super) fn first_cool_down(&self, now: &Moment) -> Duration {
        self.pause_length(Pause::CoolDown(0), now)
    }

    /// Notes that the token has ended, should it have. True when that is new.
    pub(super) fn note_end(&mut self, now: &Moment) -> bool {
        let held = self.held.as_mut();
        let Some(held) = held.filter(|held| !held.ended && !held.term.is_usable(now)) else {
            return false;
        };
        held.ended = true;
        true
    }

    /// Whether the token has ended although the clocks say that it lives.
    #[cfg(test)]
    pub(super) fn is_revived(&self, now: &Moment) -> bool {
        self.held.is_some_and(|held| held.is_revived(now))
    }

    /// Ties the token to the wall clock again after it was set back. `Some`
    /// when the token's times have changed.
    pub(super) fn anchor_again(&mut self, now: &Moment) -> Option<Term> {
        let held = self.held.as_mut()?;
        held.term = held.term.anchored_again(now)?;
        (!held.revoked && !held.ended).then_some(held.term)
    }
}
