//! Opens what is private to this part to `benches/hot_parts.rs`, which times it,
//! and to `fuzz/`, which tries it. Nothing else uses this.

use http::{StatusCode, Version};

use super::answer_head::{self, Asked};
use super::connection::date;
use super::request_head::{self, Limits};
use crate::http1::{Framing, RequestHead, ResponseHead, SpareFields};

/// A request's head, and what it says about the connection.
#[derive(Debug)]
pub struct Received {
    /// The head, without the fields that count for nothing.
    pub head: RequestHead,
    /// Where the body ends.
    pub framing: Framing,
    /// Another request may follow on the connection.
    pub is_kept: bool,
    /// The caller waits for a 100 (Continue) before it sends the body.
    pub expects: bool,
}

/// Reads a head from the front of `input`, with the limits that are the default,
/// and tells how long it is; `None` when it is incomplete.
///
/// # Errors
/// The head is refused, with this status.
pub fn read_request(
    input: &[u8],
    spare: &SpareFields,
) -> Result<Option<(Received, usize)>, StatusCode> {
    let limits = Limits {
        bytes: 64 * 1024,
        fields: 100,
        http2: false,
    };
    let read = request_head::read_request(input, limits, || spare.take());
    let received = |(request, length): (request_head::Request, usize)| {
        let received = Received {
            head: request.head,
            framing: request.framing,
            is_kept: request.is_kept,
            expects: request.expects,
        };
        (received, length)
    };
    read.map(|found| found.map(received))
        .map_err(request_head::InvalidHead::status)
}

/// Appends an answer's head for a caller that speaks HTTP/1.1 and may go on.
pub fn write_answer(out: &mut Vec<u8>, head: &ResponseHead, length: Option<u64>) -> Framing {
    let asked = Asked {
        is_head: false,
        version: Version::HTTP_11,
        is_kept: true,
    };
    answer_head::write_answer(out, head, asked, length, date)
}
