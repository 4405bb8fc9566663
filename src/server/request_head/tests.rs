use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits {
    bytes: 8 * 1024,
    fields: 100,
    http2: false,
};

fn read(input: &[u8]) -> Result<Option<(Request, usize)>, InvalidHead> {
    read_request(input, LIMITS, Fields::default)
}

#[test]
fn a_preface_is_told_from_what_is_no_head_where_it_is_looked_for() {
    let look = |input: &[u8], http2| {
        let limits = Limits { http2, ..LIMITS };
        let read = read_request(input, limits, Fields::default);
        read.map(|read| read.is_some())
    };
    let more = [PREFACE, b"\0\0\0\x04"].concat();
    for input in [PREFACE, &more] {
        assert_eq!(look(input, true), Err(InvalidHead::Preface));
        assert_eq!(look(input, false), Err(InvalidHead::Syntax));
    }
    for length in 0..PREFACE.len() {
        assert_eq!(look(&PREFACE[..length], true), Ok(false), "{length}");
        let other = [&PREFACE[..length], b"!\r\n\r\n"].concat();
        let read = look(&other, true);
        assert_ne!(read, Err(InvalidHead::Preface), "{length}");
        assert_eq!(read, look(&other, false), "{length}");
    }
    assert_eq!(look(b"GET / HTTP/1.1\r\n\r\n", true), Ok(true));
}

/// How the body is delimited, whether another request may follow, and whether
/// the caller waits for a 100 (Continue).
fn framed(text: &str) -> Result<Option<(Framing, bool, bool)>, InvalidHead> {
    let framed = |request: Request| (request.framing, request.is_kept, request.expects);
    Ok(read(text.as_bytes())?.map(|(request, _)| framed(request)))
}

/// What `framed` finds when fields like these follow a request line.
fn framed_in(version: &str, fields: &[&str]) -> Result<(Framing, bool, bool), InvalidHead> {
    let lines: String = fields.iter().map(|line| format!("{line}\r\n")).collect();
    let text = format!("POST /TEL/ {version}\r\n{lines}\r\n");
    framed(&text).map(|found| found.expect("the head is whole"))
}

