use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;
use serde::{Serialize, Serializer};

use super::super::escape::{Escaped, escape_json};
use super::super::testing::record;
use super::*;

fn line(is_text: bool, record: &AccessRecord<'_>) -> String {
    next_line(&mut Lines::new(is_text), record)
}

fn next_line(lines: &mut Lines, record: &AccessRecord<'_>) -> String {
    let mut out = Vec::new();
    lines.push(&mut out, record);
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
            expected.as_bytes()
        );
    }
    let before = UNIX_EPOCH - Duration::from_secs(1);
    assert_eq!(clock.at(before), b"1970-01-01T00:00:00.000Z");
    let last = UNIX_EPOCH + Duration::from_secs(1 << 40);
    assert_eq!(clock.at(last), b"9999-12-30T22:00:00.000Z");
}

/// A line as a serialiser writes it.
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

/// Milliseconds with at most three decimals.
fn in_millis(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}

fn millis<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(in_millis(*duration))
}

fn serialised(record: &AccessRecord<'_>) -> String {
    let time = jiff::Timestamp::try_from(record.time).unwrap();
    let mut out = serde_json::to_vec(&Line {
        time: &format!("{time:.3}"),
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
    })
    .unwrap();
    escape_json(&mut out, 0);
    String::from_utf8(out).unwrap()
}

/// A line of text as the standard library formats it.
fn formatted(record: &AccessRecord<'_>) -> String {
    let or_dash = |text: &str| if text.is_empty() { "-" } else { text }.to_owned();
    let time = jiff::Timestamp::try_from(record.time).unwrap();
    let mut out = String::new();
    write!(
        Escaped(&mut out),
        "{time:.3} {:>3} {:<7} {:<28} {:>9.3} ms  {:<22} {:<15} {:<15} \
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
    )
    .unwrap();
    out
}

/// Any text, and more often than by chance one that is nearly plain.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{0,40}",
        "[a-zA-Z0-9_/.-]{0,40}",
        r#"[a-f]{0,12}["\\\x00-\x20\x7F-\xA1é\u{2028}]{0,2}[a-f]{0,12}"#,
        any::<String>(),
    ]
}

/// Numbers of any length, and their neighbours.
fn number(most: u64) -> impl Strategy<Value = u64> {
    let near = (0_u32..20, -2_i64..3).prop_map(|(power, by)| {
        let power = 10_u64.checked_pow(power).unwrap_or(u64::MAX);
        power.saturating_add_signed(by)
    });
    prop_oneof![near, any::<u64>(), 0_u64..3000].prop_map(move |number| number.min(most))
}

/// Up to thirty years: longer times have more digits than a float.
fn time() -> impl Strategy<Value = Duration> {
    number(999_999_999_999_999).prop_map(Duration::from_micros)
}

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<[u8; 4]>().prop_map(|octets| Ipv4Addr::from(octets).into()),
        any::<[u8; 16]>().prop_map(|octets| Ipv6Addr::from(octets).into()),
        Just(Ipv6Addr::LOCALHOST.into()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 500,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_line_is_byte_for_byte_what_a_serialiser_or_formatter_writes(
        texts in prop::array::uniform6(text()),
        caller in address(),
        times in prop::array::uniform4(time()),
        since_epoch in number(250_000_000_000_000_000),
        bytes in [number(u64::MAX), number(u64::MAX)],
        status: u16,
        counts: [u8; 2],
        other in text(),
        other_number: u8,
    ) {
        let record = AccessRecord {
            time: UNIX_EPOCH + Duration::from_micros(since_epoch),
            request_id: &texts[0],
            caller,
            method: &texts[1],
            route: &texts[2],
            scope: &texts[3],
            status,
            code: &texts[4],
            request_bytes: bytes[0],
            response_bytes: bytes[1],
            token_wait: times[0],
            connect: times[1],
            first_byte: times[2],
            total: times[3],
            attempts: counts[0],
            redirects: counts[1],
            http_version: &texts[5],
        };
        // What follows differs in one field from what a line was written of, or in none.
        let others = [
            record,
            AccessRecord { method: &other, ..record },
            AccessRecord { route: &other, ..record },
            AccessRecord { scope: &other, ..record },
            AccessRecord { code: &other, ..record },
            AccessRecord { http_version: &other, ..record },
            AccessRecord { status: other_number.into(), ..record },
            AccessRecord { attempts: other_number, ..record },
            AccessRecord { redirects: other_number, ..record },
        ];
        let mut lines = Lines::new(false);
        for record in others.iter().flat_map(|other| [&record, other]) {
            prop_assert_eq!(next_line(&mut lines, record), serialised(record));
            prop_assert_eq!(line(true, record), formatted(record));
        }
    }
}
