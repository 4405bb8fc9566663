//! A watch for what the program owes in time: it goes slower when the machine
//! does, and on one that has nothing else to do it goes as any clock. A bound
//! kept by it is as strict as ever, and says nothing of a busy machine.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a round of the watch rests.
const REST: Duration = Duration::from_millis(4);
/// The most that a round counts for: with a processor of its own it does not
/// take longer.
const ROUND: Duration = Duration::from_millis(8);
/// Sums of a round, some tenths of a millisecond of work.
const SUMS: u32 = 20_000;

/// Measures from its start on, and not before: for a bound from below a plain
/// clock is right.
pub(crate) struct Stopwatch {
    micros: Arc<AtomicU64>,
}

impl Stopwatch {
    #[must_use]
    pub(crate) fn start() -> Self {
        let micros = Arc::<AtomicU64>::default();
        let counting = Arc::clone(&micros);
        std::thread::spawn(move || {
            let mut there_and_back = echo();
            while Arc::strong_count(&counting) > 1 {
                let begun = Instant::now();
                work(&mut there_and_back);
                std::thread::park_timeout(REST);
                let took = begun.elapsed().min(ROUND).as_micros();
                counting.fetch_add(u64::try_from(took).unwrap(), Ordering::Relaxed);
            }
        });
        Self { micros }
    }

    #[must_use]
    pub(crate) fn elapsed(&self) -> Duration {
        Duration::from_micros(self.micros.load(Ordering::Relaxed))
    }
}

/// A connection on which each byte comes back, through another thread.
fn echo() -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    near.set_nodelay(true).unwrap();
    std::thread::spawn(move || {
        let (mut far, _) = listener.accept().unwrap();
        far.set_nodelay(true).unwrap();
        let mut byte = [0];
        while far.read_exact(&mut byte).is_ok() && far.write_all(&byte).is_ok() {}
    });
    near
}

/// A little of what a call costs: some work, and the wait for others to do theirs.
fn work(there_and_back: &mut TcpStream) {
    let mut byte = [0];
    there_and_back.write_all(&byte).unwrap();
    there_and_back.read_exact(&mut byte).unwrap();
    for number in 0..SUMS {
        std::hint::black_box(number);
    }
}
