//! How an answer's body is delimited, where it is cut, and what is left over.

use super::bench;
use super::case::{Case, TARGET, case, forwarded, forwarded_as};
use crate::support::After;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = whole();
    cases.extend(without_body());
    cases.extend(refused());
    cases.extend(cut());
    cases.extend(left_over());
    cases.extend(broken());
    cases
}

fn get() -> Case {
    case("", "", format!("GET {TARGET} HTTP/1.1\r\nHost: x\r\n\r\n"))
        .reaches(forwarded(&format!("GET {TARGET}"), ""))
}

fn old() -> Case {
    case("", "", format!("GET {TARGET} HTTP/1.0\r\n\r\n")).reaches(forwarded_as(
        &format!("GET {TARGET}"),
        "",
        "1.0",
        "client_phone",
    ))
}

fn named(mut case: Case, name: String, clause: &'static str) -> Case {
    (case.name, case.clause) = (name, clause);
    case
}

fn ok(fields: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{fields}\r\n{body}")
}

/// RFC 9112 §6.3: every way to delimit a body, and whether the connection is kept.
fn whole() -> Vec<Case> {
    let chunks = "Transfer-Encoding: chunked\r\n";
    let both = "Content-Length: 99\r\nTransfer-Encoding: chunked\r\n";
    [
        (
            "a length",
            ok("Content-Length: 2\r\n", "ok"),
            After::Keep,
            true,
        ),
        (
            "a length twice",
            ok("Content-Length: 2\r\nContent-Length: 2\r\n", "ok"),
            After::Keep,
            true,
        ),
        (
            "a length between tabs",
            ok("Content-Length:\t2\t\r\n", "ok"),
            After::Keep,
            true,
        ),
        (
            "a length with a zero",
            ok("Content-Length: 02\r\n", "ok"),
            After::Keep,
            true,
        ),
        (
            "a length and close",
            ok("Content-Length: 2\r\nConnection: close\r\n", "ok"),
            After::Keep,
            false,
        ),
        (
            "a length and Close among others",
            ok("Content-Length: 2\r\nConnection: x, Close\r\n", "ok"),
            After::Keep,
            false,
        ),
        (
            "a length from 1.0",
            "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok".to_owned(),
            After::Keep,
            false,
        ),
        (
            "chunks",
            ok(chunks, "2\r\nok\r\n0\r\n\r\n"),
            After::Keep,
            true,
        ),
        (
            "chunks one by one",
            ok(chunks, "1\r\no\r\n1\r\nk\r\n0\r\n\r\n"),
            After::Keep,
            true,
        ),
        (
            "chunks in capitals",
            ok("TRANSFER-ENCODING: CHUNKED\r\n", "2\r\nok\r\n0\r\n\r\n"),
            After::Keep,
            true,
        ),
        (
            "chunks with an extension",
            ok(chunks, "2;a=\"b\"\r\nok\r\n0;c\r\n\r\n"),
            After::Keep,
            true,
        ),
        (
            "chunks with zeros in front",
            ok(chunks, "0002\r\nok\r\n000\r\n\r\n"),
            After::Keep,
            true,
        ),
        (
            "chunks with a trailer",
            ok(chunks, "2\r\nok\r\n0\r\nX-Sum: 1\r\nSet-Cookie: a\r\n\r\n"),
            After::Keep,
            true,
        ),
        (
            "chunks and close",
            ok(
                "Transfer-Encoding: chunked\r\nConnection: close\r\n",
                "2\r\nok\r\n0\r\n\r\n",
            ),
            After::Keep,
            false,
        ),
        (
            "both, length first",
            ok(both, "2\r\nok\r\n0\r\n\r\n"),
            After::Keep,
            false,
        ),
        (
            "both, coding first",
            ok(
                "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
                "2\r\nok\r\n0\r\n\r\n",
            ),
            After::Keep,
            false,
        ),
        ("the connection's end", ok("", "ok"), After::Close, false),
        (
            "the connection's end, from 1.0",
            "HTTP/1.0 200 OK\r\n\r\nok".to_owned(),
            After::Close,
            false,
        ),
        (
            "the connection's end, half-closed",
            ok("", "ok"),
            After::HalfClose,
            false,
        ),
        (
            "the connection's end, though keep-alive",
            ok("Connection: keep-alive\r\n", "ok"),
            After::Close,
            false,
        ),
    ]
    .into_iter()
    .flat_map(|(name, answer, after, kept)| {
        let new = get()
            .says(answer.clone())
            .after(after)
            .gets(200)
            .kept()
            .server_kept(kept);
        let old = old()
            .says(answer)
            .after(after)
            .gets(200)
            .without("transfer-encoding")
            .server_kept(kept);
        [
            named(new, format!("whole: {name}"), "RFC 9112 §6.3"),
            named(old, format!("whole, to 1.0: {name}"), "RFC 9112 §6.3"),
        ]
    })
    .collect()
}

