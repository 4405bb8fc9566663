//! An answer is read alike in whatever pieces it comes, its end is where the
//! RFC says, and chunks are what a second reader finds.
#![no_main]

use bytes::BytesMut;
use dqe_proxy::upstream::hot_parts::{AnswerHead, BodyEnd, NotChunked, Unchunked, take_head};
use dqe_proxy_fuzz::pieces;
use http::StatusCode;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let [choice, seed, wire @ ..] = data else {
        return;
    };
    let to_head = choice & 1 == 1;
    let whole = read(&[wire], to_head);
    let cut = pieces(wire, *seed);
    assert_eq!(read(&cut, to_head), whole, "pieces: {cut:?}");
    if let Some((head, body)) = &whole {
        let (length, rest) = raw_head(wire);
        check_end(head, length, to_head);
        if head.end == BodyEnd::Chunks {
            assert_eq!(body, &reference(rest));
        }
    }
    // Chunks without a head before them get the fuzzer there sooner.
    let body = unchunked(&[wire]);
    assert_eq!(unchunked(&cut), body, "pieces: {cut:?}");
    assert_eq!(body, reference(wire));
});

/// The decoded body so far, and what follows the end if that has come.
#[derive(Debug, PartialEq, Eq)]
struct Body {
    data: Vec<u8>,
    end: Result<Option<Vec<u8>>, NotChunked>,
}

/// The head, and the body when it is in chunks; `None` when there is no valid head.
fn read(pieces: &[&[u8]], to_head: bool) -> Option<(AnswerHead, Body)> {
    let mut input = BytesMut::new();
    for (index, piece) in pieces.iter().enumerate() {
        input.extend_from_slice(piece);
        if input.is_empty() {
            continue;
        }
        if let Some(head) = take_head(&mut input, to_head).ok()? {
            let mut rest = vec![&input[..]];
            rest.extend(&pieces[index + 1..]);
            let body = if head.end == BodyEnd::Chunks {
                unchunked(&rest)
            } else {
                let end = Ok(Some(rest.concat()));
                Body {
                    data: Vec::new(),
                    end,
                }
            };
            return Some((head, body));
        }
    }
    None
}

fn unchunked(pieces: &[&[u8]]) -> Body {
    let mut coding = Unchunked::default();
    let mut input = BytesMut::new();
    let mut data = Vec::new();
    let mut pieces = pieces.iter();
    let end = loop {
        match coding.step(&mut input) {
            Ok(Some(piece)) if piece.is_empty() => {
                let mut rest = input.to_vec();
                pieces.for_each(|piece| rest.extend_from_slice(piece));
                break Ok(Some(rest));
            }
            Ok(Some(piece)) => data.extend_from_slice(&piece),
            Ok(None) => match pieces.next() {
                Some(piece) => input.extend_from_slice(piece),
                None => break Ok(None),
            },
            Err(error) => break Err(error),
        }
    };
    Body { data, end }
}

/// What each field line of a head says, by eye.
struct RawHead {
    lengths: Vec<Vec<u8>>,
    is_coded: bool,
    says_close: bool,
    is_http_10: bool,
}

/// What the head says, and the bytes behind it.
fn raw_head(wire: &[u8]) -> (RawHead, &[u8]) {
    let mut head = RawHead {
        lengths: Vec::new(),
        is_coded: false,
        says_close: false,
        is_http_10: wire.starts_with(b"HTTP/1.0"),
    };
    let mut rest = wire;
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
        rest = &rest[end + 1..];
        if line.is_empty() {
            break;
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let value = line[colon + 1..].trim_ascii();
        match &line[..colon].to_ascii_lowercase()[..] {
            b"content-length" => head.lengths.push(value.to_vec()),
            b"transfer-encoding" => head.is_coded = true,
            b"connection" => {
                let mut options = value.split(|byte| *byte == b',');
                head.says_close |=
                    options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"));
            }
            _ => {}
        }
    }
    (head, rest)
}

