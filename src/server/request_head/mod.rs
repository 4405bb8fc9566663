//! The head of a request on the wire, read. Pure: bytes in, values out. Strict
//! where leniency has let requests be smuggled: what two readers could take apart
//! differently is refused.

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::{Method, StatusCode, Uri, Version};

use crate::http1::{self, FIELDS_AT_HAND, Fields, Framing, Options, RequestHead};
use crate::metrics::HEAD_REFUSALS;

/// How HTTP/2 begins where it is known beforehand (RFC 9113 §3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Longest target that is read: no [`Uri`] is longer.
const LONGEST_TARGET: usize = u16::MAX as usize - 1;

/// How much of a head is read; whoever answers may allow less.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Most bytes.
    pub(super) bytes: usize,
    /// Most fields.
    pub(super) fields: usize,
    /// Whether [`PREFACE`] is told from what is no head.
    pub(super) http2: bool,
}

/// A request, and what its head says about the connection.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) head: RequestHead,
    pub(super) framing: Framing,
    /// Another request may follow on the connection.
    pub(super) is_kept: bool,
    /// The caller waits for a 100 (Continue) before it sends the body.
    pub(super) expects: bool,
}

/// Why a head is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InvalidHead {
    /// It does not follow the grammar of RFC 9112, or its framing can be read in
    /// two ways.
    Syntax,
    /// It is larger than is read, or has more fields.
    TooLarge,
    /// Its target is.
    TargetTooLong,
    /// It is [`PREFACE`], which nothing of has been taken off.
    Preface,
}

impl InvalidHead {
    /// Where it is counted in [`HEAD_REFUSALS`].
    pub(super) fn counted(self) -> usize {
        let status = self.status();
        let found = HEAD_REFUSALS.iter().position(|it| *it == status.as_str());
        found.unwrap_or_default()
    }

    /// The status it is answered with.
    pub(super) fn status(self) -> StatusCode {
        match self {
            // In the midst of HTTP/1.1 a preface is as wrong as anything.
            Self::Syntax | Self::Preface => StatusCode::BAD_REQUEST,
            Self::TooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
        }
    }
}

/// Reads a head from the front of `input` and tells how long it is; `None` while
/// it is not complete. The fields are written into empty ones that `fields` gives.
///
/// # Errors
/// See [`InvalidHead`].
pub(super) fn read_request(
    input: &[u8],
    limits: Limits,
    fields: impl FnOnce() -> Fields,
) -> Result<Option<(Request, usize)>, InvalidHead> {
    let mut slots = [const { MaybeUninit::uninit() }; FIELDS_AT_HAND];
    let mut parsed = httparse::Request::new(&mut []);
    if limits.fields <= FIELDS_AT_HAND {
        let parsing = parsed.parse_with_uninit_headers(input, &mut slots);
        return take_apart(input, limits, parsing, &parsed, fields);
    }
    let mut slots = vec![MaybeUninit::uninit(); limits.fields];
    let parsing = parsed.parse_with_uninit_headers(input, &mut slots);
    take_apart(input, limits, parsing, &parsed, fields)
}

