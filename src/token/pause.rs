//! How long a cell leaves the endpoint alone after a failure. Pure, and looked
//! at anew each time: a pause fit for a living token ends early when the token
//! dies meanwhile.

use std::time::Duration;

use super::timing::{
    LONGEST_COLD_RETRY_AFTER, QUICK_TRIES, Timing, cold_backoff, cold_cool_down, doubled,
};

/// Waits between tries while callers are held for a token that was lost all at
/// once.
const FIRST_URGENT_WAIT: Duration = Duration::from_millis(20);
const LONGEST_URGENT_WAIT: Duration = Duration::from_millis(60);
/// Waits between tries at the end of a repeated token.
const FIRST_END_WAIT: Duration = Duration::from_millis(40);
const LONGEST_END_WAIT: Duration = Duration::from_millis(250);

/// A kind of pause, with what its length depends on.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pause {
    /// After a failure that may pass by itself.
    Transient {
        /// What the server asks for.
        retry_after: Option<Duration>,
        /// Failures in a row before this one.
        exponent: u32,
        /// In 0..1.
        chance: f64,
        /// The attempt ended in silence, so that its time was a pause already.
        was_silent: bool,
    },
    /// After a 500 that has never been anything else; its number, from 0.
    QuickTry(u32),
    /// After a refusal; its number, from 0.
    CoolDown(u32),
    /// At the end of a repeated token, whose successor must come soon; its
    /// number, from 0.
    AtEnd(u32),
    /// While the secret cannot be read.
    Secret,
}

/// What there is to lose by waiting.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stake {
    /// A token of this timing is usable: there is time.
    Living(Timing),
    /// A token was lost a moment ago and callers are held for the next one.
    Urgent,
    /// There has been no token for a while: callers are told so at once.
    None,
}

impl Pause {
    /// Its length, by what there is to lose.
    pub(super) fn length(self, stake: Stake) -> Duration {
        match self {
            Self::Transient {
                retry_after,
                exponent,
                chance,
                was_silent,
            } => {
                let asked = retry_after.unwrap_or_default();
                let own = match stake {
                    Stake::Living(timing) => living_backoff(timing, exponent, chance),
                    Stake::Urgent | Stake::None if was_silent => Duration::ZERO,
                    Stake::Urgent => urgent_backoff(exponent, chance),
                    Stake::None => cold_backoff(chance),
                };
                match stake {
                    Stake::Living(_) => asked.max(own),
                    Stake::Urgent | Stake::None => asked.min(LONGEST_COLD_RETRY_AFTER).max(own),
                }
            }
            Self::QuickTry(number) => QUICK_TRIES[number as usize % QUICK_TRIES.len()],
            Self::CoolDown(streak) => match stake {
                Stake::Living(timing) => timing.cool_down(streak),
                Stake::Urgent | Stake::None => cold_cool_down(streak),
            },
            Self::AtEnd(number) => doubled(FIRST_END_WAIT, number, LONGEST_END_WAIT),
            Self::Secret => Duration::from_secs(1),
        }
    }
}

/// Exponential, full jitter, at least 10 ms so that it is never a loop.
fn living_backoff(timing: Timing, exponent: u32, chance: f64) -> Duration {
    let cap = timing.backoff_cap();
    let ceiling = doubled(cap / 16, exponent, cap);
    ceiling
        .mul_f64(chance.clamp(0.0, 1.0))
        .max(Duration::from_millis(10))
}

/// Short, growing a little, half of it jitter.
fn urgent_backoff(exponent: u32, chance: f64) -> Duration {
    let wait = doubled(FIRST_URGENT_WAIT, exponent, LONGEST_URGENT_WAIT);
    wait.mul_f64(0.5f64.mul_add(chance.clamp(0.0, 1.0), 0.5))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(exponent: u32, chance: f64, retry_after: Option<u64>) -> Pause {
        Pause::Transient {
            retry_after: retry_after.map(Duration::from_secs),
            exponent,
            chance,
            was_silent: false,
        }
    }

    #[test]
    fn a_pause_fits_what_there_is_to_lose() {
        let living = Stake::Living(Timing::of(Duration::from_secs(300)));
        for (pause, expected) in [
            // With a token, just after its loss, later.
            (after(0, 1.0, None), [250, 20, 800]),
            (after(0, 0.0, None), [10, 10, 250]),
            (after(2, 1.0, None), [1000, 60, 800]),
            (after(40, 1.0, None), [4000, 60, 800]),
            (after(0, 1.0, Some(5)), [5000, 5000, 5000]),
            (after(0, 1.0, Some(600)), [600_000, 60_000, 60_000]),
            (Pause::CoolDown(0), [30_000, 30_000, 30_000]),
            (Pause::CoolDown(9), [900_000, 900_000, 900_000]),
            (Pause::QuickTry(0), [1000, 1000, 1000]),
            (Pause::QuickTry(4), [16_000, 16_000, 16_000]),
            (Pause::AtEnd(0), [40, 40, 40]),
            (Pause::AtEnd(9), [250, 250, 250]),
            (Pause::Secret, [1000, 1000, 1000]),
        ] {
            let lengths =
                [living, Stake::Urgent, Stake::None].map(|stake| pause.length(stake).as_millis());
            assert_eq!(lengths, expected, "{pause:?}");
        }
    }

    #[test]
    fn silence_has_been_a_pause_already() {
        let pause = Pause::Transient {
            retry_after: None,
            exponent: 3,
            chance: 1.0,
            was_silent: true,
        };
        assert_eq!(pause.length(Stake::Urgent), Duration::ZERO);
        assert_eq!(pause.length(Stake::None), Duration::ZERO);
    }
}
