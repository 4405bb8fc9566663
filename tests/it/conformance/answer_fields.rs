//! Which of the server's fields reach the caller.

use super::bench;
use super::case::{Case, TARGET, case, forwarded};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = stay_outside();
    cases.extend(go_on());
    cases.extend(redirects());
    cases
}

fn answered(name: String, clause: &'static str, status: &str, fields: &str) -> Case {
    case(
        name,
        clause,
        format!("GET {TARGET} HTTP/1.1\r\nHost: x\r\n\r\n"),
    )
    .reaches(forwarded(&format!("GET {TARGET}"), ""))
    .says(format!(
        "HTTP/1.1 {status}\r\n{fields}\r\nContent-Length: 2\r\n\r\nok"
    ))
}

/// RFC 9110 §7.6.1 and §11.7: fields of one connection, and cookies.
fn stay_outside() -> Vec<Case> {
    [
        ("Keep-Alive: timeout=5", "keep-alive"),
        ("Proxy-Connection: keep-alive", "proxy-connection"),
        ("Proxy-Authenticate: Basic", "proxy-authenticate"),
        ("Proxy-Authentication-Info: a", "proxy-authentication-info"),
        ("Upgrade: h2", "upgrade"),
        ("Trailer: X-Sum", "trailer"),
        ("TE: trailers", "te"),
        ("Set-Cookie: a=b", "set-cookie"),
        ("Set-Cookie: a=b\r\nSet-Cookie: c=d", "set-cookie"),
        ("Set-Cookie2: a=b", "set-cookie2"),
        ("Connection: X-Hop\r\nX-Hop: 1", "x-hop"),
        (
            "X-Hop: 1\r\nConnection: keep-alive\r\nConnection: x-hop",
            "x-hop",
        ),
        ("Connection: X-Hop, Content-Length\r\nX-Hop: 1", "x-hop"),
        ("Connection: keep-alive", "connection"),
    ]
    .into_iter()
    .map(|(fields, gone)| {
        answered(
            format!("stays: {fields}"),
            "RFC 9110 §7.6.1",
            "200 OK",
            fields,
        )
        .gets(200)
        .without(gone)
        .kept()
    })
    .collect()
}

/// RFC 9110 §5.1: everything else goes on.
fn go_on() -> Vec<Case> {
    [
        (
            "Content-Type: text/html; charset=utf-8",
            "content-type",
            "text/html; charset=utf-8",
        ),
        ("ETag: \"a\"", "etag", "\"a\""),
        ("X-Two: 1\r\nX-Two: 2", "x-two", "1, 2"),
        ("X-Empty:", "x-empty", ""),
        ("X-UTF: caf\u{e9}", "x-utf", "caf\u{e9}"),
        ("Retry-After: 5", "retry-after", "5"),
        (
            "Date: Sat, 29 Oct 1994 19:43:31 GMT",
            "date",
            "Sat, 29 Oct 1994 19:43:31 GMT",
        ),
        ("Server: dqe", "server", "dqe"),
        ("Via: 1.1 theirs", "via", "1.1 theirs, 1.1 dqe-proxy"),
        ("Content-Encoding: gzip", "content-encoding", "gzip"),
        ("X-A: 1", "via", "1.1 dqe-proxy"),
    ]
    .into_iter()
    .map(|(fields, name, value)| {
        answered(
            format!("goes on: {fields}"),
            "RFC 9110 §5.1",
            "200 OK",
            fields,
        )
        .gets(200)
        .field(name, value)
        .kept()
    })
    .collect()
}

/// RFC 9110 §15.4: a redirect to elsewhere is the caller's to follow, without our
/// credential; one to the server itself is followed here, unless what asked may
/// act or something else is over there, and never in a circle.
fn redirects() -> Vec<Case> {
    [
        ("301 Moved Permanently", 301),
        ("302 Found", 302),
        ("303 See Other", 303),
        ("307 Temporary Redirect", 307),
        ("308 Permanent Redirect", 308),
    ]
    .into_iter()
    .map(|(status, number)| {
        answered(
            format!("redirect {number}"),
            "RFC 9110 §15.4",
            status,
            "Location: https://other.example/x",
        )
        .gets(number)
        .field("location", "https://other.example/x")
        .body("ok")
        .kept()
    })
    .chain([
        own(
            "GET",
            "redirect to itself, in a circle",
            "302 Found",
            "/TEL/",
        )
        .reaches(forwarded("GET /TEL/", ""))
        .gets(502)
        .kept(),
        own("GET", "redirect to itself, 303", "303 See Other", "/TEL/")
            .gets(303)
            .field("location", "/TEL/")
            .body("ok")
            .kept(),
        own("DELETE", "redirect to itself, DELETE", "308 There", "/TEL/")
            .gets(308)
            .field("location", "/TEL/")
            .body("ok")
            .kept(),
    ])
    .collect()
}

/// A redirect that every request with `method` is answered with.
fn own(method: &str, name: &str, status: &str, place: &str) -> Case {
    let line = format!("{method} {TARGET}");
    case(
        name,
        "RFC 9110 §15.4",
        format!("{line} HTTP/1.1\r\nHost: x\r\n\r\n"),
    )
    .reaches(forwarded(&line, ""))
    .says(format!(
        "HTTP/1.1 {status}\r\nLocation: {place}\r\nContent-Length: 2\r\n\r\nok"
    ))
}

#[test]
fn an_answers_field_goes_on_or_stays_outside() {
    bench::run(&cases());
}
