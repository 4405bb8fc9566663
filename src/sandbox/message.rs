//! HTTP/1.1 messages as the sandbox reads and writes them.
//!
//! The sandbox has a parser of its own, on purpose: the journal must show names and values byte
//! for byte as they travelled, faults must be able to break the framing, and a mistake in a
//! library must not sit on both sides of a test. It is not a general-purpose server: one request
//! at a time, no upgrade, no trailers kept.

use bytes::Bytes;

use super::json::Json;

/// Longest request head accepted, in bytes; above it the answer is 431.
pub(crate) const HEAD_LIMIT: usize = 64 * 1024;
/// Most header lines accepted in one head.
const HEADER_LIMIT: usize = 256;

/// A request's line and headers, exactly as received.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) method: Bytes,
    pub(crate) target: Bytes,
    pub(crate) version: Version,
    pub(crate) headers: Vec<(Bytes, Bytes)>,
    pub(crate) framing: Framing,
}

/// The two versions spoken here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// `HTTP/1.0`: the connection closes after the answer.
    Http10,
    /// `HTTP/1.1`.
    Http11,
}

/// How the length of a request body is told (RFC 9112 §6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    Length(u64),
    Chunked,
}

/// Why a head cannot be served. Each ends the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Malformed {
    RequestLine,
    HeaderLine,
    TooManyHeaders,
    /// Both `Content-Length` and `Transfer-Encoding`, or lengths that disagree: the ground of
    /// request smuggling.
    Framing,
    /// HTTP/1.1 asks for exactly one `Host` (RFC 9112 §3.2).
    Host,
}

/// Where the head ends in `received`: the number of bytes up to and with the empty line.
pub(crate) fn head_length(received: &[u8]) -> Option<usize> {
    received
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .map(|at| at + 4)
}

impl Head {
    /// Parses a whole head, the empty line included.
    pub(crate) fn parse(head: &Bytes) -> Result<Self, Malformed> {
        let mut lines = Lines { rest: head.clone() };
        let (method, target, version) = request_line(&lines.next().ok_or(Malformed::RequestLine)?)?;
        let mut headers = Vec::with_capacity(12);
        for line in lines {
            if line.is_empty() {
                break;
            }
            if headers.len() == HEADER_LIMIT {
                return Err(Malformed::TooManyHeaders);
            }
            headers.push(header_line(&line)?);
        }
        if version == Version::Http11 && named(&headers, "host").count() != 1 {
            return Err(Malformed::Host);
        }
        let framing = framing(&headers)?;
        Ok(Self {
            method,
            target,
            version,
            headers,
            framing,
        })
    }

    /// The values of every header line of this name, in order.
    pub(crate) fn values<'head>(
        &'head self,
        name: &'static str,
    ) -> impl Iterator<Item = &'head [u8]> {
        named(&self.headers, name)
    }

    /// The path's bytes, before any `?`.
    pub(crate) fn path(&self) -> &[u8] {
        split_target(&self.target).0
    }

    /// The query's bytes, without the `?`; empty when there is none.
    pub(crate) fn query(&self) -> &[u8] {
        split_target(&self.target).1
    }

    /// Whether the caller lets the connection live after the answer.
    pub(crate) fn keeps_alive(&self) -> bool {
        let told = |word: &str| {
            self.values("connection").any(|value| {
                value
                    .split(|byte| *byte == b',')
                    .any(|part| part.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
            })
        };
        match self.version {
            Version::Http11 => !told("close"),
            Version::Http10 => told("keep-alive"),
        }
    }
}

/// Path and query of a target in origin form; an absolute form loses its scheme and authority.
pub(crate) fn split_target(target: &[u8]) -> (&[u8], &[u8]) {
    let origin = match target.windows(3).position(|three| three == b"://") {
        Some(at) if !target.starts_with(b"/") => {
            let after = &target[at + 3..];
            let slash = after
                .iter()
                .position(|byte| *byte == b'/')
                .unwrap_or(after.len());
            &after[slash..]
        }
        Some(_) | None => target,
    };
    match origin.iter().position(|byte| *byte == b'?') {
        Some(at) => (&origin[..at], &origin[at + 1..]),
        None => (origin, b""),
    }
}

/// The values of every header line of this name, in order.
pub(crate) fn named<'headers>(
    headers: &'headers [(Bytes, Bytes)],
    name: &'static str,
) -> impl Iterator<Item = &'headers [u8]> {
    headers
        .iter()
        .filter(move |(received, _)| received.eq_ignore_ascii_case(name.as_bytes()))
        .map(|(_, value)| value.as_ref())
}

struct Lines {
    rest: Bytes,
}

impl Iterator for Lines {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let end = self.rest.windows(2).position(|two| two == b"\r\n")?;
        let line = self.rest.split_to(end);
        let _line_end = self.rest.split_to(2);
        Some(line)
    }
}

/// The target is everything between the first and the last space: a raw space inside it survives
/// into the journal instead of hiding behind a 400.
fn request_line(line: &Bytes) -> Result<(Bytes, Bytes, Version), Malformed> {
    let first = line
        .iter()
        .position(|byte| *byte == b' ')
        .ok_or(Malformed::RequestLine)?;
    let last = line
        .iter()
        .rposition(|byte| *byte == b' ')
        .ok_or(Malformed::RequestLine)?;
    if first == 0 || last <= first + 1 {
        return Err(Malformed::RequestLine);
    }
    let version = match &line[last + 1..] {
        b"HTTP/1.1" => Version::Http11,
        b"HTTP/1.0" => Version::Http10,
        _ => return Err(Malformed::RequestLine),
    };
    Ok((line.slice(..first), line.slice(first + 1..last), version))
}

