//! What HTTP/1.1 messages are made of, on both sides of the proxy: heads,
//! fields, framing, and the body of a request while it arrives.
//!
//! Fields are kept as the bytes they came in, one after the other, and not in a
//! map: a message has a dozen of them, most are looked at once and passed on,
//! and a hash of each costs more than all of that.

mod chunked;
mod fields;
mod framing;
mod low_water;
mod spare;
#[cfg(test)]
pub(crate) mod testing;
mod wire;

use std::fmt;

use http::{Method, StatusCode, Uri, Version};

pub use chunked::{Chunked, InvalidChunk, Step};
pub use fields::{FieldValue, Fields, SpareFields, name};
pub use framing::{Framing, Options, length};
pub use low_water::LowWater;
pub use spare::{Held, Spare, SpareBuffers};
pub use wire::{BodyError, Found, Incoming, Wire};

/// Most fields of a message there is room for without an allocation.
pub const FIELDS_AT_HAND: usize = 100;

/// The head of a request.
#[derive(Clone)]
pub struct RequestHead {
    /// The method.
    pub method: Method,
    /// The target, in whatever form it came.
    pub uri: Uri,
    /// HTTP/1.1 or HTTP/1.0; HTTP/2 where somebody else has read the head.
    pub version: Version,
    /// The fields.
    pub fields: Fields,
}

/// Without the target: a query is personal data, and may hold a credential.
impl fmt::Debug for RequestHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestHead")
            .field("method", &self.method)
            .field("version", &self.version)
            .field("fields", &self.fields)
            .finish_non_exhaustive()
    }
}

/// The head of a response.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    /// The status.
    pub status: StatusCode,
    /// Which version its sender speaks.
    pub version: Version,
    /// The fields.
    pub fields: Fields,
}

impl ResponseHead {
    /// A head without fields.
    #[must_use]
    pub fn new(status: StatusCode) -> Self {
        Self {
            status,
            version: Version::HTTP_11,
            fields: Fields::default(),
        }
    }
}

/// A response: its head, and its body to be streamed.
#[derive(Debug)]
pub struct Response<B> {
    /// The head.
    pub head: ResponseHead,
    /// The body.
    pub body: B,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_neither_a_target_nor_a_value() {
        let head = RequestHead {
            method: Method::GET,
            uri: Uri::from_static("/TEL/?Tel=personal"),
            version: Version::HTTP_11,
            fields: [("x-a", &b"personal"[..])].into_iter().collect(),
        };
        let shown = format!("{head:?}");
        assert!(!shown.contains("personal"), "{shown}");
    }
}
