//! How a request's body is delimited, and what two readers could read in two ways.

use super::bench;
use super::case::{Case, Piece, Reached, TARGET, case, forwarded};

const LINE: &str = "POST /TEL/?q=V4LU3";

fn post(fields: &str, body: &str) -> String {
    format!("POST {TARGET} HTTP/1.1\r\nHost: x\r\n{fields}\r\n{body}")
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = refused_lengths();
    cases.extend(refused_codings());
    cases.extend(taken());
    cases.extend(broken_chunks());
    cases.extend(lenient_chunks());
    cases.extend(broken_trailers());
    cases.extend(too_much_besides());
    cases.extend(cut());
    cases.extend(two_framings());
    cases
}

/// RFC 9112 §6.3, item 5: an invalid length is a 400 and the connection's end.
fn refused_lengths() -> Vec<Case> {
    [
        ("+5", "Content-Length: +5\r\n"),
        ("-5", "Content-Length: -5\r\n"),
        ("-0", "Content-Length: -0\r\n"),
        ("nothing", "Content-Length:\r\n"),
        ("a space", "Content-Length: \r\n"),
        ("5,5", "Content-Length: 5,5\r\n"),
        ("5, 5", "Content-Length: 5, 5\r\n"),
        ("5, 6", "Content-Length: 5, 6\r\n"),
        ("5,", "Content-Length: 5,\r\n"),
        (",5", "Content-Length: ,5\r\n"),
        ("5;5", "Content-Length: 5;5\r\n"),
        ("5 5", "Content-Length: 5 5\r\n"),
        ("0x5", "Content-Length: 0x5\r\n"),
        ("5a", "Content-Length: 5a\r\n"),
        ("a5", "Content-Length: a5\r\n"),
        ("5.0", "Content-Length: 5.0\r\n"),
        ("5e0", "Content-Length: 5e0\r\n"),
        ("1_0", "Content-Length: 1_0\r\n"),
        ("\"5\"", "Content-Length: \"5\"\r\n"),
        ("a word", "Content-Length: five\r\n"),
        ("full-width digits", "Content-Length: \u{ff15}\r\n"),
        ("2^64", "Content-Length: 18446744073709551616\r\n"),
        ("2^64 + 5", "Content-Length: 18446744073709551621\r\n"),
        (
            "5 and a word",
            "Content-Length: 5\r\nContent-Length: five\r\n",
        ),
        ("twenty digits", "Content-Length: 99999999999999999999\r\n"),
        ("an internal NUL", "Content-Length: 5\0\r\n"),
        ("a vertical tab", "Content-Length: \u{b}5\r\n"),
        ("5 and 6", "Content-Length: 5\r\nContent-Length: 6\r\n"),
        ("5 and 05 x", "Content-Length: 5\r\nContent-Length: 05x\r\n"),
        ("5 and nothing", "Content-Length: 5\r\nContent-Length:\r\n"),
        ("nothing and 5", "Content-Length:\r\nContent-Length: 5\r\n"),
        (
            "5 twice and 6",
            "Content-Length: 5\r\nContent-Length: 5\r\nContent-Length: 6\r\n",
        ),
        (
            "6 in other letters",
            "content-length: 5\r\nCONTENT-LENGTH: 6\r\n",
        ),
        ("0 and 5", "Content-Length: 0\r\nContent-Length: 5\r\n"),
    ]
    .into_iter()
    .map(|(name, fields)| {
        case(
            format!("length {name}"),
            "RFC 9112 §6.3",
            post(fields, "abcde"),
        )
        .gets(400)
    })
    .collect()
}

