//! How many callers may be connected at the same time, over all worker
//! threads. Each takes a descriptor, and the way to the server needs some too:
//! callers that take them all would be answered by nothing but failures.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Descriptors for everything but callers and connections to the server: logs, the
/// admin listener, token requests, the runtimes' own.
const OTHERS: usize = 64;
/// Most callers when the system would allow more and nobody has said so.
const MOST: usize = 20_000;
/// Fewest, however few descriptors there are.
const FEWEST: usize = 16;

/// The places for callers, shared by the worker threads.
#[derive(Debug)]
pub struct Places {
    taken: AtomicUsize,
    most: usize,
}

/// A place that is taken; free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place(Arc<Places>);

impl Places {
    /// `most` places; 0 stands for what the process's limit of open files allows.
    #[must_use]
    pub fn new(most: usize) -> Arc<Self> {
        let open_files = open_files();
        let most = match most {
            0 => most_with(open_files),
            most => most,
        };
        if let Some(open_files) = open_files
            && most > open_files / 2
        {
            tracing::warn!(
                max_connections = most,
                open_files,
                "so many callers may leave no descriptors for the way to the server"
            );
        }
        Arc::new(Self {
            taken: AtomicUsize::new(0),
            most,
        })
    }

    /// Takes a place; `None` when there is none left.
    pub(super) fn take(self: &Arc<Self>) -> Option<Place> {
        let taken = self.taken.fetch_add(1, Ordering::Relaxed);
        let place = Place(Arc::clone(self));
        (taken < self.most).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A caller may need two descriptors, its own and one to the server, and some unused
/// connections to the server are kept besides: so it counts as three.
fn most_with(open_files: Option<usize>) -> usize {
    let for_callers = open_files.map_or(MOST, |limit| limit.saturating_sub(OTHERS) / 3);
    for_callers.clamp(FEWEST, MOST)
}

/// The soft limit of open files, where the system tells it as Linux does.
fn open_files() -> Option<usize> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_when_its_caller_has_gone() {
        let places = Places::new(2);
        let first = places.take();
        let second = places.take();
        assert!(first.is_some() && second.is_some());
        assert!(places.take().is_none());
        assert!(places.take().is_none(), "a refusal takes no place");
        drop(first);
        assert!(places.take().is_some());
    }

    #[test]
    fn callers_leave_descriptors_for_the_way_to_the_server() {
        for (limit, expected) in [
            (None, 20_000),
            (Some(10), 16),
            (Some(256), 64),
            (Some(1024), 320),
            (Some(1_000_000), 20_000),
        ] {
            assert_eq!(most_with(limit), expected, "{limit:?}");
        }
    }
}
