//! For what may happen a thousand times a second: logged at once, then at most
//! every ten seconds, with how often it has happened meanwhile.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// Least time between two lines about the same.
const PAUSE: Duration = Duration::from_secs(10);

/// One such event, as one thread sees it.
#[derive(Debug, Default)]
pub struct LogThrottle {
    logged: Cell<Option<Instant>>,
    unlogged: Cell<u64>,
}

impl LogThrottle {
    /// Counts the event, at `now`. When it is to be logged: how often it has happened
    /// since it was logged last, this time included.
    #[must_use]
    pub fn count(&self, now: Instant) -> Option<u64> {
        let times = self.unlogged.get() + 1;
        let is_due = |logged: Instant| now.saturating_duration_since(logged) >= PAUSE;
        if self.logged.get().is_none_or(is_due) {
            self.logged.set(Some(now));
            self.unlogged.set(0);
            return Some(times);
        }
        self.unlogged.set(times);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_logged_at_once_and_then_every_while_with_its_count() {
        let (throttle, start) = (LogThrottle::default(), Instant::now());
        let at = |seconds| throttle.count(start + Duration::from_secs(seconds));
        assert_eq!(at(0), Some(1));
        assert_eq!(at(1), None);
        assert_eq!(at(9), None);
        assert_eq!(at(10), Some(3));
        assert_eq!(at(19), None);
        assert_eq!(at(60), Some(2));
    }
}
