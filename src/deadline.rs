//! Time-outs of the request path: one coarse deadline per caller connection, and
//! per stream of HTTP/2, moved forward as the work goes on, and looked at by one
//! ticker per worker thread.
//!
//! HTTP/1 has one request at a time on a connection and it is answered inside
//! the connection's task, so one deadline and one waker serve every phase: idle,
//! reading a head, waiting for the server, moving a body. Setting it costs a
//! store, where a runtime timer costs a registration and a removal per phase.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

/// Distance of two looks at the deadlines: a time-out takes effect at most
/// this much late, and never early.
pub const TICK: Duration = Duration::from_millis(100);

/// The deadline of one caller connection, or of one stream of HTTP/2.
#[derive(Debug)]
pub struct Deadline {
    /// End of the current phase.
    phase: Cell<Option<Instant>>,
    /// The limit it was given last.
    limit: Cell<Duration>,
    /// End of the whole request, whatever its phases do.
    total: Cell<Option<Instant>>,
    expired: Cell<Option<Expired>>,
    probe: Cell<Probe>,
    /// When the present turn of the connection's task began.
    turn: Cell<Instant>,
    waker: RefCell<Option<Waker>>,
}

/// How often, while a time-out passes, it is tried whether that has come which nobody
/// tells of: it counts as having come when it is found, at most so much of it late.
const PROBES: u32 = 4;

/// When that is tried.
#[derive(Clone, Copy, Debug)]
enum Probe {
    /// Nobody has asked for it.
    Unasked,
    At(Instant),
    Due,
}

/// Which limit has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expired {
    /// The current phase took too long.
    Phase,
    /// The request as a whole took too long.
    Total,
}

impl Deadline {
    fn new() -> Self {
        Self {
            phase: Cell::new(None),
            limit: Cell::new(Duration::ZERO),
            total: Cell::new(None),
            expired: Cell::new(None),
            probe: Cell::new(Probe::Unasked),
            turn: Cell::new(Instant::now()),
            waker: RefCell::new(None),
        }
    }

    /// The connection's task is polled. What it does in this turn, some
    /// microseconds, is all done at one time: a look at the clock costs more
    /// than most of it.
    pub fn turn_begins(&self) {
        self.turn.set(Instant::now());
    }

    /// When the present turn of the connection's task began.
    #[must_use]
    pub fn turn(&self) -> Instant {
        self.turn.get()
    }

    /// Gives the current phase `limit` from this turn on. An expiry of the phase before
    /// is forgotten, one of the whole request is not.
    pub fn allow(&self, limit: Duration) {
        self.limit.set(limit);
        self.set_phase(self.turn.get() + limit);
    }

    /// What the current phase waits for has come a little nearer: its time begins
    /// anew in this turn.
    pub fn moves_on(&self) {
        if self.phase.get().is_some() {
            self.set_phase(self.turn.get() + self.limit.get());
        }
    }

    /// Gives the current phase until `end`; see [`Self::allow`].
    pub fn set_phase(&self, end: Instant) {
        self.phase.set(Some(end));
        self.forget(Expired::Phase);
    }

    /// Lets the current phase take as long as it likes; see [`Self::allow`].
    pub fn lift(&self) {
        self.phase.set(None);
        self.forget(Expired::Phase);
    }

    fn forget(&self, limit: Expired) {
        if self.expired.get() == Some(limit) {
            self.expired.set(None);
        }
    }

    /// Gives the request as a whole until `end`.
    pub fn set_total(&self, end: Instant) {
        self.total.set(Some(end));
    }

    /// The request is over: only phases count again.
    pub fn clear_total(&self) {
        self.total.set(None);
        self.forget(Expired::Total);
    }

    /// Something is waited for that may come without anybody being told of it, and for
    /// `patience` at the most. Whether it is to be tried in this turn: some time after
    /// this has been asked first, when the task is woken for it, and at the end of the
    /// phase.
    #[must_use]
    pub fn is_probe_due(&self, patience: Duration) -> bool {
        match self.probe.get() {
            Probe::Due => return true,
            Probe::At(_) => {}
            Probe::Unasked => self.probe_again(patience),
        }
        self.expired.get() == Some(Expired::Phase)
    }