/// RFC 9112 §6.1 and §6.3: a coding that is not known, or chunked that is not last.
fn refused_codings() -> Vec<Case> {
    const CHUNKS: &str = "2\r\nab\r\n0\r\n\r\n";
    let bare = [
        ("gzip alone", "Transfer-Encoding: gzip\r\n"),
        ("identity", "Transfer-Encoding: identity\r\n"),
        ("chunked, gzip", "Transfer-Encoding: chunked, gzip\r\n"),
        ("xchunked", "Transfer-Encoding: xchunked\r\n"),
        ("chunkedx", "Transfer-Encoding: chunkedx\r\n"),
        ("\"chunked\"", "Transfer-Encoding: \"chunked\"\r\n"),
        ("chunk", "Transfer-Encoding: chunk\r\n"),
        ("nothing", "Transfer-Encoding:\r\n"),
        ("chunked;q=1", "Transfer-Encoding: chunked;q=1\r\n"),
        ("chunked,", "Transfer-Encoding: chunked,\r\n"),
        (
            "chunked in two lines with gzip last",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n",
        ),
        (
            "chunked identity",
            "Transfer-Encoding: chunked identity\r\n",
        ),
        (
            "chunked and a vertical tab",
            "Transfer-Encoding: chunked\u{b}\r\n",
        ),
        (
            "chunked behind a vertical tab",
            "Transfer-Encoding: \u{b}chunked\r\n",
        ),
        (
            "a length and identity",
            "Content-Length: 2\r\nTransfer-Encoding: identity\r\n",
        ),
    ];
    let bare = bare.into_iter().map(|(name, fields)| {
        case(
            format!("coding {name}"),
            "RFC 9112 §6.3",
            post(fields, CHUNKS),
        )
        .gets(400)
    });
    let unknown = [
        ("gzip, chunked", "Transfer-Encoding: gzip, chunked\r\n"),
        (
            "deflate, chunked",
            "Transfer-Encoding: deflate, chunked\r\n",
        ),
        (
            "identity, chunked",
            "Transfer-Encoding: identity, chunked\r\n",
        ),
        (
            "chunked, chunked",
            "Transfer-Encoding: chunked, chunked\r\n",
        ),
        (",chunked", "Transfer-Encoding: ,chunked\r\n"),
        ("x, y, chunked", "Transfer-Encoding: x, y, chunked\r\n"),
        (
            "chunked twice",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        ),
        (
            "gzip, chunked in two lines",
            "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
        ),
        (
            "identity, chunked in two lines",
            "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
        ),
    ];
    let unknown = unknown.into_iter().map(|(name, fields)| {
        case(
            format!("coding {name}"),
            "RFC 9112 §6.1",
            post(fields, CHUNKS),
        )
        .gets(501)
        .field("connection", "close")
    });
    bare.chain(unknown).collect()
}

