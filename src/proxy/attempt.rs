//! Sends one request, as often as it takes and as seldom as it must: token,
//! connection, answer, and what to do when one of them fails.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::Call;
use super::carry::{Carried, Declared, Payload};
use super::decide::{self, Decision, Sign, Situation};
use super::error::ProxyError;
use super::headers::{self, Own};
use super::inspect::{self, Answered, Beginning};
use super::redirect;
use super::upload::{Upload, UploadError};
use crate::caller::Caller;
use crate::deadline::Expired;
use crate::dqe::Scope;
use crate::http1::FieldValue;
use crate::token::{AccessToken, Cell, Moment};
use crate::upstream::{Lease, Outgoing, UpstreamError};

/// The cell itself ends a wait for a token. The connection's deadline is set this much
/// later, so that neither it nor the deadline before ends the call first.
const WAIT_MARGIN: Duration = Duration::from_secs(1);

/// Sends `call` until there is an answer for the caller.
pub(super) async fn send(call: &mut Call) -> Result<Answered, ProxyError> {
    if call.relay.is_some() {
        Box::pin(call.becomes_relayed()).await?;
    }
    // Borrowed by way of the worker: cloning the cell's `Arc` would write to a count that
    // all threads share.
    let worker = Rc::clone(&call.worker);
    let route = worker.routes.route(call.route);
    let cell = &**route.cell().ok_or(ProxyError::ScopeNotConfigured)?;
    if let Payload::Unread(upload, declared) = &call.payload {
        let (upload, declared) = (Rc::clone(upload), *declared);
        // On the heap, as all that is rare here: the future of a request stays small.
        Box::pin(read_form(call, &upload, declared)).await?;
    }
    let mut token = current_token(cell, call).await?;
    let mut tries = Tries::default();
    // An answer that is only suspicious, to be delivered if no better one comes.
    let mut spare: Option<Box<(Answered, Beginning)>> = None;
    loop {
        call.exchange.attempt_begins();
        // From here on the answer is not moved: each move would copy it.
        let mut answer = match once(call, cell, &mut token, tries.repeats).await {
            Ok(answer) => answer,
            Err(Unanswered::Failed(error)) => {
                match decide::after_failure(&error, tries.situation(call)) {
                    Decision::Repeat => {
                        tries.repeats += 1;
                        continue;
                    }
                    Decision::Fail
                    | Decision::Deliver
                    | Decision::RenewAndReplay
                    | Decision::ReplayIfRenewed
                    | Decision::RenewAndFail => {
                        return call.falls_back_on(spare, ProxyError::Upstream(error));
                    }
                }
            }
            Err(Unanswered::Ended(error)) => return call.falls_back_on(spare, error),
        };
        let sign = match inspect::look(call, &mut answer) {
            Some(sign) => sign,
            None => match Box::pin(inspect::look_on(call, &mut answer)).await {
                Ok(sign) => sign,
                Err(error) => return call.falls_back_on(spare, error),
            },
        };
        // A better one has come.
        drop(spare.take());
        let is_doubtful = sign == Sign::Doubted && token.token().is_doubtful(&Moment::now());
        match decide::after_answer(sign, is_doubtful, tries.situation(call)) {
            Decision::RenewAndReplay => {
                let status = answer.head.status.as_u16();
                // Dropping the body closes the connection, unless it has been read
                // whole: the refused answer is never mistaken for the next one.
                drop(answer);
                tries.rejections += 1;
                token = newer_token(cell, token.generation(), status, call).await?;
                call.exchange.replays(cell.scope());
            }
            Decision::ReplayIfRenewed => {
                let generation = token.generation();
                deliver(&answer, sign, &token.carried, cell, call)?;
                let beginning = std::mem::take(&mut call.beginning);
                let kept = Box::new((answer, beginning));
                match newer_on_suspicion(cell, generation, call).await {
                    None => return Ok(call.take_back(*kept)),
                    Some(newer) => {
                        tries.rejections += 1;
                        token = newer;
                        spare = Some(kept);
                        call.exchange.replays(cell.scope());
                    }
                }
            }
            Decision::RenewAndFail => {
                let status = answer.head.status.as_u16();
                drop(answer);
                // Invalidates the token and asks for a newer one, without waiting for it.
                cell.renewed_after(token.generation(), Duration::ZERO).await;
                return Err(rejected(cell, token.generation(), status));
            }
            Decision::Deliver | Decision::Repeat | Decision::Fail => {
                if answer.head.status.is_redirection() && call.turns_to(&answer)? {
                    redirect::leave(answer);
                    continue;
                }
                deliver(&answer, sign, &token.carried, cell, call)?;
                return Ok(answer);
            }
        }
    }
}

