//! How a line of the access log looks: JSON for programs, columns for people.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Serialize, Serializer};

use super::AccessRecord;
use super::escape::{Escaped, escape_json};

/// Formats lines one after the other.
pub(super) struct Lines {
    is_text: bool,
    clock: Clock,
    text: String,
}

impl Lines {
    pub(super) fn new(is_text: bool) -> Self {
        Self {
            is_text,
            clock: Clock::default(),
            text: String::new(),
        }
    }

    /// Appends the record's line, its end included.
    pub(super) fn push(&mut self, out: &mut Vec<u8>, record: &AccessRecord<'_>) {
        let time = self.clock.at(record.time);
        if self.is_text {
            self.text.clear();
            push_text(&mut self.text, time, record);
            out.extend_from_slice(self.text.as_bytes());
        } else {
            let start = out.len();
            // Strings and numbers always serialise, and a Vec takes them all.
            let _ = serde_json::to_writer(&mut *out, &Line::new(time, record));
            escape_json(out, start);
        }
        out.push(b'\n');
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
    redirects: u8,
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
            redirects: record.redirects,
            http_version: record.http_version,
        }
    }
}

/// Milliseconds with at most three decimals.
fn in_millis(duration: Duration) -> f64 {
    // Counting in 64 bits is a machine instruction, in 128 it is a call.
    let whole = duration.as_secs().saturating_mul(1_000_000);
    let micros = whole.saturating_add(duration.subsec_micros().into());
    micros as f64 / 1000.0
}

fn millis<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(in_millis(*duration))
}

/// Writes a line for people: what they look for first stands first, in columns.
fn push_text(out: &mut String, time: &str, record: &AccessRecord<'_>) {
    // Writing to a String cannot fail.
    let _ = write!(
        Escaped(out),
        "{time} {:>3} {:<7} {:<28} {:>9.3} ms  {:<22} {:<15} {:<15} \
         in={} out={} token={:.3} connect={:.3} first={:.3} attempts={} redirects={} {} {}",
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
        record.redirects,
        or_dash(record.http_version),
        or_dash(record.request_id),
    );
}

fn or_dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

/// `2026-11-24T02:32:01`
const SECOND: usize = 19;

/// Times as RFC 3339 text, UTC, milliseconds. Formatting a date costs more
/// than the rest of a line, so the text of the last second is kept.
#[derive(Default)]
struct Clock {
    second: Option<u64>,
    text: String,
}

impl Clock {
    fn at(&mut self, time: SystemTime) -> &str {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        if self.second != Some(since.as_secs()) {
            let second = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
            let second = jiff::Timestamp::from_second(second).unwrap_or(jiff::Timestamp::MAX);
            self.text = format!("{second:.3}");
            self.second = Some(since.as_secs());
        }
        self.text.truncate(SECOND);
        self.text.push('.');
        // Digits by hand: the formatting machinery costs more.
        for divisor in [100, 10, 1] {
            let digit = char::from_digit(since.subsec_millis() / divisor % 10, 10);
            self.text.extend(digit);
        }
        self.text.push('Z');
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> AccessRecord<'static> {
        AccessRecord {
            time: UNIX_EPOCH + Duration::from_micros(1_763_951_521_007_900),
            request_id: "5f0c2a",
            caller: IpAddr::from([10, 1, 2, 3]),
            method: "GET",
            route: "/RNVP",
            scope: "client_address",
            status: 200,
            code: "ok",
            request_bytes: 0,
            response_bytes: 512,
            token_wait: Duration::ZERO,
            connect: Duration::from_micros(1500),
            first_byte: Duration::from_nanos(11_023_999),
            total: Duration::from_micros(12_345),
            attempts: 1,
            redirects: 0,
            http_version: "HTTP/1.1",
        }
    }

    fn line(is_text: bool, record: &AccessRecord<'_>) -> String {
        let mut out = Vec::new();
        Lines::new(is_text).push(&mut out, record);
        let line = String::from_utf8(out).unwrap();
        let line = line.strip_suffix('\n').unwrap();
        assert!(!line.chars().any(char::is_control), "{line:?}");
        line.to_owned()
    }

    #[test]
    fn json_holds_every_field_with_its_unit() {
        let expected = r#"{"time":"2025-11-24T02:32:01.007Z","request_id":"5f0c2a","caller":"10.1.2.3","method":"GET","route":"/RNVP","scope":"client_address","status":200,"code":"ok","request_bytes":0,"response_bytes":512,"token_wait_ms":0.0,"connect_ms":1.5,"first_byte_ms":11.023,"total_ms":12.345,"attempts":1,"redirects":0,"http_version":"HTTP/1.1"}"#;
        assert_eq!(line(false, &record()), expected);
    }

    #[test]
    fn text_begins_with_what_people_look_for() {
        let line = line(true, &record());
        let words: Vec<&str> = line.split_whitespace().collect();
        let expected = [
            "2025-11-24T02:32:01.007Z",
            "200",
            "GET",
            "/RNVP",
            "12.345",
            "ms",
            "ok",
            "10.1.2.3",
        ];
        assert_eq!(words[..8], expected, "{line}");
    }

    #[test]
    fn no_text_starts_a_line_of_its_own_or_adds_a_field() {
        let evil = "a\r\n{\"status\":200}\u{1b}[2J\u{9b}31m\u{7f}\",\"status\":500,\"x\":\"";
        let record = AccessRecord {
            request_id: evil,
            method: evil,
            route: evil,
            scope: evil,
            code: evil,
            http_version: evil,
            ..record()
        };
        let value: serde_json::Value = serde_json::from_str(&line(false, &record)).unwrap();
        for field in [
            "request_id",
            "method",
            "route",
            "scope",
            "code",
            "http_version",
        ] {
            assert_eq!(value[field], evil, "{field} keeps its value");
        }
        assert_eq!(value["status"], 200);
        assert_eq!(value.as_object().unwrap().len(), 17);
        assert!(line(true, &record).contains(r"a\u{d}\u{a}"));
    }

    #[test]
    fn an_empty_text_keeps_its_column() {
        let record = AccessRecord {
            route: "",
            scope: "",
            ..record()
        };
        assert_eq!(line(true, &record).matches(" - ").count(), 2);
    }

    #[test]
    fn times_are_right_within_and_across_seconds() {
        let mut clock = Clock::default();
        for (millis, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (999, "1970-01-01T00:00:00.999Z"),
            (1_000, "1970-01-01T00:00:01.000Z"),
            (4_107_542_399_050, "2100-02-28T23:59:59.050Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (5, "1970-01-01T00:00:00.005Z"),
        ] {
            assert_eq!(
                clock.at(UNIX_EPOCH + Duration::from_millis(millis)),
                expected
            );
        }
        let before = UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(clock.at(before), "1970-01-01T00:00:00.000Z");
    }
}
