//! The caller's body on its way to the server: streamed, while a copy of its
//! beginning is kept for a replay; or read whole beforehand, when it is a form.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::caller::Caller;
use crate::http1::{BodyError, Incoming};

/// Most bytes of a body kept for a replay. A longer body is streamed all the
/// same, but cannot be sent again; a longer form is refused, because what has
/// to be rewritten is read whole. DQE's own forms are a hundredth of this.
pub(super) const MOST_KEPT: usize = 64 * 1024;

/// One request's body, shared by the attempts that send it.
#[derive(Debug)]
pub(super) struct Upload {
    source: RefCell<Received>,
    /// Which attempt may read; an older one gets an error.
    attempt: Cell<u32>,
    received: Rc<Cell<u64>>,
    /// All that came has been taken, and more is due from the caller.
    caller_is_due: Cell<bool>,
    /// More has come than [`Bounds::most`].
    is_too_large: Cell<bool>,
    /// The answer to the present attempt is on its way.
    is_answered: Cell<bool>,
    size: SizeHint,
    caller: Caller,
    bounds: Bounds,
}

/// How much of a body is taken, and how patiently.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Most bytes.
    pub(super) most: u64,
    /// Longest silence of the caller.
    pub(super) idle_timeout: Duration,
    /// Longest wait for the answer once all has been sent.
    pub(super) first_byte_timeout: Duration,
}

struct Received {
    incoming: Incoming,
    ended: bool,
    /// What has been read so far, copied, so that a trickle of tiny chunks pins no
    /// read buffers; `None` once it is more than [`MOST_KEPT`].
    kept: Option<Vec<u8>>,
}

impl Upload {
    /// Takes over the body of a request; `None` when there is none. `received`
    /// counts its bytes.
    ///
    /// # Errors
    /// [`UploadError::TooLarge`] when it is announced as longer than it may be:
    /// nothing of it is read then.
    pub(super) fn new(
        incoming: Incoming,
        caller: &Caller,
        received: Rc<Cell<u64>>,
        bounds: Bounds,
    ) -> Result<Rc<Self>, UploadError> {
        let size = incoming.size_hint();
        if size.lower() > bounds.most {
            return Err(UploadError::TooLarge);
        }
        let source = Received {
            incoming,
            ended: false,
            kept: Some(Vec::new()),
        };
        Ok(Rc::new(Self {
            source: RefCell::new(source),
            attempt: Cell::new(0),
            received,
            caller_is_due: Cell::new(false),
            is_too_large: Cell::new(false),
            is_answered: Cell::new(false),
            size,
            caller: caller.clone(),
            bounds,
        }))
    }

    /// Whether everything read so far is still at hand.
    #[must_use]
    pub(super) fn is_at_hand(&self) -> bool {
        self.source.borrow().kept.is_some()
    }

    /// Whether the caller is still to send some of it, as far as has been read.
    #[must_use]
    pub(super) fn is_coming(&self) -> bool {
        !self.source.borrow().ended
    }

    /// Whether the body stands still because the caller sends no more of it,
    /// and not because the server takes no more.
    #[must_use]
    pub(super) fn waits_for_caller(&self) -> bool {
        self.caller_is_due.get()
    }

    /// The head of an answer has come, be it before the end of this.
    pub(super) fn answer_begins(&self) {
        self.is_answered.set(true);
    }

    /// Whether more of it has come than may.
    #[must_use]
    pub(super) fn is_too_large(&self) -> bool {
        self.is_too_large.get()
    }

    /// The body from its beginning, for the next attempt; earlier attempts can
    /// no longer read. `None` when the beginning is no longer at hand.
    #[must_use]
    pub(super) fn begin(self: &Rc<Self>) -> Option<OutgoingBody> {
        if !self.is_at_hand() {
            return None;
        }
        self.attempt.set(self.attempt.get() + 1);
        self.is_answered.set(false);
        Some(OutgoingBody(Source::Upload(Reading {
            upload: Rc::clone(self),
            attempt: self.attempt.get(),
            position: 0,
        })))
    }

    /// Whether the announced length is more than [`MOST_KEPT`].
    #[must_use]
    pub(super) fn announces_too_much(&self) -> bool {
        self.size.lower() > MOST_KEPT as u64
    }

    /// Reads the body to its end; `None` as soon as it is more than [`MOST_KEPT`].
    ///
    /// # Errors
    /// See [`UploadError`].
    pub(super) async fn read_whole(self: &Rc<Self>) -> Result<Option<Bytes>, UploadError> {
        if self.announces_too_much() {
            return Ok(None);
        }
        let Some(mut body) = self.begin() else {
            return Ok(None);
        };
        while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            frame?;
            if !self.is_at_hand() {
                return Ok(None);
            }
        }
        let kept = self.source.borrow_mut().kept.take();
        Ok(kept.map(Bytes::from))
    }
}

/// The body of one attempt.
pub struct OutgoingBody(Source);

enum Source {
    Upload(Reading),
    /// In one piece, until it has been handed out.
    Whole {
        text: Bytes,
        /// It is not what the caller framed.
        is_changed: bool,
    },
}

impl OutgoingBody {
    /// A body that is all there.
    #[must_use]
    pub(super) fn whole(text: Bytes, is_changed: bool) -> Self {
        Self(Source::Whole { text, is_changed })
    }

    /// The length, where it is the proxy's to announce.
    #[must_use]
    pub(super) fn length(&self) -> Option<u64> {
        match &self.0 {
            Source::Whole {
                text,
                is_changed: true,
            } => Some(text.len() as u64),
            Source::Upload(_) | Source::Whole { .. } => None,
        }
    }
}

