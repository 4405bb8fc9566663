//! How large a head may be, and what is said about one that is larger.

use super::bench;
use super::case::{Case, case, forwarded};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = targets();
    cases.extend(heads());
    cases.extend(counts());
    cases
}

/// RFC 9112 §3: 8000 bytes are served, more is a 414.
fn targets() -> Vec<Case> {
    let target = |length: usize| format!("/TEL/?q={}", "1".repeat(length - 8));
    let sent = |length| format!("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", target(length));
    let served = [4_000, 7_999, 8_000].into_iter().map(move |length| {
        case(
            format!("a target of {length} bytes"),
            "RFC 9112 §3",
            sent(length),
        )
        .reaches(forwarded(&format!("GET {}", target(length)), ""))
        .gets(200)
        .kept()
    });
    let refused = [8_001, 9_000, 30_000, 60_000, 65_500]
        .into_iter()
        .map(move |length| {
            case(
                format!("a target of {length} bytes"),
                "RFC 9110 §15.5.15",
                sent(length),
            )
            .gets(414)
            .kept()
        });
    // Beyond what is read ahead nobody can tell a target from a head.
    let beyond = [(70_000, 414), (200_000, 431)];
    let beyond = beyond.into_iter().map(move |(length, status)| {
        let name = format!("a target of {length} bytes");
        case(name, "RFC 9110 §15.5.15", sent(length)).gets(status)
    });
    served.chain(refused).chain(beyond).collect()
}

/// RFC 6585 §5: a head of up to 64 KiB is served, a larger one is a 431.
fn heads() -> Vec<Case> {
    const LINE: &str = "GET /TEL/?q=V4LU3 HTTP/1.1\r\nHost: x\r\n";
    let sent = |size: usize| {
        let name = "X-Large: ";
        let rest = size - LINE.len() - name.len() - 4;
        format!("{LINE}{name}{}\r\n\r\n", "a".repeat(rest))
    };
    let served = [8_192, 30_000, 65_000, 65_536]
        .into_iter()
        .map(move |size| {
            let sent = sent(size);
            let value = sent
                .split("X-Large: ")
                .nth(1)
                .unwrap_or_default()
                .trim_end()
                .to_owned();
            case(format!("a head of {size} bytes"), "RFC 9110 §5.4", sent)
                .reaches(forwarded(
                    "GET /TEL/?q=V4LU3",
                    &format!("x-large: {value}\r\n"),
                ))
                .gets(200)
                .kept()
        });
    let refused = [65_537, 66_000, 70_000, 80_000, 130_000, 1_000_000]
        .into_iter()
        .map(move |size| {
            case(format!("a head of {size} bytes"), "RFC 6585 §5", sent(size)).gets(431)
        });
    // Empty lines without end are no head at all.
    let empty = case(
        "70000 bytes of empty lines",
        "RFC 6585 §5",
        "\r\n".repeat(35_000),
    )
    .gets(431)
    .lines(&[
        "HTTP/1.1 431 Request Header Fields Too Large",
        "connection: close",
        "content-length: 0",
        "date: NOW",
    ]);
    // As large a head as there may be, and the next one right behind it.
    let full = sent(65_536);
    let value = "a".repeat(full.len() - LINE.len() - "X-Large: ".len() - 4);
    let and_next = case(
        "a head of 65536 bytes, then a request",
        "RFC 9110 §5.4",
        format!("{full}{LINE}\r\n"),
    )
    .reaches(forwarded(
        "GET /TEL/?q=V4LU3",
        &format!("x-large: {value}\r\n"),
    ))
    .reaches(forwarded("GET /TEL/?q=V4LU3", ""))
    .gets(200)
    .gets(200)
    .kept();
    served.chain(refused).chain([empty, and_next]).collect()
}

/// RFC 6585 §5: a hundred fields are served, more is a 431.
fn counts() -> Vec<Case> {
    let fields = |count: usize| {
        (0..count)
            .map(|n| format!("x-{n}: a\r\n"))
            .collect::<String>()
    };
    let sent = |count: usize| {
        format!(
            "GET /TEL/?q=V4LU3 HTTP/1.1\r\nHost: x\r\n{}\r\n",
            fields(count - 1)
        )
    };
    let served = [10, 99, 100].into_iter().map(move |count| {
        case(format!("{count} fields"), "RFC 9110 §5.4", sent(count))
            .reaches(forwarded("GET /TEL/?q=V4LU3", &fields(count - 1)))
            .gets(200)
            .kept()
    });
    let refused = [101, 150, 1_000, 5_000]
        .into_iter()
        .map(move |count| case(format!("{count} fields"), "RFC 6585 §5", sent(count)).gets(431));
    served.chain(refused).collect()
}

#[test]
fn a_head_has_limits_with_their_own_status() {
    bench::run(&cases());
}
