//! The head of an answer, written as its caller can read it. Pure: values in,
//! bytes out.

use http::header::HeaderValue;
use http::{StatusCode, Version};

use crate::http1::{self, Framing, ResponseHead};

/// What the head of an answer has to be fit for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) is_head: bool,
    /// The version the caller speaks.
    pub(super) version: Version,
    /// Another request may follow.
    pub(super) is_kept: bool,
}

/// Appends an answer's head and tells how its body is to be framed. `length` is
/// that of the body, if it is known. An answer that says nothing about its date
/// gets one from `date` (RFC 9110 §6.6.1).
pub(super) fn write_answer(
    out: &mut Vec<u8>,
    head: &ResponseHead,
    asked: Asked,
    length: Option<u64>,
    date: impl FnOnce() -> String,
) -> Framing {
    let is_11 = asked.version == Version::HTTP_11;
    if head.status == StatusCode::OK && is_11 {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
    } else {
        let version: &[u8] = if is_11 { b"HTTP/1.1 " } else { b"HTTP/1.0 " };
        out.extend_from_slice(version);
        out.extend_from_slice(head.status.as_str().as_bytes());
        out.push(b' ');
        // A reason must be written, since some callers expect one.
        let reason = head.status.canonical_reason().unwrap_or("<none>");
        out.extend_from_slice(reason.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    let may_have_length = !matches!(
        head.status,
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
    );
    let (mut said_length, mut said_date) = (None, false);
    for (name, value) in head.fields.iter() {
        match name.len() {
            4 => said_date |= name == b"date",
            // The connection is this side's own.
            10 if name == b"connection" => continue,
            14 if name == b"content-length" => {
                // One at most, and only a number: the body is framed in another way else.
                match http1::length(value) {
                    Some(length) if said_length.is_none() => said_length = Some(length),
                    Some(_) | None => continue,
                }
            }
            17 if name == b"transfer-encoding" => continue,
            _ => {}
        }
        field(out, name, value);
    }
    let framing = match said_length.or(length) {
        _ if asked.is_head || !may_have_length => {
            if said_length.is_none() && length.is_some_and(|length| length > 0) && may_have_length {
                number(out, length.unwrap_or_default());
            }
            Framing::None
        }
        Some(length) => {
            if said_length.is_none() {
                number(out, length);
            }
            if length == 0 {
                Framing::None
            } else {
                Framing::Length(length)
            }
        }
        None if is_11 => {
            out.extend_from_slice(b"transfer-encoding: chunked\r\n");
            Framing::Chunked
        }
        None => Framing::Close,
    };
    match (asked.is_kept, is_11) {
        (true, true) => {}
        (true, false) if framing == Framing::Close => {}
        (true, false) => out.extend_from_slice(b"connection: keep-alive\r\n"),
        (false, true) => out.extend_from_slice(b"connection: close\r\n"),
        (false, false) => {}
    }
    if !said_date {
        field(out, b"date", date().as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    framing
}

fn field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.reserve(name.len() + value.len() + b": \r\n".len());
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn number(out: &mut Vec<u8>, length: u64) {
    field(out, b"content-length", HeaderValue::from(length).as_bytes());
}

#[cfg(test)]
mod tests;
