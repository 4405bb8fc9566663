//! Looks at the beginning of an answer before anything of it goes to the
//! caller: most paths of DQE tell a dead token in an ordinary-looking body.
//!
//! What has been read is kept and is passed on first. An ordinary body is recognised
//! by its first piece, which nearly always came with the head: then nothing is copied
//! and nothing waits. No body is held back for longer than it takes to read the few
//! hundred bytes that are looked at.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use http::{Method, StatusCode};
use http_body::{Body, Frame};

use super::Call;
use super::attempt::within;
use super::decide::Sign;
use super::error::ProxyError;
use super::upload::OutgoingBody;
use crate::deadline::Expired;
use crate::dqe::Scope;
use crate::dqe::dead_token::{self, Reading};
use crate::http1::{Fields, Response, name};
use crate::upstream::{AnswerBody, AnswerError};

/// The server's answer.
pub(super) type Answered = Response<AnswerBody<OutgoingBody>>;

/// The beginning of an answer's body, read before anything of it is passed on.
#[derive(Default)]
pub(super) struct Beginning {
    /// What has been read; goes first.
    pub(super) bytes: Bytes,
    /// How the body broke off after that.
    pub(super) broken: Option<AnswerError>,
}

/// What an answer says about the token, as far as that is known without
/// waiting; `None` when it takes [`look_on`]. What has been read of the body
/// for that is in `call.beginning`.
pub(super) fn look(call: &mut Call, answer: &mut Answered) -> Option<Sign> {
    call.beginning = Beginning::default();
    if answer.head.status == StatusCode::UNAUTHORIZED {
        return Some(Sign::Refused);
    }
    let family = call.route().scope;
    if !is_worth_a_look(family, &call.head.method, answer) {
        return Some(Sign::Accepted);
    }
    let mut context = Context::from_waker(Waker::noop());
    match call.beginning.poll_read(&mut context, answer, family) {
        Poll::Ready(reading) => Some(sign(reading)),
        Poll::Pending => None,
    }
}

/// Waits for as much of the body as it takes to know what it says.
///
/// # Errors
/// When that does not come in time, or the request's body turns out too long meanwhile.
pub(super) async fn look_on(call: &mut Call, answer: &mut Answered) -> Result<Sign, ProxyError> {
    let family = call.route().scope;
    let limit = call.worker.settings.body_idle_timeout;
    let (beginning, payload, caller) = (&mut call.beginning, &call.payload, &call.caller);
    let reading = poll_fn(|cx| {
        let before = beginning.bytes.len();
        match beginning.poll_read(cx, answer, family) {
            // The request has been cut, and its answer with it.
            Poll::Pending if payload.is_too_large() => Poll::Ready(None),
            Poll::Pending if beginning.bytes.len() > before => {
                caller.deadline.allow(limit);
                Poll::Pending
            }
            polled => polled.map(Some),
        }
    });
    match within(caller, limit, reading).await {
        Ok(None) => Err(ProxyError::BodyTooLarge),
        Ok(Some(reading)) => Ok(sign(reading)),
        Err(Expired::Phase) => Err(ProxyError::AnswerTimeout),
        Err(Expired::Total) => Err(ProxyError::TotalTimeout),
    }
}

fn sign(reading: Reading) -> Sign {
    match reading {
        Reading::Certain => Sign::Refused,
        Reading::Suspicious => Sign::Doubted,
        Reading::Honest | Reading::Unclear => Sign::Accepted,
    }
}

/// Whether a dead token can be told in the body: it can be read, and an empty
/// one means something. Which status ID Mobile's errors have is not documented.
fn is_worth_a_look(family: Scope, method: &Method, answer: &Answered) -> bool {
    let status = answer.head.status;
    (status == StatusCode::OK || (family == Scope::IdMobile && status.is_client_error()))
        && matches!(*method, Method::GET | Method::POST)
        && !is_coded(&answer.head.fields)
}

impl Call {
    /// An answer that was set aside is the caller's after all.
    pub(super) fn take_back(&mut self, (answer, beginning): (Answered, Beginning)) -> Answered {
        self.beginning = beginning;
        answer
    }

    /// There is no better answer than one that was set aside, if there is one.
    pub(super) fn falls_back_on(
        &mut self,
        spare: Option<Box<(Answered, Beginning)>>,
        error: ProxyError,
    ) -> Result<Answered, ProxyError> {
        let spare = spare.ok_or(error)?;
        Ok(self.take_back(*spare))
    }
}

impl Beginning {
    /// Reads on until the body has said what it has to say.
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        answer: &mut Answered,
        family: Scope,
    ) -> Poll<Reading> {
        loop {
            let is_whole = answer.body.is_end_stream();
            let reading = dead_token::read(family, &self.bytes, is_whole);
            if reading != Reading::Unclear || is_whole || self.broken.is_some() {
                return Poll::Ready(reading);
            }
            match Pin::new(&mut answer.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => self.append(frame),
                Poll::Ready(Some(Err(error))) => self.broken = Some(error),
                Poll::Ready(None) => {}
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn append(&mut self, frame: Frame<Bytes>) {
        let Ok(piece) = frame.into_data() else {
            return;
        };
        self.bytes = if self.bytes.is_empty() {
            piece
        } else {
            let mut joined = BytesMut::with_capacity(self.bytes.len() + piece.len());
            joined.extend_from_slice(&self.bytes);
            joined.extend_from_slice(&piece);
            joined.freeze()
        };
    }
}

/// Whether the body has a content coding, which DQE was asked not to use.
pub(super) fn is_coded(fields: &Fields) -> bool {
    let mut codings = fields.get_all(name::CONTENT_ENCODING);
    codings.any(|coding| !coding.eq_ignore_ascii_case(b"identity"))
}