fn take_apart(
    input: &[u8],
    limits: Limits,
    parsing: httparse::Result<usize>,
    parsed: &httparse::Request<'_, '_>,
    fields: impl FnOnce() -> Fields,
) -> Result<Option<(Request, usize)>, InvalidHead> {
    let length = match parsing {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if input.len() > limits.bytes => {
            return Err(InvalidHead::TooLarge);
        }
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(InvalidHead::TooLarge),
        Err(_) if limits.http2 => return preface(input),
        Err(_) => return Err(InvalidHead::Syntax),
    };
    let (Some(method), Some(target), Some(version)) = (parsed.method, parsed.path, parsed.version)
    else {
        return Err(InvalidHead::Syntax);
    };
    if target.len() > LONGEST_TARGET {
        return Err(InvalidHead::TargetTooLong);
    }
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| InvalidHead::Syntax)?;
    let uri = Uri::from_maybe_shared(Bytes::copy_from_slice(target.as_bytes()));
    let version = if version == 1 {
        Version::HTTP_11
    } else {
        Version::HTTP_10
    };
    let mut head = RequestHead {
        method,
        uri: uri.map_err(|_| InvalidHead::Syntax)?,
        version,
        fields: fields(),
    };
    head.fields.read(&input[..length], parsed.headers);
    let said = Said::by(&mut head.fields, version)?;
    let framing = match said.length {
        _ if said.chunked => Framing::Chunked,
        None | Some(0) => Framing::None,
        Some(length) => Framing::Length(length),
    };
    let request = Request {
        head,
        framing,
        is_kept: said.is_kept(version),
        expects: said.expects && version == Version::HTTP_11,
    };
    Ok(Some((request, length)))
}

/// What is no head may be the preface of HTTP/2, or the beginning of it.
#[cold]
fn preface(input: &[u8]) -> Result<Option<(Request, usize)>, InvalidHead> {
    if input.starts_with(PREFACE) {
        Err(InvalidHead::Preface)
    } else if PREFACE.starts_with(input) {
        Ok(None)
    } else {
        Err(InvalidHead::Syntax)
    }
}

/// What a request's fields say about its body and its connection.
#[derive(Default)]
struct Said {
    length: Option<u64>,
    chunked: bool,
    /// A length stands beside a coding.
    both: bool,
    expects: bool,
    options: Options,
}

impl Said {
    /// Looks the fields over, and takes out the lengths that count for nothing: a
    /// repeated one, and one beside a coding (RFC 9112 §6.3).
    fn by(fields: &mut Fields, version: Version) -> Result<Self, InvalidHead> {
        let mut said = Self::default();
        let (mut codings, mut lengths, mut is_valid) = (0, 0, true);
        for (name, value) in fields.iter() {
            match name.len() {
                6 if name == b"expect" => said.expects |= waits_for_continue(value),
                10 if name == b"connection" => {
                    let options = Options::of(value);
                    said.options.close |= options.close;
                    said.options.keep_alive |= options.keep_alive;
                }
                14 if name == b"content-length" => {
                    lengths += 1;
                    let length = http1::length(value);
                    is_valid &= length.is_some() && said.length.is_none_or(|l| Some(l) == length);
                    said.length = length;
                }
                17 if name == b"transfer-encoding" => {
                    codings += 1;
                    said.chunked = ends_in_chunked(value);
                }
                _ => {}
            }
        }
        if !is_valid {
            return Err(InvalidHead::Syntax);
        }
        if codings > 0 {
            // What comes last delimits the body, so it has to be chunks.
            if version == Version::HTTP_10 || !said.chunked {
                return Err(InvalidHead::Syntax);
            }
            said.both = lengths > 0;
        }
        if said.both || lengths > 1 {
            let mut stays = !said.both;
            fields.retain(|name, _| name != b"content-length" || std::mem::take(&mut stays));
        }
        Ok(said)
    }

    fn is_kept(&self, version: Version) -> bool {
        let wanted = version == Version::HTTP_11 || self.options.keep_alive;
        // A length beside a coding is how requests are smuggled: nothing behind
        // such a message is taken for the next one.
        wanted && !self.options.close && !self.both
    }
}

/// Whether `100-continue` is among the expectations of a line. Others are not met and
/// not refused either (RFC 9110 §10.1.1).
fn waits_for_continue(expectations: &[u8]) -> bool {
    let mut members = expectations.split(|byte| *byte == b',');
    members.any(|member| member.trim_ascii().eq_ignore_ascii_case(b"100-continue"))
}

fn ends_in_chunked(codings: &[u8]) -> bool {
    let last = codings.rsplit(|byte| *byte == b',').next();
    last.is_some_and(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"chunked"))
}

#[cfg(test)]
mod tests;