/// RFC 9112 §6: what is delimited in one way goes on in one way.
fn taken() -> Vec<Case> {
    let length = |name: &str, fields: &str, kept: &str| {
        case(
            format!("length {name}"),
            "RFC 9112 §6.2",
            post(fields, "abcde"),
        )
        .reaches(forwarded(LINE, kept).with("abcde"))
        .gets(200)
        .kept()
    };
    let coded = |name: &str, coding: &str, body: &str, decoded: &str| {
        let fields = format!("Transfer-Encoding: {coding}\r\n");
        case(
            format!("chunks {name}"),
            "RFC 9112 §7.1",
            post(&fields, body),
        )
        .reaches(forwarded(LINE, "").chunked(decoded))
        .gets(200)
        .kept()
    };
    vec![
        length("5", "Content-Length: 5\r\n", "content-length: 5\r\n"),
        length(
            "5 in capitals",
            "CONTENT-LENGTH: 5\r\n",
            "content-length: 5\r\n",
        ),
        length(
            "5 between tabs",
            "Content-Length:\t5\t\r\n",
            "content-length: 5\r\n",
        ),
        length(
            "5 without a space",
            "Content-Length:5\r\n",
            "content-length: 5\r\n",
        ),
        length(
            "5 twice",
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            "content-length: 5\r\n",
        ),
        case(
            "length 0",
            "RFC 9112 §6.2",
            post("Content-Length: 0\r\n", ""),
        )
        .reaches(forwarded(LINE, "content-length: 0\r\n"))
        .gets(200)
        .kept(),
        case("no framing at all", "RFC 9112 §6.3", post("", ""))
            .reaches(forwarded(LINE, "").with_no_body())
            .gets(200)
            .kept(),
        length(
            "5 with a zero in front",
            "Content-Length: 05\r\n",
            "content-length: 05\r\n",
        ),
        length(
            "5 and 05",
            "Content-Length: 5\r\nContent-Length: 05\r\n",
            "content-length: 5\r\n",
        ),
        coded("one", "chunked", "2\r\nab\r\n0\r\n\r\n", "ab"),
        coded(
            "coding in capitals",
            "CHUNKED",
            "2\r\nab\r\n0\r\n\r\n",
            "ab",
        ),
        coded("none", "chunked", "0\r\n\r\n", ""),
        coded(
            "several",
            "chunked",
            "2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
            "abc",
        ),
        coded(
            "size in capitals",
            "chunked",
            "A\r\n0123456789\r\n0\r\n\r\n",
            "0123456789",
        ),
        coded(
            "size in small letters",
            "chunked",
            "a\r\n0123456789\r\n0\r\n\r\n",
            "0123456789",
        ),
        coded(
            "size with zeros in front",
            "chunked",
            "0002\r\nab\r\n0\r\n\r\n",
            "ab",
        ),
        coded(
            "size with as many zeros as are read",
            "chunked",
            "000000000000002\r\nab\r\n0\r\n\r\n",
            "ab",
        ),
        coded(
            "an empty extension",
            "chunked",
            "2;\r\nab\r\n0;\r\n\r\n",
            "ab",
        ),
        coded(
            "an extension in UTF-8",
            "chunked",
            "2;a=\"\u{e9}\"\r\nab\r\n0\r\n\r\n",
            "ab",
        ),
        coded(
            "a trailer in UTF-8",
            "chunked",
            "2\r\nab\r\n0\r\nX-Sum: \u{e9}\r\n\r\n",
            "ab",
        ),
        coded(
            "an empty trailer",
            "chunked",
            "2\r\nab\r\n0\r\nX-Sum:\r\n\r\n",
            "ab",
        ),
        coded(
            "as many extensions as are read",
            "chunked",
            &format!("2;{}\r\nab\r\n0\r\n\r\n", "e".repeat(4_000)),
            "ab",
        ),
        coded(
            "as large a trailer as is read",
            "chunked",
            &format!("2\r\nab\r\n0\r\nX: {}\r\n\r\n", "t".repeat(4_000)),
            "ab",
        ),
        coded(
            "as many trailers as are read",
            "chunked",
            &format!("2\r\nab\r\n0\r\n{}\r\n", "X: t\r\n".repeat(680)),
            "ab",
        ),
        coded(
            "many zeros at the end",
            "chunked",
            "2\r\nab\r\n000\r\n\r\n",
            "ab",
        ),
        coded(
            "an extension",
            "chunked",
            "2;name=value\r\nab\r\n0\r\n\r\n",
            "ab",
        ),
        coded(
            "a quoted extension",
            "chunked",
            "2;name=\"v;w\"\r\nab\r\n0\r\n\r\n",
            "ab",
        ),
        coded(
            "an extension without value",
            "chunked",
            "2;name\r\nab\r\n0;last\r\n\r\n",
            "ab",
        ),
        coded(
            "data that looks like chunks",
            "chunked",
            "5\r\n0\r\n\r\n\r\n0\r\n\r\n",
            "0\r\n\r\n",
        ),
        coded(
            "data that looks like a request",
            "chunked",
            "11\r\nGET / HTTP/1.1\r\n\n\r\n0\r\n\r\n",
            "GET / HTTP/1.1\r\n\n",
        ),
        coded(
            "a trailer field",
            "chunked",
            "2\r\nab\r\n0\r\nX-Sum: 1\r\n\r\n",
            "ab",
        ),
        coded(
            "a trailer that is a credential",
            "chunked",
            "2\r\nab\r\n0\r\nAuthorization: Basic x\r\nHost: evil\r\nContent-Length: 9\r\n\r\n",
            "ab",
        ),
    ]
}

