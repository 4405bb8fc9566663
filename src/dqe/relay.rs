//! The relay dialect of DQE's address plugin. A page whose plugin is given the
//! address of a server page posts the DQE URL it wants to that page and gets
//! DQE's answer back: as a form with the field `url`, or, when the address has
//! `.asmx` in it, as the JSON `{"url": …}`, whose answer is `{"d": …}` as
//! ASP.NET writes it. Pure: bytes in, bytes out; which URLs are allowed is not
//! decided here.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use percent_encoding::percent_decode;
use serde::Deserialize;

/// Whether the plugin speaks JSON to a relay at `path`, and takes the document
/// out of the member `d` of the answer.
#[must_use]
pub fn is_json_path(path: &str) -> bool {
    const MARK: &[u8] = b".asmx";
    let mut windows = path.as_bytes().windows(MARK.len());
    windows.any(|window| window.eq_ignore_ascii_case(MARK))
}

/// Why a body names no URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBody {
    /// It has a content coding, so that nobody here can read it.
    #[error("it has a content coding")]
    Coded,
    /// It is of another media type.
    #[error("it is neither a form nor JSON")]
    MediaType,
    /// A form without the field `url`, or with an empty one.
    #[error("the form has no field \"url\" with a value")]
    NoField,
    /// A form with several.
    #[error("the form has more than one field \"url\"")]
    SeveralFields,
    /// No JSON object whose member `url` is one text.
    #[error("it is no JSON object with one text as its \"url\"")]
    NoMember,
}

/// The URL in the body of a relayed call, whose `Content-Type` is
/// `media_type`, empty when there is none. A form is decoded once, so that
/// what the page has encoded for DQE stays encoded; its other fields mean
/// nothing. A body of no type, or of plain text, is what it looks like.
///
/// # Errors
/// See [`InvalidBody`].
pub fn url<'a>(media_type: &[u8], body: &'a [u8]) -> Result<Cow<'a, [u8]>, InvalidBody> {
    let end = media_type.iter().position(|byte| *byte == b';');
    let essence = media_type[..end.unwrap_or(media_type.len())].trim_ascii();
    let is = |name: &[u8]| essence.eq_ignore_ascii_case(name);
    if is(b"application/x-www-form-urlencoded") {
        of_form(body)
    } else if is(b"application/json") {
        of_json(body)
    } else if !essence.is_empty() && !is(b"text/plain") {
        Err(InvalidBody::MediaType)
    } else if looks_like_json(body) {
        of_json(body)
    } else {
        of_form(body)
    }
}

fn looks_like_json(body: &[u8]) -> bool {
    body.trim_ascii_start().starts_with(b"{")
}

fn of_form(form: &[u8]) -> Result<Cow<'_, [u8]>, InvalidBody> {
    let mut values = form
        .split(|byte| *byte == b'&')
        .filter_map(|field| {
            let end = field.iter().position(|byte| *byte == b'=')?;
            Some((&field[..end], &field[end + 1..]))
        })
        .filter(|(name, _)| *decoded(name) == *b"url")
        .map(|(_, value)| decoded(value));
    match (values.next(), values.next()) {
        (Some(value), None) if !value.is_empty() => Ok(value),
        (Some(_), Some(_)) => Err(InvalidBody::SeveralFields),
        (Some(_) | None, None) | (None, Some(_)) => Err(InvalidBody::NoField),
    }
}

/// A name or value of a form, as the URL standard decodes it.
fn decoded(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'+') {
        return percent_decode(text).into();
    }
    let spaced: Vec<u8> = text
        .iter()
        .map(|byte| if *byte == b'+' { b' ' } else { *byte })
        .collect();
    Cow::Owned(percent_decode(&spaced).collect())
}

#[derive(Deserialize)]
struct Wanted {
    url: String,
}

