//! At most so many at the same time, over all worker threads: of requests being
//! answered, of requests at a server. Neither locks nor waits.
//!
//! A counter that all threads count in moves from one processor to the other
//! with each request. So the places are dealt out: a thread takes from its own
//! and gives back there. Only when it has none it looks at those of the others,
//! and takes one where it finds one: nobody is refused while a place is free.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The places of all threads.
#[derive(Debug)]
pub struct Quota {
    most: usize,
    free: Box<[Free]>,
    /// How many shares have been given out.
    shares: AtomicUsize,
}

/// The free places of one thread; on lines of the cache that hold nothing else.
/// Processors fetch two of 64 bytes at a time.
#[derive(Debug)]
#[repr(align(128))]
struct Free(AtomicUsize);

impl Quota {
    /// `most` places for so many threads.
    #[must_use]
    pub fn new(most: usize, threads: usize) -> Arc<Self> {
        let threads = threads.max(1);
        let dealt = |index| most / threads + usize::from(index < most % threads);
        Arc::new(Self {
            most,
            free: (0..threads)
                .map(|index| Free(AtomicUsize::new(dealt(index))))
                .collect(),
            shares: AtomicUsize::new(0),
        })
    }

    /// The share of one more thread. More than there are threads share what
    /// others have.
    #[must_use]
    pub fn share(self: Arc<Self>) -> Share {
        let own = self.shares.fetch_add(1, Ordering::Relaxed) % self.free.len();
        Share(Rc::new(Part { quota: self, own }))
    }
}

/// One thread's share of the places.
#[derive(Debug)]
pub struct Share(Rc<Part>);

/// A place that is taken; free again when this is dropped.
#[derive(Debug)]
pub struct Place(Rc<Part>);

/// What a share and its places hold: cloning an `Arc` for each place would
/// count in what all threads share again.
#[derive(Debug)]
struct Part {
    quota: Arc<Quota>,
    own: usize,
}

impl Share {
    /// Takes a place; `None` when all are taken, as far as one look at each thread's
    /// tells.
    #[must_use]
    pub fn take(&self) -> Option<Place> {
        let (others, own_on) = self.0.quota.free.split_at(self.0.own);
        let is_taken = own_on.iter().chain(others).any(Free::take);
        is_taken.then(|| Place(Rc::clone(&self.0)))
    }

    /// How many places are taken, over all threads; a place that goes from one to
    /// another meanwhile may be missed or counted twice.
    #[must_use]
    pub fn taken(&self) -> usize {
        let quota = &*self.0.quota;
        let free = |free: &Free| free.0.load(Ordering::SeqCst);
        quota.most.saturating_sub(quota.free.iter().map(free).sum())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // It stays where it was of use, whosever it was before.
        let Part { quota, own } = &*self.0;
        quota.free[*own].0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Free {
    fn take(&self) -> bool {
        let one_less = |free: usize| free.checked_sub(1);
        let taken = self
            .0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less);
        taken.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_found_whosever_it_is() {
        for threads in 1..5 {
            for most in 0..10 {
                let quota = Quota::new(most, threads);
                let shares: Vec<Share> = (0..threads).map(|_| Arc::clone(&quota).share()).collect();
                for share in &shares {
                    assert_eq!(share.taken(), 0);
                    let places: Vec<Option<Place>> = (0..most).map(|_| share.take()).collect();
                    assert!(places.iter().all(Option::is_some), "{most} for {threads}");
                    assert!(shares.iter().all(|share| share.take().is_none()));
                    assert!(shares.iter().all(|share| share.taken() == most));
                }
            }
        }
    }

    #[test]
    fn a_place_is_free_again_when_it_is_given_back() {
        let quota = Quota::new(1, 2);
        let (one, other) = (Arc::clone(&quota).share(), quota.share());
        for _ in 0..3 {
            let place = other.take();
            assert!(place.is_some() && one.take().is_none() && other.take().is_none());
            drop(place);
            assert!(one.take().is_some(), "it was given back at once");
        }
    }

    #[test]
    fn any_number_is_a_number_too() {
        let share = Quota::new(usize::MAX, 3).share();
        let places: Vec<Option<Place>> = (0..1000).map(|_| share.take()).collect();
        assert!(places.iter().all(Option::is_some));
        assert_eq!(share.taken(), 1000);
    }

    #[test]
    fn threads_never_hold_more_than_there_are_and_lose_none() {
        const MOST: usize = 5;
        let quota = Quota::new(MOST, 4);
        let held = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let share = Arc::clone(&quota).share();
                    for turn in 0..20_000 {
                        let places: Vec<Place> =
                            (0..turn % 4).map_while(|_| share.take()).collect();
                        let now = held.fetch_add(places.len(), Ordering::SeqCst) + places.len();
                        assert!(now <= MOST, "{now} are held");
                        held.fetch_sub(places.len(), Ordering::SeqCst);
                    }
                });
            }
        });
        let share = quota.share();
        assert_eq!(share.taken(), 0);
        let all: Vec<Place> = (0..2 * MOST).map_while(|_| share.take()).collect();
        assert_eq!(all.len(), MOST);
    }
}
