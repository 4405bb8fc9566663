//! Every duration of the token engine. All that concern a token scale with its
//! life, so that a proof with tokens of two seconds proves something about
//! tokens of five minutes.

use std::time::Duration;

use super::moment::Moment;

/// Longest time for one token call, and its time while no life is known.
pub(super) const LONGEST_ATTEMPT: Duration = Duration::from_secs(3);
/// Shortest time a token call is given, however short the tokens live.
const SHORTEST_ATTEMPT: Duration = Duration::from_millis(100);
/// With no usable token, a silent call gets company after this, so that one
/// stalled call still lets a held caller be served.
pub(super) const COLD_SILENCE: Duration = Duration::from_millis(350);
/// Shortest silence after which a call gets company.
const SHORTEST_SILENCE: Duration = Duration::from_millis(50);
/// After a token was lost all at once, by a rejection or as a repeated one that
/// has ended, callers are held and tries follow each other closely for this
/// long: a caller that waits must not miss the first try that could succeed.
pub(super) const URGENCY: Duration = Duration::from_secs(1);
/// With no usable token and a silent endpoint, a new call starts this often:
/// what is back is found within a second.
pub(super) const COLD_INTERVAL: Duration = Duration::from_millis(600);
/// Longest `Retry-After` that is honoured while there is no usable token.
pub(super) const LONGEST_COLD_RETRY_AFTER: Duration = Duration::from_secs(60);
/// Waits of the first tries after a 500 that has never been anything else.
pub(super) const QUICK_TRIES: [Duration; 5] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
    Duration::from_secs(16),
];
/// Longest cool-down after a refusal.
pub(super) const LONGEST_COOL_DOWN: Duration = Duration::from_secs(15 * 60);
/// First cool-down after a refusal with no usable token.
pub(super) const FIRST_COOL_DOWN: Duration = Duration::from_secs(30);
/// Longest least gap between two forced renewals.
pub(super) const LONGEST_FORCED_GAP: Duration = Duration::from_secs(60);

/// The numbers that follow from a life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timing {
    life: Duration,
}

impl Timing {
    /// The timing of tokens that live this long.
    #[must_use]
    pub(super) fn of(life: Duration) -> Self {
        Self { life }
    }

    /// Age to renew at: half the life ± 5 %; `chance` is in 0..1.
    #[must_use]
    pub(super) fn renew_after(self, chance: f64) -> Duration {
        self.life
            .mul_f64(0.1f64.mul_add(chance.clamp(0.0, 1.0), 0.45))
    }

    /// Age from which a token that has not been renewed is worth a warning.
    #[must_use]
    pub(super) fn stale_after(self) -> Duration {
        self.life.mul_f64(0.75)
    }

    /// Age from which the token is not sent any more.
    #[must_use]
    pub(super) fn unusable_after(self) -> Duration {
        let three = self.life.mul_f64(0.03);
        let floor = self.life.mul_f64(0.1).min(Duration::from_secs(2));
        self.life.saturating_sub(three.max(floor))
    }

    /// The same for a server that repeats a token until its end. No other one
    /// is to be had before that, so any margin is a gap: it is kept to what a
    /// request travels.
    #[must_use]
    pub(super) fn repeated_unusable_after(self) -> Duration {
        let margin = self.life.mul_f64(0.01).min(Duration::from_millis(50));
        self.life.saturating_sub(margin)
    }

    /// Age to ask again at when the server repeats the token until its end.
    #[must_use]
    pub(super) fn ask_at_end(self) -> Duration {
        self.life + self.life.mul_f64(0.005).min(Duration::from_millis(10))
    }

    /// How long past its end a repeated token is taken for a lagging clock
    /// before it counts as granted anew.
    #[must_use]
    pub(super) fn repeat_grace(self) -> Duration {
        self.life.mul_f64(0.05).max(Duration::from_secs(1))
    }

    /// Time for one token call while a token lives.
    #[must_use]
    pub(super) fn attempt_timeout(self) -> Duration {
        self.life
            .mul_f64(0.05)
            .clamp(SHORTEST_ATTEMPT, LONGEST_ATTEMPT)
    }

