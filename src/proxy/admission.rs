//! How many requests are answered at the same time, over all worker threads:
//! at most as many as the settings say, and fewer while memory is short. One
//! more is refused at once. It does not wait: a caller has one request at a
//! time on a connection, so what waits is bounded by the connections anyway,
//! and a queue in front of a server that is too slow only makes every answer
//! late before the callers' own time-outs end them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::error::ProxyError;
use crate::quota::{Place, Quota, Share};

/// The requests in flight, shared by the worker threads. Neither locks nor waits.
#[derive(Debug)]
pub struct Admission {
    places: Arc<Quota>,
    /// Most while memory is short.
    most_when_short: usize,
    is_memory_short: AtomicBool,
}

impl Admission {
    /// Lets `most` requests in at the same time over so many threads, 0 being any
    /// number, and while memory is short `most_when_short`. That is not none: an
    /// allocator may keep what was freed, so that memory once taken looks short for
    /// good.
    #[must_use]
    pub fn new(most: usize, most_when_short: usize, threads: usize) -> Arc<Self> {
        let most = if most == 0 { usize::MAX } else { most };
        Arc::new(Self {
            places: Quota::new(most, threads),
            most_when_short,
            is_memory_short: AtomicBool::new(false),
        })
    }

    /// Whether memory is short. To be told now and then
    /// by whoever measures it.
    pub fn memory_is_short(&self, is_short: bool) {
        self.is_memory_short.store(is_short, Ordering::Relaxed);
    }

    /// What was told last.
    #[must_use]
    pub fn is_memory_short(&self) -> bool {
        self.is_memory_short.load(Ordering::Relaxed)
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
        let place = self.share.take().ok_or(ProxyError::TooManyRequests)?;
        if self.admission.is_memory_short() && self.share.taken() > self.admission.most_when_short {
            return Err(ProxyError::MemoryShort);
        }
        Ok(Permit { _place: place })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_when_its_request_has_ended() {
        let door = Door::new(Admission::new(2, 2, 2));
        let permits = [door.enter().unwrap(), door.enter().unwrap()];
        for _ in 0..3 {
            assert!(matches!(door.enter(), Err(ProxyError::TooManyRequests)));
        }
        drop(permits);
        assert!(door.enter().is_ok(), "a refusal takes no place");
    }

    #[test]
    fn short_of_memory_fewer_are_let_in_but_never_none() {
        let admission = Admission::new(0, 16, 2);
        let door = Door::new(Arc::clone(&admission));
        let many: Vec<Permit> = (0..100).map(|_| door.enter().unwrap()).collect();
        admission.memory_is_short(true);
        assert!(matches!(door.enter(), Err(ProxyError::MemoryShort)));
        drop(many);
        let few: Vec<Permit> = (0..16).map(|_| door.enter().unwrap()).collect();
        assert!(matches!(door.enter(), Err(ProxyError::MemoryShort)));
        admission.memory_is_short(false);
        assert!(door.enter().is_ok());
        drop(few);
    }
}
