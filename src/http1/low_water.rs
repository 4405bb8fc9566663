//! Long bodies are taken in few long pieces: while much of one is still to come, and
//! comes fast, its reader is woken when there is much of it, not for each segment.
//!
//! A proxy that is faster than the sender finds a few bytes whenever it looks, and goes
//! to sleep again: of a long answer over TLS, every 20 KB then cost two system calls, two
//! context switches and the processing of a segment, on both sides of it.

use std::future::Future;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use nix::sys::socket::setsockopt;
use nix::{libc, setsockopt_impl, sockopt_impl};
use tokio::time::{Instant, Sleep, sleep};

sockopt_impl!(
    /// `SO_RCVLOWAT` (socket(7)): how many bytes have to be there for a socket to be
    /// readable. One that has ended or failed always is.
    ReceiveLowWater,
    SetOnly,
    libc::SOL_SOCKET,
    libc::SO_RCVLOWAT,
    usize
);

/// Bytes that are waited for. The system widens the receive window to that, and finds a
/// socket readable before when its window is full.
const MARK: usize = 128 * 1024;
/// Without any at all, a socket is readable.
const NONE: usize = 1;
/// Least of a body that is still to come for its reader to wait so: besides [`MARK`], what
/// has been read of it and is not counted yet, such as a TLS record without its end.
const LEAST_TO_COME: u64 = 160 * 1024;
/// How long there may be less. A sender that takes longer is not a fast one: for the rest of
/// its body, each byte is passed on as it comes.
const PATIENCE: Duration = Duration::from_millis(5);

/// The receive low-water mark of a socket, raised for a long body that comes fast.
#[derive(Debug, Default)]
pub struct LowWater {
    /// While it is raised: how long it stays so.
    patience: Option<Pin<Box<Sleep>>>,
    /// That is of the present wait.
    is_waiting: bool,
    /// Its reader is faster than the sender: the last read has found little.
    is_ahead: bool,
    /// The present body does not come fast.
    is_slow: bool,
}

impl LowWater {
    /// A read has found nothing more, and at least `to_come` bytes are still to come for
    /// certain: whoever reads is woken when many of them are there, or the sender has been
    /// slow. To be called in the turn in which the read has registered its task.
    pub fn wait(&mut self, cx: &mut Context<'_>, socket: &impl AsFd, to_come: u64) {
        if to_come < LEAST_TO_COME {
            self.lower(socket);
        } else if self.is_ahead && !self.is_slow {
            self.is_slow = !self.raise(socket) || self.has_waited(cx);
            if self.is_slow {
                // What is there makes it readable at once.
                self.lower(socket);
            }
        }
    }

    /// A read has found so many bytes.
    pub fn came(&mut self, length: usize) {
        // Where much comes by itself, waiting for it is work for nothing.
        self.is_ahead = length < MARK || self.patience.is_some();
        self.is_waiting = false;
    }

    /// The body is over, for good or ill; what comes next may be short.
    pub fn rest(&mut self, socket: &impl AsFd) {
        self.lower(socket);
        *self = Self::default();
    }

    /// Whether it is raised now.
    fn raise(&mut self, socket: &impl AsFd) -> bool {
        if self.patience.is_none() && setsockopt(socket, ReceiveLowWater, &MARK).is_ok() {
            self.patience = Some(Box::pin(sleep(PATIENCE)));
            self.is_waiting = true;
        }
        self.patience.is_some()
    }

    fn has_waited(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(patience) = &mut self.patience else {
            return false;
        };
        if !std::mem::replace(&mut self.is_waiting, true) {
            patience.as_mut().reset(Instant::now() + PATIENCE);
        }
        patience.as_mut().poll(cx).is_ready()
    }

    fn lower(&mut self, socket: &impl AsFd) {
        if self.patience.take().is_some() {
            // It could be set, so it can be set again.
            let _ = setsockopt(socket, ReceiveLowWater, &NONE);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;

    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpStream;

    use super::*;
    use crate::http1::testing::connected;

    /// Under a clock that stands still as long as something has come that wakes.
    fn block_on(story: impl Future<Output = ()>) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_all().start_paused(true);
        runtime.build().unwrap().block_on(story);
    }

    /// Waits until there is something to be read, and takes it: how long that took.
    async fn read(low_water: &mut LowWater, stream: &TcpStream, to_come: u64) -> Duration {
        let began = Instant::now();
        poll_fn(|cx| {
            while stream.poll_read_ready(cx).is_ready() {
                if let Ok(length) = stream.try_read(&mut vec![0; 2 * MARK]) {
                    low_water.came(length);
                    return Poll::Ready(());
                }
            }
            low_water.wait(cx, stream, to_come);
            Poll::Pending
        })
        .await;
        began.elapsed()
    }

    #[test]
    fn much_of_a_long_body_is_waited_for_while_its_sender_is_fast() {
        for (before, length, ends, to_come, waits) in [
            (1, 1000, false, LEAST_TO_COME, true),
            (1, MARK, false, LEAST_TO_COME, false),
            // What is to come is less than what would be waited for.
            (1, 1000, false, LEAST_TO_COME - 1, false),
            // Nothing more comes.
            (1, 1000, true, LEAST_TO_COME, false),
            (1, 0, true, LEAST_TO_COME, false),
            // The sender is the faster one.
            (MARK, 1000, false, LEAST_TO_COME, false),
        ] {
            block_on(async {
                let (stream, mut sender) = connected().await;
                let mut low_water = LowWater::default();
                low_water.came(before);
                let sends = async {
                    sender.write_all(&vec![b'x'; length]).await.unwrap();
                    if ends {
                        sender.shutdown().await.unwrap();
                    }
                };
                let (took, ()) = tokio::join!(read(&mut low_water, &stream, to_come), sends);
                assert_eq!(
                    took >= PATIENCE,
                    waits,
                    "{before} {length} {ends} {to_come} {took:?}"
                );
            });
        }
    }

    #[test]
    fn a_sender_that_has_been_slow_is_waited_for_once_in_a_body() {
        block_on(async {
            let (stream, mut sender) = connected().await;
            let mut low_water = LowWater::default();
            low_water.came(1);
            for (first, to_come) in [(true, LEAST_TO_COME), (false, LEAST_TO_COME)].repeat(2) {
                let sends = sender.write_all(b"x");
                let (took, sent) = tokio::join!(read(&mut low_water, &stream, to_come), sends);
                sent.unwrap();
                assert_eq!(took >= PATIENCE, first, "{took:?}");
                if !first {
                    // The next body is another one.
                    low_water.rest(&stream);
                    low_water.came(1);
                }
            }
        });
    }

    #[test]
    fn a_short_message_behind_a_long_body_is_there_at_once() {
        block_on(async {
            let (stream, mut sender) = connected().await;
            let mut low_water = LowWater::default();
            low_water.came(1);
            let long = vec![b'x'; MARK];
            let sends = sender.write_all(&long);
            let (_, sent) = tokio::join!(read(&mut low_water, &stream, LEAST_TO_COME), sends);
            sent.unwrap();
            assert!(low_water.patience.is_some());
            low_water.rest(&stream);
            let sends = sender.write_all(b"x");
            let (took, sent) = tokio::join!(read(&mut low_water, &stream, 0), sends);
            sent.unwrap();
            assert_eq!(took, Duration::ZERO);
        });
    }
}
