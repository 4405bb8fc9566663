//! Pipelining, keeping and ending connections, half-close, HTTP/1.0 callers.

use super::bench;
use super::case::{Case, Piece, Reached, TARGET, case, forwarded, forwarded_as};

const LINE: &str = "GET /TEL/?q=V4LU3";

pub(super) fn cases() -> Vec<Case> {
    let mut cases = pipelined();
    cases.extend(last_requests());
    cases.extend(old_callers());
    cases.extend(half_closed());
    cases.extend(refused_bodies());
    cases.extend(after_errors());
    cases.extend(upgrades());
    cases
}

fn get(fields: &str) -> String {
    format!("GET {TARGET} HTTP/1.1\r\nHost: x\r\n{fields}\r\n")
}

fn post(body: &str) -> String {
    format!(
        "POST {TARGET} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn posted(body: &str) -> Reached {
    forwarded(
        &format!("POST {TARGET}"),
        &format!("content-length: {}\r\n", body.len()),
    )
    .with(body)
}

/// RFC 9112 §9.3.2: answers come in the order of the requests.
fn pipelined() -> Vec<Case> {
    let clause = "RFC 9112 §9.3.2";
    let numbered = |number: usize| format!("GET /TEL/?n={number} HTTP/1.1\r\nHost: x\r\n\r\n");
    let many = (0..40).fold(
        case(
            "forty at once",
            clause,
            (0..40).map(numbered).collect::<String>(),
        ),
        |case, number| {
            case.reaches(forwarded(&format!("GET /TEL/?n={number}"), ""))
                .gets(200)
        },
    );
    let mixed = format!(
        "{}{}HEAD /nowhere HTTP/1.1\r\nHost: x\r\n\r\n{}POST {TARGET} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n{}",
        get(""),
        post("ab"),
        post(""),
        get("")
    );
    let mixed = case("with and without bodies", clause, mixed)
        .reaches(forwarded(LINE, ""))
        .reaches(posted("ab"))
        .reaches(posted(""))
        .reaches(forwarded(&format!("POST {TARGET}"), "").chunked("ab"))
        .reaches(forwarded(LINE, ""))
        .gets(200)
        .gets(200);
    // The answer to HEAD has no body, which the reader of answers is not told here.
    let mixed = Case {
        pieces: vec![Piece::Send(mixed_without_head().into_bytes())],
        ..mixed
    }
    .gets(200)
    .gets(200)
    .gets(200)
    .kept();
    vec![
        many.kept(),
        mixed,
        case(
            "a refused one among others",
            clause,
            format!(
                "{}GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n{}",
                get(""),
                get("")
            ),
        )
        .reaches(forwarded(LINE, ""))
        .reaches(forwarded(LINE, ""))
        .gets(200)
        .gets(404)
        .gets(200)
        .kept(),
        case(
            "a malformed one after a good one",
            clause,
            format!("{}G@T / HTTP/1.1\r\n\r\n{}", get(""), get("")),
        )
        .reaches(forwarded(LINE, ""))
        .gets(200)
        .gets(400),
        case(
            "empty lines between",
            clause,
            format!("{}\r\n\r\n{}", get(""), get("")),
        )
        .reaches(forwarded(LINE, ""))
        .reaches(forwarded(LINE, ""))
        .gets(200)
        .gets(200)
        .kept(),
        case(
            "a refused body that came whole, then a request",
            clause,
            format!(
                "POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab{}",
                get("")
            ),
        )
        .reaches(forwarded(LINE, ""))
        .gets(404)
        .gets(200)
        .kept(),
        case(
            "a refused body without a chunk, then a request",
            clause,
            format!(
                "POST /nowhere HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{}",
                get("")
            ),
        )
        .reaches(forwarded(LINE, ""))
        .gets(404)
        .gets(200)
        .kept(),
        case(
            "bodies in one piece with each other",
            clause,
            format!("{}{}{}{}", post("ab"), post("cd\r\n"), post("\r\n"), get("")),
        )
        .reaches(posted("ab"))
        .reaches(posted("cd\r\n"))
        .reaches(posted("\r\n"))
        .reaches(forwarded(LINE, ""))
        .gets(200)
        .gets(200)
        .gets(200)
        .gets(200)
        .kept(),
    ]
}

fn mixed_without_head() -> String {
    format!(
        "{}{}{}POST {TARGET} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n{}",
        get(""),
        post("ab"),
        post(""),
        get("")
    )
}

/// RFC 9112 §9.6: nothing is read after a request that says close.
fn last_requests() -> Vec<Case> {
    let clause = "RFC 9112 §9.6";
    let smuggled = "GET /TEL/?smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    [
        ("close", "Connection: close\r\n"),
        ("Close", "Connection: Close\r\n"),
        ("close among others", "Connection: x, close\r\n"),
        (
            "close on a second line",
            "Connection: x\r\nConnection: close\r\n",
        ),
        ("close and keep-alive", "Connection: close, keep-alive\r\n"),
        ("keep-alive and close", "Connection: keep-alive, close\r\n"),
    ]
    .into_iter()
    .flat_map(|(name, fields)| {
        [
            case(name, clause, get(fields))
                .reaches(forwarded(LINE, ""))
                .gets(200)
                .field("connection", "close"),
            case(
                format!("{name}, then a request"),
                clause,
                format!("{}{smuggled}", get(fields)),
            )
            .reaches(forwarded(LINE, ""))
            .gets(200)
            .field("connection", "close"),
            case(
                format!("{name}, then many bytes"),
                clause,
                format!("{}{}", get(fields), "x".repeat(500_000)),
            )
            .reaches(forwarded(LINE, ""))
            .gets(200),
        ]
    })
    .chain(
        [
            "Proxy-Connection: close\r\n",
            "Connection: closed\r\n",
            "Connection: keep-alive\r\n",
        ]
        .into_iter()
        .map(|fields| {
            case(format!("does not end by {fields:?}"), clause, get(fields))
                .reaches(forwarded(LINE, ""))
                .gets(200)
                .kept()
        }),
    )
    .collect()
}

