//! The grammar of an answer's head.

use super::bench;
use super::case::{Case, TARGET, case, forwarded};
use crate::support::After;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = status_lines();
    cases.extend(fields());
    cases.extend(taken());
    cases
}

fn get(name: String, clause: &'static str) -> Case {
    case(
        name,
        clause,
        format!("GET {TARGET} HTTP/1.1\r\nHost: x\r\n\r\n"),
    )
    .reaches(forwarded(&format!("GET {TARGET}"), ""))
}

/// RFC 9112 §4.
fn status_lines() -> Vec<Case> {
    [
        "HTTP/2.0 200 OK",
        "HTTP/2 200 OK",
        "HTTP/1.2 200 OK",
        "HTTP/0.9 200 OK",
        "http/1.1 200 OK",
        "ICY 200 OK",
        "HTTP/1.1 20 OK",
        "HTTP/1.1 2000 OK",
        "HTTP/1.1 2x0 OK",
        "HTTP/1.1 -20 OK",
        "HTTP/1.1 +20 OK",
        "HTTP/1.1 000 OK",
        "HTTP/1.1 099 OK",
        "HTTP/1.1 600 OK",
        "HTTP/1.1 999 OK",
        "HTTP/1.1  200 OK",
        "HTTP/1.1\t200 OK",
        "HTTP/1.1",
        "HTTP/1.1 ",
        "HTTP/1.1 OK",
        " HTTP/1.1 200 OK",
        "HTTP /1.1 200 OK",
        "HTTP/1.1 200 O\0K",
        "HTTP/1.1 200 O\rK",
        "<html>",
        "nonsense",
        "{\"a\":1}",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade",
        "HTTP/1.1 101 Switching Protocols",
    ]
    .into_iter()
    .map(|line| {
        get(format!("status line {line:?}"), "RFC 9112 §4")
            .says(format!("{line}\r\nContent-Length: 2\r\n\r\nok"))
            .gets(502)
            .kept()
            .server_kept(false)
    })
    .collect()
}

/// RFC 9112 §5, RFC 9110 §5.5.
fn fields() -> Vec<Case> {
    let large = format!("X-Large: {}", "a".repeat(70_000));
    let many = (0..101)
        .map(|n| format!("X-{n}: a"))
        .collect::<Vec<_>>()
        .join("\r\n");
    [
        "X-A : 1",
        "X-A\t: 1",
        "X A: 1",
        "X-A",
        ": 1",
        "X(A: 1",
        "X\u{e9}: 1",
        "X\0: 1",
        " X-A: 1",
        "X-A: a\0b",
        "X-A: a\rb",
        "X-A: a\x07b",
        "X-A: a\x7fb",
        "X-A: a\r\n folded",
        "X-A: a\r\n\tfolded",
        "Content-Length : 2",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding\0: chunked",
        &large,
        &many,
    ]
    .into_iter()
    .map(|field| {
        let name: String = field.chars().take(40).collect();
        let name = if field == many {
            "101 fields".to_owned()
        } else {
            name
        };
        get(format!("field {name:?}"), "RFC 9112 §5")
            .says(format!(
                "HTTP/1.1 200 OK\r\n{field}\r\nContent-Length: 2\r\n\r\nok"
            ))
            .gets(502)
            .kept()
            .server_kept(false)
    })
    .chain([get("a head without end".to_owned(), "RFC 9112 §5")
        .says(format!(
            "HTTP/1.1 200 OK\r\n{}",
            "X-A: b\r\n".repeat(20_000)
        ))
        .after(After::Close)
        .gets(502)
        .kept()])
    .collect()
}

/// What is unusual and clear: taken, and written anew.
fn taken() -> Vec<Case> {
    [
        (
            "no reason",
            "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok",
            200,
        ),
        (
            "an empty reason",
            "HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok",
            200,
        ),
        (
            "a reason in UTF-8",
            "HTTP/1.1 200 \u{e9}t\u{e9}\r\nContent-Length: 2\r\n\r\nok",
            200,
        ),
        (
            "a status nobody knows",
            "HTTP/1.1 299 Own\r\nContent-Length: 2\r\n\r\nok",
            299,
        ),
        (
            "a 599",
            "HTTP/1.1 599 Own\r\nContent-Length: 2\r\n\r\nok",
            599,
        ),
        ("bare LF", "HTTP/1.1 200 OK\nContent-Length: 2\n\nok", 200),
        (
            "a 205",
            "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n",
            205,
        ),
        (
            "no fields but the length",
            "HTTP/1.1 200 OK\r\ncontent-length:2\r\n\r\nok",
            200,
        ),
    ]
    .into_iter()
    .map(|(name, answer, status)| {
        get(format!("taken: {name}"), "RFC 9112 §4")
            .says(answer)
            .gets(status)
            .kept()
            .server_kept(true)
    })
    .chain([get("taken: byte by byte".to_owned(), "RFC 9112 §4")
        .says_in_pieces(
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
                .iter()
                .map(|byte| vec![*byte])
                .collect(),
        )
        .gets(200)
        .kept()
        .server_kept(true)])
    .collect()
}

#[test]
fn an_answers_head_follows_the_grammar_or_is_refused() {
    bench::run(&cases());
}
