//! Opens what is private to this part to `benches/hot_parts.rs`, which times it,
//! and to `fuzz/`, which tries it. Nothing else uses this.

use std::rc::Rc;

use bytes::Bytes;
use http::{HeaderValue, StatusCode, Version};

use super::headers::{self, Noted, Own};
use super::scrub::{self, Secret};
use crate::http1::Fields;

/// The fields that go to DQE for a request that was received with these.
pub fn outgoing<'a>(
    received: &'a Fields,
    authorization: &'a HeaderValue,
    request_id: &'a HeaderValue,
) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
    let own = Own {
        authorization: Some(authorization),
        length: None,
        request_id: request_id.as_bytes(),
    };
    headers::outgoing(received, Noted::in_request(received), Version::HTTP_11, own)
}

/// Makes the fields of DQE's answer those of ours.
pub fn clean_answer(fields: &mut Fields, request_id: &HeaderValue) {
    headers::clean_answer(fields, StatusCode::OK, Version::HTTP_11, request_id);
}

/// Masks one token in a body.
pub struct Scrubber(scrub::Scrubber);

impl Scrubber {
    /// For this token, written without its scheme.
    #[must_use]
    pub fn new(token: &[u8]) -> Self {
        let secret = Secret::new(token).map(Rc::new);
        Self(scrub::Scrubber::new([secret, None]))
    }

    /// A body that comes in one piece, without the token.
    pub fn pass(&mut self, body: Bytes) -> Bytes {
        self.0.pass(body, true)
    }
}
