//! What an answer to a caller looks like, letter by letter: its status line, its
//! framing, its `Date`, and what is said of the connection.

use super::bench;
use super::case::{Case, TARGET, case, forwarded, forwarded_as};
use crate::support::After;

const LINE: &str = "GET /TEL/?q=V4LU3";
/// Nobody may take it for a short answer that is looked at whole.
const UNKNOWN: &str = "HTTP/1.1 404 Not Found\r\n\r\nuntil its end";

pub(super) fn cases() -> Vec<Case> {
    let mut cases = to_new_callers();
    cases.extend(to_old_callers());
    cases.extend(without_body());
    cases.extend(to_what_is_no_request());
    cases
}

fn get(fields: &str) -> String {
    format!("GET {TARGET} HTTP/1.1\r\nHost: x\r\n{fields}\r\n")
}

fn old(fields: &str) -> String {
    format!("GET {TARGET} HTTP/1.0\r\n{fields}\r\n")
}

/// The lines of an answer: its own, and what the proxy adds to each.
fn with_ours(own: &[&'static str]) -> Vec<&'static str> {
    let ours = ["via: 1.1 dqe-proxy", "x-request-id: ID", "date: NOW"];
    [own, &ours].concat()
}

fn new(name: &str, clause: &'static str, fields: &str) -> Case {
    case(format!("to 1.1: {name}"), clause, get(fields)).reaches(forwarded(LINE, ""))
}

/// RFC 9112 §4 and §6, RFC 9110 §6.6.1.
fn to_new_callers() -> Vec<Case> {
    let plain = with_ours(&["HTTP/1.1 200 OK", "content-length: 2"]);
    vec![
        new("a length", "RFC 9110 §6.6.1", "")
            .gets(200)
            .lines(&plain)
            .kept(),
        new("keep-alive is not confirmed", "RFC 9112 §9.3", "Connection: keep-alive\r\n")
            .gets(200)
            .lines(&plain)
            .kept(),
        new("close", "RFC 9112 §9.6", "Connection: close\r\n")
            .gets(200)
            .lines(&with_ours(&["HTTP/1.1 200 OK", "content-length: 2", "connection: close"])),
        new("the server's own date", "RFC 9110 §6.6.1", "")
            .says("HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 2\r\n\r\nok")
            .gets(200)
            .lines(&[
                "HTTP/1.1 200 OK",
                "date: Sun, 06 Nov 1994 08:49:37 GMT",
                "content-length: 2",
                "via: 1.1 dqe-proxy",
                "x-request-id: ID",
            ])
            .kept(),
        new("names in small letters, each line by itself", "RFC 9110 §5.1", "")
            .says("HTTP/1.1 200 OK\r\nX-TWO: 1\r\nServer: S\r\nx-two: 2\r\nContent-Length: 2\r\n\r\nok")
            .gets(200)
            .lines(&with_ours(&[
                "HTTP/1.1 200 OK",
                "x-two: 1",
                "x-two: 2",
                "server: S",
                "content-length: 2",
            ]))
            .kept(),
        new("the server's reason is its own", "RFC 9112 §4", "")
            .says("HTTP/1.1 404 Gone Fishing\r\nContent-Length: 2\r\n\r\nno")
            .gets(404)
            .body("no")
            .lines(&with_ours(&["HTTP/1.1 404 Not Found", "content-length: 2"]))
            .kept(),
        new("an unknown length", "RFC 9112 §7.1", "")
            .says(UNKNOWN)
            .after(After::Close)
            .gets(404)
            .body("until its end")
            .lines(&with_ours(&["HTTP/1.1 404 Not Found", "transfer-encoding: chunked"]))
            .kept(),
        new("an unknown length, and close", "RFC 9112 §7.1", "Connection: close\r\n")
            .says(UNKNOWN)
            .after(After::Close)
            .gets(404)
            .body("until its end")
            .lines(&with_ours(&[
                "HTTP/1.1 404 Not Found",
                "transfer-encoding: chunked",
                "connection: close",
            ])),
        // Sent to nobody who did not ask, and not even then.
        new("trailers that were asked for", "RFC 9110 §6.5.1", "TE: trailers\r\nConnection: TE\r\n")
            .says("HTTP/1.1 404 Not Found\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n")
            .gets(404)
            .body("ok")
            .lines(&with_ours(&["HTTP/1.1 404 Not Found", "transfer-encoding: chunked"]))
            .kept(),
    ]
}

/// RFC 9112 §9.3 and RFC 9110 §2.5: an old caller is answered in its version.
fn to_old_callers() -> Vec<Case> {
    let clause = "RFC 9110 §2.5";
    let reached = || forwarded_as(LINE, "", "1.0", "client_phone");
    let plain = with_ours(&["HTTP/1.0 200 OK", "content-length: 2"]);
    let kept = with_ours(&[
        "HTTP/1.0 200 OK",
        "content-length: 2",
        "connection: keep-alive",
    ]);
    let new = with_ours(&["HTTP/1.1 200 OK", "content-length: 2"]);
    let keeps = "Connection: keep-alive\r\n";
    vec![
        case("to 1.0: a length", clause, old(""))
            .reaches(reached())
            .gets(200)
            .lines(&plain),
        case("to 1.0: kept", clause, old(keeps))
            .reaches(reached())
            .gets(200)
            .lines(&kept)
            .kept(),
        case(
            "to 1.0: kept among others",
            clause,
            old("Connection: x, Keep-Alive\r\n"),
        )
        .reaches(reached())
        .gets(200)
        .lines(&kept)
        .kept(),
        case(
            "to 1.0: close and keep-alive",
            clause,
            old("Connection: close, keep-alive\r\n"),
        )
        .reaches(reached())
        .gets(200)
        .lines(&plain),
        case(
            "to 1.0: keep-alive, then close",
            clause,
            old("Connection: keep-alive\r\nConnection: close\r\n"),
        )
        .reaches(reached())
        .gets(200)
        .lines(&plain),
        case(
            "to 1.0: close, then keep-alive",
            clause,
            old("Connection: close\r\nConnection: keep-alive\r\n"),
        )
        .reaches(reached())
        .gets(200)
        .lines(&plain),
        case("to 1.0: an unknown length", clause, old(""))
            .says(UNKNOWN)
            .after(After::Close)
            .reaches(reached())
            .gets(404)
            .body("until its end")
            .lines(&with_ours(&["HTTP/1.0 404 Not Found"])),
        // The end of the connection is the only end such an answer has.
        case("to 1.0: an unknown length, though kept", clause, old(keeps))
            .says(UNKNOWN)
            .after(After::Close)
            .reaches(reached())
            .gets(404)
            .body("until its end")
            .without("transfer-encoding"),
        case(
            "to 1.0 and to 1.1 on one connection",
            clause,
            format!("{}{}{}", old(keeps), get(""), old("")),
        )
        .reaches(reached())
        .reaches(forwarded(LINE, ""))
        .reaches(reached())
        .gets(200)
        .lines(&kept)
        .gets(200)
        .lines(&new)
        .gets(200)
        .lines(&plain),
        case(
            "to 1.0 after 1.1, kept",
            clause,
            format!("{}{}", get(""), old(keeps)),
        )
        .reaches(forwarded(LINE, ""))
        .reaches(reached())
        .gets(200)
        .lines(&new)
        .gets(200)
        .lines(&kept)
        .kept(),
    ]
}

/// RFC 9110 §6.4.1, §8.6: what has no body says nothing of a framing, but a HEAD
/// may tell the length.
fn without_body() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, answer, status, lines) in [
        (
            "204",
            "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
            204,
            &["HTTP/1.1 204 No Content"][..],
        ),
        (
            "304",
            "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 5\r\n\r\n",
            304,
            &[
                "HTTP/1.1 304 Not Modified",
                "etag: \"a\"",
                "content-length: 5",
            ][..],
        ),
        (
            "an empty 200",
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            200,
            &["HTTP/1.1 200 OK", "content-length: 0"][..],
        ),
        (
            "a 205",
            "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n",
            205,
            &["HTTP/1.1 205 Reset Content", "content-length: 0"][..],
        ),
    ] {
        cases.push(
            case(format!("no body: {name}"), "RFC 9110 §6.4.1", get(""))
                .reaches(forwarded(LINE, ""))
                .says(answer)
                .gets(status)
                .body("")
                .lines(&with_ours(lines))
                .kept(),
        );
    }
    for (name, answer, lines) in [
        (
            "a length",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
            &["HTTP/1.1 200 OK", "content-length: 5"][..],
        ),
        (
            "no length",
            "HTTP/1.1 200 OK\r\n\r\n",
            &["HTTP/1.1 200 OK"][..],
        ),
        (
            "length 0",
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            &["HTTP/1.1 200 OK", "content-length: 0"][..],
        ),
        (
            "chunks",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            &["HTTP/1.1 200 OK"][..],
        ),
        (
            "304 and a length",
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
            &["HTTP/1.1 304 Not Modified", "content-length: 5"][..],
        ),
    ] {
        let status = if name.starts_with("304") { 304 } else { 200 };
        let sent = format!("HEAD {TARGET} HTTP/1.1\r\nHost: x\r\n\r\n");
        cases.push(
            case(
                format!("HEAD as it is told: {name}"),
                "RFC 9110 §9.3.2",
                sent,
            )
            .reaches(forwarded(&format!("HEAD {TARGET}"), ""))
            .says(answer)
            .gets(status)
            .body("")
            .lines(&with_ours(lines))
            .kept(),
        );
    }
    cases
}

