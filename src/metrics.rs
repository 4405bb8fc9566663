//! Counting. Each worker thread owns one [`WorkerMetrics`] and is its only
//! writer; the admin side adds them up when somebody asks. How they are
//! printed is the business of `admin`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A counter with exactly one writing thread and any number of readers. Two
/// threads that add to the same counter lose counts, nothing worse.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds `n`. To be called by the one thread that owns this counter.
    pub fn add(&self, n: u64) {
        // A load and a store cost a fraction of a locked read-modify-write.
        self.0.store(
            self.0.load(Ordering::Relaxed).wrapping_add(n),
            Ordering::Relaxed,
        );
    }

    /// Copies a count that is kept elsewhere. To be called by the one thread
    /// that owns this counter.
    pub fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    /// The count so far.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Upper bounds of the latency buckets, in seconds (OpenTelemetry's advice for
/// HTTP durations).
pub const LATENCY_BOUNDS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

const LATENCY_BOUNDS_MICROS: [u64; 14] = [
    5_000, 10_000, 25_000, 50_000, 75_000, 100_000, 250_000, 500_000, 750_000, 1_000_000,
    2_500_000, 5_000_000, 7_500_000, 10_000_000,
];

/// Durations, counted by bucket. The last bucket has no upper bound.
#[derive(Debug, Default)]
pub struct Latency {
    buckets: [Count; LATENCY_BOUNDS.len() + 1],
    sum_micros: Count,
}

impl Latency {
    /// Counts one duration.
    pub fn observe(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let bucket = LATENCY_BOUNDS_MICROS
            .iter()
            .position(|bound| micros <= *bound);
        self.buckets[bucket.unwrap_or(LATENCY_BOUNDS.len())].add(1);
        self.sum_micros.add(micros);
    }

    /// Durations counted per bucket, not cumulated.
    #[must_use]
    pub fn buckets(&self) -> [u64; LATENCY_BOUNDS.len() + 1] {
        std::array::from_fn(|index| self.buckets[index].value())
    }

    /// Sum of all durations, in seconds.
    #[must_use]
    pub fn sum_seconds(&self) -> f64 {
        Duration::from_micros(self.sum_micros.value()).as_secs_f64()
    }
}

/// Upper bounds of the buckets of [`Ratios`], shares of a token's life: 0.0 counts
/// tokens that had ended, 0.01 those used to their very end (of a server that repeats
/// its token), and above 0.03 the token engine keeps its promise. Tokens are renewed
/// with 0.45 to 0.55 left.
pub const RATIO_BOUNDS: [f64; 9] = [0.0, 0.01, 0.03, 0.1, 0.25, 0.4, 0.5, 0.75, 1.0];

/// Shares of a whole, counted by bucket. The last bucket has no upper bound
/// and stays empty as long as no part is larger than its whole.
#[derive(Debug, Default)]
pub struct Ratios {
    buckets: [Count; RATIO_BOUNDS.len() + 1],
    sum_millionths: Count,
}

impl Ratios {
    /// Counts the share that `part` is of `whole`; 0 when `whole` is nothing. To be
    /// called by the one thread that owns these counters, or under the lock
    /// that guards them.
    pub fn observe(&self, part: Duration, whole: Duration) {
        let ratio = if whole.is_zero() {
            0.0
        } else {
            part.div_duration_f64(whole)
        };
        let bucket = RATIO_BOUNDS.iter().position(|bound| ratio <= *bound);
        self.buckets[bucket.unwrap_or(RATIO_BOUNDS.len())].add(1);
        self.sum_millionths.add((ratio * 1e6) as u64);
    }

    /// Adds what has been counted so far to `sums`.
    pub fn add_to(&self, sums: &mut RatioSums) {
        for (sum, count) in sums.buckets.iter_mut().zip(&self.buckets) {
            *sum += count.value();
        }
        sums.sum += self.sum_millionths.value() as f64 / 1e6;
    }
}

/// What several [`Ratios`] have counted, added up.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RatioSums {
    /// Shares counted per bucket, not cumulated.
    pub buckets: [u64; RATIO_BOUNDS.len() + 1],
    /// Sum of all shares.
    pub sum: f64,
}

/// What is counted per scope.
#[derive(Debug, Default)]
pub struct ScopeMetrics {
    /// Share of the token's life that was left, each time a request was sent.
    pub life_left: Ratios,
    /// Replays with a newer token.
    pub replays: Count,
}

/// What is counted per route.
#[derive(Debug)]
pub struct RouteMetrics {
    /// Requests by outcome, in the order of the outcome names of [`Metrics::new`].
    pub outcomes: Box<[Count]>,
    /// From the request's head to the end of its answer.
    pub latency: Latency,
    /// Replays with a newer token.
    pub replays: Count,
    /// Redirects of DQE to itself that were followed.
    pub redirects: Count,
}

/// What is answered, and nothing besides, to a head that is no request.
pub const HEAD_REFUSALS: [&str; 3] = ["400", "414", "431"];