fn of_json(body: &[u8]) -> Result<Cow<'_, [u8]>, InvalidBody> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    if !looks_like_json(body) {
        return Err(InvalidBody::NoMember);
    }
    match serde_json::from_slice::<Wanted>(body) {
        Ok(wanted) if !wanted.url.is_empty() => Ok(Cow::Owned(wanted.url.into_bytes())),
        Ok(_) | Err(_) => Err(InvalidBody::NoMember),
    }
}

/// Writes an answer as `{"d":"…"}`, piece by piece: the plugin parses what `d`
/// holds, so the document goes into it as text. Bytes outside of ASCII pass,
/// so a piece may end within a letter.
#[derive(Debug, Default)]
pub struct Wrapper {
    has_begun: bool,
    has_ended: bool,
}

impl Wrapper {
    /// Whether all has been written.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// The next piece; with what closes the document when it `is_last`. At
    /// most six times as long as it was, and a few bytes.
    pub fn wrap(&mut self, piece: &[u8], is_last: bool) -> Bytes {
        let mut written = BytesMut::with_capacity(piece.len() + piece.len() / 4 + 16);
        if !std::mem::replace(&mut self.has_begun, true) {
            written.extend_from_slice(br#"{"d":""#);
        }
        let mut rest = piece;
        while let Some(at) = rest.iter().position(|byte| is_escaped(*byte)) {
            written.extend_from_slice(&rest[..at]);
            escape(rest[at], &mut written);
            rest = &rest[at + 1..];
        }
        written.extend_from_slice(rest);
        if is_last {
            self.has_ended = true;
            written.extend_from_slice(br#""}"#);
        }
        written.freeze()
    }
}

/// RFC 8259 §7.
fn is_escaped(byte: u8) -> bool {
    byte < 0x20 || matches!(byte, b'"' | b'\\')
}

fn escape(byte: u8, written: &mut BytesMut) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    match byte {
        b'"' | b'\\' => written.extend_from_slice(&[b'\\', byte]),
        b'\n' => written.extend_from_slice(b"\\n"),
        b'\r' => written.extend_from_slice(b"\\r"),
        b'\t' => written.extend_from_slice(b"\\t"),
        other => {
            let (high, low) = (usize::from(other >> 4), usize::from(other & 15));
            written.extend_from_slice(b"\\u00");
            written.extend_from_slice(&[DIGITS[high], DIGITS[low]]);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FORM: &str = "application/x-www-form-urlencoded; charset=UTF-8";
    const JSON: &str = "application/json; charset=utf-8";

    #[test]
    fn a_url_is_found_once_decoded_in_a_form_and_in_json() {
        let found = |url: &str| Ok(url.to_owned());
        for (media_type, body, expected) in [
            (
                FORM,
                "url=RNVP%2F%3FAdresse%3D%257C5%2520rue%26Licence%3D",
                found("RNVP/?Adresse=%7C5%20rue&Licence="),
            ),
            (
                FORM,
                "x=1&url=DQEEMAILLOOKUP/?Email=a%252540b.fr&y",
                found("DQEEMAILLOOKUP/?Email=a%2540b.fr"),
            ),
            (FORM, "u%72l=TEL/?Tel=%2B33+6", found("TEL/?Tel=+33 6")),
            (FORM, "url=a%zz%4", found("a%zz%4")),
            ("", "url=TEL/", found("TEL/")),
            ("text/plain", "url=TEL/", found("TEL/")),
            ("", r#" {"url":"TEL/"}"#, found("TEL/")),
            (
                JSON,
                "\u{feff}{\"url\":\"RNVP/?Adresse=%7C\\u00e9\\/\",\"x\":[1]}",
                found("RNVP/?Adresse=%7Cé/"),
            ),
            (FORM, "", Err(InvalidBody::NoField)),
            (FORM, "url", Err(InvalidBody::NoField)),
            (FORM, "url=", Err(InvalidBody::NoField)),
            (FORM, "Url=TEL/", Err(InvalidBody::NoField)),
            (FORM, "url=&url=", Err(InvalidBody::SeveralFields)),
            (FORM, "url=a&x=1&%75rl=b", Err(InvalidBody::SeveralFields)),
            (FORM, r#"{"url":"TEL/"}"#, Err(InvalidBody::NoField)),
            (JSON, "url=TEL/", Err(InvalidBody::NoMember)),
            (JSON, "", Err(InvalidBody::NoMember)),
            (JSON, r#"{"url":""}"#, Err(InvalidBody::NoMember)),
            (JSON, r#"{"url":["TEL/"]}"#, Err(InvalidBody::NoMember)),
            (JSON, r#"{"url":"a","url":"b"}"#, Err(InvalidBody::NoMember)),
            (JSON, r#"["TEL/"]"#, Err(InvalidBody::NoMember)),
            (JSON, r#"{"url":"TEL/"} x"#, Err(InvalidBody::NoMember)),
            ("multipart/form-data", "url=a", Err(InvalidBody::MediaType)),
            ("text/xml", "<url/>", Err(InvalidBody::MediaType)),
        ] {
            let read = url(media_type.as_bytes(), body.as_bytes());
            let read = read.map(|url| String::from_utf8(url.into_owned()).unwrap());
            assert_eq!(read, expected, "{media_type} {body}");
        }
    }

    #[test]
    fn a_relay_page_of_net_is_told_by_its_path() {
        for (path, expected) in [
            ("/dqe.asmx/Call", true),
            ("/DQE.ASMX", true),
            ("/dqe.php", false),
            ("/asmx", false),
            ("", false),
        ] {
            assert_eq!(is_json_path(path), expected, "{path}");
        }
    }

    fn wrapped(pieces: &[&[u8]]) -> Vec<u8> {
        let mut wrapper = Wrapper::default();
        let mut written = Vec::new();
        for piece in pieces {
            written.extend_from_slice(&wrapper.wrap(piece, false));
        }
        assert!(!wrapper.has_ended());
        written.extend_from_slice(&wrapper.wrap(b"", true));
        assert!(wrapper.has_ended());
        written
    }

    #[test]
    fn the_document_goes_into_d_as_text() {
        assert_eq!(
            wrapped(&[br#"{"1":{"Voie":"RUE \"X\""}}"#, b"\n\t\x01"]),
            br#"{"d":"{\"1\":{\"Voie\":\"RUE \\\"X\\\"\"}}\n\t\u0001"}"#
        );
        assert_eq!(wrapped(&[]), br#"{"d":""}"#);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_read_out_of_d_is_what_went_in_wherever_the_pieces_end(
            text in any::<String>(),
            borders in proptest::collection::vec(0_usize..200, 0..6),
        ) {
            let bytes = text.as_bytes();
            let mut borders: Vec<usize> =
                borders.into_iter().map(|at| at.min(bytes.len())).collect();
            borders.extend([0, bytes.len()]);
            borders.sort_unstable();
            let pieces: Vec<&[u8]> =
                borders.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            let written: serde_json::Value = serde_json::from_slice(&wrapped(&pieces)).unwrap();
            prop_assert_eq!(written, serde_json::json!({"d": text}));
        }

        #[test]
        fn a_url_that_jquery_has_posted_comes_out_as_it_was(text in "[ -~é€]{1,60}") {
            let encoded = percent_encoding::utf8_percent_encode(
                &text,
                percent_encoding::NON_ALPHANUMERIC,
            );
            // jQuery writes a space as a plus sign.
            let body = format!("url={}", encoded.to_string().replace("%20", "+"));
            prop_assert_eq!(&*url(FORM.as_bytes(), body.as_bytes()).unwrap(), text.as_bytes());
            let body = serde_json::json!({"url": text}).to_string();
            prop_assert_eq!(&*url(JSON.as_bytes(), body.as_bytes()).unwrap(), text.as_bytes());
        }
    }
}
