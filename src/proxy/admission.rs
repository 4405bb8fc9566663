//! How many requests are answered at the same time, over all worker threads:
//! at most as many as the settings say, and as memory suffices for. One
//! more is refused at once. It does not wait: a caller has one request at a
//! time on a connection, so what waits is bounded by the connections anyway,
//! and a queue in front of a server that is too slow only makes every answer
//! late before the callers' own time-outs end them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

use super::error::ProxyError;
use crate::quota::{Place, Quota, Share};

/// The requests in flight, shared by the worker threads. Neither locks nor waits.
#[derive(Debug)]
pub struct Admission {
    places: Arc<Quota>,
    /// Most, however much memory there is.
    most: usize,
    is_memory_short: AtomicBool,
    /// A thread has run out of places since memory was measured last.
    is_wanting: AtomicBool,
    /// Tells whoever measures it.
    wants: Notify,
}

impl Admission {
    /// Lets in `most` requests at the same time, over all `threads`; 0 is any number.
    #[must_use]
    pub fn new(most: usize, threads: usize) -> Arc<Self> {
        let most = if most == 0 { usize::MAX } else { most };
        Arc::new(Self {
            places: Quota::new(most, threads),
            most,
            is_memory_short: AtomicBool::new(false),
            is_wanting: AtomicBool::new(false),
            wants: Notify::new(),
        })
    }

    /// How many requests have been let in whose answers have not ended.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.places.taken()
    }

    /// From now on memory suffices for this many requests at the same time. To be
    /// called now and then by whoever measures memory, in one thread only.
    pub fn memory_suffices_for(&self, requests: usize, is_short: bool) {
        self.places.resize(requests.min(self.most));
        self.is_memory_short.store(is_short, Ordering::Relaxed);
    }

    /// Whether memory is short, as was told last.
    #[must_use]
    pub fn is_memory_short(&self) -> bool {
        self.is_memory_short.load(Ordering::Relaxed)
    }

    /// Returns when a thread has run out of the places that memory sufficed for when it
    /// was measured last: it may suffice for more by now.
    pub async fn wants_more(&self) {
        self.wants.notified().await;
        self.is_wanting.store(false, Ordering::Relaxed);
    }

    /// As many requests as are let in, and one that is not.
    #[cfg(test)]
    pub(crate) fn fill(self: &Arc<Self>) -> Vec<impl Sized + use<>> {
        let door = Door::new(Arc::clone(self));
        std::iter::from_fn(|| door.enter().ok()).collect()
    }

    fn is_bounded_by_memory(&self) -> bool {
        self.places.most() < self.most
    }

    /// A thread has taken all places of its own.
    fn runs_short(&self) {
        // Of all requests that find this at the same time one tells of it.
        if self.is_bounded_by_memory()
            && !self.is_wanting.load(Ordering::Relaxed)
            && !self.is_wanting.swap(true, Ordering::Relaxed)
        {
            self.wants.notify_one();
        }
    }

    /// Why there is no place.
    #[cold]
    fn refusal(&self) -> ProxyError {
        if self.is_bounded_by_memory() {
            ProxyError::MemoryShort
        } else {
            ProxyError::TooManyRequests
        }
    }
}

/// One worker thread's door.
#[derive(Debug)]
pub(super) struct Door {
    admission: Arc<Admission>,
    share: Share,
}

/// Proof that a request was let in. Given back when it is dropped, which is
/// when the answer's body has ended.
#[derive(Debug)]
pub(super) struct Permit {
    _place: Place,
}

impl Door {
    pub(super) fn new(admission: Arc<Admission>) -> Self {
        let share = Arc::clone(&admission.places).share();
        Self { admission, share }
    }

    /// Lets a request in.
    ///
    /// # Errors
    /// [`ProxyError::TooManyRequests`], [`ProxyError::MemoryShort`].
    pub(super) fn enter(&self) -> Result<Permit, ProxyError> {
        let place = match self.share.take_own() {
            Some(place) => place,
            None => self.elsewhere()?,
        };
        Ok(Permit { _place: place })
    }

    /// A place, when this thread has none of its own.
    #[cold]
    fn elsewhere(&self) -> Result<Place, ProxyError> {
        self.admission.runs_short();
        self.share.take().ok_or_else(|| self.admission.refusal())
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_place_is_free_again_when_its_request_has_ended() {
        let door = Door::new(Admission::new(2, 2));
        let permits = [door.enter().unwrap(), door.enter().unwrap()];
        for _ in 0..3 {
            assert!(matches!(door.enter(), Err(ProxyError::TooManyRequests)));
        }
        drop(permits);
        assert!(door.enter().is_ok(), "a refusal takes no place");
    }

    #[test]
    fn as_many_are_let_in_as_memory_suffices_for_and_as_the_settings_say() {
        let admission = Admission::new(150, 2);
        let door = Door::new(Arc::clone(&admission));
        let enter =
            |most: usize| -> Vec<Permit> { (0..most).map(|_| door.enter().unwrap()).collect() };
        let many = enter(100);
        admission.memory_suffices_for(16, true);
        assert!(matches!(door.enter(), Err(ProxyError::MemoryShort)));
        assert_eq!(admission.in_flight(), 100, "who is in stays in");
        drop(many);
        let few = enter(16);
        assert!(matches!(door.enter(), Err(ProxyError::MemoryShort)));
        // However much of it there is.
        admission.memory_suffices_for(1_000_000, false);
        let many = enter(134);
        assert!(matches!(door.enter(), Err(ProxyError::TooManyRequests)));
        drop((few, many));
        assert_eq!(admission.in_flight(), 0);
    }

    #[test]
    fn whoever_measures_memory_is_told_when_a_thread_has_run_out_of_places() {
        let is_told = |admission: &Admission| admission.wants_more().now_or_never().is_some();
        let admission = Admission::new(6, 2);
        let door = Door::new(Arc::clone(&admission));
        admission.memory_suffices_for(4, false);
        let own = [door.enter().unwrap(), door.enter().unwrap()];
        assert!(!is_told(&admission));
        let others = [door.enter().unwrap(), door.enter().unwrap()];
        assert!(door.enter().is_err());
        assert!(is_told(&admission) && !is_told(&admission));
        assert!(door.enter().is_err());
        assert!(is_told(&admission));
        // Memory would suffice, the settings do not.
        admission.memory_suffices_for(100, false);
        let last = [door.enter().unwrap(), door.enter().unwrap()];
        assert!(door.enter().is_err());
        assert!(!is_told(&admission));
        drop((own, others, last));
    }
}
