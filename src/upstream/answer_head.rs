//! The head of an answer on the wire, read. Pure: bytes in, values out. Strict where
//! leniency has let answers be smuggled: an answer that two readers could take apart
//! differently is refused.

use std::mem::MaybeUninit;

use bytes::{Buf, BytesMut};
use http::{StatusCode, Version};

use crate::http1::{self, FIELDS_AT_HAND, Fields, Framing, Options, ResponseHead, SpareFields};

/// Most bytes of an answer's head.
pub(super) const LONGEST_HEAD: usize = 64 * 1024;

/// An answer's head.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) head: ResponseHead,
    pub(super) framing: Framing,
    /// The connection can carry another request after this answer.
    pub(super) reusable: bool,
}

/// Why an answer's head is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHead {
    /// It does not follow the grammar of RFC 9112.
    #[error("it does not follow the grammar of HTTP/1")]
    Syntax,
    /// It is larger than the proxy reads, or has too many fields.
    #[error("its head is too large")]
    TooLarge,
    /// `Content-Length` is no number, or there are several that differ.
    #[error("its Content-Length is no number or contradicts itself")]
    ContentLength,
    /// A transfer coding other than chunked, or in an HTTP/1.0 answer.
    #[error("its Transfer-Encoding is not chunked alone")]
    TransferEncoding,
}

/// Whether what has been read so far can still become an answer.
pub(super) fn begins_like_an_answer(input: &[u8]) -> bool {
    let start = b"HTTP/1.";
    let length = input.len().min(start.len());
    input[..length] == start[..length]
}

/// Reads a head from the front of `input` and takes it off; `None` while it is
/// not complete. `to_head` tells that the request was HEAD. A `Connection` field
/// that says no more than whether the connection stays open is not among the
/// fields, nor is `Transfer-Encoding`.
///
/// # Errors
/// See [`InvalidHead`].
pub(super) fn read_answer(
    input: &mut BytesMut,
    to_head: bool,
    spare: &SpareFields,
) -> Result<Option<Head>, InvalidHead> {
    let mut slots = [const { MaybeUninit::uninit() }; FIELDS_AT_HAND];
    let mut parsed = httparse::Response::new(&mut []);
    let parsing = httparse::ParserConfig::default().parse_response_with_uninit_headers(
        &mut parsed,
        input,
        &mut slots,
    );
    let length = match parsing {
        Ok(httparse::Status::Complete(length)) if length > LONGEST_HEAD => {
            return Err(InvalidHead::TooLarge);
        }
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(InvalidHead::TooLarge),
        Err(_) => return Err(InvalidHead::Syntax),
    };
    let status = parsed
        .code
        // RFC 9110 §15: there is no sixth class.
        .filter(|code| *code < 600)
        .and_then(|code| StatusCode::from_u16(code).ok())
        .ok_or(InvalidHead::Syntax)?;
    let version = if parsed.version == Some(1) {
        Version::HTTP_11
    } else {
        Version::HTTP_10
    };
    let mut fields = spare.take();
    fields.read(&input[..length], parsed.headers);
    input.advance(length);
    let said = Said::by(&mut fields)?;
    said.framed(status, version, to_head, fields).map(Some)
}

/// What an answer's fields say about its body and its connection.
#[derive(Default)]
struct Said {
    delimited: Delimited,
    close: bool,
}

impl Said {
    /// Looks the fields over, and takes out those that concern this connection only.
    fn by(fields: &mut Fields) -> Result<Self, InvalidHead> {
        let mut said = Self::default();
        let mut goes = false;
        for (name, value) in fields.iter() {
            match name.len() {
                10 if name == b"connection" => {
                    let options = Options::of(value);
                    said.close |= options.close;
                    goes |= !options.more;
                }
                14 if name == b"content-length" => {
                    goes |= !said.delimited.by_length(value)?;
                }
                17 if name == b"transfer-encoding" => {
                    said.delimited.by_coding(value)?;
                    goes = true;
                }
                _ => {}
            }
        }
        let both = said.delimited.chunked && said.delimited.length.is_some();
        if goes || both {
            let mut length_stays = !both;
            fields.retain(|name, value| match name {
                b"connection" => Options::of(value).more,
                // A repeated equal one is dropped, and one beside a coding.
                b"content-length" => std::mem::take(&mut length_stays),
                name => name != b"transfer-encoding",
            });
        }
        Ok(said)
    }

    fn framed(
        self,
        status: StatusCode,
        version: Version,
        to_head: bool,
        fields: Fields,
    ) -> Result<Head, InvalidHead> {
        let is_http_10 = version == Version::HTTP_10;
        let mut reusable = !is_http_10 && !self.close;
        let has_no_body = to_head
            || status.is_informational()
            || status == StatusCode::NO_CONTENT
            || status == StatusCode::NOT_MODIFIED;
        // A 204 has no body. One that is announced all the same may come, and would be
        // taken for the next answer.
        reusable &= status != StatusCode::NO_CONTENT || self.delimited.announces_nothing();
        let framing = match self.delimited {
            Delimited { chunked: true, .. } if is_http_10 => {
                return Err(InvalidHead::TransferEncoding);
            }
            Delimited {
                chunked: true,
                length,
            } => {
                // Both at once is how answers are smuggled: the coding wins, the
                // length goes, the connection ends (RFC 9112 §6.3).
                reusable &= length.is_none();
                if has_no_body {
                    Framing::None
                } else {
                    Framing::Chunked
                }
            }
            Delimited { .. } if has_no_body => Framing::None,
            Delimited {
                length: Some(0), ..
            } => Framing::None,
            Delimited {
                length: Some(length),
                ..
            } => Framing::Length(length),
            Delimited { length: None, .. } => {
                reusable = false;
                Framing::Close
            }
        };
        let head = ResponseHead {
            status,
            version,
            fields,
        };
        Ok(Head {
            head,
            framing,
            reusable,
        })
    }
}

