//! What is known of a server that hands out the same token until its end.
//! Asking such a server at half life brings nothing, so most lives are left
//! alone until then. Pure.

use super::moment::Moment;

/// How many lives in a row are not probed at half after one that showed a repeat.
const BLIND_LIVES: u32 = 3;

/// The memory of repeats.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Repeats {
    /// The last life that was probed showed a repeat.
    is_habit: bool,
    /// The present life has shown one.
    is_seen: bool,
    /// The present life is not probed.
    is_blind: bool,
    blind_lives: u32,
    /// Replies past the token's end that still repeat it, and the last one.
    at_end: Option<(u32, Moment)>,
}

impl Repeats {
    /// A new token begins its life. True: it is to be used until its end
    /// without a probe.
    pub(super) fn begin_life(&mut self) -> bool {
        if !self.is_blind {
            self.is_habit = self.is_seen;
        }
        self.is_seen = false;
        self.at_end = None;
        self.is_blind = self.is_habit && self.blind_lives < BLIND_LIVES;
        self.blind_lives = if self.is_blind {
            self.blind_lives + 1
        } else {
            0
        };
        self.is_blind
    }

    /// The server repeated a living token.
    pub(super) fn seen(&mut self) {
        self.is_seen = true;
    }

    /// Whether the present token is one that is repeated until its end.
    pub(super) fn is_expected(&self) -> bool {
        self.is_seen || self.is_blind
    }

    /// The server has nothing but the token that has ended.
    pub(super) fn seen_at_end(&mut self, now: &Moment) {
        let before = self.at_end.map_or(0, |(count, _)| count);
        self.at_end = Some((before + 1, *now));
    }

    /// How many such replies came, from 0, and the last one.
    pub(super) fn at_end(&self) -> Option<(u32, Moment)> {
        self.at_end.map(|(count, at)| (count - 1, at))
    }

    /// Something else was answered.
    pub(super) fn end_is_over(&mut self) {
        self.at_end = None;
    }
}