    /// It was tried in this turn, and has not come.
    pub fn probe_again(&self, patience: Duration) {
        self.probe
            .set(Probe::At(self.turn.get() + patience / PROBES));
    }

    /// What has expired, if anything, without forgetting it.
    #[must_use]
    pub fn expired(&self) -> Option<Expired> {
        self.expired.get()
    }

    /// What has expired, if anything; the caller of this deals with it.
    #[must_use]
    pub fn take_expired(&self) -> Option<Expired> {
        self.expired.take()
    }

    /// Remembers whom to wake. To be called in each poll of the connection's task.
    pub fn watch(&self, context: &Context<'_>) {
        let mut waker = self.waker.borrow_mut();
        match &*waker {
            Some(known) if known.will_wake(context.waker()) => {}
            Some(_) | None => *waker = Some(context.waker().clone()),
        }
    }

    /// Wakes the connection's task.
    pub fn wake(&self) {
        // The borrow ends before the wake, which may poll at once.
        let waker = self.waker.borrow().clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn look(&self, now: Instant) {
        if let Probe::At(at) = self.probe.get()
            && at <= now
        {
            self.probe.set(Probe::Due);
            self.wake();
        }
        let passed = |end: Option<Instant>| end.is_some_and(|end| end <= now);
        let expired = if passed(self.total.get()) {
            Expired::Total
        } else if passed(self.phase.get()) {
            Expired::Phase
        } else {
            return;
        };
        if self.expired.replace(Some(expired)).is_none() {
            self.wake();
        }
    }
}

/// All deadlines of one worker thread.
#[derive(Debug, Default)]
pub struct Deadlines {
    places: RefCell<Vec<Option<Rc<Deadline>>>>,
    free: RefCell<Vec<usize>>,
    /// Wakes the ticker when the first deadline comes.
    filled: tokio::sync::Notify,
}

/// A deadline that is looked at for as long as this is held.
#[derive(Debug)]
pub struct Registered {
    deadlines: Rc<Deadlines>,
    deadline: Rc<Deadline>,
    place: usize,
}

impl Registered {
    /// The deadline itself, to be handed to whoever moves it.
    #[must_use]
    pub fn deadline(&self) -> &Rc<Deadline> {
        &self.deadline
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.deadlines.places.borrow_mut()[self.place] = None;
        self.deadlines.free.borrow_mut().push(self.place);
    }
}

impl Deadlines {
    /// A new deadline, unset, that is looked at until the result is dropped.
    #[must_use]
    pub fn register(self: &Rc<Self>) -> Registered {
        let deadline = Rc::new(Deadline::new());
        let mut places = self.places.borrow_mut();
        let place = match self.free.borrow_mut().pop() {
            Some(place) => {
                places[place] = Some(Rc::clone(&deadline));
                place
            }
            None => {
                places.push(Some(Rc::clone(&deadline)));
                places.len() - 1
            }
        };
        self.filled.notify_one();
        Registered {
            deadlines: Rc::clone(self),
            deadline,
            place,
        }
    }

    /// How many are registered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.borrow().len() - self.free.borrow().len()
    }

    /// Whether none is registered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Marks and wakes every deadline that has passed at `now`.
    pub fn look(&self, now: Instant) {
        for deadline in self.places.borrow().iter().flatten() {
            deadline.look(now);
        }
    }

    /// Wakes every connection, for example because a drain begins.
    pub fn wake_all(&self) {
        for deadline in self.places.borrow().iter().flatten() {
            deadline.wake();
        }
    }

