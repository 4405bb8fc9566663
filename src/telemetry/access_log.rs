//! One line per request. Each worker thread formats into a buffer of its own;
//! one thread writes. The record has no room for a query, a header or a body:
//! personal data cannot get in.

use std::io::{self, IsTerminal, Write};
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use super::Format;
use super::access_line::Lines;
use super::writer::{HandOver, Writer};

/// A worker's buffer is handed over when it holds this many bytes.
const FULL: usize = 32 * 1024;

/// Room kept above `FULL`, so that the last record does not make the buffer grow.
const LAST_RECORD: usize = 1024;

/// Buffers that may wait for a slow reader: 2 MiB in all.
const WAITING_BUFFERS: usize = 64;

/// What is written of one request.
#[derive(Clone, Copy, Debug)]
pub struct AccessRecord<'a> {
    /// When the request's head had been read.
    pub time: SystemTime,
    /// The id that the answer carries as well.
    pub request_id: &'a str,
    /// Who called.
    pub caller: IpAddr,
    /// The request's method.
    pub method: &'a str,
    /// The route's pattern, never the path as sent; `none` when none was found.
    pub route: &'a str,
    /// The scope whose token was used; empty when none was.
    pub scope: &'a str,
    /// Status of the answer; 499 when the caller left before it.
    pub status: u16,
    /// The class of DQE's status (`2xx`), or the stable error code.
    pub code: &'a str,
    /// Bytes of the request's body.
    pub request_bytes: u64,
    /// Bytes of the answer's body, as far as it was sent.
    pub response_bytes: u64,
    /// Time spent waiting for a token; zero in steady state.
    pub token_wait: Duration,
    /// Time spent connecting to the server; zero on a reused connection.
    pub connect: Duration,
    /// From the request's head to the head of the server's answer.
    pub first_byte: Duration,
    /// From the request's head to the end of the answer.
    pub total: Duration,
    /// Tries to send the request to a server; 0 when it was answered here.
    pub attempts: u8,
    /// Redirects of the server to itself that were followed for the caller.
    pub redirects: u8,
    /// The caller's version, for example `HTTP/1.1`.
    pub http_version: &'a str,
}

/// The access log: the thread that owns the sink.
pub struct AccessLog {
    writer: Writer,
    is_text: bool,
}

impl AccessLog {
    /// Starts the thread `access-log`, which owns `sink`. `Format::Auto` asks
    /// whether standard output is a terminal, as that is where the log goes
    /// outside of tests.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub fn start(format: Format, sink: Box<dyn Write + Send>) -> io::Result<Self> {
        Ok(Self {
            writer: Writer::start("access-log", WAITING_BUFFERS, sink, true)?,
            is_text: format.is_text(io::stdout().is_terminal()),
        })
    }

    /// The log of one worker thread.
    #[must_use]
    pub fn for_worker(&self) -> WorkerLog {
        WorkerLog {
            hand_over: self.writer.hand_over(),
            lines: Lines::new(self.is_text),
            buffer: Vec::new(),
            records: 0,
        }
    }

    /// Records lost so far: the reader stalled or has gone.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.writer.dropped()
    }

    /// Waits at most `limit` until what the workers handed over is written,
    /// and ends the thread; workers are to be flushed before, records that
    /// come later are dropped and counted. Returns whether all was written
    /// in time.
    pub fn finish(&self, limit: Duration) -> bool {
        self.writer.finish(limit)
    }
}

/// One worker's part of the access log. Flushed when dropped.
pub struct WorkerLog {
    hand_over: HandOver,
    lines: Lines,
    buffer: Vec<u8>,
    records: u64,
}

impl WorkerLog {
    /// Adds a line. Never waits and never fails: see [`AccessLog::dropped`].
    pub fn record(&mut self, record: &AccessRecord<'_>) {
        if self.buffer.capacity() == 0 {
            self.buffer.reserve_exact(FULL + LAST_RECORD);
        }
        self.lines.push(&mut self.buffer, record);
        self.records += 1;
        if self.buffer.len() >= FULL {
            self.flush();
        }
    }

    /// Hands the buffer over. To be called about once a second, so that lines
    /// show up soon when there are few.
    pub fn flush(&mut self) {
        if self.records > 0 {
            let lines = std::mem::take(&mut self.records);
            self.hand_over
                .offer(std::mem::take(&mut self.buffer), lines);
        }
    }
}

impl Drop for WorkerLog {
    fn drop(&mut self) {
        self.flush();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::super::testing::{Memory, record, stalled};
    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    fn numbered(number: u64) -> AccessRecord<'static> {
        AccessRecord {
            request_bytes: number,
            ..record()
        }
    }

    fn numbers(log: &str) -> Vec<u64> {
        log.lines()
            .map(|line| {
                let value: serde_json::Value = serde_json::from_str(line).unwrap();
                value["request_bytes"].as_u64().unwrap()
            })
            .collect()
    }

    #[test]
    fn every_record_of_every_worker_becomes_one_line() {
        let memory = Memory::default();
        let log = AccessLog::start(Format::Json, Box::new(memory.clone())).unwrap();
        let workers: Vec<_> = (0..4)
            .map(|worker| {
                let mut mine = log.for_worker();
                std::thread::spawn(move || {
                    for number in 0..500 {
                        mine.record(&numbered(worker * 1000 + number));
                    }
                })
            })
            .collect();
        for worker in workers {
            worker.join().unwrap();
        }
        assert!(log.finish(SOON));
        let mut found = numbers(&memory.text());
        found.sort_unstable();
        let expected: Vec<u64> = (0..4)
            .flat_map(|worker| (0..500).map(move |number| worker * 1000 + number))
            .collect();
        assert_eq!(found, expected);
        assert_eq!(log.dropped(), 0);
    }

    #[test]
    fn few_records_show_up_at_the_next_flush() {
        let memory = Memory::default();
        let log = AccessLog::start(Format::Json, Box::new(memory.clone())).unwrap();
        let mut mine = log.for_worker();
        mine.flush();
        mine.record(&numbered(7));
        assert_eq!(memory.text(), "");
        mine.flush();
        assert!(log.finish(SOON));
        assert_eq!(numbers(&memory.text()), [7]);
    }

    #[test]
    fn a_stalled_reader_costs_records_and_no_time() {
        let (release, memory, sink) = stalled();
        let log = AccessLog::start(Format::Json, Box::new(sink)).unwrap();
        let mut mine = log.for_worker();
        let records = 20_000;
        let start = Instant::now();
        for number in 0..records {
            mine.record(&numbered(number));
        }
        mine.flush();
        assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
        let dropped = log.dropped();
        assert!(dropped > 0 && dropped < records, "{dropped}");

        let start = Instant::now();
        assert!(!log.finish(Duration::from_millis(50)));
        assert!(start.elapsed() < SOON, "an end has a deadline");

        drop(release);
        assert!(log.finish(SOON));
        let written = numbers(&memory.text()).len();
        assert_eq!(u64::try_from(written).unwrap() + dropped, records);
    }

    #[test]
    fn a_reader_that_has_gone_costs_records_and_nothing_else() {
        let (reader, pipe) = io::pipe().unwrap();
        let log = AccessLog::start(Format::Json, Box::new(pipe)).unwrap();
        let mut mine = log.for_worker();
        drop(reader);
        for number in 0..3 {
            mine.record(&numbered(number));
            mine.flush();
        }
        assert!(log.finish(SOON));
        assert_eq!(log.dropped(), 3);
    }
}
