//! Reproducible randomness: same seed, same tokens, same faults. Good for a fake, not for secrets.

/// SplitMix64.
#[derive(Debug, Clone)]
pub(crate) struct Random {
    state: u64,
}

impl Random {
    /// Starts from `seed`, or from the system when there is none.
    pub(crate) fn seeded(seed: Option<u64>) -> Self {
        // Without a source of randomness the fake still works, only predictably.
        let state = seed.unwrap_or_else(|| getrandom::u64().unwrap_or(0x5eed));
        Self { state }
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Whether an event of this probability (0 to 1) happens now.
    pub(crate) fn happens(&mut self, probability: f64) -> bool {
        // 53 bits fill the mantissa exactly.
        #[expect(
            clippy::cast_precision_loss,
            reason = "the value has 53 bits, as many as a mantissa"
        )]
        let drawn = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        drawn < probability
    }

    /// One of `list`, each as likely as the others; none of an empty list.
    pub(crate) fn one_of<'list, Item>(&mut self, list: &'list [Item]) -> Option<&'list Item> {
        let size = u64::try_from(list.len()).ok()?;
        let at = usize::try_from(self.next().checked_rem(size)?).ok()?;
        list.get(at)
    }

    /// `length` characters of `alphabet`; empty when the alphabet is.
    pub(crate) fn text(&mut self, alphabet: &[u8], length: usize) -> String {
        (0..length)
            .filter_map(|_| self.one_of(alphabet).map(|byte| char::from(*byte)))
            .collect()
    }
}