/// Why a caller's connection finds no place: the keys of `[listener]` that say so.
pub const SHED_REASONS: [&str; 2] = ["max_connections", "max_connections_per_caller"];

/// What one worker thread counts; on lines of the cache that no other thread
/// writes. Processors fetch two of 64 bytes at a time.
#[derive(Debug)]
#[repr(align(128))]
pub struct WorkerMetrics {
    /// Per route, in the order of the route names of [`Metrics::new`].
    pub routes: Box<[RouteMetrics]>,
    /// Per scope, in the order of the scope names of [`Metrics::new`].
    pub scopes: Box<[ScopeMetrics]>,
    /// Caller connections accepted.
    pub connections_opened: Count,
    /// Caller connections closed.
    pub connections_closed: Count,
    /// Times a caller connection was parked, new ones included.
    pub connections_parked: Count,
    /// Times a parked one was no longer, closed ones included.
    pub connections_unparked: Count,
    /// Caller connections refused by the allow list.
    pub connections_refused: Count,
    /// Caller connections refused because no place was left, by [`SHED_REASONS`].
    pub connections_shed: [Count; SHED_REASONS.len()],
    /// Heads that were no request, by [`HEAD_REFUSALS`].
    pub heads_refused: [Count; HEAD_REFUSALS.len()],
    /// Times no connection could be accepted although one waited.
    pub accepts_failed: Count,
    /// Connections made to the server.
    pub upstream_connections_opened: Count,
    /// Connections to the server that have ended.
    pub upstream_connections_closed: Count,
    /// Requests whose head has been read.
    pub requests_started: Count,
    /// Requests whose answer has ended, one way or another.
    pub requests_ended: Count,
}

/// Everything counted on the request path.
#[derive(Debug)]
pub struct Metrics {
    /// Label values of routes: the pattern as written in the catalogue or the settings.
    pub route_names: Vec<String>,
    /// Label values of outcomes: the classes of status and the stable error codes.
    pub outcome_names: &'static [&'static str],
    /// Label values of scopes, as on the wire.
    pub scope_names: Vec<&'static str>,
    /// One per worker thread.
    pub workers: Vec<WorkerMetrics>,
}

impl Metrics {
    /// Room for `threads` workers, all zero.
    #[must_use]
    pub fn new(
        route_names: Vec<String>,
        outcome_names: &'static [&'static str],
        scope_names: Vec<&'static str>,
        threads: usize,
    ) -> Self {
        let route = || RouteMetrics {
            outcomes: outcome_names.iter().map(|_| Count::default()).collect(),
            latency: Latency::default(),
            replays: Count::default(),
            redirects: Count::default(),
        };
        let worker = || WorkerMetrics {
            routes: route_names.iter().map(|_| route()).collect(),
            scopes: scope_names
                .iter()
                .map(|_| ScopeMetrics::default())
                .collect(),
            connections_opened: Count::default(),
            connections_closed: Count::default(),
            connections_parked: Count::default(),
            connections_unparked: Count::default(),
            connections_refused: Count::default(),
            connections_shed: Default::default(),
            heads_refused: Default::default(),
            accepts_failed: Count::default(),
            upstream_connections_opened: Count::default(),
            upstream_connections_closed: Count::default(),
            requests_started: Count::default(),
            requests_ended: Count::default(),
        };
        let workers = (0..threads).map(|_| worker()).collect();
        Self {
            route_names,
            outcome_names,
            scope_names,
            workers,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_lands_in_the_bucket_that_bounds_it() {
        let latency = Latency::default();
        for millis in [0, 5, 6, 10_000, 10_001] {
            latency.observe(Duration::from_millis(millis));
        }
        let mut expected = [0; 15];
        (expected[0], expected[1], expected[13], expected[14]) = (2, 1, 1, 1);
        assert_eq!(latency.buckets(), expected);
        assert!((latency.sum_seconds() - 20.012).abs() < 1e-9);
    }

    #[test]
    fn a_share_lands_in_the_bucket_that_bounds_it_whatever_the_whole() {
        for whole in [2, 300, 86_400] {
            let whole = Duration::from_secs(whole);
            let (ratios, mut sums) = (Ratios::default(), RatioSums::default());
            for share in [0.0, 0.002, 0.01, 0.031, 0.5, 0.74, 1.0, 1.5] {
                ratios.observe(whole.mul_f64(share), whole);
            }
            ratios.add_to(&mut sums);
            assert_eq!(sums.buckets, [1, 2, 0, 1, 0, 0, 1, 1, 1, 1], "{whole:?}");
            assert!((sums.sum - 3.783).abs() < 1e-5, "{}", sums.sum);
            ratios.add_to(&mut sums);
            assert_eq!(sums.buckets, [2, 4, 0, 2, 0, 0, 2, 2, 2, 2]);
        }
        let (ratios, mut sums) = (Ratios::default(), RatioSums::default());
        ratios.observe(Duration::ZERO, Duration::ZERO);
        ratios.add_to(&mut sums);
        assert_eq!(sums.buckets[0], 1, "of nothing, nothing");
    }
}
