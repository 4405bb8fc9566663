//! Where a caller's connection is in its life, and its time-outs.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use super::connection::Shared;
use crate::caller::Closing;
use crate::deadline::Deadline;

/// How long an idle connection is still looked at when a drain begins.
const LAST_LOOK: Duration = Duration::from_millis(100);

/// Where a connection is in its life.
#[derive(Debug)]
pub(super) struct Progress {
    pub(super) deadline: Rc<Deadline>,
    phase: Cell<Phase>,
    /// What an orderly end of the connection would say.
    pub(super) closing: Rc<Cell<Closing>>,
    /// The connection ends at the end of its idle time, drain or not.
    is_last_look: Cell<bool>,
    pub(super) shared: Rc<Shared>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing of a request has been read. The connection is a socket and a deadline.
    Idle,
    /// A request head has begun.
    Head,
    /// A request is being answered.
    Request,
    /// An answer has been written, and what the caller still sends is dropped.
    Ending,
}

impl Progress {
    /// A new connection, idle from this turn on.
    pub(super) fn new(deadline: Rc<Deadline>, shared: Rc<Shared>) -> Rc<Self> {
        let progress = Rc::new(Self {
            deadline,
            phase: Cell::new(Phase::Idle),
            closing: Rc::default(),
            is_last_look: Cell::new(false),
            shared,
        });
        progress.idles();
        progress
    }

    /// Nothing is on the connection from this turn on.
    pub(super) fn idles(&self) {
        self.phase.set(Phase::Idle);
        self.shared.counts().connections_parked.add(1);
        self.deadline.allow(self.shared.idle_timeout);
    }

    fn leaves_idleness(&self, phase: Phase) {
        if self.phase.replace(phase) == Phase::Idle {
            self.shared.counts().connections_unparked.add(1);
        }
    }

    /// Something of a head has come.
    pub(super) fn head_begins(&self) {
        if self.phase.get() == Phase::Idle {
            self.leaves_idleness(Phase::Head);
            self.deadline.allow(self.shared.header_timeout);
        }
    }

    /// Something of a head has come, and not all of it.
    pub(super) fn is_in_head(&self) -> bool {
        self.phase.get() == Phase::Head
    }

    /// A head has come whole.
    pub(super) fn request_begins(&self) {
        self.leaves_idleness(Phase::Request);
    }

    /// Its answer has been written, and another request may follow.
    pub(super) fn request_ended(&self) {
        self.deadline.clear_total();
        // What held for its answer does not hold for the next one.
        self.closing.set(Closing::SaysNothing);
        self.is_last_look.set(false);
        self.idles();
    }

    /// A drain is on. An idle connection has a moment to turn out not to be idle,
    /// since the runtime learns of what waits in a new socket from its poller
    /// only. A request can come and be answered within one poll, so the moment is
    /// one for each.
    pub(super) fn drains(&self) {
        if self.phase.get() == Phase::Idle && !self.is_last_look.replace(true) {
            self.deadline.allow(LAST_LOOK);
        }
    }

    /// An answer has been written, and the caller is given until `limit` from now to
    /// have sent what it is not waited for.
    pub(super) fn ends_within(&self, limit: Duration) {
        self.leaves_idleness(Phase::Ending);
        self.deadline.clear_total();
        self.deadline.allow(limit);
    }

    /// The end of the connection may come.
    pub(super) fn has_expired(&self) -> bool {
        self.deadline.expired().is_some()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.leaves_idleness(Phase::Ending);
    }
}