#[test]
fn a_request_is_delimited_as_the_rfc_says_or_refused() {
    use Framing::{Chunked, Length};
    const SYNTAX: Result<(Framing, bool), InvalidHead> = Err(InvalidHead::Syntax);
    let none = Ok((Framing::None, true));
    for (fields, expected) in [
        (&[][..], none),
        (&["Content-Length: 5"], Ok((Length(5), true))),
        (&["content-length:5"], Ok((Length(5), true))),
        (&["Content-Length: 0"], none),
        (
            &["Content-Length: 18446744073709551615"],
            Ok((Length(u64::MAX), true)),
        ),
        (
            &["Content-Length: 5", "Content-Length: 5"],
            Ok((Length(5), true)),
        ),
        (
            &["Content-Length: 5", "Content-Length: 05"],
            Ok((Length(5), true)),
        ),
        (&["Content-Length: 5", "Content-Length: 6"], SYNTAX),
        (
            &[
                "Content-Length: 5",
                "Content-Length: 6",
                "Content-Length: 6",
            ],
            SYNTAX,
        ),
        (
            &[
                "Content-Length: 5",
                "Content-Length: x",
                "Content-Length: 5",
            ],
            SYNTAX,
        ),
        (&["Content-Length: 5", "Content-Length:"], SYNTAX),
        (&["Content-Length:", "Content-Length: 5"], SYNTAX),
        (&["Content-Length:"], SYNTAX),
        (&["Content-Length: 5, 5"], SYNTAX),
        (&["Content-Length: 5 5"], SYNTAX),
        (&["Content-Length: +5"], SYNTAX),
        (&["Content-Length: -5"], SYNTAX),
        (&["Content-Length: 0x5"], SYNTAX),
        (&["Content-Length: 5.0"], SYNTAX),
        (&["Content-Length: 18446744073709551616"], SYNTAX),
        (&["Transfer-Encoding: chunked"], Ok((Chunked, true))),
        (&["Transfer-Encoding: CHUNKED"], Ok((Chunked, true))),
        (&["Transfer-Encoding:\tchunked\t"], Ok((Chunked, true))),
        (&["Transfer-Encoding: gzip,chunked"], Ok((Chunked, true))),
        (&["Transfer-Encoding: gzip , chunked"], Ok((Chunked, true))),
        (
            &["Transfer-Encoding: gzip", "Transfer-Encoding: chunked"],
            Ok((Chunked, true)),
        ),
        (
            &["Transfer-Encoding: chunked", "Transfer-Encoding: gzip"],
            SYNTAX,
        ),
        (&["Transfer-Encoding: chunked, gzip"], SYNTAX),
        (&["Transfer-Encoding: chunked,"], SYNTAX),
        (&["Transfer-Encoding: gzip"], SYNTAX),
        (&["Transfer-Encoding: identity"], SYNTAX),
        (&["Transfer-Encoding: xchunked"], SYNTAX),
        (&["Transfer-Encoding: chunked;q=1"], SYNTAX),
        (&["Transfer-Encoding: \"chunked\""], SYNTAX),
        (&["Transfer-Encoding:"], SYNTAX),
        (
            &["Transfer-Encoding: chunked", "Transfer-Encoding:"],
            SYNTAX,
        ),
        // The coding wins, and nothing behind such a request is taken for one.
        (
            &["Content-Length: 5", "Transfer-Encoding: chunked"],
            Ok((Chunked, false)),
        ),
        (
            &["Transfer-Encoding: chunked", "Content-Length: 5"],
            Ok((Chunked, false)),
        ),
        (&["Transfer-Encoding: chunked", "Content-Length: x"], SYNTAX),
        (&["Content-Length: x", "Transfer-Encoding: chunked"], SYNTAX),
        (&["Transfer-Encoding: gzip", "Content-Length: 5"], SYNTAX),
    ] {
        let found = framed_in("HTTP/1.1", fields);
        let found = found.map(|(framing, is_kept, _)| (framing, is_kept));
        assert_eq!(found, expected, "{fields:?}");
    }
    // No HTTP/1.0 caller speaks of codings (RFC 9112 §6.1).
    for fields in [
        &["Transfer-Encoding: chunked"][..],
        &["Transfer-Encoding: chunked", "Content-Length: 5"],
    ] {
        assert_eq!(framed_in("HTTP/1.0", fields), Err(InvalidHead::Syntax));
    }
    assert_eq!(
        framed_in("HTTP/1.0", &["Content-Length: 5"]),
        Ok((Length(5), false, false))
    );
}

#[test]
fn one_framing_is_left_in_the_fields() {
    for (fields, lengths) in [
        (&["Content-Length: 5", "Content-Length: 05"][..], &["5"][..]),
        (&["Content-Length: 0", "X: 1", "Content-Length: 0"], &["0"]),
        (&["Content-Length: 5", "Transfer-Encoding: chunked"], &[]),
        (
            &[
                "Transfer-Encoding: chunked",
                "Content-Length: 5",
                "Content-Length: 5",
            ],
            &[],
        ),
    ] {
        let text = format!("POST / HTTP/1.1\r\nA: b\r\n{}\r\n\r\n", fields.join("\r\n"));
        let (request, _) = read(text.as_bytes()).unwrap().unwrap();
        let left: Vec<_> = request.head.fields.get_all("content-length").collect();
        let expected: Vec<_> = lengths.iter().map(|length| length.as_bytes()).collect();
        assert_eq!(left, expected, "{fields:?}");
        assert!(request.head.fields.contains("a"));
    }
}

#[test]
fn whether_another_request_may_follow_is_the_callers_word() {
    for (version, fields, expected) in [
        ("HTTP/1.1", &[][..], true),
        ("HTTP/1.1", &["Connection: close"], false),
        ("HTTP/1.1", &["Connection: X-Own, CLOSE"], false),
        ("HTTP/1.1", &["Connection: x", "Connection: close"], false),
        ("HTTP/1.1", &["Connection: close", "Connection: x"], false),
        ("HTTP/1.1", &["Connection: keep-alive, close"], false),
        ("HTTP/1.1", &["Connection: closed"], true),
        ("HTTP/1.1", &["Connection: keep-alive"], true),
        ("HTTP/1.1", &["Connection:"], true),
        ("HTTP/1.0", &[], false),
        ("HTTP/1.0", &["Connection: Keep-Alive"], true),
        (
            "HTTP/1.0",
            &["Connection: x", "Connection: keep-alive"],
            true,
        ),
        ("HTTP/1.0", &["Connection: keep-alive, close"], false),
        ("HTTP/1.0", &["Connection: x"], false),
    ] {
        let (_, is_kept, _) = framed_in(version, fields).unwrap();
        assert_eq!(is_kept, expected, "{version} {fields:?}");
    }
}

