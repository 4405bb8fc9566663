//! How a line of the access log looks: JSON for programs, columns for people.

use std::io::Write as _;
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::AccessRecord;
use super::escape::{push_json_text, push_shown};

/// Formats lines one after the other.
pub(super) struct Lines {
    is_text: bool,
    clock: Clock,
    kind: Kind,
}

impl Lines {
    pub(super) fn new(is_text: bool) -> Self {
        Self {
            is_text,
            clock: Clock::default(),
            kind: Kind::default(),
        }
    }

    /// Appends the record's line, its end included.
    pub(super) fn push(&mut self, out: &mut Vec<u8>, record: &AccessRecord<'_>) {
        let time = self.clock.at(record.time);
        if self.is_text {
            push_text(out, time, record);
        } else {
            push_json(out, time, &mut self.kind, record);
        }
    }
}

/// Writes a line as JSON. By hand: a serialiser does not know that nearly every
/// text needs no escape and nearly every number is small, and costs several
/// times as much.
fn push_json(out: &mut Vec<u8>, time: &Stamp, kind: &mut Kind, record: &AccessRecord<'_>) {
    kind.become_that_of(record);
    out.extend_from_slice(b"{\"time\":\"");
    out.extend_from_slice(time);
    out.extend_from_slice(b"\",\"request_id\":\"");
    push_json_text(out, record.request_id);
    out.extend_from_slice(b"\",\"caller\":\"");
    push_address(out, record.caller);
    out.extend_from_slice(&kind.middle);
    push_number(out, record.request_bytes);
    out.extend_from_slice(b",\"response_bytes\":");
    push_number(out, record.response_bytes);
    if record.token_wait.is_zero() && record.connect.is_zero() {
        // In steady state.
        out.extend_from_slice(b",\"token_wait_ms\":0.0,\"connect_ms\":0.0");
    } else {
        out.extend_from_slice(b",\"token_wait_ms\":");
        push_millis(out, record.token_wait);
        out.extend_from_slice(b",\"connect_ms\":");
        push_millis(out, record.connect);
    }
    out.extend_from_slice(b",\"first_byte_ms\":");
    push_millis(out, record.first_byte);
    out.extend_from_slice(b",\"total_ms\":");
    push_millis(out, record.total);
    out.extend_from_slice(&kind.end);
}

/// What a line has in common with most others of a service, written as JSON
/// once for all that follow each other.
#[derive(Default)]
struct Kind {
    method: String,
    route: String,
    scope: String,
    code: String,
    http_version: String,
    numbers: (u16, u8, u8),
    /// From the caller to the bytes of the request.
    middle: Vec<u8>,
    /// From the time in all to the end.
    end: Vec<u8>,
}

impl Kind {
    fn become_that_of(&mut self, record: &AccessRecord<'_>) {
        let numbers = (record.status, record.attempts, record.redirects);
        let is_it = self.numbers == numbers
            && self.method == record.method
            && self.route == record.route
            && self.scope == record.scope
            && self.code == record.code
            && self.http_version == record.http_version;
        // No record has been here as long as there is no text.
        if !is_it || self.end.is_empty() {
            self.numbers = numbers;
            record.method.clone_into(&mut self.method);
            record.route.clone_into(&mut self.route);
            record.scope.clone_into(&mut self.scope);
            record.code.clone_into(&mut self.code);
            record.http_version.clone_into(&mut self.http_version);
            self.write();
        }
    }

    fn write(&mut self) {
        let (status, attempts, redirects) = self.numbers;
        let out = &mut self.middle;
        out.clear();
        out.extend_from_slice(b"\",\"method\":\"");
        push_json_text(out, &self.method);
        out.extend_from_slice(b"\",\"route\":\"");
        push_json_text(out, &self.route);
        out.extend_from_slice(b"\",\"scope\":\"");
        push_json_text(out, &self.scope);
        out.extend_from_slice(b"\",\"status\":");
        push_number(out, status.into());
        out.extend_from_slice(b",\"code\":\"");
        push_json_text(out, &self.code);
        out.extend_from_slice(b"\",\"request_bytes\":");
        let out = &mut self.end;
        out.clear();
        out.extend_from_slice(b",\"attempts\":");
        push_number(out, attempts.into());
        out.extend_from_slice(b",\"redirects\":");
        push_number(out, redirects.into());
        out.extend_from_slice(b",\"http_version\":\"");
        push_json_text(out, &self.http_version);
        out.extend_from_slice(b"\"}\n");
    }
}

fn push_address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            let [first, rest @ ..] = address.octets();
            push_below_thousand(out, first.into());
            for octet in rest {
                out.push(b'.');
                push_below_thousand(out, octet.into());
            }
        }
        // Writing to a Vec cannot fail.
        IpAddr::V6(address) => drop(write!(out, "{address}")),
    }
}

