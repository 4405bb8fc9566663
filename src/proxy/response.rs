//! What the caller gets: the server's answer passed on, or an answer of the
//! proxy's own.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderValue, StatusCode, Version};
use http_body::{Body, Frame, SizeHint};

use super::Call;
use super::code::Code;
use super::error::ProxyError;
use super::headers::{self, REQUEST_ID};
use super::inspect::Answered;
use super::redirect;
use super::scrub::Scrubber;
use super::upload::OutgoingBody;
use crate::caller::Closing;
use crate::dqe::relay::Wrapper;
use crate::http1::{Response, ResponseHead, name};
use crate::upstream::{AnswerBody, AnswerError};

/// The body of an answer to a caller. Ends its exchange when it is dropped.
pub enum Answer {
    /// The server's, streamed.
    Forwarded(Forwarded),
    /// The proxy's own, in one piece.
    Own {
        /// What is still to be sent.
        body: Option<Bytes>,
        /// The request it ends.
        call: Box<Call>,
    },
}

/// The server's body on its way to the caller.
pub struct Forwarded {
    body: AnswerBody<OutgoingBody>,
    call: Box<Call>,
    /// The whole body has been handed on.
    complete: bool,
    /// Writes the body into another document, for a relay page.
    wrapper: Option<Wrapper>,
}

/// Passes the server's answer on.
#[inline(always)]
pub(super) fn forwarded(answer: Answered, mut call: Box<Call>) -> Response<Answer> {
    let Response { mut head, body } = answer;
    call.exchange
        .ends_as(head.status, Code::of_answer(head.status));
    let id = call.exchange.request_id();
    let has_location = headers::clean_answer(&mut head.fields, head.status, head.version, id);
    let client = &call.worker.client;
    if has_location {
        let server = &client.settings().server;
        let is_elsewhere = call.relay.is_some() || !call.redirected.is_empty();
        let base = is_elsewhere.then_some(&call.head.uri);
        redirect::keep_on_the_proxy(&mut head.fields, server, call.route().parameter, base);
    }
    if let Some(scrubber) = &call.scrubber {
        scrubber.mask_fields(&mut head.fields);
    }
    call.reader.name_in(&mut head.fields);
    let wrapper = call.wrapper_of(head.status, &mut head.fields);
    let complete = wrapper.is_none() && body.is_end_stream() && call.beginning.bytes.is_empty();
    // The body's end is then the connection's end.
    if call.head.version == Version::HTTP_10
        && !complete
        && !head.fields.contains(name::CONTENT_LENGTH)
    {
        call.caller.closing.set(Closing::Misleads);
    }
    // The request's fields are done with.
    client
        .spare()
        .fields
        .put(std::mem::take(&mut call.head.fields));
    let body = Forwarded {
        body,
        call,
        complete,
        wrapper,
    };
    body.moved_on();
    Response {
        head,
        body: Answer::Forwarded(body),
    }
}

/// Methods that are forwarded, for `Allow`; besides them any that is not known.
const ALLOW: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");

/// The proxy's own answers are true for the moment only.
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// What a relay path allows.
const ALLOW_RELAY: HeaderValue = HeaderValue::from_static("POST");

/// Answers OPTIONS in the server's place (RFC 9110 §9.3.7). With [`preflight`]
/// the only 2xx of the proxy's own: the caller has asked for just that.
pub(super) fn options(call: &mut Call) -> ResponseHead {
    let mut head = no_content(call);
    head.fields.insert(name::ALLOW, &ALLOW);
    call.reader.name_in(&mut head.fields);
    head
}

/// Tells a browser that a page may call.
pub(super) fn preflight(call: &mut Call) -> ResponseHead {
    let mut head = no_content(call);
    let asked = &call.head.fields;
    call.reader.grant(asked, &ALLOW, &mut head.fields);
    head
}

