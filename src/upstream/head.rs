//! The heads of messages on the wire: a request's written, an answer's read.
//! Pure: bytes in, values out. Strict where leniency has let answers be
//! smuggled: an answer that two readers could take apart differently is refused.

use std::cell::RefCell;
use std::mem::MaybeUninit;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderName, HeaderValue, TRANSFER_ENCODING};
use http::{HeaderMap, Method, StatusCode};

/// Most bytes of an answer's head.
pub(super) const LONGEST_HEAD: usize = 64 * 1024;
/// Most fields of an answer.
const MOST_FIELDS: usize = 100;

/// How a body is delimited (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is none.
    None,
    /// So many bytes.
    Length(u64),
    /// Chunked transfer coding.
    Chunked,
    /// Until the connection ends; answers only.
    Close,
}

/// Appends a request head in origin-form, and tells how its body is to be
/// framed. `fields` hold at most one `Content-Length`, of digits only.
pub(super) fn write_request<'a>(
    out: &mut BytesMut,
    method: &Method,
    target: &[u8],
    host: &HeaderValue,
    fields: impl Iterator<Item = (&'a HeaderName, &'a HeaderValue)>,
    body_is_empty: bool,
) -> Framing {
    out.extend_from_slice(method.as_str().as_bytes());
    out.extend_from_slice(b" ");
    out.extend_from_slice(target);
    out.extend_from_slice(b" HTTP/1.1\r\nhost: ");
    out.extend_from_slice(host.as_bytes());
    let mut framing = if body_is_empty {
        Framing::None
    } else {
        Framing::Chunked
    };
    let mut has_length = false;
    // Not a `for` loop: what chained iterators do at each step, they do once here.
    fields.for_each(|(name, value)| {
        if *name == CONTENT_LENGTH {
            match length(value.as_bytes()) {
                Some(length) if !body_is_empty => framing = Framing::Length(length),
                Some(_) => has_length = true,
                // Never a length beside another framing, whatever it was meant to say.
                None => return,
            }
        }
        let (name, value) = (name.as_str().as_bytes(), value.as_bytes());
        out.reserve(name.len() + value.len() + b"\r\n: ".len());
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(name);
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
    });
    if framing == Framing::Chunked {
        out.extend_from_slice(b"\r\ntransfer-encoding: chunked");
    } else if body_is_empty && !has_length && expects_body(method) {
        // RFC 9110 §8.6: a server may insist on a length where a body is usual.
        out.extend_from_slice(b"\r\ncontent-length: 0");
    }
    out.extend_from_slice(b"\r\n\r\n");
    framing
}

fn expects_body(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH)
}

/// An answer's head.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) fields: HeaderMap,
    pub(super) framing: Framing,
    /// The connection can carry another request after this answer.
    pub(super) reusable: bool,
    /// The server speaks HTTP/1.0.
    pub(super) is_http_10: bool,
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
/// not complete. `to_head` tells that the request was HEAD. The fields are
/// written into an empty map taken from `spare`. A `Connection` field that says
/// no more than whether the connection stays open is not among them.
///
/// # Errors
/// See [`InvalidHead`].
pub(super) fn read_answer(
    input: &mut BytesMut,
    to_head: bool,
    spare: &RefCell<Spare>,
) -> Result<Option<Head>, InvalidHead> {
    let mut slots = [const { MaybeUninit::uninit() }; MOST_FIELDS];
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
    let is_http_10 = parsed.version != Some(1);
    // The input is borrowed while httparse looks at it, so places are kept for the while.
    let mut places = [Place::default(); MOST_FIELDS];
    let count = parsed.headers.len();
    for (place, field) in places.iter_mut().zip(parsed.headers.iter()) {
        *place = Place::of(field, input);
    }
    // The values are slices of this one piece, not copies.
    let head = input.split_to(length).freeze();
    read_fields(&head, &places[..count], &mut spare.borrow_mut())?
        .into_head(status, is_http_10, to_head)
        .map(Some)
}

/// Start and length of a name and of its value in a head, which is no longer
/// than [`LONGEST_HEAD`]. Small, since all of them are cleared for each answer.
#[derive(Clone, Copy, Default)]
struct Place {
    name: (u32, u32),
    value: (u32, u32),
}

impl Place {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a head is shorter than LONGEST_HEAD"
    )]
    fn of(field: &httparse::Header<'_>, input: &[u8]) -> Self {
        let base = input.as_ptr().addr();
        let place = |part: &[u8]| match part.len() {
            // An empty value may point anywhere.
            0 => (0, 0),
            length => (
                part.as_ptr().addr().wrapping_sub(base) as u32,
                length as u32,
            ),
        };
        Self {
            name: place(field.name.as_bytes()),
            value: place(field.value),
        }
    }
}

