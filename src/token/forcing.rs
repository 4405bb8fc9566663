//! How often the business side may make a cell renew before its time. Pure.

use std::time::Duration;

use super::moment::Moment;
use super::timing::Timing;

/// Least time between two renewals on mere suspicion.
const SUSPICION_GAP: Duration = Duration::from_secs(60);

/// The memory of forced renewals.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Forcing {
    last_forced: Option<Moment>,
    last_suspected: Option<Moment>,
    /// Forced renewals in close succession.
    streak: u32,
}

impl Forcing {
    /// Whether a rejected token of this life may force a renewal now; takes
    /// the permission when it may. The gap doubles while tokens are rejected
    /// as soon as they may be.
    pub(super) fn may_force(&mut self, life: Duration, now: &Moment) -> bool {
        if let Some(last) = self.last_forced {
            let gap = Timing::of(life).forced_gap(self.streak);
            let since = now.monotonic_since(&last);
            if since < gap {
                return false;
            }
            let is_close = since < gap * 2;
            self.streak = if is_close {
                self.streak.saturating_add(1)
            } else {
                0
            };
        }
        self.last_forced = Some(*now);
        true
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