fn no_content(call: &mut Call) -> ResponseHead {
    call.exchange.ends_as(StatusCode::NO_CONTENT, Code::Ok2xx);
    let mut head = ResponseHead::new(StatusCode::NO_CONTENT);
    head.fields.insert(name::CACHE_CONTROL, &NO_STORE);
    head.fields.insert(REQUEST_ID, call.exchange.request_id());
    head
}

/// Answers on the proxy's own account: problem+json (RFC 9457), `Proxy-Status`
/// (RFC 9209), a request id; never a 2xx, and nothing that runs in a page which
/// has asked for a script (JSONP).
pub(super) fn refused(error: &ProxyError, call: &mut Call) -> (ResponseHead, Bytes) {
    let exchange = &mut call.exchange;
    let appearance = error.appearance();
    let code = appearance.code.as_str();
    exchange.ends_as(appearance.status, appearance.code);
    let problem = serde_json::json!({
        "type": format!("urn:dqe-proxy:problem:{code}"),
        "title": appearance.status.canonical_reason().unwrap_or("Error"),
        "status": appearance.status.as_u16(),
        "code": code,
        "detail": appearance.detail,
        "request_id": exchange.request_id().as_str(),
    });
    let mut head = ResponseHead::new(appearance.status);
    let fields = &mut head.fields;
    fields.insert(
        name::CONTENT_TYPE,
        &HeaderValue::from_static("application/problem+json"),
    );
    fields.insert(
        name::X_CONTENT_TYPE_OPTIONS,
        &HeaderValue::from_static("nosniff"),
    );
    fields.insert(name::CACHE_CONTROL, &NO_STORE);
    fields.insert(REQUEST_ID, exchange.request_id());
    let proxy_status = format!(
        "{}; error={}; details=\"{code}\"",
        headers::PSEUDONYM,
        appearance.proxy_status
    );
    if let Ok(value) = HeaderValue::from_str(&proxy_status) {
        fields.insert(name::PROXY_STATUS, &value);
    }
    if let Some(seconds) = appearance.retry_after {
        fields.insert(name::RETRY_AFTER, &HeaderValue::from(seconds));
    }
    if appearance.status == StatusCode::METHOD_NOT_ALLOWED {
        let is_relay = matches!(error, ProxyError::RelayMethod);
        let allowed = if is_relay { ALLOW_RELAY } else { ALLOW };
        fields.insert(name::ALLOW, &allowed);
    }
    if exchange.is_connect()
        || matches!(
            appearance.code,
            Code::FieldsTooLarge | Code::BodyTooLarge | Code::CodingNotSupported
        )
    {
        // What follows may be meant for a tunnel that was refused, may be just as large,
        // or may be the rest of a body whose end nobody here can find.
        fields.insert(name::CONNECTION, &HeaderValue::from_static("close"));
    }
    call.reader.name_in(fields);
    let mut body = problem.to_string();
    body.push('\n');
    (head, Bytes::from(body))
}

impl Forwarded {
    /// The body is on its way: the caller's patience begins anew.
    fn moved_on(&self) {
        let idle_timeout = self.call.worker.settings.body_idle_timeout;
        self.call.caller.deadline.allow(idle_timeout);
    }

    /// The next piece of what the server sent.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, AnswerError>>> {
        let beginning = &mut self.call.beginning;
        if !beginning.bytes.is_empty() {
            return Poll::Ready(Some(Ok(std::mem::take(&mut beginning.bytes))));
        }
        if let Some(error) = beginning.broken.take() {
            return Poll::Ready(Some(Err(error)));
        }
        loop {
            // Trailers do not get this far; a frame is data.
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    if let Ok(piece) = frame.into_data() {
                        return Poll::Ready(Some(Ok(piece)));
                    }
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }

