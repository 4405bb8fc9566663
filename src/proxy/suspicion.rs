//! What a worker thread remembers of answers that only look as if the token
//! were dead. An honest empty result looks the same, so suspicion costs little
//! and is rare: see [`Suspicions::may_ask`] and [`Suspicions::one_more`].

use std::cell::Cell;

use crate::dqe::Scope;

/// This many suspicious answers of a family, without a good one between them,
/// are no chance: one renewal is asked for.
const TOO_MANY: u8 = 20;

/// Suspicions by family, the scope of a path, and by the scope of the token.
#[derive(Debug, Default)]
pub(super) struct Suspicions {
    in_a_row: [Cell<u8>; Scope::ALL.len()],
    /// The generation a replay has been tried for.
    asked_for: [Cell<u64>; Scope::ALL.len()],
}

impl Suspicions {
    /// A family has answered well.
    pub(super) fn good(&self, family: Scope) {
        self.in_a_row[family as usize].set(0);
    }

    /// A suspicious answer has come. True when it is one too many; counting
    /// begins anew then.
    pub(super) fn one_more(&self, family: Scope) -> bool {
        let count = &self.in_a_row[family as usize];
        let is_too_many = count.get() + 1 >= TOO_MANY;
        count.set(if is_too_many { 0 } else { count.get() + 1 });
        is_too_many
    }

    /// Whether a renewal may be asked for, and a call replayed, because of the
    /// token `generation` of `scope`: once for each.
    pub(super) fn may_ask(&self, scope: Scope, generation: u64) -> bool {
        self.asked_for[scope as usize].replace(generation) != generation
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_in_a_row_of_one_family_are_too_many() {
        let suspicions = Suspicions::default();
        for _ in 0..2 {
            for _ in 0..19 {
                assert!(!suspicions.one_more(Scope::Address));
                assert!(!suspicions.one_more(Scope::Civility));
                suspicions.good(Scope::Civility);
            }
            assert!(suspicions.one_more(Scope::Address));
        }
    }

    #[test]
    fn a_generation_is_asked_for_once() {
        let suspicions = Suspicions::default();
        assert!(suspicions.may_ask(Scope::Phone, 1));
        assert!(!suspicions.may_ask(Scope::Phone, 1));
        assert!(suspicions.may_ask(Scope::Email, 1));
        assert!(suspicions.may_ask(Scope::Phone, 2));
    }
}