/// A token, and what was left of its life when it was found usable.
struct Checked {
    scope: Scope,
    carried: Rc<Carried>,
    left: Duration,
    at: Instant,
}

impl Checked {
    fn new(call: &Call, cell: &Cell, token: &Arc<AccessToken>, now: &Moment) -> Self {
        let scope = cell.scope();
        Self {
            scope,
            left: token.left(now),
            carried: {
                let licence = call.worker.settings.licence.as_ref();
                call.worker.in_use.carried(scope, token, licence)
            },
            at: now.monotonic.into_std(),
        }
    }

    fn token(&self) -> &AccessToken {
        &self.carried.token
    }

    fn generation(&self) -> u64 {
        self.token().generation()
    }

    /// What is left of its life at `now`. Saves a look at the wall clock, which
    /// was read a moment ago.
    fn left(&self, now: Instant) -> Duration {
        if now == self.at {
            // As a rule: it is sent in the turn in which it was looked at.
            return self.left;
        }
        self.left
            .saturating_sub(now.saturating_duration_since(self.at))
    }
}

/// The answer is the caller's. What it says is remembered for its family.
///
/// # Errors
/// [`ProxyError::AnswerCoded`]: an error of DQE may repeat the credential, and
/// in a coded one, which nobody has asked for, it cannot be masked; nor can a
/// coded answer be written into another document.
fn deliver(
    answer: &Answered,
    sign: Sign,
    carried: &Carried,
    cell: &Cell,
    call: &mut Call,
) -> Result<(), ProxyError> {
    let (status, token) = (answer.head.status, &carried.token);
    if call.is_unreadable(answer) {
        return Err(ProxyError::AnswerCoded {
            status: status.as_u16(),
        });
    }
    let (suspicions, family) = (&call.worker.suspicions, call.route().scope);
    match sign {
        Sign::Doubted => {
            if suspicions.one_more(family) && cell.suspect(token.generation()) {
                tracing::warn!(
                    scope = cell.scope().as_str(),
                    route = call.route().name,
                    "many empty answers in a row: the token is renewed, it may be dead"
                );
            }
        }
        Sign::Accepted if status.is_success() && call.beginning.broken.is_none() => {
            suspicions.good(family);
            cell.note_worked(token.generation());
        }
        Sign::Accepted | Sign::Refused => {}
    }
    call.scrubber = call.scrubber_of(carried, status);
    Ok(())
}

/// Whether a newer token has taken the place of `generation`.
fn is_replaced(cell: &Cell, generation: u64, now: &Moment) -> bool {
    let newer = |token: Arc<AccessToken>| token.generation() > generation;
    cell.current(now).is_some_and(newer)
}

/// Reads a form whole, so that a licence in it is found, and settles where the
/// token goes.
async fn read_form(
    call: &mut Call,
    upload: &Rc<Upload>,
    declared: Declared,
) -> Result<(), ProxyError> {
    let text = read_whole(call, upload).await?;
    call.payload = Payload::form(text, declared);
    call.settle()
}