fn range((start, length): (u32, u32)) -> Range<usize> {
    let start = start as usize;
    start..start + length as usize
}

/// What reading an answer can take from those before it.
#[derive(Debug, Default)]
pub(super) struct Spare {
    /// An empty map for the fields.
    pub(super) map: HeaderMap,
    names: Names,
}

/// The names that stood in each place of the answers before, as they were
/// written: a server writes the same ones in the same order.
#[derive(Debug, Default)]
struct Names(Vec<(Box<[u8]>, HeaderName)>);

impl Names {
    /// Most places, and longest names, that are kept.
    const MOST: usize = 24;
    const LONGEST: usize = 64;

    fn name(&mut self, place: usize, written: &[u8]) -> Result<HeaderName, InvalidHead> {
        if let Some((before, name)) = self.0.get(place)
            && **before == *written
        {
            return Ok(name.clone());
        }
        let name = HeaderName::from_bytes(written).map_err(|_| InvalidHead::Syntax)?;
        if written.len() <= Self::LONGEST {
            let kept = (Box::from(written), name.clone());
            if let Some(before) = self.0.get_mut(place) {
                *before = kept;
            } else if place == self.0.len() && place < Self::MOST {
                self.0.push(kept);
            }
        }
        Ok(name)
    }
}

/// The fields of an answer, and what they say about the message.
struct Fields {
    map: HeaderMap,
    delimited: Delimited,
    says_close: bool,
}

fn read_fields(head: &Bytes, places: &[Place], spare: &mut Spare) -> Result<Fields, InvalidHead> {
    let mut fields = Fields {
        map: std::mem::take(&mut spare.map),
        delimited: Delimited::default(),
        says_close: false,
    };
    // Room for what the proxy adds.
    fields.map.reserve(places.len() + 2);
    for (index, place) in places.iter().enumerate() {
        let name = spare.names.name(index, &head[range(place.name)])?;
        let bytes = head.slice(range(place.value));
        if name == CONTENT_LENGTH {
            if !fields.delimited.by_length(&bytes)? {
                continue;
            }
        } else if name == TRANSFER_ENCODING {
            fields.delimited.by_coding(&bytes)?;
            continue;
        } else if name == CONNECTION {
            let says = Options::of(&bytes);
            fields.says_close |= says.close;
            if !says.more {
                continue;
            }
        }
        let value = HeaderValue::from_maybe_shared(bytes).map_err(|_| InvalidHead::Syntax)?;
        fields.map.append(name, value);
    }
    Ok(fields)
}

