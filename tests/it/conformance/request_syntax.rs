//! The grammar of a request's head.

use super::bench;
use super::case::{Case, TARGET, case, forwarded};

const LINE: &str = "GET /TEL/?q=V4LU3";

fn get(fields: &str) -> String {
    format!("GET {TARGET} HTTP/1.1\r\nHost: x\r\n{fields}\r\n")
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = request_lines();
    cases.extend(versions());
    cases.extend(hosts());
    cases.extend(names());
    cases.extend(values());
    cases.extend(line_ends());
    cases
}

/// RFC 9112 §3: method SP request-target SP HTTP-version, and nothing else.
fn request_lines() -> Vec<Case> {
    let refused = [
        ("no version", format!("GET {TARGET}\r\n\r\n")),
        ("no target", "GET HTTP/1.1\r\nHost: x\r\n\r\n".to_owned()),
        (
            "an empty target",
            "GET  HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
        ),
        (
            "a space in the target",
            "GET /TEL/?a=b c HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
        ),
        (
            "a tab for a space",
            format!("GET\t{TARGET}\tHTTP/1.1\r\nHost: x\r\n\r\n"),
        ),
        (
            "a space in front",
            format!(" GET {TARGET} HTTP/1.1\r\nHost: x\r\n\r\n"),
        ),
        (
            "a third word",
            format!("GET {TARGET} HTTP/1.1 x\r\nHost: x\r\n\r\n"),
        ),
        (
            "a method with @",
            format!("G@T {TARGET} HTTP/1.1\r\nHost: x\r\n\r\n"),
        ),
        (
            "a method in parentheses",
            format!("(GET) {TARGET} HTTP/1.1\r\nHost: x\r\n\r\n"),
        ),
        (
            "a method with a colon",
            format!("GET: {TARGET} HTTP/1.1\r\nHost: x\r\n\r\n"),
        ),
        (
            "a method that is not ASCII",
            format!("GÉT {TARGET} HTTP/1.1\r\nHost: x\r\n\r\n"),
        ),
        (
            "a NUL in the method",
            format!("G\0T {TARGET} HTTP/1.1\r\nHost: x\r\n\r\n"),
        ),
        (
            "a NUL in the target",
            "GET /TEL/?a=\0 HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
        ),
        (
            "a bare CR in the target",
            "GET /TEL/?a=\rb HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
        ),
        (
            "a DEL in the target",
            "GET /TEL/?a=\x7f HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
        ),
        (
            "TLS",
            "\x16\x03\x01\x02\0\x01\0\x01\u{fc}\x03\x03\r\n\r\n".to_owned(),
        ),
        (
            "an answer",
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_owned(),
        ),
        ("a NUL", "\0\r\n\r\n".to_owned()),
        (
            "TLS, not even a line",
            "\x16\x03\x01\x02\0\x01\0\x01".to_owned(),
        ),
        ("a NUL before its end", "GET /TEL/\0".to_owned()),
        ("a line of 0.9", format!("GET {TARGET}\r\n")),
        ("a bare CR before it", format!("\r{}", get(""))),
        (
            "an empty line and a bare CR before it",
            format!("\r\n\r{}", get("")),
        ),
        (
            "a space and an empty line before it",
            format!(" \r\n{}", get("")),
        ),
        ("SSH", "SSH-2.0-OpenSSH_9.6\r\n\r\n".to_owned()),
    ];
    let refused = refused
        .into_iter()
        .map(|(name, sent)| case(format!("request line: {name}"), "RFC 9112 §3", sent).gets(400));
    let taken = [
        ("one empty line before it", format!("\r\n{}", get(""))),
        ("empty lines before it", format!("\r\n\r\n\r\n{}", get(""))),
        ("bare LF before it", format!("\n\n{}", get(""))),
        (
            "a thousand empty lines before it",
            format!("{}{}", "\r\n".repeat(1000), get("")),
        ),
    ];
    let taken = taken.into_iter().map(|(name, sent)| {
        case(format!("request line: {name}"), "RFC 9112 §2.2", sent)
            .reaches(forwarded(LINE, ""))
            .gets(200)
            .kept()
    });
    refused.chain(taken).collect()
}