    /// Looks every [`TICK`] for as long as anything is registered; costs
    /// nothing while nothing is.
    pub async fn tick_forever(&self) {
        loop {
            if self.is_empty() {
                self.places.borrow_mut().clear();
                self.free.borrow_mut().clear();
                self.filled.notified().await;
                continue;
            }
            tokio::time::sleep(TICK).await;
            self.look(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    struct Woken(AtomicUsize);

    impl std::task::Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_passed_phase_is_reported_once_and_its_task_woken_once() {
        let deadlines = Rc::new(Deadlines::default());
        let registered = deadlines.register();
        let woken = Arc::new(Woken(AtomicUsize::new(0)));
        let waker = Waker::from(Arc::clone(&woken));
        let deadline = registered.deadline();
        deadline.watch(&Context::from_waker(&waker));
        let start = Instant::now();
        deadline.set_phase(start + Duration::from_secs(3));
        deadlines.look(start + Duration::from_millis(2_999));
        assert_eq!(deadline.expired(), None);
        deadlines.look(start + Duration::from_secs(3));
        deadlines.look(start + Duration::from_secs(4));
        assert_eq!(deadline.take_expired(), Some(Expired::Phase));
        assert_eq!(deadline.take_expired(), None);
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn progress_moves_a_phase_but_never_the_total() {
        let deadlines = Rc::new(Deadlines::default());
        let registered = deadlines.register();
        let deadline = registered.deadline();
        let start = Instant::now();
        deadline.set_total(start + Duration::from_secs(10));
        for second in 0..10 {
            deadline.set_phase(start + Duration::from_secs(second + 3));
            deadlines.look(start + Duration::from_secs(second));
            assert_eq!(deadline.expired(), None);
        }
        deadlines.look(start + Duration::from_secs(10));
        assert_eq!(deadline.expired(), Some(Expired::Total));
        // Bytes that come in the very turn in which it is noticed buy no time.
        deadline.set_phase(start + Duration::from_secs(20));
        assert_eq!(deadline.expired(), Some(Expired::Total));
        deadline.clear_total();
        assert_eq!(deadline.expired(), None);
    }

    #[test]
    fn a_phase_that_is_lifted_does_not_pass_until_another_begins() {
        let deadlines = Rc::new(Deadlines::default());
        let registered = deadlines.register();
        let another = deadlines.register();
        assert_eq!(deadlines.len(), 2);
        let start = Instant::now();
        for deadline in [registered.deadline(), another.deadline()] {
            deadline.set_phase(start);
        }
        deadlines.look(start);
        registered.deadline().lift();
        deadlines.look(start + Duration::from_secs(1000));
        assert_eq!(registered.deadline().expired(), None);
        assert_eq!(another.deadline().expired(), Some(Expired::Phase));
        registered.deadline().set_phase(start);
        deadlines.look(start);
        assert_eq!(registered.deadline().expired(), Some(Expired::Phase));
    }

    #[test]
    fn what_nobody_tells_of_is_tried_now_and_then_and_before_it_is_given_up() {
        let patience = Duration::from_secs(4);
        let deadlines = Rc::new(Deadlines::default());
        let registered = deadlines.register();
        let woken = Arc::new(Woken(AtomicUsize::new(0)));
        let waker = Waker::from(Arc::clone(&woken));
        let deadline = registered.deadline();
        deadline.watch(&Context::from_waker(&waker));
        let start = deadline.turn();
        let looks_at = |ms| deadlines.look(start + Duration::from_millis(ms));
        deadline.allow(Duration::from_millis(1500));
        assert!(!deadline.is_probe_due(patience));
        looks_at(999);
        assert!(!deadline.is_probe_due(patience));
        looks_at(1000);
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        // Until somebody has tried.
        assert!(deadline.is_probe_due(patience));
        assert!(deadline.is_probe_due(patience));
        deadline.probe_again(patience);
        assert!(!deadline.is_probe_due(patience));
        deadline
            .probe
            .set(Probe::At(start + Duration::from_secs(2)));
        looks_at(1500);
        assert!(deadline.is_probe_due(patience));
        deadline.moves_on();
        assert!(!deadline.is_probe_due(patience));
    }

    #[test]
    fn a_dropped_registration_frees_its_place() {
        let deadlines = Rc::new(Deadlines::default());
        let first = deadlines.register();
        let second = deadlines.register();
        drop(first);
        let third = deadlines.register();
        assert_eq!(third.place, 0);
        assert_eq!(deadlines.len(), 2);
        drop((second, third));
        assert!(deadlines.is_empty());
    }
}