fn header_line(line: &Bytes) -> Result<(Bytes, Bytes), Malformed> {
    let colon = line
        .iter()
        .position(|byte| *byte == b':')
        .ok_or(Malformed::HeaderLine)?;
    let name = line.slice(..colon);
    if name.is_empty() || name.iter().any(|byte| byte.is_ascii_whitespace()) {
        return Err(Malformed::HeaderLine);
    }
    let value = &line[colon + 1..];
    Ok((name, line.slice_ref(value.trim_ascii())))
}

fn framing(headers: &[(Bytes, Bytes)]) -> Result<Framing, Malformed> {
    let mut lengths = named(headers, "content-length").map(|value| {
        if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
            return Err(Malformed::Framing);
        }
        std::str::from_utf8(value)
            .ok()
            .and_then(|text| text.parse().ok())
            .ok_or(Malformed::Framing)
    });
    let length: Option<u64> = lengths.next().transpose()?;
    for other in lengths {
        if Some(other?) != length {
            return Err(Malformed::Framing);
        }
    }
    let mut encodings = named(headers, "transfer-encoding").peekable();
    match (encodings.peek().is_some(), length) {
        (false, length) => Ok(Framing::Length(length.unwrap_or(0))),
        (true, Some(_)) => Err(Malformed::Framing),
        (true, None) => {
            let only_chunked = encodings.all(|value| value.eq_ignore_ascii_case(b"chunked"));
            if only_chunked {
                Ok(Framing::Chunked)
            } else {
                Err(Malformed::Framing)
            }
        }
    }
}

/// An answer before it is put on the wire.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

/// Content type of JSON answers.
pub(crate) const JSON: &str = "application/json";
/// Content type of plain sentences.
pub(crate) const TEXT: &str = "text/plain; charset=utf-8";

impl Answer {
    pub(crate) fn new(status: u16, content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            content_type,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    pub(crate) fn json(status: u16, body: impl Into<Json>) -> Self {
        Self::new(status, JSON, body.into().to_string())
    }

    pub(crate) fn text(status: u16, body: impl Into<String>) -> Self {
        Self::new(status, TEXT, body.into())
    }

    pub(crate) fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The status line and headers, up to and with the empty line. `length` tells the framing.
    pub(crate) fn head(&self, date: &str, length: AnswerLength, close: bool) -> Vec<u8> {
        use std::fmt::Write;
        let mut head = String::with_capacity(256);
        // Writing into a string cannot fail.
        let _ = write!(
            head,
            "HTTP/1.1 {} {}\r\ndate: {date}\r\n",
            self.status,
            reason(self.status)
        );
        if !self.content_type.is_empty() {
            let _ = write!(head, "content-type: {}\r\n", self.content_type);
        }
        for (name, value) in &self.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        let _ = match length {
            AnswerLength::Known(length) => write!(head, "content-length: {length}\r\n"),
            AnswerLength::Chunked => write!(head, "transfer-encoding: chunked\r\n"),
            AnswerLength::Untold => Ok(()),
        };
        if close {
            head.push_str("connection: close\r\n");
        }
        head.push_str("\r\n");
        head.into_bytes()
    }
}

/// How an answer tells its length.
#[derive(Debug, Clone, Copy)]
pub(crate) enum AnswerLength {
    Known(usize),
    Chunked,
    /// Of a status that never has a body (RFC 9110 §15.3.5).
    Untold,
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        413 => "Content Too Large",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Unnamed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &'static str) -> Result<Head, Malformed> {
        Head::parse(&Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn a_head_keeps_every_byte() {
        let head =
            parse("GET /TEL/?Tel=+33 6|%2540%E9 HTTP/1.1\r\nhOsT: a\r\nX-Odd:  b c \r\n\r\n")
                .unwrap();
        assert_eq!(head.target, "/TEL/?Tel=+33 6|%2540%E9");
        assert_eq!(head.path(), b"/TEL/");
        assert_eq!(head.query(), b"Tel=+33 6|%2540%E9");
        assert_eq!(head.headers[0].0, "hOsT");
        assert_eq!(head.headers[1].1, "b c");
        assert!(head.keeps_alive());
    }

    #[test]
    fn an_absolute_target_is_served_by_its_path() {
        assert_eq!(
            split_target(b"http://a:1/TEL/?x=1"),
            (&b"/TEL/"[..], &b"x=1"[..])
        );
        assert_eq!(
            split_target(b"/TEL/?url=http://b/"),
            (&b"/TEL/"[..], &b"url=http://b/"[..])
        );
    }

    #[test]
    fn what_would_desynchronise_is_refused() {
        for (text, expected) in [
            ("GET /\r\nHost: a\r\n\r\n", Malformed::RequestLine),
            ("GET / HTTP/1.1\r\n\r\n", Malformed::Host),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
                Malformed::Host,
            ),
            ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", Malformed::HeaderLine),
            (
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
                Malformed::Framing,
            ),
            (
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                Malformed::Framing,
            ),
            (
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n",
                Malformed::Framing,
            ),
        ] {
            assert_eq!(parse(text).err(), Some(expected), "{text}");
        }
    }
}
