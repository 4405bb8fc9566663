//! Looks at the beginning of an answer before anything of it goes to the
//! caller: most paths of DQE tell a dead token in an ordinary-looking body.
//!
//! What has been read is kept and goes first. An ordinary body is told by its
//! first piece, which mostly came with the head: nothing is copied, nothing
//! waits. No body is held back for longer than it takes to read the few
//! hundred bytes that are looked at.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_ENCODING;
use http::{HeaderMap, Method, Response, StatusCode};
use http_body::{Body, Frame};

use super::Call;
use super::attempt::within;
use super::decide::Sign;
use super::error::ProxyError;
use super::upload::OutgoingBody;
use crate::deadline::Expired;
use crate::dqe::Scope;
use crate::dqe::dead_token::{self, Reading};
use crate::token::AccessToken;
use crate::upstream::{AnswerBody, AnswerError};

/// The server's answer, its body begun.
pub(super) struct Answered {
    pub(super) response: Response<AnswerBody<OutgoingBody>>,
    /// What has been read of the body.
    pub(super) begun: Bytes,
    /// How it broke off while it was looked at.
    pub(super) broken: Option<AnswerError>,
    /// The token the answer was asked with.
    pub(super) token: Arc<AccessToken>,
}

/// Looks at an answer as far as it takes to know what it says about the token.
///
/// # Errors
/// When the beginning of the body does not come in time.
pub(super) async fn look(
    call: &Call,
    response: Response<AnswerBody<OutgoingBody>>,
    token: &Arc<AccessToken>,
) -> Result<(Answered, Sign), ProxyError> {
    let mut answered = Answered {
        response,
        begun: Bytes::new(),
        broken: None,
        token: Arc::clone(token),
    };
    if answered.response.status() == StatusCode::UNAUTHORIZED {
        return Ok((answered, Sign::Refused));
    }
    if !answered.is_worth_a_look(&call.head.method) {
        return Ok((answered, Sign::Accepted));
    }
    let family = call.route().scope;
    let mut context = Context::from_waker(Waker::noop());
    let reading = match answered.poll_read(&mut context, family) {
        Poll::Ready(reading) => reading,
        // On the heap, as all that is rare here: the future of a request stays small.
        Poll::Pending => {
            let reading;
            (answered, reading) = Box::pin(look_on(call, answered, family)).await?;
            reading
        }
    };
    let sign = match reading {
        Reading::Certain => Sign::Refused,
        Reading::Suspicious => Sign::Doubted,
        Reading::Honest | Reading::Unclear => Sign::Accepted,
    };
    Ok((answered, sign))
}

async fn look_on(
    call: &Call,
    mut answered: Answered,
    family: Scope,
) -> Result<(Answered, Reading), ProxyError> {
    let limit = call.worker.settings.body_idle_timeout;
    let reading = poll_fn(|cx| answered.poll_read(cx, family));
    match within(&call.caller, limit, reading).await {
        Ok(reading) => Ok((answered, reading)),
        Err(Expired::Phase) => Err(ProxyError::AnswerTimeout),
        Err(Expired::Total) => Err(ProxyError::TotalTimeout),
    }
}

impl Answered {
    /// Whether a dead token can be told in the body: it can be read, and an
    /// empty one means something.
    fn is_worth_a_look(&self, method: &Method) -> bool {
        self.response.status() == StatusCode::OK
            && matches!(*method, Method::GET | Method::POST)
            && !is_coded(self.response.headers())
    }

    /// Reads on until the body has said what it has to say.
    fn poll_read(&mut self, cx: &mut Context<'_>, family: Scope) -> Poll<Reading> {
        loop {
            let is_whole = self.response.body().is_end_stream();
            let reading = dead_token::read(family, &self.begun, is_whole);
            if reading != Reading::Unclear || is_whole || self.broken.is_some() {
                return Poll::Ready(reading);
            }
            match Pin::new(self.response.body_mut()).poll_frame(cx) {
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
        self.begun = if self.begun.is_empty() {
            piece
        } else {
            let mut joined = BytesMut::with_capacity(self.begun.len() + piece.len());
            joined.extend_from_slice(&self.begun);
            joined.extend_from_slice(&piece);
            joined.freeze()
        };
    }
}

/// Whether the body has a content coding, which DQE was asked not to use.
pub(super) fn is_coded(fields: &HeaderMap) -> bool {
    fields
        .get_all(CONTENT_ENCODING)
        .iter()
        .any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}
