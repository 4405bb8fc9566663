//! A request is read alike in whatever pieces it comes, every part of it is the
//! bytes that came, and its body ends where a second reader of the RFC finds it.
#![no_main]

use std::iter::once;

use dqe_proxy::http1::{Framing, SpareFields};
use dqe_proxy::server::hot_parts::{Received, read_request};
use dqe_proxy_fuzz::pieces;
use http::{StatusCode, Uri, Version};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let [seed, wire @ ..] = data else {
        return;
    };
    let spare = SpareFields::default();
    let whole = read_request(wire, &spare);
    let raw = RawHead::of(wire);
    match &whole {
        Ok(Some((received, length))) => {
            let raw = raw.expect("there is no request without its lines");
            assert_eq!(*length, raw.length);
            check_parts(received, &raw);
            check_body(received, &raw);
            check_connection(received, &raw);
            // The memory of one request serves the next.
            spare.put(received.head.fields.clone());
        }
        Ok(None) => assert!(raw.is_none(), "a whole head is waited for"),
        Err(status) => {
            assert!(matches!(
                *status,
                StatusCode::BAD_REQUEST
                    | StatusCode::URI_TOO_LONG
                    | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            ));
            let is_plain = raw.is_some_and(|raw| raw.is_plain());
            assert!(!is_plain, "refused with {status} for nothing");
        }
    }
    let mut come = 0;
    let ends = pieces(wire, *seed).into_iter().map(|piece| {
        come += piece.len();
        come
    });
    let mut reads = ends.map(|end| read_request(&wire[..end], &spare));
    let first = reads.find(|read| !matches!(read, Ok(None)));
    assert_eq!(shown(first.unwrap_or(Ok(None))), shown(whole));
});

/// All there is of what was read.
fn shown(read: Result<Option<(Received, usize)>, StatusCode>) -> impl PartialEq + std::fmt::Debug {
    read.map(|found| {
        found.map(|(received, length)| {
            let fields = received.head.fields.iter();
            let fields: Vec<_> = fields
                .map(|(name, value)| (name.to_vec(), value.to_vec()))
                .collect();
            (format!("{received:?}"), fields, length)
        })
    })
}

/// The lines of a head, by eye.
struct RawHead<'a> {
    method: &'a [u8],
    target: &'a [u8],
    version: &'a [u8],
    /// Names in lower case, values without the blanks around them.
    fields: Vec<(Vec<u8>, &'a [u8])>,
    /// Up to the end of the empty line.
    length: usize,
    /// Every line ends with CRLF, and each field has a colon.
    is_strict: bool,
}

impl<'a> RawHead<'a> {
    /// `None` while there is no empty line behind another.
    fn of(wire: &'a [u8]) -> Option<Self> {
        let mut rest = wire;
        while let [b'\n', after @ ..] | [b'\r', b'\n', after @ ..] = rest {
            rest = after;
        }
        let mut is_strict = rest.len() == wire.len();
        let mut lines = Vec::new();
        loop {
            let end = rest.iter().position(|byte| *byte == b'\n')?;
            let line = match &rest[..end] {
                [line @ .., b'\r'] => line,
                line => {
                    is_strict = false;
                    line
                }
            };
            rest = &rest[end + 1..];
            if line.is_empty() {
                break;
            }
            lines.push(line);
        }
        let (first, fields) = lines.split_first()?;
        let mut parts = first.splitn(3, |byte| *byte == b' ');
        let mut part = || parts.next().unwrap_or_default();
        is_strict &= fields.iter().all(|line| line.contains(&b':'));
        let fields = fields.iter().map(|line| {
            let colon = line.iter().position(|byte| *byte == b':');
            let (name, value) = line.split_at(colon.unwrap_or(line.len()));
            (
                name.to_ascii_lowercase(),
                blanks_off(value.get(1..).unwrap_or_default()),
            )
        });
        Some(Self {
            method: part(),
            target: part(),
            version: part(),
            fields: fields.collect(),
            length: wire.len() - rest.len(),
            is_strict,
        })
    }