/// RFC 9112 §9.6: who sent what cannot be read is told so and that it is the end.
fn to_what_is_no_request() -> Vec<Case> {
    let malformed = [
        "HTTP/1.1 400 Bad Request",
        "connection: close",
        "content-length: 0",
        "date: NOW",
    ];
    let bad = "G@T / HTTP/1.1\r\n\r\n";
    vec![
        case("no request", "RFC 9112 §9.6", bad)
            .gets(400)
            .lines(&malformed),
        case(
            "no request after one",
            "RFC 9112 §9.6",
            format!("{}{bad}", get("")),
        )
        .reaches(forwarded(LINE, ""))
        .gets(200)
        .gets(400)
        .lines(&malformed),
        case(
            "a bad length",
            "RFC 9112 §6.3",
            get("Content-Length: +5\r\n"),
        )
        .gets(400)
        .lines(&malformed),
        case(
            "no request after an old one",
            "RFC 9112 §9.6",
            format!("{}{bad}", old("Connection: keep-alive\r\n")),
        )
        .reaches(forwarded_as(LINE, "", "1.0", "client_phone"))
        .gets(200)
        .gets(400)
        .field("content-length", "0"),
        // What is refused with a reason is told like any refusal.
        case(
            "a refusal has a date",
            "RFC 9110 §6.6.1",
            "GET /nowhere HTTP/1.1\r\nHost: x\r\nX-Request-Id: own\r\n\r\n",
        )
        .gets(404)
        .lines(&[
            "HTTP/1.1 404 Not Found",
            "cache-control: no-store",
            "content-length: 264",
            "content-type: application/problem+json",
            "proxy-status: dqe-proxy; error=http_request_denied; details=\"route_not_found\"",
            "x-content-type-options: nosniff",
            "x-request-id: own",
            "date: NOW",
        ])
        .kept(),
    ]
}

#[test]
fn an_answer_is_written_as_its_caller_reads_it() {
    bench::run(&cases());
}