impl Fields {
    fn into_head(
        self,
        status: StatusCode,
        is_http_10: bool,
        to_head: bool,
    ) -> Result<Head, InvalidHead> {
        let Self {
            map: mut fields,
            delimited,
            says_close,
        } = self;
        let mut reusable = !is_http_10 && !says_close;
        let has_no_body = to_head
            || status.is_informational()
            || status == StatusCode::NO_CONTENT
            || status == StatusCode::NOT_MODIFIED;
        let framing = match delimited {
            Delimited { chunked: true, .. } if is_http_10 => {
                return Err(InvalidHead::TransferEncoding);
            }
            Delimited {
                chunked: true,
                length,
            } => {
                // Both at once is how answers are smuggled: the coding wins, the
                // length goes, the connection ends (RFC 9112 §6.3).
                if length.is_some() {
                    fields.remove(CONTENT_LENGTH);
                    reusable = false;
                }
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
        Ok(Head {
            status,
            fields,
            framing,
            reusable,
            is_http_10,
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
    /// Whether the field is the first of its kind; a repeated equal one is dropped.
    fn by_length(&mut self, value: &[u8]) -> Result<bool, InvalidHead> {
        let length = length(value).ok_or(InvalidHead::ContentLength)?;
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

/// `Content-Length` as RFC 9110 §8.6 has it: digits, nothing else.
fn length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// What a `Connection` field lists.
struct Options {
    close: bool,
    /// Something besides `close` and `keep-alive`: names of fields.
    more: bool,
}

impl Options {
    fn of(value: &[u8]) -> Self {
        let (mut close, mut more) = (false, false);
        for option in value.split(|byte| *byte == b',') {
            let option = option.trim_ascii();
            let is_close = option.eq_ignore_ascii_case(b"close");
            close |= is_close;
            more |= !is_close && !option.eq_ignore_ascii_case(b"keep-alive");
        }
        Self { close, more }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(method: &str, fields: &[(&str, &str)], empty: bool) -> (String, Framing) {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let fields: Vec<(HeaderName, HeaderValue)> = fields
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        let mut out = BytesMut::new();
        let host = HeaderValue::from_static("dqe.example");
        let borrowed = fields.iter().map(|(name, value)| (name, value));
        let framing = write_request(&mut out, &method, b"/TEL/?a=%E9", &host, borrowed, empty);
        (String::from_utf8(out.to_vec()).unwrap(), framing)
    }

    #[test]
    fn a_request_is_framed_once() {
        for (method, fields, empty, expected, framing) in [
            (
                "GET",
                &[("x-a", "1")][..],
                true,
                "GET /TEL/?a=%E9 HTTP/1.1\r\nhost: dqe.example\r\nx-a: 1\r\n\r\n",
                Framing::None,
            ),
            (
                "POST",
                &[],
                true,
                "POST /TEL/?a=%E9 HTTP/1.1\r\nhost: dqe.example\r\ncontent-length: 0\r\n\r\n",
                Framing::None,
            ),
            (
                "POST",
                &[("content-length", "0")],
                true,
                "POST /TEL/?a=%E9 HTTP/1.1\r\nhost: dqe.example\r\ncontent-length: 0\r\n\r\n",
                Framing::None,
            ),
            (
                "POST",
                &[("content-length", "5")],
                false,
                "POST /TEL/?a=%E9 HTTP/1.1\r\nhost: dqe.example\r\ncontent-length: 5\r\n\r\n",
                Framing::Length(5),
            ),
            (
                "POST",
                &[],
                false,
                "POST /TEL/?a=%E9 HTTP/1.1\r\nhost: dqe.example\r\ntransfer-encoding: chunked\r\n\r\n",
                Framing::Chunked,
            ),
        ] {
            assert_eq!(
                written(method, fields, empty),
                (expected.to_owned(), framing),
                "{method} {fields:?}"
            );
        }
    }

    fn read(text: &str, to_head: bool) -> Result<Option<(u16, Framing, bool)>, InvalidHead> {
        let mut input = BytesMut::from(text);
        let head = read_answer(&mut input, to_head, &RefCell::default())?;
        Ok(head.map(|head| (head.status.as_u16(), head.framing, head.reusable)))
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
                "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
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
    fn a_name_is_read_as_written_whatever_the_answer_before_had_in_its_place() {
        let spare = RefCell::default();
        for (names, expected) in [
            (&["Server", "X-One"][..], Ok(&["server", "x-one"][..])),
            (&["Server", "X-One"], Ok(&["server", "x-one"])),
            (
                &["server", "X-One", "X-Two"],
                Ok(&["server", "x-one", "x-two"]),
            ),
            (&["X-Two"], Ok(&["x-two"])),
            (&["X-Two", "X-O(e"], Err(InvalidHead::Syntax)),
            (
                &["X-Two", "X-Ones", "Server"],
                Ok(&["x-two", "x-ones", "server"]),
            ),
        ] {
            let fields: String = names.iter().map(|name| format!("{name}: 1\r\n")).collect();
            let text = format!("HTTP/1.1 204 No Content\r\n{fields}\r\n");
            let read = read_answer(&mut BytesMut::from(text.as_str()), false, &spare);
            let read = read.map(|head| {
                let head = head.unwrap();
                let names: Vec<String> = head.fields.keys().map(ToString::to_string).collect();
                names
            });
            let expected = expected.map(|names| names.iter().map(ToString::to_string).collect());
            assert_eq!(read, expected);
        }
        // Many names, and long ones, are not kept.
        for round in 0..3 {
            let fields: String = (0..90)
                .map(|n| format!("X-{round}-{n}-{}: 1\r\n", "y".repeat(n)))
                .collect();
            let text = format!("HTTP/1.1 204 No Content\r\n{fields}\r\n");
            let head = read_answer(&mut BytesMut::from(text.as_str()), false, &spare);
            assert_eq!(head.unwrap().unwrap().fields.len(), 90);
        }
        let names = &spare.borrow().names.0;
        assert!(names.len() <= Names::MOST);
        assert!(
            names
                .iter()
                .all(|(written, _)| written.len() <= Names::LONGEST)
        );
    }

    #[test]
    fn values_are_the_bytes_received_and_the_rest_stays() {
        let mut input = BytesMut::from(&b"HTTP/1.1 200 OK\r\nX-Empty:\r\nX-Latin:  caf\xe9 \r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\r\nbody"[..]);
        let head = read_answer(&mut input, false, &RefCell::default())
            .unwrap()
            .unwrap();
        assert_eq!(head.fields["x-latin"].as_bytes(), b"caf\xe9");
        assert_eq!(head.fields["x-empty"].as_bytes(), b"");
        assert_eq!(head.fields.get_all("set-cookie").iter().count(), 2);
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
