//! One request and its answer on a stream of HTTP/2 (RFC 9113 §8): hyper's types
//! turned into ours, and ours into hyper's.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;

use crate::caller::Caller;
use crate::deadline::Deadline;
use crate::http1::{
    BodyError, Fields, Held, Incoming, RequestHead, Response, ResponseHead, Spare, name,
};

/// Most bytes that are handed on at a time. What has been handed on is no longer
/// the request's to wait for, so it is little, however long a piece has come.
const LONGEST_PIECE: usize = 16 * 1024;

/// Answers the requests of streams. Boxed: beside what a stream costs, a few
/// allocations do not matter.
pub(super) type Handler = Rc<dyn Fn(RequestHead, Incoming, Caller) -> Answering>;
type Answering = Pin<Box<dyn Future<Output = Response<AnyBody>>>>;
type AnyBody = Pin<Box<dyn Body<Data = Bytes, Error = BreaksOff>>>;

/// A handler without its types.
pub(super) fn handler<H, F, B>(handler: H) -> Handler
where
    H: Fn(RequestHead, Incoming, Caller) -> F + 'static,
    F: Future<Output = Response<B>> + 'static,
    B: Body<Data = Bytes> + 'static,
{
    Rc::new(move |head, incoming, caller| {
        let answering = handler(head, incoming, caller);
        Box::pin(async move {
            let Response { head, body } = answering.await;
            // Why an answer breaks off is logged by whoever answers.
            let body: AnyBody = Box::pin(body.map_err(|_| BreaksOff));
            Response { head, body }
        })
    })
}

/// The request, its fields in the empty ones that are given.
pub(super) fn request(
    request: http::Request<hyper::body::Incoming>,
    mut fields: Fields,
) -> (RequestHead, Incoming) {
    let (parts, body) = request.into_parts();
    let authority = parts.uri.authority().map(http::uri::Authority::as_str);
    if let Some(host) = authority.and_then(|text| HeaderValue::from_str(text).ok()) {
        fields.append(name::HOST, &host);
    }
    let mut has_length = false;
    for (name, value) in &parts.headers {
        let is_said = match name.as_str() {
            // One that says something else is a second one, which is refused (§8.3.1).
            name::HOST => authority.is_some_and(|authority| {
                value.as_bytes().eq_ignore_ascii_case(authority.as_bytes())
            }),
            // Repeated ones are alike, or they would not get here.
            name::CONTENT_LENGTH => std::mem::replace(&mut has_length, true),
            _ => false,
        };
        if !is_said {
            fields.append(name.as_str(), value);
        }
    }
    let head = RequestHead {
        method: parts.method,
        uri: parts.uri,
        version: parts.version,
        fields,
    };
    (head, Incoming::from_stream(Received(body)))
}

/// The answer. What is no longer needed of it goes to `spare`; `deadline` is that
/// of its stream.
pub(super) fn answer(
    answer: Response<AnyBody>,
    is_head: bool,
    deadline: Rc<Deadline>,
    spare: Rc<Spare>,
) -> http::Response<Sent> {
    let Response { head, body } = answer;
    let mut fields = header_map(&head);
    let has_no_length = matches!(
        head.status,
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
    );
    let has_no_body = is_head || has_no_length;
    if has_no_body
        && !has_no_length
        && let Some(length) = body.size_hint().exact().filter(|length| *length > 0)
    {
        fields.entry(CONTENT_LENGTH).or_insert(length.into());
    }
    spare.fields.put(head.fields);
    let mut response = http::Response::new(Sent {
        body: (!has_no_body).then_some(body),
        rest: Bytes::new(),
        held: None,
        spare,
        deadline,
    });
    *response.status_mut() = head.status;
    *response.headers_mut() = fields;
    response
}

/// The fields, without those that concern a connection of HTTP/1 (§8.2.2).
fn header_map(head: &ResponseHead) -> HeaderMap {
    let mut map = HeaderMap::with_capacity(head.fields.len());
    for (name, value) in head.fields.iter() {
        if name == name::CONNECTION.as_bytes() || name == name::TRANSFER_ENCODING.as_bytes() {
            continue;
        }
        // What has been read as a field is one.
        let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
        else {
            continue;
        };
        if name != CONTENT_LENGTH || !map.contains_key(CONTENT_LENGTH) {
            map.append(name, value);
        }
    }
    map
}

/// A request's body.
struct Received(hyper::body::Incoming);

impl Body for Received {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Poll::Ready(match ready!(Pin::new(&mut self.0).poll_frame(cx)) {
            Some(Ok(frame)) => Some(Ok(frame)),
            Some(Err(error)) => Some(Err(BodyError::Stream(error.into()))),
            // hyper takes a reset without an error for an end, which only the caller
            // that has sent all of it has told.
            None if !self.0.is_end_stream() => Some(Err(BodyError::BrokeOff)),
            None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

/// An answer's body, where there is one.
pub(super) struct Sent {
    body: Option<AnyBody>,
    /// What has come of it and is still to be handed on.
    rest: Bytes,
    held: Option<Held>,
    spare: Rc<Spare>,
    deadline: Rc<Deadline>,
}

/// The answer cannot be completed.
#[derive(Debug, thiserror::Error)]
#[error("the answer breaks off")]
pub(super) struct BreaksOff;

impl Body for Sent {
    type Data = Bytes;
    type Error = BreaksOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BreaksOff>>> {
        if self.rest.is_empty() {
            let Some(body) = &mut self.body else {
                return Poll::Ready(None);
            };
            // Trailers do not get this far; a frame is data.
            self.rest = match ready!(body.as_mut().poll_frame(cx)) {
                Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            };
        } else {
            // There is room for more, so the caller reads, however slowly.
            self.deadline.moves_on();
        }
        let length = self.rest.len().min(LONGEST_PIECE);
        let piece = self.rest.split_to(length);
        if self.rest.is_empty() {
            self.held = None;
        } else if self.held.is_none() {
            self.held = Some(self.spare.buffers.hold(self.rest.len()));
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        let body = self.body.as_ref().map(Body::size_hint);
        let body = body.unwrap_or_else(|| SizeHint::with_exact(0));
        let mut hint = SizeHint::new();
        hint.set_lower(rest + body.lower());
        if let Some(upper) = body.upper() {
            hint.set_upper(rest + upper);
        }
        hint
    }
}