/// RFC 9112 §2.3 and RFC 9110 §2.5: major version 1 only, written `HTTP/1.x`.
fn versions() -> Vec<Case> {
    [
        "HTTP/0.9",
        "HTTP/1.2",
        "HTTP/1.9",
        "HTTP/2.0",
        "HTTP/2",
        "HTTP/3.0",
        "HTTP/10.1",
        "HTTP/1.10",
        "HTTP/01.1",
        "HTTP/1.01",
        "HTTP/1",
        "HTTP/1.",
        "HTTP/.1",
        "HTTP 1.1",
        "http/1.1",
        "Http/1.1",
        "HTTP/1,1",
        "HTTP/1.1.1",
        "HTTP/-1.1",
        "HTTP/1.1a",
        "HTTPS/1.1",
        "ICY/1.1",
        "HTTP/",
        "HTTP/1.x",
        "HTTP/x.1",
    ]
    .into_iter()
    .map(|version| {
        case(
            format!("version {version}"),
            "RFC 9112 §2.3",
            format!("GET {TARGET} {version}\r\nHost: x\r\n\r\n"),
        )
        .gets(400)
    })
    .chain([
        case(
            "the HTTP/2 preface",
            "RFC 9113 §3.4",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
        )
        .gets(400),
        case(
            "the HTTP/2 preface after a request",
            "RFC 9113 §3.4",
            format!(
                "{}PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
                get("")
            ),
        )
        .reaches(forwarded(LINE, ""))
        .gets(200)
        .gets(400),
        case(
            "half of the HTTP/2 preface",
            "RFC 9113 §3.4",
            "PRI * HTTP/2.0\r\n\r\n",
        )
        .gets(400),
    ])
    .collect()
}

/// RFC 9112 §3.2: one Host field with a valid value.
fn hosts() -> Vec<Case> {
    let refused = [
        ("none", ""),
        ("two", "Host: a\r\nHost: b\r\n"),
        ("two alike", "Host: a\r\nHost: a\r\n"),
        ("two in other letters", "Host: a\r\nHOST: a\r\n"),
        ("a list", "Host: a, b\r\n"),
        ("a space", "Host: a b\r\n"),
        ("a path", "Host: a/b\r\n"),
        ("a user", "Host: user@a\r\n"),
        ("a query", "Host: a?b\r\n"),
        ("a fragment", "Host: a#b\r\n"),
        ("a backslash", "Host: a\\b\r\n"),
        ("a URL", "Host: http://a/\r\n"),
        ("not ASCII", "Host: h\u{f4}te\r\n"),
        ("two ports", "Host: a:80:90\r\n"),
        ("a port that is a word", "Host: a:http\r\n"),
        ("a port that is too large", "Host: a:65536\r\n"),
        ("a port that is negative", "Host: a:-1\r\n"),
        ("a bracket that is not closed", "Host: [::1\r\n"),
        ("a bracket that is not opened", "Host: ::1]\r\n"),
        ("an address without brackets", "Host: ::1\r\n"),
        ("brackets around a name", "Host: [name]\r\n"),
        ("something behind the bracket", "Host: [::1]x\r\n"),
        ("a quote", "Host: \"a\"\r\n"),
        ("angle brackets", "Host: <a>\r\n"),
        ("a percent sign alone", "Host: a%\r\n"),
        ("a percent sign and letters", "Host: a%zz\r\n"),
        ("a caret", "Host: a^b\r\n"),
        ("a tab", "Host: a\tb\r\n"),
    ];
    let refused = refused.into_iter().map(|(name, fields)| {
        let sent = format!("GET {TARGET} HTTP/1.1\r\n{fields}\r\n");
        case(format!("host: {name}"), "RFC 9112 §3.2", sent)
            .gets(400)
            .kept()
    });
    let taken = [
        ("a name", "Host: proxy.internal\r\n"),
        ("a name and a port", "Host: proxy.internal:8080\r\n"),
        ("a name and an empty port", "Host: proxy.internal:\r\n"),
        ("an address", "Host: 10.1.2.3\r\n"),
        ("an IPv6 address", "Host: [fd00::1]:8080\r\n"),
        ("an IPv6 address without port", "Host: [::1]\r\n"),
        ("nothing", "Host:\r\n"),
        ("an underscore", "Host: my_host\r\n"),
        ("an encoded letter", "Host: h%C3%B4te\r\n"),
        ("sub-delims", "Host: a!$&'()*+;=b\r\n"),
        ("another site's name", "Host: evil.example\r\n"),
        ("the last of the fields", "X-A: 1\r\nHost: a\r\n"),
    ];
    let taken = taken.into_iter().map(|(name, fields)| {
        let kept = if fields.starts_with("X-A") {
            "x-a: 1\r\n"
        } else {
            ""
        };
        let sent = format!("GET {TARGET} HTTP/1.1\r\n{fields}\r\n");
        case(format!("host: {name}"), "RFC 9110 §7.2", sent)
            .reaches(forwarded(LINE, kept))
            .gets(200)
            .kept()
    });
    refused.chain(taken).collect()
}