/// RFC 9110 §6.4.1: answers that have no body, whatever their fields say.
fn without_body() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, answer, status, kept) in [
        ("204", "HTTP/1.1 204 No Content\r\n\r\n", 204, true),
        (
            "204 with a length",
            "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
            204,
            false,
        ),
        (
            "204 with extra bytes",
            "HTTP/1.1 204 No Content\r\n\r\nextra",
            204,
            false,
        ),
        (
            "204 with another answer",
            "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
            204,
            false,
        ),
        (
            "304",
            "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n",
            304,
            true,
        ),
        (
            "304 with a length",
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
            304,
            true,
        ),
        (
            "304 with chunks announced",
            "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n",
            304,
            true,
        ),
        (
            "304 with extra bytes",
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nextra",
            304,
            false,
        ),
    ] {
        cases.push(named(
            get()
                .says(answer)
                .gets(status)
                .body("")
                .kept()
                .server_kept(kept),
            format!("no body: {name}"),
            "RFC 9110 §6.4.1",
        ));
    }
    for (name, answer, length, kept) in [
        ("a length", ok("Content-Length: 5\r\n", ""), Some("5"), true),
        (
            "chunks",
            ok("Transfer-Encoding: chunked\r\n", ""),
            None,
            true,
        ),
        ("nothing", ok("", ""), None, true),
        (
            "a length and its bytes",
            ok("Content-Length: 5\r\n", "extra"),
            Some("5"),
            false,
        ),
        (
            "chunks and their bytes",
            ok("Transfer-Encoding: chunked\r\n", "0\r\n\r\n"),
            None,
            false,
        ),
    ] {
        let head = case("", "", format!("HEAD {TARGET} HTTP/1.1\r\nHost: x\r\n\r\n"))
            .reaches(forwarded(&format!("HEAD {TARGET}"), ""))
            .says(answer)
            .gets(200)
            .body("")
            .kept()
            .server_kept(kept);
        let head = match length {
            Some(length) => head.field("content-length", length),
            None => head,
        };
        cases.push(named(head, format!("HEAD: {name}"), "RFC 9110 §9.3.2"));
    }
    cases
}