#[test]
fn only_a_caller_that_can_be_told_to_go_on_waits_for_it() {
    for (version, field, expected) in [
        ("HTTP/1.1", "Expect: 100-continue", true),
        ("HTTP/1.1", "Expect: 100-Continue", true),
        ("HTTP/1.1", "Expect: 200-ok", false),
        ("HTTP/1.1", "Expect:", false),
        ("HTTP/1.1", "X-Expect: 100-continue", false),
        // RFC 9110 §10.1.1: whoever speaks HTTP/1.0 does not know the answer.
        ("HTTP/1.0", "Expect: 100-continue", false),
    ] {
        let (_, _, expects) = framed_in(version, &["Content-Length: 1", field]).unwrap();
        assert_eq!(expects, expected, "{version} {field}");
    }
}

#[test]
fn what_is_no_request_is_refused_and_what_may_become_one_is_not() {
    let syntax = Err(InvalidHead::Syntax);
    for (text, expected) in [
        ("", Ok(None)),
        ("G", Ok(None)),
        ("\r\n\r\n", Ok(None)),
        ("GET / HTTP/1.1\r\n", Ok(None)),
        ("GET / HTTP/1.1\r\nHost: a\r\n", Ok(None)),
        ("GET / HTTP/1.1\r\nHost: a\r\n\r", Ok(None)),
        (
            "GET / HTTP/1.1\r\n\r\n",
            Ok(Some((Framing::None, true, false))),
        ),
        // An empty line too many before it (RFC 9112 §2.2).
        (
            "\r\nGET / HTTP/1.1\r\n\r\n",
            Ok(Some((Framing::None, true, false))),
        ),
        ("GET / HTTP/1.2\r\n\r\n", syntax),
        ("GET / HTTP/2.0\r\n\r\n", syntax),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", syntax),
        ("GET / http/1.1\r\n\r\n", syntax),
        ("GET /\r\n\r\n", syntax),
        ("GET  HTTP/1.1\r\n\r\n", syntax),
        ("GET / x HTTP/1.1\r\n\r\n", syntax),
        ("GET / HTTP/1.1 \r\n\r\n", syntax),
        (" GET / HTTP/1.1\r\n\r\n", syntax),
        ("G\tET / HTTP/1.1\r\n\r\n", syntax),
        ("G(T / HTTP/1.1\r\n\r\n", syntax),
        ("GET /\0 HTTP/1.1\r\n\r\n", syntax),
        ("GET /\u{7f} HTTP/1.1\r\n\r\n", syntax),
        ("GET a/b:c:d HTTP/1.1\r\n\r\n", syntax),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", syntax),
        ("GET / HTTP/1.1\r\n: a\r\n\r\n", syntax),
        ("GET / HTTP/1.1\r\nBad Name: a\r\n\r\n", syntax),
        ("GET / HTTP/1.1\r\nNoColon\r\n\r\n", syntax),
        ("GET / HTTP/1.1\r\nX: a\r\n folded\r\n\r\n", syntax),
        ("GET / HTTP/1.1\r\n X: a\r\n\r\n", syntax),
        ("GET / HTTP/1.1\r\nX: a\0b\r\n\r\n", syntax),
        ("GET / HTTP/1.1\r\nX: a\rb\r\n\r\n", syntax),
        ("GET / HTTP/1.1\r\nX: a\u{7f}\r\n\r\n", syntax),
        ("\u{16}\u{3}\u{1}\u{2}\0\u{1}\0", syntax),
    ] {
        assert_eq!(framed(text), expected, "{text:?}");
    }
}

#[test]
fn the_message_is_what_was_received_and_the_rest_stays() {
    let input = b"\r\nPUT /TEL/?a=%E9&b HTTP/1.0\r\nHost: a:80\r\nX-Latin:  caf\xe9 \r\nX-Empty:\r\nx-latin: 2\r\n\r\nbody";
    let (request, length) = read(input).unwrap().unwrap();
    assert_eq!(&input[length..], b"body");
    let head = request.head;
    assert_eq!(head.method, Method::PUT);
    assert_eq!(head.uri, "/TEL/?a=%E9&b");
    assert_eq!(head.version, Version::HTTP_10);
    let expected: [(&[u8], &[u8]); 4] = [
        (b"host", b"a:80"),
        (b"x-latin", b"caf\xe9"),
        (b"x-empty", b""),
        (b"x-latin", b"2"),
    ];
    assert!(head.fields.iter().eq(expected));
}