/// What an answer says about its length.
#[derive(Default)]
struct Delimited {
    length: Option<u64>,
    chunked: bool,
}

impl Delimited {
    fn announces_nothing(&self) -> bool {
        !self.chunked && matches!(self.length, None | Some(0))
    }

    /// Whether the field is the first of its kind; a repeated equal one is dropped.
    fn by_length(&mut self, value: &[u8]) -> Result<bool, InvalidHead> {
        let length = http1::length(value).ok_or(InvalidHead::ContentLength)?;
        match self.length.replace(length) {
            None => Ok(true),
            Some(before) if before == length => Ok(false),
            Some(_) => Err(InvalidHead::ContentLength),
        }
    }

    fn by_coding(&mut self, value: &[u8]) -> Result<(), InvalidHead> {
        if self.chunked || !value.trim_ascii().eq_ignore_ascii_case(b"chunked") {
            return Err(InvalidHead::TransferEncoding);
        }
        self.chunked = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, to_head: bool) -> Result<Option<(u16, Framing, bool)>, InvalidHead> {
        let mut input = BytesMut::from(text);
        let head = read_answer(&mut input, to_head, &SpareFields::default())?;
        Ok(head.map(|head| (head.head.status.as_u16(), head.framing, head.reusable)))
    }

    #[test]
    fn an_answer_is_delimited_as_the_rfc_says_or_refused() {
        use Framing::{Chunked, Close, Length};
        for (text, expected) in [
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
                Ok(Some((200, Length(5), true))),
            ),
            (
                "HTTP/1.1 200\r\nContent-Length: 5\r\n\r\n",
                Ok(Some((200, Length(5), true))),
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
                Ok(Some((200, Framing::None, true))),
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n",
                Ok(Some((200, Chunked, true))),
            ),
            ("HTTP/1.1 200 OK\r\n\r\n", Ok(Some((200, Close, false)))),
            (
                "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n",
                Ok(Some((200, Length(5), false))),
            ),
            (
                "HTTP/1.1 204 No Content\r\n\r\n",
                Ok(Some((204, Framing::None, true))),
            ),
            (
                "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
                Ok(Some((204, Framing::None, true))),
            ),
            (
                "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
                Ok(Some((204, Framing::None, false))),
            ),
            (
                "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
                Ok(Some((204, Framing::None, false))),
            ),
            (
                "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
                Ok(Some((304, Framing::None, true))),
            ),
            (
                "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n",
                Ok(Some((304, Framing::None, true))),
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: x, Close\r\n\r\n",
                Ok(Some((200, Length(5), false))),
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
                Ok(Some((200, Length(5), true))),
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
                Ok(Some((200, Chunked, false))),
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
                Err(InvalidHead::ContentLength),
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n",
                Err(InvalidHead::ContentLength),
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n",
                Err(InvalidHead::ContentLength),
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
                Err(InvalidHead::ContentLength),
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
                Err(InvalidHead::ContentLength),
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
                Err(InvalidHead::ContentLength),
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
                Err(InvalidHead::TransferEncoding),
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
                Err(InvalidHead::TransferEncoding),
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n",
                Err(InvalidHead::TransferEncoding),
            ),
            (
                "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                Err(InvalidHead::TransferEncoding),
            ),
            (
                "HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n",
                Err(InvalidHead::Syntax),
            ),
            (
                "HTTP/1.1 200 OK\r\nName : x\r\n\r\n",
                Err(InvalidHead::Syntax),
            ),
            (
                "HTTP/1.1 200 OK\r\nA: x\r\n folded\r\n\r\n",
                Err(InvalidHead::Syntax),
            ),
            (
                "HTTP/1.1 200 OK\r\nA: x\0y\r\n\r\n",
                Err(InvalidHead::Syntax),
            ),
            ("HTTP/1.1 20 OK\r\n\r\n", Err(InvalidHead::Syntax)),
            ("HTTP/1.1 600 OK\r\n\r\n", Err(InvalidHead::Syntax)),
            ("HTTP/2.0 200 OK\r\n\r\n", Err(InvalidHead::Syntax)),
            ("HTTP/1.1 200 OK\r\nContent-Le", Ok(None)),
        ] {
            assert_eq!(read(text, false), expected, "{text:?}");
        }
        assert_eq!(
            read("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true),
            Ok(Some((200, Framing::None, true)))
        );
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(101));
        assert_eq!(read(&many, false), Err(InvalidHead::TooLarge));
    }

    #[test]
    fn values_are_the_bytes_received_and_the_rest_stays() {
        let mut input = BytesMut::from(&b"HTTP/1.1 200 OK\r\nX-Empty:\r\nX-Latin:  caf\xe9 \r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\r\nbody"[..]);
        let head = read_answer(&mut input, false, &SpareFields::default())
            .unwrap()
            .unwrap();
        let fields = head.head.fields;
        assert_eq!(fields.get("x-latin"), Some(&b"caf\xe9"[..]));
        assert_eq!(fields.get("x-empty"), Some(&b""[..]));
        assert_eq!(fields.get_all("set-cookie").count(), 2);
        assert_eq!(&input[..], b"body");
    }

    #[test]
    fn what_is_no_answer_is_seen_at_its_first_bytes() {
        for (input, expected) in [
            ("", true),
            ("HT", true),
            ("HTTP/1.1 2", true),
            ("<html>", false),
            ("HTTP/2", false),
        ] {
            assert_eq!(begins_like_an_answer(input.as_bytes()), expected, "{input}");
        }
    }
}