/// RFC 9112 §6.3: what cannot be delimited in one way is a 502.
fn refused() -> Vec<Case> {
    let lengths = [
        "+2",
        "-2",
        "",
        "2,2",
        "2, 2",
        "2, 3",
        "0x2",
        "2a",
        "2 2",
        "2.0",
        "\"2\"",
        "18446744073709551616",
        "99999999999999999999",
        "2\r\nContent-Length: 3",
        "2\r\nContent-Length: 2x",
        "two",
        "2;",
        ",2",
    ];
    let lengths = lengths.into_iter().map(|length| {
        let answer = ok(&format!("Content-Length: {length}\r\n"), "ok");
        named(
            get().says(answer).gets(502).kept().server_kept(false),
            format!("length {length:?}"),
            "RFC 9112 §6.3",
        )
    });
    let codings = [
        "gzip",
        "identity",
        "gzip, chunked",
        "chunked, gzip",
        "chunked, chunked",
        "xchunked",
        "chunked;a",
        "",
        "chunked\r\nTransfer-Encoding: chunked",
        "\"chunked\"",
        "chunked,",
        ",chunked",
    ];
    let codings = codings.into_iter().map(|coding| {
        let answer = ok(
            &format!("Transfer-Encoding: {coding}\r\n"),
            "2\r\nok\r\n0\r\n\r\n",
        );
        named(
            get().says(answer).gets(502).kept().server_kept(false),
            format!("coding {coding:?}"),
            "RFC 9112 §6.1",
        )
    });
    let old = named(
        get()
            .says("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
            .gets(502)
            .kept()
            .server_kept(false),
        "chunks from 1.0".to_owned(),
        "RFC 9112 §6.1",
    );
    lengths.chain(codings).chain([old]).collect()
}

/// RFC 9112 §8: a cut answer is cut for everybody; to HTTP/1.0 a reset where
/// only the connection's end could tell.
fn cut() -> Vec<Case> {
    let chunks = "Transfer-Encoding: chunked\r\n";
    [
        ("a length", ok("Content-Length: 10\r\n", "begun"), "begun"),
        (
            "a length, nothing of it",
            ok("Content-Length: 10\r\n", ""),
            "",
        ),
        ("between chunks", ok(chunks, "5\r\nbegun\r\n"), "begun"),
        ("in a chunk", ok(chunks, "9\r\nbegun"), "begun"),
        ("in a size", ok(chunks, "5\r\nbegun\r\n5"), "begun"),
        (
            "before the last line",
            ok(chunks, "5\r\nbegun\r\n0\r\n"),
            "begun",
        ),
        (
            "in a trailer",
            ok(chunks, "5\r\nbegun\r\n0\r\nX-Sum: "),
            "begun",
        ),
        ("by a bare LF", ok(chunks, "5\r\nbegun\n0\r\n\r\n"), "begun"),
        (
            "by a size that is none",
            ok(chunks, "5\r\nbegun\r\nx\r\n0\r\n\r\n"),
            "begun",
        ),
        (
            "by a size 0x0",
            ok(chunks, "5\r\nbegun\r\n0x0\r\n\r\n"),
            "begun",
        ),
        (
            "by a size that is too large",
            ok(chunks, "5\r\nbegun\r\n10000000000000000\r\n"),
            "begun",
        ),
        (
            "by data longer than its size",
            ok(chunks, "5\r\nbegunX\r\n0\r\n\r\n"),
            "begun",
        ),
    ]
    .into_iter()
    .flat_map(|(name, answer, begun)| {
        let to_new = get()
            .says(answer.clone())
            .after(After::Close)
            .gets(200)
            .body(begun)
            .cut()
            .server_kept(false);
        let to_old = old()
            .says(answer)
            .after(After::Close)
            .gets(200)
            .body(begun)
            .cut()
            .server_kept(false);
        let to_old = if name.starts_with("a length") {
            to_old
        } else {
            to_old.reset()
        };
        [
            named(to_new, format!("cut: {name}"), "RFC 9112 §8"),
            named(to_old, format!("cut, to 1.0: {name}"), "RFC 9112 §8"),
        ]
    })
    .chain([named(
        get()
            .says(ok("", "begun"))
            .after(After::Reset)
            .gets(200)
            .body("begun")
            .cut()
            .server_kept(false),
        "cut: a reset for an end".to_owned(),
        "RFC 9112 §8",
    )])
    .collect()
}

/// RFC 9112 §9.2: what nobody asked for never becomes an answer.
fn left_over() -> Vec<Case> {
    let evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    let mut cases = Vec::new();
    for (name, answer) in [
        (
            "after a length",
            ok("Content-Length: 2\r\n", &format!("ok{evil}")),
        ),
        (
            "one byte after a length",
            ok("Content-Length: 2\r\n", "okX"),
        ),
        (
            "a line end after a length",
            ok("Content-Length: 2\r\n", "ok\r\n"),
        ),
        (
            "after chunks",
            ok(
                "Transfer-Encoding: chunked\r\n",
                &format!("2\r\nok\r\n0\r\n\r\n{evil}"),
            ),
        ),
        (
            "after no body",
            format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n{evil}"),
        ),
    ] {
        let body = if name == "after no body" { "" } else { "ok" };
        cases.push(named(
            get()
                .says(answer)
                .gets(200)
                .body(body)
                .kept()
                .server_kept(false),
            format!("left over {name}"),
            "RFC 9112 §9.2",
        ));
    }
    for (name, unasked) in [
        ("an answer", evil),
        (
            "a time-out",
            "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        ),
        ("a byte", "X"),
        ("a line end", "\r\n"),
    ] {
        cases.push(named(
            get().gets(200).kept().unasked(unasked).server_kept(false),
            format!("unasked: {name}"),
            "RFC 9112 §9.2",
        ));
    }
    cases
}

/// RFC 9110 §9.2.2: what breaks before an answer is repeated once where that is
/// harmless and a kept connection was the reason; POST never.
fn broken() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, after) in [("closed", After::Close), ("reset", After::Reset)] {
        let reached = || forwarded(&format!("GET {TARGET}"), "");
        cases.push(named(
            get()
                .reaches(reached())
                .says("")
                .after(after)
                .gets(502)
                .kept(),
            format!("{name} before an answer, GET"),
            "RFC 9110 §9.2.2",
        ));
        let post = case(
            "",
            "",
            format!("POST {TARGET} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab"),
        )
        .reaches(forwarded(&format!("POST {TARGET}"), "content-length: 2\r\n").with("ab"))
        .says("")
        .after(after)
        .gets(502)
        .kept();
        cases.push(named(
            post,
            format!("{name} before an answer, POST"),
            "RFC 9110 §9.2.2",
        ));
        cases.push(named(
            get()
                .says("HTTP/1.1 200 OK\r\nContent-Le")
                .after(after)
                .gets(502)
                .kept(),
            format!("{name} in the head"),
            "RFC 9112 §8",
        ));
    }
    cases
}

#[test]
fn an_answer_is_delimited_in_one_way_or_refused() {
    bench::run(&cases());
}
