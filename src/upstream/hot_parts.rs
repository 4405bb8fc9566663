//! Doors for `benches/hot_parts.rs`, which times what is private to this part.
//! Nothing else comes in by them.

use std::cell::RefCell;

use bytes::BytesMut;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};

use super::head;

/// Appends the head of a GET with these fields.
pub fn write_get<'a>(
    out: &mut BytesMut,
    target: &str,
    host: &HeaderValue,
    fields: impl Iterator<Item = (&'a HeaderName, &'a HeaderValue)>,
) {
    head::write_request(out, &Method::GET, target.as_bytes(), host, fields, true);
}

/// Takes an answer's head off `input`; `None` when it is incomplete or refused.
pub fn read_answer(input: &mut BytesMut) -> Option<(StatusCode, HeaderMap)> {
    let head = head::read_answer(input, false, &RefCell::default())
        .ok()
        .flatten()?;
    Some((head.status, head.fields))
}