    /// The next piece for the caller.
    fn poll_scrubbed(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, AnswerError>>> {
        loop {
            let polled = ready!(self.poll_piece(cx));
            let is_last = self.body.is_end_stream();
            let Some(scrubber) = &mut self.call.scrubber else {
                return Poll::Ready(polled);
            };
            let piece = match polled {
                Some(Ok(piece)) => scrubber.pass(piece, is_last),
                None => {
                    let rest = scrubber.rest();
                    return Poll::Ready((!rest.is_empty()).then_some(Ok(rest)));
                }
                // What may be the beginning of a secret goes nowhere.
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            };
            if !piece.is_empty() {
                return Poll::Ready(Some(Ok(piece)));
            }
            if is_last {
                return Poll::Ready(None);
            }
        }
    }

    /// All of it has been handed on.
    fn ends(&mut self) {
        self.complete = true;
        let closing = &self.call.caller.closing;
        if closing.get() == Closing::Misleads {
            closing.set(Closing::EndsAnswer);
        }
    }

    /// The next piece for a relay page, in the document it expects.
    fn poll_wrapped(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, AnswerError>>> {
        if self.wrapper.as_ref().is_none_or(Wrapper::has_ended) {
            return self.poll_scrubbed(cx);
        }
        let polled = ready!(self.poll_scrubbed(cx)).transpose();
        let is_last = self.has_passed_all();
        Poll::Ready(match (polled, &mut self.wrapper) {
            (Ok(piece), Some(wrapper)) => {
                let is_last = is_last || piece.is_none();
                Some(Ok(wrapper.wrap(&piece.unwrap_or_default(), is_last)))
            }
            (polled, _) => polled.transpose(),
        })
    }

    /// Everything the server sent has been handed on.
    fn has_passed_all(&self) -> bool {
        self.not_passed_on() == 0 && self.body.is_end_stream()
    }

    fn is_end_stream(&self) -> bool {
        self.has_passed_all() && self.wrapper.as_ref().is_none_or(Wrapper::has_ended)
    }

    /// Bytes that have been read and are still to be passed on.
    fn not_passed_on(&self) -> u64 {
        let held = self.call.scrubber.as_ref().map_or(0, Scrubber::held);
        (self.call.beginning.bytes.len() + held) as u64
    }

    fn size_hint(&self) -> SizeHint {
        if self.wrapper.is_some() {
            return SizeHint::default();
        }
        let begun = self.not_passed_on();
        let rest = self.body.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(begun + rest.lower());
        if let Some(upper) = rest.upper() {
            hint.set_upper(begun + upper);
        }
        hint
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, AnswerError>>> {
        let mut polled = self.poll_wrapped(cx);
        // The request has been cut: what else is answered is an answer to half of it.
        let is_cut = polled.is_pending() && self.call.payload.is_too_large();
        if is_cut {
            polled = Poll::Ready(Some(Err(AnswerError::BrokeOff)));
        }
        match ready!(polled) {
            Some(Ok(piece)) => {
                self.call.exchange.passed_on(piece.len());
                if self.is_end_stream() {
                    self.ends();
                }
                self.moved_on();
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
            None => {
                self.ends();
                Poll::Ready(None)
            }
            Some(Err(error)) => {
                self.call.exchange.breaks_off(if is_cut {
                    Code::BodyTooLarge
                } else {
                    Code::AnswerCut
                });
                Poll::Ready(Some(Err(error)))
            }
        }
    }
}

impl Drop for Forwarded {
    fn drop(&mut self) {
        if !self.complete {
            if self.call.caller.deadline.expired().is_some() {
                self.call.exchange.breaks_off(Code::AnswerStalled);
            } else {
                self.call.exchange.gone_if_not_cut();
            }
        }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = AnswerError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, AnswerError>>> {
        match self.get_mut() {
            Self::Forwarded(body) => body.poll(cx),
            Self::Own { body, call } => Poll::Ready(body.take().map(|body| {
                call.exchange.passed_on(body.len());
                Ok(Frame::data(body))
            })),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Forwarded(body) => body.is_end_stream(),
            Self::Own { body, .. } => body.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Forwarded(body) => body.size_hint(),
            Self::Own { body, .. } => {
                SizeHint::with_exact(body.as_ref().map_or(0, |body| body.len() as u64))
            }
        }
    }
}
