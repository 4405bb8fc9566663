//! Where a caller's connection is in its life, and its time-outs.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::CONNECTION;
use http::{Request, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use pin_project_lite::pin_project;

use super::connection::Shared;
use crate::caller::{Closing, SendingSide};
use crate::deadline::Deadline;

/// How long an idle connection is still looked at when a drain begins.
const LAST_LOOK: Duration = Duration::from_millis(100);

/// How long an idle connection keeps what HTTP is spoken with. Callers that go on
/// at once never notice; those that pause for longer than this cost little.
const PARKED_AFTER: Duration = Duration::from_millis(100);

/// What ends a head.
pub(super) const EMPTY_LINE: &[u8] = b"\r\n\r\n";

/// Where a connection is in its life.
#[derive(Debug)]
pub(super) struct Progress {
    pub(super) deadline: Rc<Deadline>,
    phase: Cell<Phase>,
    /// When a connection on which nothing happens is closed.
    idle_until: Cell<Instant>,
    /// The request in flight is the last one, by its own words.
    last_request: Cell<bool>,
    pub(super) sending: Rc<SendingSide>,
    /// What an orderly end of the connection would say.
    pub(super) closing: Rc<Cell<Closing>>,
    /// What has come may not all have been taken as part of a request.
    may_have_unread: Cell<bool>,
    /// Something of an answer may not have been written yet.
    unwritten: Cell<bool>,
    /// More than the request in flight has come, or the end of it all.
    more_has_come: Cell<bool>,
    /// Bytes that came in one breath with a head, after it.
    after_head: Cell<u64>,
    /// The connection ends at the end of its idle time, drain or not.
    is_last_look: Cell<bool>,
    pub(super) shared: Rc<Shared>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing of a request has been read.
    Idle,
    /// A request head has begun.
    Head,
    /// A request is being answered.
    Request,
}

impl Progress {
    /// A new connection, idle from this turn on.
    pub(super) fn new(deadline: Rc<Deadline>, shared: Rc<Shared>) -> Rc<Self> {
        let idle_until = deadline.turn() + shared.idle_timeout;
        let progress = Rc::new(Self {
            deadline,
            phase: Cell::new(Phase::Idle),
            idle_until: Cell::new(idle_until),
            last_request: Cell::new(false),
            sending: Rc::default(),
            closing: Rc::default(),
            may_have_unread: Cell::new(false),
            unwritten: Cell::new(false),
            more_has_come: Cell::new(false),
            after_head: Cell::new(0),
            is_last_look: Cell::new(false),
            shared,
        });
        progress.waits_for_its_end();
        progress
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// What has come may not all have been taken as part of a request.
    pub(super) fn may_have_unread(&self) -> bool {
        self.may_have_unread.get()
    }

    pub(super) fn bytes_read(&self, bytes: &[u8]) {
        match self.phase.get() {
            Phase::Idle => {
                self.phase.set(Phase::Head);
                self.may_have_unread.set(true);
                self.deadline.allow(self.shared.header_timeout);
            }
            Phase::Head => {}
            Phase::Request => return,
        }
        // Whoever has sent its next requests as well may close its sending side and
        // still be there (RFC 9112 §9.3.2). A head whose end came in pieces, or with
        // bare LF, is taken for all that has come.
        let head = self.shared.empty_line.find(bytes);
        let rest = head.map_or(0, |at| bytes.len() - at - EMPTY_LINE.len());
        self.after_head.set(rest as u64);
    }

    pub(super) fn request_begins(&self, request: &Request<Incoming>) {
        let is_whole = request.body().is_end_stream();
        self.phase.set(Phase::Request);
        self.last_request.set(is_last(request));
        self.may_have_unread.set(!is_whole);
        self.unwritten.set(true);
        let length = request.body().size_hint().exact().unwrap_or(u64::MAX);
        self.more_has_come.set(self.after_head.get() > length);
        self.sending.begin(is_whole);
    }

    /// Nothing more is to come from the caller, and its answer is still due.
    pub(super) fn awaits_last_answer(&self) -> bool {
        self.phase.get() == Phase::Request && self.last_request.get() && !self.sending.is_cut()
    }

    /// Whether a request that has come whole is being answered, and nothing has
    /// been seen after it.
    pub(super) fn may_be_left(&self) -> bool {
        self.phase.get() == Phase::Request && self.sending.is_whole() && !self.more_has_come.get()
    }

    /// More than the request in flight has come, or the end of it all.
    pub(super) fn more_has_come(&self) {
        self.more_has_come.set(true);
    }

    fn request_ended(&self) {
        self.phase.set(Phase::Idle);
        self.deadline.clear_total();
        self.is_last_look.set(false);
        self.idles_for(self.shared.idle_timeout);
    }

    /// The connection is closed when nothing happens for so long; it is looked at
    /// before, to see whether it can be parked.
    fn idles_for(&self, limit: Duration) {
        self.idle_until.set(self.deadline.turn() + limit);
        self.idles_on();
    }

    /// The connection is idle and a drain is on. What is left of an answer may
    /// still be written; after that the connection has a moment to turn out not to
    /// be idle, since the runtime learns of what waits in a new socket from its
    /// poller only. A request can come and be answered within one poll, so the
    /// moment is one for each.
    pub(super) fn ends_soon(&self) {
        if !self.unwritten.get() && !self.is_last_look.replace(true) {
            self.idles_for(LAST_LOOK);
        }
    }

    /// Nothing has happened yet.
    pub(super) fn idles_on(&self) {
        let end = self.idle_until.get();
        // A request that was not read to its end leaves nothing to look at.
        self.deadline.set_phase(if self.sending.is_whole() {
            end.min(self.deadline.turn() + PARKED_AFTER)
        } else {
            end
        });
    }

    /// The connection is parked: a request or its end is all it waits for.
    pub(super) fn waits_for_its_end(&self) {
        self.deadline.set_phase(self.idle_until.get());
    }

    /// The last answer has been written and the connection told so: what it is
    /// still given is no idle time, is the same in a drain, and it is never parked.
    pub(super) fn lingers_for(&self, limit: Duration) {
        self.is_last_look.set(true);
        self.idle_until.set(self.deadline.turn() + limit);
        self.waits_for_its_end();
    }

    /// Everything that hyper was given has been written.
    pub(super) fn all_is_written(&self) {
        if self.phase.get() == Phase::Idle {
            self.unwritten.set(false);
        }
    }

    /// Whether nothing is on the connection and its time is not over.
    pub(super) fn is_idle(&self) -> bool {
        self.phase.get() == Phase::Idle && self.deadline.turn() < self.idle_until.get()
    }

    /// Whether an idle connection has no more of its last exchange before it: the
    /// request was read to its end, its answer is written. What HTTP is spoken
    /// with then knows nothing that matters but what was read ahead.
    pub(super) fn is_at_rest(&self) -> bool {
        self.is_idle() && self.sending.is_whole() && !self.unwritten.get()
    }
}

/// Whether no further request follows this one on its connection (RFC 9112 §9.3).
fn is_last<B>(request: &Request<B>) -> bool {
    let says = |word: &str| {
        let lines = request.headers().get_all(CONNECTION).iter();
        lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(','))
            .any(|option| option.trim().eq_ignore_ascii_case(word))
    };
    if request.version() == Version::HTTP_10 {
        !says("keep-alive")
    } else {
        says("close")
    }
}

/// Ends the request's phase when the answer's body is dropped, or when the
/// request is abandoned before there is one.
#[derive(Debug)]
pub(super) struct Tracker(pub(super) Rc<Progress>);

impl Drop for Tracker {
    fn drop(&mut self) {
        self.0.request_ended();
    }
}

pin_project! {
    /// An answer's body that tells its connection when it has ended.
    #[derive(Debug)]
    pub struct Tracked<B> {
        #[pin]
        pub(super) body: B,
        pub(super) tracker: Tracker,
    }
}

impl<B: Body<Data = Bytes>> Body for Tracked<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
