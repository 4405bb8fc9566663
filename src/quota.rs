//! A limit on how many of something there are at the same time, over all worker
//! threads: requests being answered, requests at a server. Neither locks nor waits.
//!
//! A counter that all threads count in moves from one processor to the other
//! with each request. So the places are dealt out: a thread takes from its own
//! and gives back there. Only when it has none it looks at those of the others,
//! and takes one where it finds one: nobody is refused while a place is free.
//!
//! The limit may change while places are taken. When it shrinks below what is taken, the
//! difference is owed: places that are given back vanish until nothing is owed.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The places of all threads.
#[derive(Debug)]
pub struct Quota {
    free: Box<[Places]>,
    /// Places that are taken and are to go. Written by a change of size only, and by
    /// those who pay.
    owed: Places,
    /// How many there are to be.
    most: AtomicUsize,
    /// How many shares have been given out.
    shares: AtomicUsize,
}

/// Places, those free of one thread for example; on lines of the cache that hold
/// nothing else. Processors fetch two of 64 bytes at a time.
#[derive(Debug)]
#[repr(align(128))]
struct Places(AtomicUsize);

impl Quota {
    /// `most` places for this many threads.
    #[must_use]
    pub fn new(most: usize, threads: usize) -> Arc<Self> {
        let threads = threads.max(1);
        Arc::new(Self {
            free: dealt(most, threads)
                .map(|places| Places(AtomicUsize::new(places)))
                .collect(),
            owed: Places(AtomicUsize::new(0)),
            most: AtomicUsize::new(most),
            shares: AtomicUsize::new(0),
        })
    }

    /// How many places there are to be.
    #[must_use]
    pub fn most(&self) -> usize {
        self.most.load(Ordering::Relaxed)
    }

    /// Makes it `most` places. Whoever has one keeps it: where fewer are left than are
    /// taken, nobody gets one until enough have come back. To be called by one thread
    /// alone, and now and then: what is given back in this very moment may be taken
    /// once more before the next call of this.
    pub fn resize(&self, most: usize) {
        let before = self.most.swap(most, Ordering::Relaxed);
        if most >= before {
            let mut more = most - before;
            more -= self.owed.take(more);
            for (places, more) in self.free.iter().zip(dealt(more, self.free.len())) {
                places.put(more);
            }
        } else {
            self.owed.put(before - most);
        }
        // From each as much as from the others, and then from whoever has some.
        for parts in [self.free.len(), 1] {
            let part = self.owed.now().div_ceil(parts);
            for places in &self.free {
                let found = places.take(part.min(self.owed.now()));
                let paid = self.owed.take(found);
                // Others have paid meanwhile.
                places.put(found - paid);
            }
        }
    }

    /// How many places are taken, over all threads; a place that goes from one to
    /// another meanwhile may be missed or counted twice.
    #[must_use]
    pub fn taken(&self) -> usize {
        let free: usize = self.free.iter().map(Places::now).sum();
        self.most()
            .saturating_add(self.owed.now())
            .saturating_sub(free)
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
        self.take_own().or_else(|| self.take_of_others())
    }

    /// Takes one of the thread's own places; `None` when all of them are taken.
    #[must_use]
    pub fn take_own(&self) -> Option<Place> {
        let Part { quota, own } = &*self.0;
        let is_taken = quota.free[*own].take_one();
        is_taken.then(|| Place(Rc::clone(&self.0)))
    }

    /// Takes a place of another thread.
    #[cold]
    fn take_of_others(&self) -> Option<Place> {
        let (before, own_on) = self.0.quota.free.split_at(self.0.own);
        let mut others = own_on[1..].iter().chain(before);
        let is_taken = others.any(Places::take_one);
        is_taken.then(|| Place(Rc::clone(&self.0)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Part { quota, own } = &*self.0;
        if quota.owed.now() > 0 && quota.owed.take_one() {
            return;
        }
        // It stays with the thread that used it, wherever it came from.
        quota.free[*own].put(1);
    }
}

impl Places {
    fn now(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    fn put(&self, places: usize) {
        if places > 0 {
            self.0.fetch_add(places, Ordering::SeqCst);
        }
    }

    fn take_one(&self) -> bool {
        let one_less = |places: usize| places.checked_sub(1);
        let taken = self
            .0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less);
        taken.is_ok()
    }

    /// Takes `most`, or as many as there are; how many that was.
    fn take(&self, most: usize) -> usize {
        let less = |places: usize| Some(places - places.min(most));
        let before = self
            .0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
        before.map_or(0, |before| before.min(most))
    }
}

/// `places` dealt out to `parts`, as evenly as possible.
fn dealt(places: usize, parts: usize) -> impl Iterator<Item = usize> {
    (0..parts).map(move |index| places / parts + usize::from(index < places % parts))
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
                    assert_eq!(quota.taken(), 0);
                    let places: Vec<Option<Place>> = (0..most).map(|_| share.take()).collect();
                    assert!(places.iter().all(Option::is_some), "{most} for {threads}");
                    assert!(shares.iter().all(|share| share.take().is_none()));
                    assert_eq!(quota.taken(), most);
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
        let quota = Quota::new(usize::MAX, 3);
        let share = Arc::clone(&quota).share();
        let places: Vec<Option<Place>> = (0..1000).map(|_| share.take()).collect();
        assert!(places.iter().all(Option::is_some));
        assert_eq!(quota.taken(), 1000);
    }

    #[test]
    fn there_may_be_more_of_them_or_fewer_while_they_are_taken() {
        for threads in 1..4 {
            let quota = Quota::new(10, threads);
            let share = Arc::clone(&quota).share();
            let take = |most| -> Vec<Place> { (0..most).map_while(|_| share.take()).collect() };
            let mut held = take(20);
            for (most, comes_back, is_taken) in [
                (10, 0, 10),
                // None is left, and those that come back are the ones that go.
                (4, 0, 10),
                (4, 5, 5),
                (4, 1, 4),
                (4, 1, 4),
                // Owed again, and then not: the owed are not there twice.
                (0, 0, 4),
                (3, 0, 4),
                (12, 0, 12),
                (2, 11, 2),
                (usize::MAX, 0, 22),
                (5, 20, 5),
            ] {
                quota.resize(most);
                held.truncate(held.len() - comes_back);
                held.extend(take(20));
                assert_eq!(held.len(), is_taken, "{most}, {threads} threads");
                assert_eq!((quota.taken(), quota.most()), (is_taken, most));
            }
        }
    }

    #[test]
    fn what_goes_is_taken_from_all_threads_alike() {
        let quota = Quota::new(30, 3);
        quota.resize(12);
        let free: Vec<usize> = quota.free.iter().map(Places::now).collect();
        assert_eq!(free, [4, 4, 4]);
    }

    #[test]
    fn threads_never_hold_more_than_there_are_and_lose_none() {
        const MOST: usize = 5;
        let quota = Quota::new(MOST, 4);
        let held = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for turn in 0..20_000 {
                    quota.resize(turn % MOST);
                }
                quota.resize(MOST);
            });
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
        assert_eq!(quota.taken(), 0);
        let share = quota.share();
        let all: Vec<Place> = (0..2 * MOST).map_while(|_| share.take()).collect();
        assert_eq!(all.len(), MOST);
    }
}