    fn values<'b>(&'b self, name: &'b str) -> impl Iterator<Item = &'a [u8]> + 'b {
        let of_it = move |(known, _): &&(Vec<u8>, _)| known == name.as_bytes();
        self.fields.iter().filter(of_it).map(|(_, value)| *value)
    }

    /// The elements of the lists in all fields of this name (RFC 9110 §5.6.1).
    fn elements(&self, name: &str) -> Vec<Vec<u8>> {
        let lists = self.values(name);
        lists
            .flat_map(|list| list.split(|byte| *byte == b','))
            .map(|element| blanks_off(element).to_ascii_lowercase())
            .collect()
    }

    /// Every length that is given, if each is a number that fits.
    fn lengths(&self) -> Option<Vec<u64>> {
        let number = |value: &[u8]| {
            let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
            is_number.then(|| str::from_utf8(value).ok()?.parse().ok())?
        };
        self.values("content-length").map(number).collect()
    }

    /// RFC 9112 §6.3 for requests; `None` where the length cannot be known. As
    /// strict as the first reader: lengths that are none, or that differ, are
    /// refused beside a coding as well.
    fn framing(&self) -> Option<Framing> {
        let lengths = self.lengths()?;
        if lengths.windows(2).any(|pair| pair[0] != pair[1]) {
            return None;
        }
        if let Some(last) = self.elements("transfer-encoding").last() {
            let is_known = last == b"chunked" && self.version == b"HTTP/1.1";
            return is_known.then_some(Framing::Chunked);
        }
        match lengths.first() {
            None | Some(0) => Some(Framing::None),
            Some(length) => Some(Framing::Length(*length)),
        }
    }

    /// Nobody could refuse it: the usual letters where they belong, in small number.
    fn is_plain(&self) -> bool {
        let is_of_target = |byte: &u8| byte.is_ascii_alphanumeric() || b"/?&=%.-_~".contains(byte);
        let is_of_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_".contains(byte);
        let is_of_value = |byte: &u8| matches!(byte, b' '..=b'~' | b'\t' | 0x80..);
        let is_field = |(name, value): &(Vec<u8>, &[u8])| {
            !name.is_empty() && name.iter().all(is_of_name) && value.iter().all(is_of_value)
        };
        self.is_strict
            && !self.method.is_empty()
            && self.method.iter().all(u8::is_ascii_uppercase)
            && self.target.starts_with(b"/")
            && self.target.iter().all(is_of_target)
            && matches!(self.version, b"HTTP/1.1" | b"HTTP/1.0")
            && self.fields.len() <= 100
            && self.length <= 8000
            && self.fields.iter().all(is_field)
            && self.framing().is_some()
    }
}

fn blanks_off(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// Method, target, version and fields are what came.
fn check_parts(received: &Received, raw: &RawHead<'_>) {
    let head = &received.head;
    assert_eq!(head.method.as_str().as_bytes(), raw.method);
    let version: &[u8] = match head.version {
        Version::HTTP_11 => b"HTTP/1.1",
        Version::HTTP_10 => b"HTTP/1.0",
        other => panic!("{other:?}"),
    };
    assert_eq!(version, raw.version);
    check_target(&head.uri, raw.target);
    let is_coded = raw.values("transfer-encoding").next().is_some();
    let mut lengths = 0;
    let expected = raw.fields.iter().filter(|(name, _)| {
        if name == b"content-length" {
            lengths += 1;
            return lengths == 1 && !is_coded;
        }
        true
    });
    let found = head.fields.iter();
    assert!(found.eq(expected.map(|(name, value)| (&name[..], *value))));
}

/// A target is the bytes that came, but for what is behind a `#`, the case of a
/// scheme, and the path that an absolute one need not have.
fn check_target(uri: &Uri, raw: &[u8]) {
    let raw = raw.split(|byte| *byte == b'#').next().unwrap();
    if raw.starts_with(b"/") || raw == b"*" {
        assert_eq!(uri.path_and_query().unwrap().as_str().as_bytes(), raw);
        assert!(uri.authority().is_none());
        return;
    }
    let authority = uri.authority().unwrap().as_str().as_bytes();
    let Some(scheme) = uri.scheme_str() else {
        assert_eq!(authority, raw);
        return;
    };
    let (said, rest) = raw.split_at(scheme.len());
    assert!(said.eq_ignore_ascii_case(scheme.as_bytes()));
    let path = rest.strip_prefix(b"://").unwrap();
    let path = path.strip_prefix(authority).unwrap();
    let shown = uri.path_and_query().unwrap().as_str().as_bytes();
    let with_root: Vec<u8> = once(b'/').chain(path.iter().copied()).collect();
    assert!(shown == path || shown == with_root);
}

/// The body ends where the RFC says, and the fields say the same.
fn check_body(received: &Received, raw: &RawHead<'_>) {
    assert_eq!(Some(received.framing), raw.framing());
    let fields = &received.head.fields;
    let mut lengths = fields.get_all("content-length");
    let length = lengths
        .next()
        .map(|text| str::from_utf8(text).unwrap().parse());
    assert!(lengths.next().is_none(), "two lengths");
    match received.framing {
        Framing::Chunked => assert!(length.is_none(), "a length and chunks"),
        Framing::Length(expected) => assert_eq!(length, Some(Ok(expected))),
        Framing::None => assert!(matches!(length, None | Some(Ok(0)))),
        Framing::Close => panic!("no request ends with its connection"),
    }
    if received.framing != Framing::Chunked {
        assert!(!fields.contains("transfer-encoding"));
    }
}

/// RFC 9112 §9.3, RFC 9110 §10.1.1; and no request follows one that says its
/// length twice over.
fn check_connection(received: &Received, raw: &RawHead<'_>) {
    let options = raw.elements("connection");
    let says = |option: &[u8]| options.iter().any(|one| one == option);
    let is_11 = raw.version == b"HTTP/1.1";
    let is_said_twice =
        received.framing == Framing::Chunked && raw.values("content-length").next().is_some();
    let is_kept = (is_11 || says(b"keep-alive")) && !says(b"close") && !is_said_twice;
    assert_eq!(received.is_kept, is_kept);
    let expects = raw.values("expect").last();
    let expects = expects.is_some_and(|value| value.eq_ignore_ascii_case(b"100-continue"));
    assert_eq!(received.expects, is_11 && expects);
}
