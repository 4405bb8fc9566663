//! Opens what is private to this part to `benches/hot_parts.rs`, which times it,
//! and to `fuzz/`, which tries it. Nothing else uses this.

use bytes::{Bytes, BytesMut};
use http::header::HeaderValue;
use http::{Method, StatusCode};

use super::answer_head::{self, InvalidHead};
use super::request_head;
use crate::http1::{Chunked, Fields, Framing, SpareFields, Step};

/// Appends the head of a GET with these fields.
pub fn write_get<'a>(
    out: &mut BytesMut,
    target: &str,
    host: &HeaderValue,
    fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
) {
    let target = |out: &mut BytesMut| out.extend_from_slice(target.as_bytes());
    request_head::write_request(out, &Method::GET, target, host, fields, true);
}

/// Takes an answer's head off `input`; `None` when it is incomplete or refused.
pub fn read_answer(input: &mut BytesMut, spare: &SpareFields) -> Option<(StatusCode, Fields)> {
    let head = answer_head::read_answer(input, false, spare)
        .ok()
        .flatten()?
        .head;
    Some((head.status, head.fields))
}

/// An answer's head, and how its body is delimited.
#[derive(Debug, PartialEq, Eq)]
pub struct AnswerHead {
    /// The status.
    pub status: StatusCode,
    /// The fields that are left.
    pub fields: Fields,
    /// Where the body ends.
    pub end: BodyEnd,
    /// The connection can carry another request after this answer.
    pub reusable: bool,
}

/// Where an answer's body ends (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyEnd {
    /// With the head.
    Head,
    /// After so many bytes.
    Length(u64),
    /// With the last chunk.
    Chunks,
    /// With the connection.
    Close,
}

/// Takes an answer's head off `input`; `None` when it is incomplete.
///
/// # Errors
/// The head is refused.
pub fn take_head(input: &mut BytesMut, to_head: bool) -> Result<Option<AnswerHead>, InvalidHead> {
    if !answer_head::begins_like_an_answer(input) {
        return Err(InvalidHead::Syntax);
    }
    let head = answer_head::read_answer(input, to_head, &SpareFields::default())?;
    Ok(head.map(|head| AnswerHead {
        status: head.head.status,
        fields: head.head.fields,
        end: match head.framing {
            Framing::None => BodyEnd::Head,
            Framing::Length(length) => BodyEnd::Length(length),
            Framing::Chunked => BodyEnd::Chunks,
            Framing::Close => BodyEnd::Close,
        },
        reusable: head.reusable,
    }))
}

/// Takes the chunked coding off a body.
#[derive(Default)]
pub struct Unchunked(Chunked);

/// A body is not coded in chunks.
#[derive(Debug, PartialEq, Eq)]
pub struct NotChunked;

impl Unchunked {
    /// Takes the next piece of the body off `input`; `None` when more is needed,
    /// and an empty piece at the end.
    ///
    /// # Errors
    /// The coding is refused.
    pub fn step(&mut self, input: &mut BytesMut) -> Result<Option<Bytes>, NotChunked> {
        match self.0.step(input).map_err(|_| NotChunked)? {
            Step::Data(data) => Ok(Some(data)),
            Step::NeedsMore => Ok(None),
            Step::End => Ok(Some(Bytes::new())),
        }
    }
}