/// One attempt's view of an upload.
struct Reading {
    /// The body shared with other attempts.
    upload: Rc<Upload>,
    /// Which attempt this is.
    attempt: u32,
    /// Bytes of the body this attempt has been given, as long as they are kept.
    position: usize,
}

/// Why a body could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The caller's connection failed or its framing is wrong.
    #[error("the caller's body broke off")]
    Caller(#[source] BodyError),
    /// It is longer than it may be.
    #[error("the caller's body is too long")]
    TooLarge,
    /// A later attempt has taken the body over.
    #[error("a later attempt sends this body")]
    Superseded,
}

impl Body for OutgoingBody {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        match &mut self.get_mut().0 {
            Source::Upload(reading) => reading.poll_frame(cx),
            Source::Whole { text, .. } if text.is_empty() => Poll::Ready(None),
            Source::Whole { text, .. } => Poll::Ready(Some(Ok(Frame::data(std::mem::take(text))))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Source::Upload(reading) => reading.is_end_stream(),
            Source::Whole { text, .. } => text.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Source::Upload(reading) => reading.upload.size,
            Source::Whole { text, .. } => SizeHint::with_exact(text.len() as u64),
        }
    }
}

impl Reading {
    fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        let Self {
            upload,
            attempt,
            position,
        } = self;
        if upload.attempt.get() != *attempt {
            return Poll::Ready(Some(Err(UploadError::Superseded)));
        }
        let mut source = upload.source.borrow_mut();
        if let Some(rest) = source.kept.as_ref().and_then(|kept| kept.get(*position..))
            && !rest.is_empty()
        {
            *position += rest.len();
            return Poll::Ready(Some(Ok(Frame::data(Bytes::copy_from_slice(rest)))));
        }
        if source.ended {
            return Poll::Ready(None);
        }
        loop {
            let polled = Pin::new(&mut source.incoming).poll_frame(cx);
            upload.caller_is_due.set(polled.is_pending());
            let frame = match ready!(polled) {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return Poll::Ready(Some(Err(UploadError::Caller(error)))),
                None => {
                    upload.ended(&mut source);
                    return Poll::Ready(None);
                }
            };
            // A trailer section is dropped, which RFC 9110 §6.5.1 allows.
            let Ok(chunk) = frame.into_data() else {
                continue;
            };
            let received = upload.received.get() + chunk.len() as u64;
            upload.received.set(received);
            if received > upload.bounds.most {
                upload.is_too_large.set(true);
                return Poll::Ready(Some(Err(UploadError::TooLarge)));
            }
            source.keep(&chunk);
            *position += chunk.len();
            if source.incoming.is_end_stream() {
                upload.ended(&mut source);
            } else {
                upload.caller.deadline.allow(upload.bounds.idle_timeout);
            }
            return Poll::Ready(Some(Ok(Frame::data(chunk))));
        }
    }

    fn is_end_stream(&self) -> bool {
        let source = self.upload.source.borrow();
        let given = |kept: &Vec<u8>| self.position >= kept.len();
        source.ended && source.kept.as_ref().is_none_or(given)
    }
}

impl fmt::Debug for OutgoingBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OutgoingBody")
    }
}

impl Upload {
    fn ended(&self, source: &mut Received) {
        source.ended = true;
        self.caller.deadline.allow(if self.is_answered.get() {
            self.bounds.idle_timeout
        } else {
            self.bounds.first_byte_timeout
        });
    }
}

/// Without the bytes: they may be personal data.
impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received")
            .field("ended", &self.ended)
            .field("kept", &self.kept.as_ref().map(Vec::len))
            .finish_non_exhaustive()
    }
}

impl Received {
    fn keep(&mut self, chunk: &Bytes) {
        if let Some(kept) = &mut self.kept {
            let length = kept.len() + chunk.len();
            if length > MOST_KEPT {
                self.kept = None;
                return;
            }
            if length > kept.capacity() {
                // Twice as much each time, and never more than may be kept.
                let capacity = (2 * kept.capacity()).clamp(length, MOST_KEPT);
                kept.reserve_exact(capacity - kept.len());
            }
            kept.extend_from_slice(chunk);
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[test]
    fn what_is_kept_takes_no_more_than_it_may_be_long() {
        let incoming =
            Incoming::from_stream(http_body_util::Empty::new().map_err(|no| match no {}));
        let mut received = Received {
            incoming,
            ended: false,
            kept: Some(Vec::new()),
        };
        for chunk in [100, 300, 40_000, 20_000, MOST_KEPT - 60_400] {
            received.keep(&Bytes::from(vec![b'x'; chunk]));
            let kept = received.kept.as_ref().unwrap();
            assert!(kept.capacity() <= MOST_KEPT, "{}", kept.len());
        }
        received.keep(&Bytes::from_static(b"x"));
        assert!(received.kept.is_none());
    }

    #[test]
    fn debug_shows_nothing_of_a_body() {
        let received = Received {
            incoming: Incoming::from_stream(http_body_util::Empty::new().map_err(|no| match no {})),
            ended: false,
            kept: Some(b"Tel=0612345678".to_vec()),
        };
        let shown = format!("{received:?}");
        // Neither as text nor as the numbers of its bytes.
        assert!(
            !shown.contains("Tel") && !shown.contains("84, 101"),
            "{shown}"
        );
    }
}