/// Reads the caller's body to its end.
///
/// # Errors
/// When it is larger than any form, breaks off or does not come in time.
pub(super) async fn read_whole(call: &Call, upload: &Rc<Upload>) -> Result<Bytes, ProxyError> {
    let limit = call.worker.settings.body_idle_timeout;
    match within(&call.caller, limit, upload.read_whole()).await {
        Ok(Ok(Some(body))) => Ok(body),
        Ok(Ok(None)) => Err(ProxyError::FormTooLarge),
        Ok(Err(UploadError::TooLarge)) => Err(ProxyError::BodyTooLarge),
        Ok(Err(UploadError::Caller(_) | UploadError::Superseded)) => Err(ProxyError::CallerBody),
        Err(Expired::Total) => Err(ProxyError::TotalTimeout),
        Err(Expired::Phase) => Err(ProxyError::CallerTimeout),
    }
}

/// How often a request has been sent in vain.
#[derive(Clone, Copy, Debug, Default)]
struct Tries {
    rejections: u8,
    repeats: u8,
}

impl Tries {
    fn situation(self, call: &Call) -> Situation {
        Situation {
            rejections: self.rejections,
            repeats: self.repeats,
            idempotent: call.head.method.is_idempotent(),
            side_effects: call.route().side_effects,
            body_at_hand: call.payload.is_at_hand(),
        }
    }
}

/// Why one attempt brought no answer.
enum Unanswered {
    Failed(UpstreamError),
    Ended(ProxyError),
}

/// One attempt: a connection, kept or new, and the request on it.
async fn once(
    call: &mut Call,
    cell: &Cell,
    checked: &mut Checked,
    repeats: u8,
) -> Result<Answered, Unanswered> {
    let now = call.caller.deadline.turn();
    // After a kept connection has failed, the others may be as stale.
    let kept = if repeats == 0 {
        call.worker.client.take_kept(now)
    } else {
        None
    };
    let lease = match kept {
        Some(lease) => lease,
        // On the heap, as all that is rare here: the future of a request stays small.
        None => Box::pin(connect(call, cell, checked)).await?,
    };
    // To send again is decided only when the body is at hand, so this has one.
    let token = checked.token();
    let body = call
        .begin_body(&checked.carried)
        .map_err(Unanswered::Ended)?;
    let head = &call.head;
    let own = Own {
        authorization: call.route().carriage.has_header().then(|| token.header()),
        length: call.length.as_ref(),
        request_id: call.exchange.request_id().as_bytes(),
    };
    let sending = lease.send(Outgoing {
        method: &head.method,
        target: |out: &mut BytesMut| call.write_target(&checked.carried, out),
        fields: headers::outgoing(&head.fields, call.noted, head.version, own),
        body,
    });
    let sent_at = call.caller.deadline.turn();
    let left = checked.left(sent_at);
    call.exchange.sends(checked.scope, left, token.life());
    let settings = &call.worker.settings;
    // A server may wait for the whole request before it answers.
    let patience = if call.payload.is_coming() {
        settings.body_idle_timeout
    } else {
        settings.first_byte_timeout
    };
    match within(&call.caller, patience, sending).await {
        Ok(Ok(answer)) => {
            call.payload.answer_begins();
            let answered_at = call.caller.deadline.turn();
            call.exchange
                .answered_in(answered_at.saturating_duration_since(sent_at));
            Ok(answer)
        }
        Ok(Err(UpstreamError::CallerBody)) if call.payload.is_too_large() => {
            Err(Unanswered::Ended(ProxyError::BodyTooLarge))
        }
        Ok(Err(error)) => Err(Unanswered::Failed(error)),
        Err(Expired::Total) => Err(Unanswered::Ended(ProxyError::TotalTimeout)),
        Err(Expired::Phase) if call.payload.waits_for_caller() => {
            Err(Unanswered::Ended(ProxyError::CallerTimeout))
        }
        Err(Expired::Phase) => Err(Unanswered::Ended(ProxyError::AnswerTimeout)),
    }
}