/// RFC 9112 §7.1: what breaks the grammar never makes a whole request.
fn broken_chunks() -> Vec<Case> {
    [
        ("size 0x2", "0x2\r\nab\r\n0\r\n\r\n"),
        ("size +2", "+2\r\nab\r\n0\r\n\r\n"),
        ("size -2", "-2\r\nab\r\n0\r\n\r\n"),
        ("size g", "g\r\nab\r\n0\r\n\r\n"),
        ("no size", "\r\nab\r\n0\r\n\r\n"),
        ("a space before the size", " 2\r\nab\r\n0\r\n\r\n"),
        ("size 2 3", "2 3\r\nab\r\n0\r\n\r\n"),
        ("size 2,2", "2,2\r\nab\r\n0\r\n\r\n"),
        ("a bare LF after the size", "2\nab\r\n0\r\n\r\n"),
        ("a bare CR after the size", "2\rab\r\n0\r\n\r\n"),
        ("a bare LF in an extension", "2;a\nb\r\nab\r\n0\r\n\r\n"),
        ("a bare LF after the data", "2\r\nab\n0\r\n\r\n"),
        ("a bare CR after the data", "2\r\nab\r0\r\n\r\n"),
        ("data longer than its size", "2\r\nabc\r\n0\r\n\r\n"),
        ("data shorter than its size", "4\r\nab\r\n0\r\n\r\n"),
        ("nothing after the data", "2\r\nab0\r\n\r\n"),
        ("size 2^64", "10000000000000000\r\nab\r\n0\r\n\r\n"),
        ("size 2^64 + 2", "10000000000000002\r\nab\r\n0\r\n\r\n"),
        (
            "size of more digits than are read",
            "0000000000000002\r\nab\r\n0\r\n\r\n",
        ),
        (
            "size of seventeen digits",
            "ffffffffffffffff2\r\nab\r\n0\r\n\r\n",
        ),
        ("a bare LF after the last size", "2\r\nab\r\n0\n\r\n"),
        ("a NUL in the size", "2\0\r\nab\r\n0\r\n\r\n"),
        (
            "an extension without its semicolon",
            "2 name=value\r\nab\r\n0\r\n\r\n",
        ),
        ("negative zero at the end", "2\r\nab\r\n-0\r\n\r\n"),
        (
            "end without its empty line, then a request",
            "2\r\nab\r\n0\r\nGET /TEL/?smuggled HTTP/1.1\r\nHost: x\r\n\r\n",
        ),
    ]
    .into_iter()
    .map(|(name, body)| {
        let sent = post("Transfer-Encoding: chunked\r\n", body);
        case(format!("broken chunks: {name}"), "RFC 9112 §7.1", sent)
            .then(Piece::HalfClose)
            .reaches(Reached::NeverWhole)
            .gets(400)
    })
    .collect()
}

/// What may be read in one way only, though it is not as it should be.
fn lenient_chunks() -> Vec<Case> {
    [
        ("a space after the size", "2 \r\nab\r\n0\r\n\r\n"),
        ("a tab after the size", "2\t\r\nab\r\n0\r\n\r\n"),
        ("a space before the semicolon", "2 ;a=b\r\nab\r\n0\r\n\r\n"),
    ]
    .into_iter()
    .map(|(name, body)| {
        case(
            format!("padded chunks: {name}"),
            "RFC 9112 §7.1.1",
            post("Transfer-Encoding: chunked\r\n", body),
        )
        .reaches(forwarded(LINE, "").chunked("ab"))
        .gets(200)
        .kept()
    })
    .collect()
}

/// RFC 9112 §7.1.2: a trailer is fields and an empty line.
fn broken_trailers() -> Vec<Case> {
    [
        ("no colon", "X-Sum\r\n\r\n"),
        ("a space before the colon", "X-Sum : 1\r\n\r\n"),
        ("a space in front", " X-Sum: 1\r\n\r\n"),
        ("no name", ": 1\r\n\r\n"),
        ("a name that is not ASCII", "X-\u{e9}: 1\r\n\r\n"),
        ("folding", "X-Sum: 1\r\n 2\r\n\r\n"),
        ("a NUL", "X-Sum: \0\r\n\r\n"),
        ("a bare CR", "X-Sum: 1\r2\r\n\r\n"),
        ("a CR before the end", "X-Sum: 1\r\r\n\r\n"),
        ("a bare LF and another field", "X-Sum: 1\nX-B: 2\r\n\r\n"),
        ("an end that is a bare CR", "\rx"),
    ]
    .into_iter()
    .map(|(name, trailer)| {
        let body = format!("2\r\nab\r\n0\r\n{trailer}");
        let sent = post("Transfer-Encoding: chunked\r\n", &body);
        case(format!("broken trailer: {name}"), "RFC 9112 §7.1.2", sent)
            .then(Piece::HalfClose)
            .reaches(Reached::NeverWhole)
            .gets(400)
    })
    .collect()
}