/// RFC 9112 §5.1: a name is a token, and the colon follows at once.
fn names() -> Vec<Case> {
    [
        ("a space before the colon", "X-A : 1\r\n"),
        ("a tab before the colon", "X-A\t: 1\r\n"),
        ("a space in it", "X A: 1\r\n"),
        ("no colon", "X-A\r\n"),
        ("nothing", ": 1\r\n"),
        ("a parenthesis", "X(A: 1\r\n"),
        ("a quote", "\"X\": 1\r\n"),
        ("a slash", "X/A: 1\r\n"),
        ("an at sign", "X@A: 1\r\n"),
        ("brackets", "X[A]: 1\r\n"),
        ("a comma", "X,A: 1\r\n"),
        ("a semicolon", "X;A: 1\r\n"),
        ("an equals sign", "X=A: 1\r\n"),
        ("a question mark", "X?A: 1\r\n"),
        ("a backslash", "X\\A: 1\r\n"),
        ("angle brackets", "<X>: 1\r\n"),
        ("a NUL", "X\0A: 1\r\n"),
        ("a bare CR", "X\rA: 1\r\n"),
        ("not ASCII", "X\u{e9}: 1\r\n"),
        ("a DEL", "X\u{7f}: 1\r\n"),
        ("Content-Length and a space", "Content-Length : 5\r\n"),
        (
            "Transfer-Encoding and a space",
            "Transfer-Encoding : chunked\r\n",
        ),
        (
            "Transfer-Encoding and a NUL",
            "Transfer-Encoding\0: chunked\r\n",
        ),
        (
            "Transfer-Encoding and a vertical tab",
            "Transfer-Encoding\u{b}: chunked\r\n",
        ),
        (
            "Authorization and a space",
            "Authorization : Bearer theirs\r\n",
        ),
        ("Host and a space", "Host : y\r\n"),
    ]
    .into_iter()
    .map(|(name, fields)| {
        case(format!("field name: {name}"), "RFC 9112 §5.1", get(fields)).gets(400)
    })
    .collect()
}

