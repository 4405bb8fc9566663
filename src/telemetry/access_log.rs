//! One line per request. Each worker thread formats into a buffer of its own;
//! one thread writes. The record has no room for a query, a header or a body:
//! personal data cannot get in.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Serialize, Serializer};

use super::Format;
use super::escape::{Escaped, push_json_line};
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
    /// The route's pattern, never the path as sent; empty when none was found.
    pub route: &'a str,
    /// The scope whose token was used; empty when none was.
    pub scope: &'a str,
    /// Status of the answer; 0 when none was begun.
    pub status: u16,
    /// `ok`, or the stable error code.
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
    /// outside of tests. Fails when the system has no thread to give.
    pub fn start(format: Format, sink: Box<dyn Write + Send>) -> io::Result<Self> {
        Ok(Self {
            writer: Writer::start("access-log", WAITING_BUFFERS, sink)?,
            is_text: format.is_text(io::stdout().is_terminal()),
        })
    }

    /// The log of one worker thread.
    #[must_use]
    pub fn for_worker(&self) -> WorkerLog {
        WorkerLog {
            hand_over: self.writer.hand_over(),
            is_text: self.is_text,
            buffer: Vec::new(),
            scratch: Vec::new(),
            records: 0,
            clock: Stamp::default(),
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
    is_text: bool,
    buffer: Vec<u8>,
    scratch: Vec<u8>,
    records: u64,
    clock: Stamp,
}

impl WorkerLog {
    /// Adds a line. Never waits and never fails: see [`AccessLog::dropped`].
    pub fn record(&mut self, record: &AccessRecord<'_>) {
        if self.buffer.capacity() == 0 {
            self.buffer.reserve_exact(FULL + LAST_RECORD);
        }
        let time = self.clock.at(record.time);
        self.scratch.clear();
        if self.is_text {
            write_text(&mut self.buffer, time, record);
        } else {
            // Strings and numbers always serialise, and a Vec takes them all.
            let _ = serde_json::to_writer(&mut self.scratch, &Line::new(time, record));
            push_json_line(&mut self.buffer, &self.scratch);
        }
        self.buffer.push(b'\n');
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

/// A line as JSON.
#[derive(Serialize)]
struct Line<'a> {
    time: &'a str,
    request_id: &'a str,
    caller: IpAddr,
    method: &'a str,
    route: &'a str,
    scope: &'a str,
    status: u16,
    code: &'a str,
    request_bytes: u64,
    response_bytes: u64,
    #[serde(serialize_with = "millis")]
    token_wait_ms: Duration,
    #[serde(serialize_with = "millis")]
    connect_ms: Duration,
    #[serde(serialize_with = "millis")]
    first_byte_ms: Duration,
    #[serde(serialize_with = "millis")]
    total_ms: Duration,
    attempts: u8,
    http_version: &'a str,
}

impl<'a> Line<'a> {
    fn new(time: &'a str, record: &AccessRecord<'a>) -> Self {
        Self {
            time,
            request_id: record.request_id,
            caller: record.caller,
            method: record.method,
            route: record.route,
            scope: record.scope,
            status: record.status,
            code: record.code,
            request_bytes: record.request_bytes,
            response_bytes: record.response_bytes,
            token_wait_ms: record.token_wait,
            connect_ms: record.connect,
            first_byte_ms: record.first_byte,
            total_ms: record.total,
            attempts: record.attempts,
            http_version: record.http_version,
        }
    }
}

/// Milliseconds with at most three decimals.
fn in_millis(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}

fn millis<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(in_millis(*duration))
}

/// Writes a line for people: what they look for first stands first, in columns.
fn write_text(out: &mut Vec<u8>, time: &str, record: &AccessRecord<'_>) {
    let mut line = String::with_capacity(256);
    // Writing to a String cannot fail.
    let _ = write!(
        Escaped(&mut line),
        "{time} {:>3} {:<7} {:<28} {:>9.3} ms  {:<15} {:<20} {:<15} \
         in={} out={} token={:.3} connect={:.3} first={:.3} attempts={} {} {}",
        record.status,
        or_dash(record.method),
        or_dash(record.route),
        in_millis(record.total),
        or_dash(record.code),
        record.caller,
        or_dash(record.scope),
        record.request_bytes,
        record.response_bytes,
        in_millis(record.token_wait),
        in_millis(record.connect),
        in_millis(record.first_byte),
        record.attempts,
        or_dash(record.http_version),
        or_dash(record.request_id),
    );
    out.extend_from_slice(line.as_bytes());
}

fn or_dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

/// A time as RFC 3339 text. Formatting a date takes longer than all the rest
/// of a line, so the text of the last second is kept.
#[derive(Default)]
struct Stamp {
    second: Option<u64>,
    /// `2026-11-24T02:32:01.123Z`
    text: String,
}

impl Stamp {
    fn at(&mut self, time: SystemTime) -> &str {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        if self.second != Some(since.as_secs()) {
            let whole = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
            let second = jiff::Timestamp::from_second(whole).unwrap_or(jiff::Timestamp::MAX);
            self.text = format!("{second:.0}");
            self.text.truncate("2026-11-24T02:32:01".len());
            self.second = Some(since.as_secs());
        }
        self.text.truncate("2026-11-24T02:32:01".len());
        let millis = since.subsec_millis();
        // Three digits by hand: the formatting machinery costs more.
        self.text.push('.');
        for divisor in [100, 10, 1] {
            let digit = u8::try_from(millis / divisor % 10).unwrap_or_default();
            self.text.push(char::from(b'0' + digit));
        }
        self.text.push('Z');
        &self.text
    }
}
