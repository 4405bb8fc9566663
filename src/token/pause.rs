//! How long a cell leaves the endpoint alone after a failure. Pure, and looked
//! at anew each time: a pause fit for a living token ends early when the token
//! dies meanwhile.

use std::time::Duration;

use super::timing::{
    LONGEST_COLD_RETRY_AFTER, QUICK_TRIES, Timing, cold_backoff, cold_cool_down, doubled,
};

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

impl Pause {
    /// Its length; `living` is the timing of a usable token, if there is one.
    pub(super) fn length(self, living: Option<Timing>) -> Duration {
        match self {
            Self::Transient {
                retry_after,
                exponent,
                chance,
                was_silent,
            } => {
                let asked = retry_after.unwrap_or_default();
                match living {
                    Some(timing) => asked.max(living_backoff(timing, exponent, chance)),
                    None if was_silent => asked.min(LONGEST_COLD_RETRY_AFTER),
                    None => asked
                        .min(LONGEST_COLD_RETRY_AFTER)
                        .max(cold_backoff(chance)),
                }
            }
            Self::QuickTry(number) => QUICK_TRIES[number as usize % QUICK_TRIES.len()],
            Self::CoolDown(streak) => match living {
                Some(timing) => timing.cool_down(streak),
                None => cold_cool_down(streak),
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
        let living = Some(Timing::of(Duration::from_secs(300)));
        for (pause, with_token, without) in [
            (after(0, 1.0, None), 250, 800),
            (after(0, 0.0, None), 10, 250),
            (after(2, 1.0, None), 1000, 800),
            (after(40, 1.0, None), 4000, 800),
            (after(0, 1.0, Some(5)), 5000, 5000),
            (after(0, 1.0, Some(600)), 600_000, 60_000),
            (Pause::CoolDown(0), 30_000, 30_000),
            (Pause::CoolDown(9), 900_000, 900_000),
            (Pause::QuickTry(0), 1000, 1000),
            (Pause::QuickTry(4), 16_000, 16_000),
            (Pause::AtEnd(0), 40, 40),
            (Pause::AtEnd(9), 250, 250),
            (Pause::Secret, 1000, 1000),
        ] {
            assert_eq!(pause.length(living).as_millis(), with_token, "{pause:?}");
            assert_eq!(pause.length(None).as_millis(), without, "{pause:?}");
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
        assert_eq!(pause.length(None), Duration::ZERO);
    }
}
