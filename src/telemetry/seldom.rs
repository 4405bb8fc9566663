//! For what may happen a thousand times a second: said at once, then at most
//! once in a while, with how often it has happened meanwhile.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// Distance of two lines about the same.
const PAUSE: Duration = Duration::from_secs(10);

/// One such thing, as one thread sees it.
#[derive(Debug, Default)]
pub struct Seldom {
    said: Cell<Option<Instant>>,
    unsaid: Cell<u64>,
}

impl Seldom {
    /// It happens at `now`. Returns how often it has happened since it was logged last,
    /// this time included, when it is to be logged again; else `None`.
    #[must_use]
    pub fn happens(&self, now: Instant) -> Option<u64> {
        let times = self.unsaid.get() + 1;
        let is_due = |said: Instant| now.saturating_duration_since(said) >= PAUSE;
        if self.said.get().is_none_or(is_due) {
            self.said.set(Some(now));
            self.unsaid.set(0);
            return Some(times);
        }
        self.unsaid.set(times);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_at_once_and_then_in_a_while_with_its_count() {
        let (seldom, start) = (Seldom::default(), Instant::now());
        let at = |seconds| seldom.happens(start + Duration::from_secs(seconds));
        assert_eq!(at(0), Some(1));
        assert_eq!(at(1), None);
        assert_eq!(at(9), None);
        assert_eq!(at(10), Some(3));
        assert_eq!(at(19), None);
        assert_eq!(at(60), Some(2));
    }
}