/// RFC 9112 §6.3, and that no answer leaves its end in doubt.
fn check_end(head: &AnswerHead, raw: RawHead, to_head: bool) {
    let left = head.fields.get_all("content-length").count();
    assert!(!head.fields.contains("transfer-encoding"));
    assert!(left <= 1);
    assert!(!(raw.is_http_10 && raw.is_coded));
    let lengths: Vec<u64> = raw
        .lengths
        .iter()
        .map(|text| String::from_utf8(text.clone()).unwrap().parse().unwrap())
        .collect();
    assert!(lengths.windows(2).all(|pair| pair[0] == pair[1]));
    let has_no_body = to_head
        || head.status.is_informational()
        || head.status == StatusCode::NO_CONTENT
        || head.status == StatusCode::NOT_MODIFIED;
    let expected = match lengths.first() {
        _ if has_no_body => BodyEnd::Head,
        _ if raw.is_coded => BodyEnd::Chunks,
        Some(0) => BodyEnd::Head,
        Some(length) => BodyEnd::Length(*length),
        None => BodyEnd::Close,
    };
    assert_eq!(head.end, expected);
    if raw.is_coded {
        assert_eq!(left, 0, "a length beside a coding");
    }
    if raw.is_http_10 || raw.says_close || (raw.is_coded && !lengths.is_empty()) {
        assert!(!head.reusable);
    }
    if head.end == BodyEnd::Close {
        assert!(!head.reusable);
    }
}

/// A second reader of RFC 9112 §7.1, over the whole text at once. As strict as
/// the first: a line ends with CRLF and holds no other CR or LF, a size has no
/// more than 15 digits, a size line and the trailers no more than 4096 bytes, all
/// extensions no more than 16 KiB, and a trailer is a field.
fn reference(coded: &[u8]) -> Body {
    let (mut data, mut rest, mut extensions) = (Vec::new(), coded, 0);
    let end = loop {
        let Some((line, after)) = (match line(rest, 4096) {
            Ok(found) => found,
            Err(error) => break Err(error),
        }) else {
            break Ok(None);
        };
        let digits = line
            .iter()
            .take_while(|byte| byte.is_ascii_hexdigit())
            .count();
        let blank = line[digits..]
            .iter()
            .take_while(|byte| matches!(byte, b' ' | b'\t'))
            .count();
        let is_size = matches!(line.get(digits + blank), None | Some(b';'));
        if digits == 0 || digits > 15 || !is_size {
            break Err(NotChunked);
        }
        extensions += line.len() - digits;
        if extensions > 16 * 1024 {
            break Err(NotChunked);
        }
        let size = line[..digits].iter().fold(0_usize, |size, digit| {
            size * 16 + char::from(*digit).to_digit(16).unwrap() as usize
        });
        rest = after;
        if size == 0 {
            break trailers(rest);
        }
        let here = size.min(rest.len());
        data.extend_from_slice(&rest[..here]);
        rest = &rest[here..];
        match rest {
            _ if here < size => break Ok(None),
            [] | [b'\r'] => break Ok(None),
            [b'\r', b'\n', after @ ..] => rest = after,
            _ => break Err(NotChunked),
        }
    };
    Body { data, end }
}

fn trailers(mut rest: &[u8]) -> Result<Option<Vec<u8>>, NotChunked> {
    let mut left = 4096_usize;
    loop {
        match line(rest, left)? {
            None => return Ok(None),
            Some(([], after)) => return Ok(Some(after.to_vec())),
            Some((line, after)) => {
                if !is_field(line) {
                    return Err(NotChunked);
                }
                left = left.saturating_sub(line.len() + 2);
                rest = after;
            }
        }
    }
}

/// RFC 9112 §5: a token, a colon, and nothing that is no character.
fn is_field(line: &[u8]) -> bool {
    let Some(colon) = line.iter().position(|byte| *byte == b':') else {
        return false;
    };
    let (name, value) = line.split_at(colon);
    let is_separator = |byte: &u8| br#"(),/:;<=>?@[\]{}""#.contains(byte);
    let is_token = |byte: &u8| byte.is_ascii_graphic() && !is_separator(byte);
    let is_character = |byte: &u8| matches!(byte, b'\t' | b' '..=b'~' | 0x80..);
    !name.is_empty() && name.iter().all(is_token) && value.iter().all(is_character)
}

type Line<'a> = Option<(&'a [u8], &'a [u8])>;

/// The line in front and what follows it.
fn line(text: &[u8], longest: usize) -> Result<Line<'_>, NotChunked> {
    match text.iter().position(|byte| *byte == b'\n') {
        Some(0) => Err(NotChunked),
        Some(end) if end > longest + 1 => Err(NotChunked),
        Some(end) => match &text[..end] {
            [line @ .., b'\r'] if !line.contains(&b'\r') => Ok(Some((line, &text[end + 1..]))),
            _ => Err(NotChunked),
        },
        None if text.len() > longest + 1 => Err(NotChunked),
        None => Ok(None),
    }
}