/// RFC 9112 §7.1.1, §12: what comes besides the data of a body has limits as a
/// head has, for the whole of the body.
fn too_much_besides() -> Vec<Case> {
    let extended = format!("1;{}\r\na\r\n", "e".repeat(4_000));
    [
        (
            "a chunk's extensions",
            format!("2;{}\r\nab\r\n0\r\n\r\n", "e".repeat(4_100)),
        ),
        (
            "the extensions of all chunks",
            format!("{}0\r\n\r\n", extended.repeat(5)),
        ),
        (
            "a trailer",
            format!("2\r\nab\r\n0\r\nX: {}\r\n\r\n", "t".repeat(4_100)),
        ),
        (
            "trailers",
            format!("2\r\nab\r\n0\r\n{}\r\n", "X: t\r\n".repeat(690)),
        ),
    ]
    .into_iter()
    .map(|(name, body)| {
        let sent = post("Transfer-Encoding: chunked\r\n", &body);
        case(format!("too much: {name}"), "RFC 9112 §7.1.1", sent)
            .reaches(Reached::NeverWhole)
            .gets(400)
    })
    .chain(
        [("the longest length", u64::MAX - 2, 413)].map(|(name, length, status)| {
            let sent = post(&format!("Content-Length: {length}\r\n"), "ab");
            case(format!("too much: {name}"), "RFC 9110 §8.6", sent).gets(status)
        }),
    )
    .collect()
}

/// RFC 9112 §8: an incomplete request is never forwarded as a whole one.
fn cut() -> Vec<Case> {
    let chunked = "Transfer-Encoding: chunked\r\n";
    [
        ("a length and no body", post("Content-Length: 5\r\n", "")),
        (
            "a length and half a body",
            post("Content-Length: 5\r\n", "ab"),
        ),
        ("chunks without an end", post(chunked, "2\r\nab\r\n")),
        ("half a chunk", post(chunked, "4\r\nab")),
        ("half a size", post(chunked, "2")),
        (
            "chunks without their last line",
            post(chunked, "2\r\nab\r\n0\r\n"),
        ),
        ("half a trailer", post(chunked, "2\r\nab\r\n0\r\nX-Sum: 1")),
        (
            "a large body",
            post("Content-Length: 300000\r\n", &"a".repeat(200_000)),
        ),
    ]
    .into_iter()
    .map(|(name, sent)| {
        case(format!("cut: {name}"), "RFC 9112 §8", sent)
            .then(Piece::HalfClose)
            .reaches(Reached::NeverWhole)
            .gets(400)
    })
    .chain(
        [
            ("nothing but an end", String::new()),
            ("half a request line", "GET /TEL/?q=V4".to_owned()),
            (
                "half a head",
                format!("GET {TARGET} HTTP/1.1\r\nHost: x\r\n"),
            ),
            (
                "a head without its last LF",
                format!("GET {TARGET} HTTP/1.1\r\nHost: x\r\n\r"),
            ),
        ]
        .into_iter()
        .map(|(name, sent)| {
            case(format!("cut: {name}"), "RFC 9112 §8", sent).then(Piece::HalfClose)
        }),
    )
    .collect()
}

/// RFC 9112 §6.1: both framings at once. The coding wins, the length goes, and
/// nothing more is read on that connection.
fn two_framings() -> Vec<Case> {
    let smuggled = "GET /TEL/?smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    [
        (
            "length first",
            "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n",
        ),
        (
            "coding first",
            "Transfer-Encoding: chunked\r\nContent-Length: 6\r\n",
        ),
        (
            "a length that fits the chunks",
            "Content-Length: 12\r\nTransfer-Encoding: chunked\r\n",
        ),
        (
            "length 0",
            "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
        ),
        (
            "in capitals",
            "CONTENT-LENGTH: 6\r\nTRANSFER-ENCODING: CHUNKED\r\n",
        ),
        (
            "a length on each side",
            "Content-Length: 6\r\nTransfer-Encoding: chunked\r\nContent-Length: 6\r\n",
        ),
        (
            "a length that is nominated",
            "Connection: content-length\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n",
        ),
    ]
    .into_iter()
    .map(|(name, fields)| {
        let body = format!("2\r\nab\r\n0\r\n\r\n{smuggled}");
        case(
            format!("two framings: {name}"),
            "RFC 9112 §6.1",
            post(fields, &body),
        )
        .reaches(forwarded(LINE, "").chunked("ab"))
        .gets(200)
    })
    .collect()
}

#[test]
fn a_request_is_delimited_in_one_way_or_refused() {
    bench::run(&cases());
}
