//! How often the business side may make a cell renew before its time. Pure.

use std::time::Duration;

use super::moment::Moment;
use super::timing::{LONGEST_FORCED_GAP, Timing, doubled};

/// Least time between two renewals on mere suspicion.
const SUSPICION_GAP: Duration = Duration::from_secs(60);
/// Tokens that worked and were rejected, in close succession, before the gap
/// between renewals grows: a server may revoke some tokens in a row, one that
/// accepts and rejects at random must not be asked for ever.
const FREE_FLAPS: u32 = 4;

/// The memory of forced renewals.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Forcing {
    last_forced: Option<Moment>,
    last_suspected: Option<Moment>,
    /// Forced renewals in close succession whose token never worked.
    streak: u32,
    /// Forced renewals in close succession whose token had worked.
    flaps: u32,
}

impl Forcing {
    /// How long a rejected token of this life has to wait until it may force
    /// a renewal; zero uses the permission up. A token that
    /// never worked waits for the gap, which doubles while such tokens follow
    /// each other: no renewal loop. One that `had_worked` was revoked, so a
    /// new one is likely to work, and its gap is a tenth.
    pub(super) fn may_force(&mut self, life: Duration, had_worked: bool, now: &Moment) -> Duration {
        if let Some(last) = self.last_forced {
            let gap = self.gap(life, had_worked);
            let since = now.monotonic_since(&last);
            if since < gap {
                return gap - since;
            }
            let is_close = since < gap * 2;
            let count = |before: u32, counts: bool| match (is_close, counts) {
                (false, _) => 0,
                (true, true) => before.saturating_add(1),
                (true, false) => before,
            };
            self.streak = count(self.streak, !had_worked);
            self.flaps = count(self.flaps, had_worked);
        }
        self.last_forced = Some(*now);
        Duration::ZERO
    }

    fn gap(&self, life: Duration, had_worked: bool) -> Duration {
        let timing = Timing::of(life);
        if had_worked {
            let doublings = self.flaps.saturating_sub(FREE_FLAPS);
            doubled(timing.forced_gap(0) / 10, doublings, LONGEST_FORCED_GAP)
        } else {
            timing.forced_gap(self.streak)
        }
    }

    /// Whether suspicion may cause a renewal now: at most once a minute, or in
    /// a fifth of a life when that is shorter.
    pub(super) fn may_suspect(&mut self, life: Duration, now: &Moment) -> bool {
        let gap = (life / 5).min(SUSPICION_GAP);
        let last = self.last_suspected;
        if last.is_some_and(|last| now.monotonic_since(&last) < gap) {
            return false;
        }
        self.last_suspected = Some(*now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: Duration = Duration::from_secs(300);

    /// Rejects a token every 100 ms for `seconds`; returns when a renewal was forced, in ms.
    fn forced(had_worked: impl Fn(usize) -> bool, seconds: u32) -> Vec<u128> {
        let mut forcing = Forcing::default();
        let start = Moment::now();
        let mut forced = Vec::new();
        for tenth in 0..seconds * 10 {
            let now = start.later(Duration::from_millis(100) * tenth);
            if forcing
                .may_force(LIFE, had_worked(forced.len()), &now)
                .is_zero()
            {
                forced.push(now.since(&start).as_millis() / 1000);
            }
        }
        forced
    }

    #[test]
    fn tokens_that_never_work_force_fewer_and_fewer_renewals() {
        assert_eq!(forced(|_| false, 300), [0, 5, 15, 35, 75, 135, 195, 255]);
    }

    #[test]
    fn tokens_that_worked_are_replaced_soon_but_not_without_end() {
        let at = forced(|_| true, 300);
        assert_eq!(at[..6], [0, 0, 1, 1, 2, 2]);
        assert!(at.len() <= 20, "{at:?}");
    }

    #[test]
    fn revocations_that_are_apart_never_make_a_gap_grow() {
        let mut forcing = Forcing::default();
        let start = Moment::now();
        for revocation in 0..1000 {
            let now = start.later(Duration::from_millis(1100) * revocation);
            assert_eq!(forcing.may_force(LIFE, true, &now), Duration::ZERO);
        }
    }
}