/// RFC 9112 §9.3, appendix C: HTTP/1.0 callers get no chunks and no 1xx, and
/// keep a connection only when they ask for it.
fn old_callers() -> Vec<Case> {
    let old = |fields: &str| format!("GET {TARGET} HTTP/1.0\r\n{fields}\r\n");
    let reached = |fields: &str| forwarded_as(LINE, fields, "1.0", "client_phone");
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    let interim =
        "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    vec![
        case("1.0: plain", "RFC 9112 §9.3", old("")).reaches(reached("")).gets(200),
        case("1.0: with Host", "RFC 9112 §9.3", old("Host: x\r\n")).reaches(reached("")).gets(200),
        case("1.0: two Hosts", "RFC 9112 §3.2", old("Host: x\r\nHost: x\r\n")).gets(400),
        case("1.0: keep-alive", "RFC 9112 §9.3", old("Connection: keep-alive\r\n"))
            .reaches(reached(""))
            .gets(200)
            .field("connection", "keep-alive")
            .kept(),
        case("1.0: Keep-Alive in capitals", "RFC 9112 §9.3", old("Connection: Keep-Alive\r\n"))
            .reaches(reached(""))
            .gets(200)
            .field("connection", "keep-alive")
            .kept(),
        case("1.0: Proxy-Connection keeps nothing", "RFC 9112 appendix C.2.2", old("Proxy-Connection: keep-alive\r\n"))
            .reaches(reached(""))
            .gets(200),
        case("1.0: then a request", "RFC 9112 §9.3", format!("{}{}", old(""), old("")))
            .reaches(reached(""))
            .gets(200),
        case("1.0: never chunks", "RFC 9112 §6.1", old(""))
            .says(chunked)
            .reaches(reached(""))
            .gets(200)
            .without("transfer-encoding"),
        case("1.0: never chunks, though kept", "RFC 9112 §6.1", old("Connection: keep-alive\r\n"))
            // An ordinary answer as short as this is looked at whole, and its length known.
            .says(chunked.replace("200 OK", "404 Not Found"))
            .reaches(reached(""))
            .gets(404)
            .without("transfer-encoding"),
        case("1.0: no interim answer", "RFC 9110 §15.2", old("")).says(interim).reaches(reached("")).gets(200),
        case("1.0: no 100 for Expect", "RFC 9110 §10.1.1", format!("POST {TARGET} HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab"))
            .reaches(forwarded_as(&format!("POST {TARGET}"), "content-length: 2\r\n", "1.0", "client_phone").with("ab"))
            .gets(200),
        case("1.0: chunks in a request", "RFC 9112 §6.1", format!("POST {TARGET} HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"))
            .gets(400),
        case("1.0: chunks and a length", "RFC 9112 §6.1", format!("POST {TARGET} HTTP/1.0\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"))
            .gets(400),
        case("1.0: a body", "RFC 9112 §6.2", format!("POST {TARGET} HTTP/1.0\r\nContent-Length: 2\r\n\r\nab"))
            .reaches(forwarded_as(&format!("POST {TARGET}"), "content-length: 2\r\n", "1.0", "client_phone").with("ab"))
            .gets(200),
        case("1.0: a body without a length is none", "RFC 9112 §6.3", format!("POST {TARGET} HTTP/1.0\r\n\r\nab"))
            .reaches(forwarded_as(&format!("POST {TARGET}"), "", "1.0", "client_phone").with_no_body())
            .gets(200),
        case("1.0: a refusal", "RFC 9112 §9.3", "GET /nowhere HTTP/1.0\r\n\r\n").gets(404),
        case("1.0: HEAD", "RFC 9110 §9.3.2", format!("HEAD {TARGET} HTTP/1.0\r\n\r\n"))
            .says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
            .reaches(forwarded_as(&format!("HEAD {TARGET}"), "", "1.0", "client_phone"))
            .gets(200)
            .body("")
            .field("content-length", "2"),
    ]
}