/// RFC 9110 §5.5 and RFC 9112 §5.2: no NUL, CR or LF in a value, and no folding.
fn values() -> Vec<Case> {
    let refused = [
        ("a NUL", "X-A: a\0b\r\n", "RFC 9110 §5.5"),
        ("a bare CR", "X-A: a\rb\r\n", "RFC 9110 §5.5"),
        ("a CR before the end", "X-A: a\r\r\n", "RFC 9110 §5.5"),
        (
            "a bare CR and a field",
            "X-A: a\rAuthorization: b\r\n",
            "RFC 9110 §5.5",
        ),
        ("a bell", "X-A: a\x07b\r\n", "RFC 9110 §5.5"),
        ("an escape", "X-A: a\x1bb\r\n", "RFC 9110 §5.5"),
        ("a DEL", "X-A: a\x7fb\r\n", "RFC 9110 §5.5"),
        ("a vertical tab", "X-A: a\x0bb\r\n", "RFC 9110 §5.5"),
        ("a form feed", "X-A: a\x0cb\r\n", "RFC 9110 §5.5"),
        ("folded with a space", "X-A: a\r\n b\r\n", "RFC 9112 §5.2"),
        ("folded with a tab", "X-A: a\r\n\tb\r\n", "RFC 9112 §5.2"),
        ("folded and empty", "X-A: a\r\n \r\n", "RFC 9112 §5.2"),
        (
            "a folded length",
            "Content-Length:\r\n 5\r\n",
            "RFC 9112 §5.2",
        ),
        (
            "a folded coding",
            "Transfer-Encoding:\r\n chunked\r\n",
            "RFC 9112 §5.2",
        ),
        ("a folded Host", "X-A: a\r\n Host: y\r\n", "RFC 9112 §5.2"),
    ];
    let refused = refused.into_iter().map(|(name, fields, clause)| {
        case(format!("value: {name}"), clause, get(fields)).gets(400)
    });
    let first = ["\tX-A: 1\r\n", " X-A: 1\r\n", " \r\n"]
        .into_iter()
        .enumerate();
    let first = first.map(|(index, line)| {
        let sent = format!("GET {TARGET} HTTP/1.1\r\n{line}Host: x\r\n\r\n");
        case(
            format!("space before the first field, {index}"),
            "RFC 9112 §2.2",
            sent,
        )
        .gets(400)
    });
    let taken = [
        ("nothing", "X-A:\r\n", "x-a: \r\n"),
        ("spaces only", "X-A:   \r\n", "x-a: \r\n"),
        ("spaces around it", "X-A:  a b \t\r\n", "x-a: a b\r\n"),
        ("a tab inside", "X-A: a\tb\r\n", "x-a: a\tb\r\n"),
        ("a colon inside", "X-A: a:b\r\n", "x-a: a:b\r\n"),
        ("UTF-8", "X-A: caf\u{e9}\r\n", "x-a: caf\u{e9}\r\n"),
        (
            "quotes and commas",
            "X-A: \"a, b\", c\r\n",
            "x-a: \"a, b\", c\r\n",
        ),
        (
            "two lines",
            "X-A: 1\r\nX-B: 2\r\nX-A: 3\r\n",
            "x-a: 1\r\nx-b: 2\r\nx-a: 3\r\n",
        ),
        (
            "a strange but valid name",
            "!#$%&'*+-.^_`|~09aZ: 1\r\n",
            "!#$%&'*+-.^_`|~09az: 1\r\n",
        ),
    ];
    let taken = taken.into_iter().map(|(name, fields, kept)| {
        case(format!("value: {name}"), "RFC 9110 §5.5", get(fields))
            .reaches(forwarded(LINE, kept))
            .gets(200)
            .kept()
    });
    refused.chain(first).chain(taken).collect()
}

/// RFC 9112 §2.2: a bare LF may end a line; what goes on ends in CRLF.
fn line_ends() -> Vec<Case> {
    [
        (
            "bare LF everywhere",
            format!("GET {TARGET} HTTP/1.1\nHost: x\nX-A: 1\n\n"),
        ),
        (
            "bare LF after the request line",
            format!("GET {TARGET} HTTP/1.1\nHost: x\r\nX-A: 1\r\n\r\n"),
        ),
        (
            "bare LF after a field",
            format!("GET {TARGET} HTTP/1.1\r\nHost: x\nX-A: 1\r\n\r\n"),
        ),
        (
            "bare LF at the end",
            format!("GET {TARGET} HTTP/1.1\r\nHost: x\r\nX-A: 1\r\n\n"),
        ),
    ]
    .into_iter()
    .map(|(name, sent)| {
        case(format!("line end: {name}"), "RFC 9112 §2.2", sent)
            .reaches(forwarded(LINE, "x-a: 1\r\n"))
            .gets(200)
            .kept()
    })
    .collect()
}

#[test]
fn a_head_follows_the_grammar_or_is_refused() {
    bench::run(&cases());
}