#[test]
fn what_is_too_large_is_refused_with_a_status_of_its_own() {
    let many = |count| {
        let fields = "a: b\r\n".repeat(count);
        format!("GET / HTTP/1.1\r\n{fields}\r\n").into_bytes()
    };
    let refused = |input: &[u8], limits| {
        let read = read_request(input, limits, Fields::default);
        read.map(|found| found.is_some())
            .map_err(InvalidHead::status)
    };
    let fields = |fields| Limits { fields, ..LIMITS };
    let too_large = Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    assert_eq!(refused(&many(100), LIMITS), Ok(true));
    assert_eq!(refused(&many(101), LIMITS), too_large);
    // Whoever answers allows less, and has more to say about it.
    assert_eq!(refused(&many(100), fields(3)), Ok(true));
    // More than there is room for at hand.
    assert_eq!(refused(&many(300), fields(300)), Ok(true));
    assert_eq!(refused(&many(301), fields(300)), too_large);

    let unfinished = |length: usize| {
        let mut input = b"GET / HTTP/1.1\r\nX: ".to_vec();
        input.resize(length, b'x');
        input
    };
    assert_eq!(refused(&unfinished(LIMITS.bytes), LIMITS), Ok(false));
    assert_eq!(refused(&unfinished(LIMITS.bytes + 1), LIMITS), too_large);

    let with_target = |length| {
        let target = "x".repeat(length - 1);
        format!("GET /{target} HTTP/1.1\r\n\r\n").into_bytes()
    };
    assert_eq!(refused(&with_target(LONGEST_TARGET), LIMITS), Ok(true));
    assert_eq!(
        refused(&with_target(LONGEST_TARGET + 1), LIMITS),
        Err(StatusCode::URI_TOO_LONG)
    );
    assert_eq!(refused(b"?\r\n\r\n", LIMITS), Err(StatusCode::BAD_REQUEST));
}

/// A request, the fields of which a caller may well send, now and then damaged.
fn request() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        Just("GET /TEL/?a=1 HTTP/1.1"),
        Just("POST / HTTP/1.0"),
        Just("OPTIONS * HTTP/1.1"),
        Just("HEAD http://a/b HTTP/1.1"),
    ];
    let field = prop_oneof![
        "[Xx]-[a-z]{1,3}: {0,2}[ -~é]{0,20}",
        Just("Host: a".to_owned()),
        "Content-Length: [05x]{1,2}",
        "Transfer-Encoding: (gzip, ?)?chunked",
        "Connection: (close|keep-alive|x)",
        Just("Expect: 100-continue".to_owned()),
    ];
    let damage = (any::<prop::sample::Index>(), 0u8..3, any::<u8>());
    let parts = (
        line,
        proptest::collection::vec(field, 0..6),
        proptest::collection::vec(damage, 0..3),
    );
    parts.prop_map(|(line, fields, damage)| {
        let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
        let mut text = format!("{line}\r\n{fields}\r\nbody").into_bytes();
        for (place, how, byte) in damage {
            let place = place.index(text.len());
            match how {
                0 => text[place] = byte,
                1 => text.insert(place, byte),
                _ => drop(text.remove(place)),
            }
        }
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// A message cut anywhere is none yet, or is already refused as it will be
    /// when it is whole.
    #[test]
    fn a_request_is_read_alike_in_whatever_pieces_it_comes(text in request()) {
        let shown = |input: &[u8]| read(input).map(|found| found.map(|found| {
            (format!("{found:?}"), found.0.head.fields, found.1)
        }));
        let whole = shown(&text);
        let length = match &whole {
            Ok(Some((.., length))) => *length,
            Ok(None) | Err(_) => text.len(),
        };
        for cut in 0..text.len() {
            let part = shown(&text[..cut]);
            if cut >= length || part.is_err() {
                prop_assert_eq!(part, whole.clone(), "{}", cut);
            } else {
                prop_assert_eq!(part, Ok(None), "{}", cut);
            }
        }
    }
}