    /// Largest back-off after a transient failure while a token lives.
    #[must_use]
    pub(super) fn backoff_cap(self) -> Duration {
        self.life.mul_f64(0.02).min(Duration::from_secs(4))
    }

    /// Least time between two forced renewals, after `streak` in close
    /// succession.
    #[must_use]
    pub(super) fn forced_gap(self, streak: u32) -> Duration {
        let base = self.life.mul_f64(0.1).min(Duration::from_secs(5));
        doubled(base, streak, LONGEST_FORCED_GAP)
    }

    /// With no usable token and callers that wait for one: silence after which
    /// a call gets company, and the least time between two new calls. A few
    /// round trips, when those are known.
    #[must_use]
    pub(super) fn urgent_silence(self, round_trip: Option<Duration>) -> Duration {
        let usual = round_trip.map_or(COLD_SILENCE, |time| time * 4);
        let most = COLD_SILENCE.min(self.attempt_timeout() / 2);
        usual.clamp(SHORTEST_SILENCE.min(most), most)
    }

    /// Cool-down after refusal number `streak` (from 0) while a token lives.
    #[must_use]
    pub(super) fn cool_down(self, streak: u32) -> Duration {
        let base = self.life.mul_f64(0.1).min(FIRST_COOL_DOWN);
        doubled(base, streak, LONGEST_COOL_DOWN)
    }
}

/// Cool-down after refusal number `streak` (from 0) with no usable token.
#[must_use]
pub(super) fn cold_cool_down(streak: u32) -> Duration {
    doubled(FIRST_COOL_DOWN, streak, LONGEST_COOL_DOWN)
}

/// Back-off after a transient failure with no usable token.
#[must_use]
pub(super) fn cold_backoff(chance: f64) -> Duration {
    Duration::from_millis(250) + Duration::from_millis(550).mul_f64(chance.clamp(0.0, 1.0))
}

/// `base` doubled `times` times, at most `cap`.
#[must_use]
pub(super) fn doubled(base: Duration, times: u32, cap: Duration) -> Duration {
    base.saturating_mul(1 << times.min(20)).min(cap)
}

/// One token's time: when it was asked for, and the ages that matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Term {
    /// The moment before its request was sent: life starts here.
    pub(super) asked: Moment,
    /// How long it lives from there.
    pub(super) life: Duration,
    /// Age from which the next one is asked for.
    pub(super) renew_after: Duration,
    /// Age from which it is not sent any more.
    pub(super) unusable_after: Duration,
}

impl Term {
    /// A token asked for at `asked`, renewed near its half life.
    #[must_use]
    pub(super) fn new(asked: Moment, life: Duration, chance: f64) -> Self {
        let timing = Timing::of(life);
        Self {
            asked,
            life,
            renew_after: timing.renew_after(chance),
            unusable_after: timing.unusable_after(),
        }
    }

    /// The same token once its server is known to repeat it until its end.
    #[must_use]
    pub(super) fn until_its_end(self) -> Self {
        let timing = Timing::of(self.life);
        Self {
            renew_after: timing.ask_at_end(),
            unusable_after: timing.repeated_unusable_after(),
            ..self
        }
    }

    /// How old the token is, by the pessimistic clock.
    #[must_use]
    pub(super) fn age(&self, now: &Moment) -> Duration {
        now.since(&self.asked)
    }

    /// Whether it may still be sent: younger than [`Self::unusable_after`] by
    /// both clocks.
    #[must_use]
    pub(super) fn is_usable(&self, now: &Moment) -> bool {
        now.is_within(self.unusable_after, &self.asked)
    }

    /// Time to its expiry; zero when that has passed.
    #[must_use]
    pub(super) fn left(&self, now: &Moment) -> Duration {
        self.life.saturating_sub(self.age(now))
    }

