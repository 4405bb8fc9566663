//! How many connections each caller address has, over all worker threads.
//!
//! The counts stand in two rows of counters at places that a keyed hash of the
//! address gives, and the lower one of the two counts: the memory is the same
//! however many addresses there are, nothing is locked, and no address is
//! counted too low. It is counted too high only when both its places are shared
//! with others; of a thousand addresses one in some 300 shares both.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counters of a row.
const WIDTH: usize = 16 * 1024;

/// The connections of all callers, by address. Shared by the worker threads.
#[derive(Debug)]
pub struct Crowd {
    most: usize,
    rows: [(Box<[AtomicUsize]>, RandomState); 2],
}

/// One connection of an address; no longer counted when this is dropped.
#[derive(Debug)]
pub(super) struct Member {
    crowd: Arc<Crowd>,
    places: [usize; 2],
}

impl Crowd {
    /// Allows `most` connections of an address; `None` when that is 0, any number.
    #[must_use]
    pub fn new(most: usize) -> Option<Arc<Self>> {
        let row = || {
            let counters = (0..WIDTH).map(|_| AtomicUsize::new(0)).collect();
            (counters, RandomState::new())
        };
        (most > 0).then(|| {
            Arc::new(Self {
                most,
                rows: [row(), row()],
            })
        })
    }

    /// Counts one more connection of `address`; `None` when it has enough.
    pub(super) fn join(self: &Arc<Self>, address: IpAddr) -> Option<Member> {
        let place = |hasher: &RandomState| (hasher.hash_one(address) as usize) % WIDTH;
        let [first, second] = &self.rows;
        let member = Member {
            crowd: Arc::clone(self),
            places: [place(&first.1), place(&second.1)],
        };
        let mut before = usize::MAX;
        for ((counters, _), place) in self.rows.iter().zip(member.places) {
            before = before.min(counters[place].fetch_add(1, Ordering::Relaxed));
        }
        // One too many is taken off again by the drop.
        (before < self.most).then_some(member)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        for ((counters, _), place) in self.crowd.rows.iter().zip(self.places) {
            counters[place].fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_share_and_no_other_loses_by_it() {
        let crowd = Crowd::new(3).unwrap();
        let greedy: IpAddr = [10, 0, 0, 1].into();
        let members: Vec<Member> = (0..3).map(|_| crowd.join(greedy).unwrap()).collect();
        for _ in 0..10 {
            assert!(crowd.join(greedy).is_none(), "a refusal is not counted");
        }
        assert!(crowd.join([10, 0, 0, 2].into()).is_some());
        drop(members);
        assert!(crowd.join(greedy).is_some());
    }

    #[test]
    fn of_a_thousand_addresses_hardly_one_is_counted_too_high() {
        let crowd = Crowd::new(1).unwrap();
        let addresses = (0..1000_u16).map(|n| IpAddr::from([10, 1, (n >> 8) as u8, n as u8]));
        let members: Vec<Member> = addresses.filter_map(|one| crowd.join(one)).collect();
        assert!(members.len() >= 980, "{}", members.len());
    }

    #[test]
    fn any_number_is_no_limit() {
        assert!(Crowd::new(0).is_none());
    }
}