/// A new connection. Making it may take longer than the token has left, so the
/// token is looked at again when it is there: the newest one goes.
async fn connect(call: &mut Call, cell: &Cell, checked: &mut Checked) -> Result<Lease, Unanswered> {
    let started = Instant::now();
    let limit = call.worker.client.settings().connect_timeout;
    let connected = within(&call.caller, limit, call.worker.client.connect()).await;
    call.exchange.connected_in(started.elapsed());
    match connected {
        Ok(Ok(lease)) => {
            *checked = current_token(cell, call).await.map_err(Unanswered::Ended)?;
            Ok(lease)
        }
        Ok(Err(error)) => Err(Unanswered::Failed(error)),
        Err(Expired::Phase) => Err(Unanswered::Ended(ProxyError::ConnectTimeout)),
        Err(Expired::Total) => Err(Unanswered::Ended(ProxyError::TotalTimeout)),
    }
}

/// Awaits `work` until the caller's deadline, which is first set `limit` from now.
pub(super) async fn within<F: Future>(
    caller: &Caller,
    limit: Duration,
    work: F,
) -> Result<F::Output, Expired> {
    let mut work = pin!(work);
    caller.deadline.allow(limit);
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Ok(output)),
        Poll::Pending => match caller.deadline.take_expired() {
            Some(expired) => Poll::Ready(Err(expired)),
            None => Poll::Pending,
        },
    })
    .await
}

/// A usable token, at once where there is one.
async fn current_token(cell: &Cell, call: &mut Call) -> Result<Checked, ProxyError> {
    let now = Moment::at(call.caller.deadline.turn());
    let at_once = cell.with_current(&now, |token| Checked::new(call, cell, token, &now));
    if let Some(checked) = at_once {
        return Ok(checked);
    }
    let started = Instant::now();
    let limit = call.worker.settings.token_wait;
    let waiting = within(
        &call.caller,
        limit + WAIT_MARGIN,
        Box::pin(cell.wait(limit)),
    )
    .await;
    call.exchange.waited_for_token(started.elapsed());
    let token = waiting.ok().flatten().ok_or_else(|| unavailable(cell))?;
    Ok(Checked::new(call, cell, &token, &Moment::now()))
}

/// A token newer than the one of `generation`, which was rejected with `status`.
async fn newer_token(
    cell: &Cell,
    generation: u64,
    status: u16,
    call: &mut Call,
) -> Result<Checked, ProxyError> {
    let started = Instant::now();
    let limit = call.worker.settings.token_wait;
    let renewing = Box::pin(cell.renewed_after(generation, limit));
    let waiting = within(&call.caller, limit + WAIT_MARGIN, renewing).await;
    call.exchange.waited_for_token(started.elapsed());
    let token = waiting
        .ok()
        .flatten()
        .ok_or_else(|| rejected(cell, generation, status))?;
    Ok(Checked::new(call, cell, &token, &Moment::now()))
}

/// A token newer than the one of `generation`, which an answer makes doubtful:
/// at once where there is one; else, once per generation, the one that a
/// renewal brings. The token stays in use meanwhile, since it may be good.
async fn newer_on_suspicion(cell: &Cell, generation: u64, call: &mut Call) -> Option<Checked> {
    let is_replaced = is_replaced(cell, generation, &Moment::now());
    if !is_replaced && !call.worker.suspicions.may_ask(cell.scope(), generation) {
        return None;
    }
    let started = Instant::now();
    let limit = call.worker.settings.token_wait;
    let renewing = Box::pin(cell.renewed_on_suspicion(generation, limit));
    let waiting = within(&call.caller, limit + WAIT_MARGIN, renewing).await;
    call.exchange.waited_for_token(started.elapsed());
    let token = waiting.ok().flatten()?;
    Some(Checked::new(call, cell, &token, &Moment::now()))
}

fn rejected(cell: &Cell, generation: u64, status: u16) -> ProxyError {
    // A rejection soon after another is not acted on: the token is then still the same.
    let unchanged = |token: Arc<AccessToken>| token.generation() == generation;
    let renewing = !cell.current(&Moment::now()).is_some_and(unchanged);
    ProxyError::CredentialRejected { status, renewing }
}

fn unavailable(cell: &Cell) -> ProxyError {
    let why = cell.unavailable();
    ProxyError::TokenUnavailable {
        sentence: why.reason.sentence(),
        retry_after: why.retry_after.as_secs(),
    }
}