    /// Ties the wall clock again to the monotonic one when it has fallen
    /// behind, which is what a clock set back looks like: after that, a
    /// suspend shows again. Only ever makes the token older. `None` when the
    /// clocks agree.
    #[must_use]
    pub(super) fn anchored_again(&self, now: &Moment) -> Option<Self> {
        let tolerance = self.life.mul_f64(0.01).min(Duration::from_secs(1));
        let monotonic_age = now.monotonic_since(&self.asked);
        let expected = self.asked.wall.checked_add(monotonic_age)?;
        let behind = expected.duration_since(now.wall).unwrap_or_default();
        if behind <= tolerance {
            return None;
        }
        let wall = now.wall.checked_sub(monotonic_age)?;
        let asked = Moment { wall, ..self.asked };
        Some(Self { asked, ..*self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(duration: Duration) -> u128 {
        duration.as_millis()
    }

    #[test]
    fn every_number_scales_with_the_life() {
        // life, renew from, to, warn, unusable, time-out, back-off cap, forced gap, cool-down
        for (life, expected) in [
            (
                300,
                [135_000, 165_000, 225_000, 291_000, 3000, 4000, 5000, 30_000],
            ),
            (60, [27_000, 33_000, 45_000, 58_000, 3000, 1200, 5000, 6000]),
            (10, [4500, 5500, 7500, 9000, 500, 200, 1000, 1000]),
            (2, [900, 1100, 1500, 1800, 100, 40, 200, 200]),
            (1, [450, 550, 750, 900, 100, 20, 100, 100]),
        ] {
            let timing = Timing::of(Duration::from_secs(life));
            let found = [
                timing.renew_after(0.0),
                timing.renew_after(1.0),
                timing.stale_after(),
                timing.unusable_after(),
                timing.attempt_timeout(),
                timing.backoff_cap(),
                timing.forced_gap(0),
                timing.cool_down(0),
            ]
            .map(millis);
            assert_eq!(found, expected, "a life of {life} s");
        }
    }

    #[test]
    fn a_margin_never_eats_the_life() {
        for life in [0.1, 0.5, 1.0, 2.0, 30.0, 300.0, 86_400.0] {
            let life = Duration::from_secs_f64(life);
            let timing = Timing::of(life);
            assert!(timing.renew_after(1.0) < timing.stale_after());
            assert!(timing.stale_after() < timing.unusable_after());
            assert!(timing.unusable_after() < timing.repeated_unusable_after());
            assert!(timing.repeated_unusable_after() < life);
        }
    }

    #[test]
    fn waits_double_up_to_their_caps() {
        let seconds: Vec<u64> = (0..7).map(|n| cold_cool_down(n).as_secs()).collect();
        assert_eq!(seconds, [30, 60, 120, 240, 480, 900, 900]);
        let timing = Timing::of(Duration::from_secs(300));
        let seconds: Vec<u64> = (0..6).map(|n| timing.forced_gap(n).as_secs()).collect();
        assert_eq!(seconds, [5, 10, 20, 40, 60, 60]);
        assert_eq!(cold_cool_down(u32::MAX).as_secs(), 900);
    }

    #[test]
    fn a_clock_set_back_does_not_hide_a_later_suspend() {
        let asked = Moment::now();
        let term = Term::new(asked, Duration::from_secs(300), 0.5);
        let second = Duration::from_secs(1);
        // The wall clock is set back by an hour one second after the token came.
        let hour = Duration::from_secs(3600);
        let set_back = Moment {
            monotonic: asked.monotonic + second,
            wall: asked.wall + second - hour,
        };
        assert!(term.is_usable(&set_back));
        let term = term.anchored_again(&set_back).unwrap();
        assert_eq!(term.age(&set_back), second);
        // Then the machine sleeps for ten minutes: only the wall clock sees it.
        let woken = Moment {
            monotonic: set_back.monotonic + second,
            wall: set_back.wall + Duration::from_secs(600),
        };
        assert!(!term.is_usable(&woken));
    }

    #[test]
    fn a_clock_set_forward_is_never_explained_away() {
        let asked = Moment::now();
        let term = Term::new(asked, Duration::from_secs(300), 0.5);
        let ahead = Moment {
            monotonic: asked.monotonic,
            wall: asked.wall + Duration::from_secs(3600),
        };
        assert!(!term.is_usable(&ahead));
        assert_eq!(term.anchored_again(&ahead), None);
    }
}
