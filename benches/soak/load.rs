//! Callers that call at a steady pace on kept-alive connections, and look at
//! every answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::Failure;
use crate::calls::Call;
use crate::wire::Caller;

/// Failures kept in full; further ones are only counted.
const KEPT: usize = 10_000;

/// A call that a caller would complain about.
#[derive(Debug)]
pub(crate) struct Complaint {
    pub(crate) scope: &'static str,
    pub(crate) begun: Instant,
    pub(crate) what: String,
}

/// What came of the calls.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) answered: u64,
    pub(crate) failed: u64,
    pub(crate) complaints: Vec<Complaint>,
    pub(crate) slowest: Duration,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.answered += other.answered;
        self.failed += other.failed;
        self.complaints.extend(other.complaints);
        self.complaints.truncate(KEPT);
        self.slowest = self.slowest.max(other.slowest);
    }

    /// The first complaint in words, for a row that failed.
    pub(crate) fn first(&self) -> String {
        let first = self.complaints.first();
        first.map_or_else(String::new, |first| {
            format!(" ({}: {})", first.scope, first.what)
        })
    }
}

/// What the callers of one load share.
#[derive(Debug, Default)]
struct Progress {
    stop: AtomicBool,
    answered: AtomicU64,
}

/// Load that runs until it is ended.
pub(crate) struct Load {
    progress: Arc<Progress>,
    callers: JoinSet<Tally>,
    begun: Instant,
}

impl Load {
    /// One caller for each address and call; each calls once in `pause`, and
    /// catches up when an answer took longer.
    pub(crate) fn start(addresses: &[SocketAddr], calls: &[Call], pause: Duration) -> Self {
        let progress = Arc::<Progress>::default();
        let begun = Instant::now();
        let mut callers = JoinSet::new();
        let pairs: Vec<_> = addresses
            .iter()
            .flat_map(|address| calls.iter().map(move |call| (*address, call.clone())))
            .collect();
        let count = pairs.len().max(1) as f64;
        for (index, (address, call)) in pairs.into_iter().enumerate() {
            let first = begun + pause.mul_f64(index as f64 / count);
            callers.spawn(call_on(address, call, first, pause, Arc::clone(&progress)));
        }
        Self {
            progress,
            callers,
            begun,
        }
    }

    /// Calls answered so far, however.
    pub(crate) fn answered(&self) -> u64 {
        self.progress.answered.load(Ordering::Relaxed)
    }

    /// Ends it: what came of it, and how long it ran.
    pub(crate) async fn end(mut self) -> Result<(Tally, Duration), Failure> {
        self.progress.stop.store(true, Ordering::Relaxed);
        let mut tally = Tally::default();
        while let Some(one) = self.callers.join_next().await {
            tally.add(one?);
        }
        Ok((tally, self.begun.elapsed()))
    }
}

async fn call_on(
    address: SocketAddr,
    call: Call,
    first: Instant,
    pause: Duration,
    progress: Arc<Progress>,
) -> Tally {
    let mut tally = Tally::default();
    let mut caller = Caller::of(address);
    let mut next = first;
    loop {
        sleep_until(next).await;
        next += pause;
        if progress.stop.load(Ordering::Relaxed) {
            return tally;
        }
        let begun = Instant::now();
        let what = match caller.get(call.target).await {
            Ok(answer) if answer.status != 200 => answer.refusal(),
            Ok(answer) if *answer.body != *call.body => "another body".to_owned(),
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        };
        tally.answered += 1;
        progress.answered.fetch_add(1, Ordering::Relaxed);
        tally.slowest = tally.slowest.max(begun.elapsed());
        if !what.is_empty() {
            tally.failed += 1;
            if tally.complaints.len() < KEPT {
                let scope = call.scope;
                tally.complaints.push(Complaint { scope, begun, what });
            }
        }
    }
}