/// Milliseconds with three decimals, which are returned.
fn push_micros(out: &mut Vec<u8>, duration: Duration) -> [u8; 3] {
    let whole = duration.as_secs().saturating_mul(1000);
    push_number(out, whole.saturating_add(duration.subsec_millis().into()));
    let decimals = three_digits((duration.subsec_micros() % 1000) as u16);
    out.push(b'.');
    out.extend_from_slice(&decimals);
    decimals
}

/// Milliseconds with at least one and at most three decimals.
fn push_millis(out: &mut Vec<u8>, duration: Duration) {
    let [_, tens, ones] = push_micros(out, duration);
    let zeros = match (tens, ones) {
        (b'0', b'0') => 2,
        (_, b'0') => 1,
        (_, _) => 0,
    };
    out.truncate(out.len() - zeros);
}

#[inline]
fn push_number(out: &mut Vec<u8>, number: u64) {
    match number {
        0..1000 => push_below_thousand(out, number as u16),
        1000.. => push_thousands(out, number),
    }
}

#[inline(never)]
fn push_thousands(out: &mut Vec<u8>, number: u64) {
    push_number(out, number / 1000);
    out.extend_from_slice(&three_digits((number % 1000) as u16));
}

#[inline]
fn push_below_thousand(out: &mut Vec<u8>, number: u16) {
    if number < 10 {
        out.push(b'0' + number as u8);
        return;
    }
    let digits @ [_, tens, ones] = three_digits(number);
    if number < 100 {
        out.extend_from_slice(&[tens, ones]);
    } else {
        out.extend_from_slice(&digits);
    }
}

/// The digits of a number below a thousand.
#[inline]
fn three_digits(number: u16) -> [u8; 3] {
    [number / 100, number / 10 % 10, number % 10].map(|digit| b'0' + digit as u8)
}

/// Writes a line for people: what they look for first stands first, in columns.
fn push_text(out: &mut Vec<u8>, time: &Stamp, record: &AccessRecord<'_>) {
    out.extend_from_slice(time);
    out.push(b' ');
    push_right(out, 3, |out| push_number(out, record.status.into()));
    push_column(out, 7, record.method);
    push_column(out, 28, record.route);
    out.push(b' ');
    push_right(out, 9, |out| {
        push_micros(out, record.total);
    });
    out.extend_from_slice(b" ms ");
    push_column(out, 22, record.code);
    out.push(b' ');
    let start = out.len();
    push_address(out, record.caller);
    fill(out, 15, out.len() - start);
    push_column(out, 15, record.scope);
    out.extend_from_slice(b" in=");
    push_number(out, record.request_bytes);
    out.extend_from_slice(b" out=");
    push_number(out, record.response_bytes);
    out.extend_from_slice(b" token=");
    push_micros(out, record.token_wait);
    out.extend_from_slice(b" connect=");
    push_micros(out, record.connect);
    out.extend_from_slice(b" first=");
    push_micros(out, record.first_byte);
    out.extend_from_slice(b" attempts=");
    push_number(out, record.attempts.into());
    out.extend_from_slice(b" redirects=");
    push_number(out, record.redirects.into());
    push_column(out, 0, record.http_version);
    push_column(out, 0, record.request_id);
    out.push(b'\n');
}

/// A space, and a text in a column of so many letters.
fn push_column(out: &mut Vec<u8>, width: usize, text: &str) {
    let text = if text.is_empty() { "-" } else { text };
    out.push(b' ');
    push_shown(out, text);
    fill(out, width, text.chars().count());
}

/// Fills a column of which `taken` letters are written.
fn fill(out: &mut Vec<u8>, width: usize, taken: usize) {
    out.resize(out.len() + width.saturating_sub(taken), b' ');
}

/// What `push` writes, at the right end of a column.
fn push_right(out: &mut Vec<u8>, width: usize, push: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    push(out);
    let taken = out.len() - start;
    fill(out, width, taken);
    out[start..].rotate_left(taken);
}

/// `2026-11-24T02:32:01.007Z`
type Stamp = [u8; 24];

/// Times as RFC 3339 text, UTC, milliseconds. Formatting a date costs more
/// than the rest of a line, so the text of the last second is kept.
struct Clock {
    second: u64,
    text: Stamp,
}

impl Default for Clock {
    fn default() -> Self {
        Self {
            second: 0,
            text: *b"1970-01-01T00:00:00.000Z",
        }
    }
}

impl Clock {
    fn at(&mut self, time: SystemTime) -> &Stamp {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        if self.second != since.as_secs() {
            let second = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
            let second = jiff::Timestamp::from_second(second).unwrap_or(jiff::Timestamp::MAX);
            // The last year that a time stamp can name has four digits, as all before.
            if let Ok(text) = Stamp::try_from(format!("{second:.3}").as_bytes()) {
                self.text = text;
            }
            self.second = since.as_secs();
        }
        let [.., hundreds, tens, ones, _] = &mut self.text;
        [*hundreds, *tens, *ones] = three_digits(since.subsec_millis() as u16);
        &self.text
    }
}

#[cfg(test)]
mod tests;
