//! An instant on two clocks. The monotonic one cannot be set but stops while
//! a machine sleeps; the wall clock runs on but can be set. Neither alone
//! tells the age of a token, so the pessimistic of the two decides.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// One instant, read from both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Never goes back; stands still while the machine is suspended.
    pub monotonic: Instant,
    /// Goes on during a suspend; may jump either way.
    pub wall: SystemTime,
}

impl Moment {
    /// Now. Two system calls that do not enter the kernel; no allocation.
    #[must_use]
    pub fn now() -> Self {
        Self {
            monotonic: Instant::now(),
            wall: SystemTime::now(),
        }
    }

    /// Now, when the monotonic clock has just been looked at.
    #[must_use]
    pub fn at(monotonic: std::time::Instant) -> Self {
        Self {
            monotonic: monotonic.into(),
            wall: SystemTime::now(),
        }
    }

    /// How much time may have passed since `earlier`: the larger of what the
    /// two clocks say, and zero when both say that it lies ahead.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Duration {
        let by_wall = self.wall_since(earlier);
        // Comparing instants costs a fraction of subtracting them.
        match earlier.monotonic.checked_add(by_wall) {
            Some(then) if self.monotonic <= then => by_wall,
            Some(_) | None => self.monotonic_since(earlier).max(by_wall),
        }
    }

    /// Whether less than `duration` has passed since `earlier`, by both clocks.
    #[must_use]
    pub fn is_within(&self, duration: Duration, earlier: &Self) -> bool {
        // An instant beyond what a clock can tell is never reached.
        let monotonic = earlier.monotonic.checked_add(duration);
        let wall = earlier.wall.checked_add(duration);
        monotonic.is_none_or(|end| self.monotonic < end) && wall.is_none_or(|end| self.wall < end)
    }

    /// What the monotonic clock says has passed since `earlier`.
    #[must_use]
    pub fn monotonic_since(&self, earlier: &Self) -> Duration {
        self.monotonic.saturating_duration_since(earlier.monotonic)
    }

    /// What the wall clock says has passed since `earlier`; zero when it was
    /// set back past it.
    #[must_use]
    pub fn wall_since(&self, earlier: &Self) -> Duration {
        self.wall.duration_since(earlier.wall).unwrap_or_default()
    }

    /// The instant `duration` later on both clocks.
    #[must_use]
    pub fn later(&self, duration: Duration) -> Self {
        Self {
            monotonic: self.monotonic + duration,
            wall: self.wall + duration,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn the_clock_that_says_more_decides() {
        let start = Moment::now();
        assert_eq!(start.later(MINUTE).since(&start), MINUTE);
        let slept = Moment {
            monotonic: start.monotonic,
            wall: start.wall + MINUTE,
        };
        assert_eq!(slept.since(&start), MINUTE);
        let set_back = Moment {
            monotonic: start.monotonic + MINUTE,
            wall: start.wall - MINUTE * 60,
        };
        assert_eq!(set_back.since(&start), MINUTE);
        assert_eq!(start.since(&start.later(MINUTE)), Duration::ZERO);
        for (now, passed) in [
            (start.later(MINUTE), MINUTE),
            (slept, MINUTE),
            (set_back, MINUTE),
        ] {
            assert!(!now.is_within(passed, &start), "{now:?}");
            assert!(
                now.is_within(passed + Duration::from_nanos(1), &start),
                "{now:?}"
            );
            assert!(now.is_within(Duration::MAX, &start), "{now:?}");
        }
    }
}