/// RFC 9112 §9.6: a caller that closes its sending side after its last request
/// still gets the answer.
fn half_closed() -> Vec<Case> {
    let clause = "RFC 9112 §9.6";
    vec![
        case(
            "half-closed: 1.0",
            clause,
            format!("GET {TARGET} HTTP/1.0\r\n\r\n"),
        )
        .then(Piece::HalfClose)
        .reaches(forwarded_as(LINE, "", "1.0", "client_phone"))
        .gets(200),
        case("half-closed: close", clause, get("Connection: close\r\n"))
            .then(Piece::HalfClose)
            .reaches(forwarded(LINE, ""))
            .gets(200),
        case(
            "half-closed: a refusal",
            clause,
            "GET /nowhere HTTP/1.0\r\n\r\n",
        )
        .then(Piece::HalfClose)
        .gets(404),
        case(
            "half-closed: the last of two",
            clause,
            format!("{}{}", get(""), get("Connection: close\r\n")),
        )
        .then(Piece::HalfClose)
        .reaches(forwarded(LINE, ""))
        .reaches(forwarded(LINE, ""))
        .gets(200)
        .gets(200),
        case(
            "half-closed: the last of two, after a body",
            clause,
            format!("{}{}", post("ab"), get("Connection: close\r\n")),
        )
        .then(Piece::HalfClose)
        .reaches(posted("ab"))
        .reaches(forwarded(LINE, ""))
        .gets(200)
        .gets(200),
        case("half-closed: no request", clause, "").then(Piece::HalfClose),
        case("half-closed: empty lines", clause, "\r\n\r\n").then(Piece::HalfClose),
    ]
}

