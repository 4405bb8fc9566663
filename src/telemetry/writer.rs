//! One thread that owns a sink and writes what others hand over. Nobody waits
//! for it: what it has no room for is dropped and counted.

use std::io::{self, ErrorKind, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::LogThrottle;

/// How long to wait before asking again, where nothing can be waited for.
const PAUSE: Duration = Duration::from_millis(2);

enum Message {
    /// Whole lines, and how many.
    Lines(Vec<u8>, u64),
    Stop,
}

/// The thread that owns a sink.
pub(super) struct Writer {
    hand_over: HandOver,
    thread: JoinHandle<()>,
}

impl Writer {
    /// Starts the thread. At most `capacity` messages wait for it. With `tells`,
    /// the log of events says why the sink takes nothing; that log's own writer
    /// cannot. Fails when the system has no thread to give.
    pub(super) fn start(
        name: &str,
        capacity: usize,
        sink: Box<dyn Write + Send>,
        tells: bool,
    ) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(capacity);
        let dropped = Arc::new(AtomicU64::new(0));
        let sink = Sink {
            sink,
            is_torn: false,
            dropped: Arc::clone(&dropped),
            failing: tells.then(LogThrottle::default),
        };
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || sink.write_all(&receiver))?;
        Ok(Self {
            hand_over: HandOver { sender, dropped },
            thread,
        })
    }

    /// A way to the thread for one more writer of lines.
    pub(super) fn hand_over(&self) -> HandOver {
        self.hand_over.clone()
    }

    /// Lines that were not written, or not wholly.
    pub(super) fn dropped(&self) -> u64 {
        self.hand_over.dropped.load(Ordering::Relaxed)
    }

    /// Waits at most `limit` until everything handed over so far is written,
    /// and ends the thread. Returns whether that came about.
    pub(super) fn finish(&self, limit: Duration) -> bool {
        let start = Instant::now();
        let mut is_told = false;
        while !self.thread.is_finished() {
            // A bounded queue that is full takes no message, hence the loop.
            is_told = is_told || self.hand_over.sender.try_send(Message::Stop).is_ok();
            if start.elapsed() >= limit {
                return false;
            }
            thread::park_timeout(PAUSE);
        }
        true
    }
}

/// A way to the thread.
#[derive(Clone)]
pub(super) struct HandOver {
    sender: SyncSender<Message>,
    dropped: Arc<AtomicU64>,
}

impl HandOver {
    /// Hands over whole lines, or drops and counts them. Never waits.
    pub(super) fn offer(&self, bytes: Vec<u8>, lines: u64) {
        match self.sender.try_send(Message::Lines(bytes, lines)) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.dropped.fetch_add(lines, Ordering::Relaxed);
            }
        }
    }
}

struct Sink {
    sink: Box<dyn Write + Send>,
    /// The last write ended within a line.
    is_torn: bool,
    dropped: Arc<AtomicU64>,
    failing: Option<LogThrottle>,
}

impl Sink {
    fn write_all(mut self, messages: &Receiver<Message>) {
        while let Ok(Message::Lines(bytes, lines)) = messages.recv() {
            // A reader that has gone may be replaced, and a full disk emptied:
            // a failure costs these lines only.
            if let Err(error) = self.write(&bytes) {
                self.dropped.fetch_add(lines, Ordering::Relaxed);
                let failing = self.failing.as_ref();
                if failing.is_some_and(|failing| failing.count(Instant::now()).is_some()) {
                    let dropped = self.dropped.load(Ordering::Relaxed);
                    tracing::warn!(%error, dropped, "the access log cannot be written: its lines are lost");
                }
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.is_torn {
            self.write_bytes(b"\n")?;
            self.is_torn = false;
        }
        self.write_bytes(bytes)?;
        self.sink.flush()
    }

    fn write_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.sink.write(rest) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => {
                    rest = &rest[count..];
                    self.is_torn = !rest.is_empty();
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Whoever gave us the descriptor may have made it non-blocking.
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::park_timeout(PAUSE),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Memory, Scripted};
    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    fn written(script: Vec<Result<usize, ErrorKind>>, lines: &[&str]) -> (String, u64) {
        let memory = Memory::default();
        let sink = Scripted {
            script,
            memory: memory.clone(),
        };
        let writer = Writer::start("test", lines.len(), Box::new(sink), false).unwrap();
        for line in lines {
            writer.hand_over().offer(line.as_bytes().to_vec(), 1);
        }
        assert!(writer.finish(SOON));
        (memory.text(), writer.dropped())
    }

    #[test]
    fn an_interrupted_or_busy_sink_loses_nothing() {
        let script = vec![
            Ok(1),
            Err(ErrorKind::Interrupted),
            Ok(1),
            Err(ErrorKind::WouldBlock),
        ];
        assert_eq!(
            written(script, &["one\n", "two\n"]),
            ("one\ntwo\n".to_owned(), 0)
        );
    }

    #[test]
    fn a_line_cut_by_a_failure_does_not_swallow_the_next() {
        let script = vec![Ok(2), Err(ErrorKind::StorageFull)];
        assert_eq!(
            written(script, &["one\n", "two\n"]),
            ("on\ntwo\n".to_owned(), 1)
        );
    }

    #[test]
    fn a_closed_sink_is_counted_and_asked_again() {
        let script = vec![Err(ErrorKind::BrokenPipe), Ok(0)];
        assert_eq!(
            written(script, &["one\n", "two\n", "three\n"]),
            ("three\n".to_owned(), 2)
        );
    }

    #[test]
    fn what_comes_after_the_end_is_counted() {
        let writer = Writer::start("test", 1, Box::new(Memory::default()), false).unwrap();
        assert!(writer.finish(SOON));
        writer.hand_over().offer(b"late\n".to_vec(), 3);
        assert_eq!(writer.dropped(), 3);
        assert!(writer.finish(SOON), "a second end is no error");
    }
}