/// RFC 9112 §9.6: a caller that is still sending when it is refused reads the
/// answer, and what it sent is never a request.
fn refused_bodies() -> Vec<Case> {
    let clause = "RFC 9112 §9.6";
    let inner = "GET /TEL/?smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut cases = Vec::new();
    for (name, status, line) in [
        ("unknown path", 404, "POST /nowhere"),
        ("ambiguous path", 400, "POST /TEL//"),
        ("loop", 508, "POST /TEL/"),
    ] {
        let fields = if name == "loop" {
            "Via: 1.1 dqe-proxy\r\n"
        } else {
            ""
        };
        for (size, length) in [
            ("100 KB", 100_000),
            ("1 MB", 1_000_000),
            ("8 MB", 8_000_000),
        ] {
            let body = inner.repeat(length / inner.len());
            let head = format!(
                "{line} HTTP/1.1\r\nHost: x\r\n{fields}Content-Length: {}\r\n\r\n",
                body.len()
            );
            cases.push(
                case(
                    format!("refused body, {name}, {size}"),
                    clause,
                    format!("{head}{body}"),
                )
                .gets(status)
                .field("connection", "close"),
            );
        }
        let chunks = format!("{:x}\r\n{inner}\r\n", inner.len()).repeat(2_000);
        cases.push(
            case(
                format!("refused body, {name}, in chunks"),
                clause,
                format!("{line} HTTP/1.1\r\nHost: x\r\n{fields}Transfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n"),
            )
            .gets(status)
            .field("connection", "close"),
        );
        cases.push(
            case(
                format!("refused body, {name}, half of it"),
                clause,
                format!(
                    "{line} HTTP/1.1\r\nHost: x\r\n{fields}Content-Length: 1000\r\n\r\n{inner}"
                ),
            )
            .gets(status)
            .field("connection", "close"),
        );
    }
    cases
}

/// RFC 9112 §9.6: after a request that cannot be read, the caller reads why.
fn after_errors() -> Vec<Case> {
    [
        (
            "a bad length",
            format!("POST {TARGET} HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\n"),
        ),
        ("a bad field", get("X-A : 1\r\n")),
        (
            "a bad version",
            format!("GET {TARGET} HTTP/1.7\r\nHost: x\r\n\r\n"),
        ),
        (
            "a head that is too large",
            get(&format!("X-A: {}\r\n", "a".repeat(200_000))),
        ),
    ]
    .into_iter()
    .map(|(name, head)| {
        let status = if name.ends_with("large") { 431 } else { 400 };
        let sent = format!(
            "{head}{}",
            "GET /TEL/?smuggled HTTP/1.1\r\nHost: x\r\n\r\n".repeat(20_000)
        );
        case(format!("{name}, then 900 KB"), "RFC 9112 §9.6", sent).gets(status)
    })
    .collect()
}

/// RFC 9110 §7.8: an offer to upgrade is not taken up, and harms nothing.
fn upgrades() -> Vec<Case> {
    [
        ("h2c, as Java offers it", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\n"),
        ("websocket", "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-Fetch-Mode: websocket\r\n"),
        ("TLS", "Connection: upgrade\r\nUpgrade: TLS/1.2\r\n"),
        ("not nominated", "Upgrade: h2c\r\n"),
    ]
    .into_iter()
    .map(|(name, fields)| {
        let kept = if name == "websocket" { "sec-fetch-mode: websocket\r\n" } else { "" };
        case(format!("upgrade to {name}"), "RFC 9110 §7.8", format!("{}{}", get(fields), get("")))
            .reaches(forwarded(LINE, kept))
            .reaches(forwarded(LINE, ""))
            .gets(200)
            .without("upgrade")
            .gets(200)
            .kept()
    })
    .collect()
}

#[test]
fn a_connection_carries_one_request_after_the_other_or_ends() {
    bench::run(&cases());
}
