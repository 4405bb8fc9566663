//! Sends one request, as often as it takes and as seldom as it must: token,
//! connection, answer, and what to do when one of them fails.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use http::uri::PathAndQuery;
use http::{Response, Uri};

use super::decide::{self, Decision, Situation};
use super::error::ProxyError;
use super::upload::{OutgoingBody, Upload};
use super::{Call, headers};
use crate::caller::Caller;
use crate::deadline::Expired;
use crate::dqe::Scope;
use crate::dqe::licence::without_licence;
use crate::token::{AccessToken, Cell, Moment};
use crate::upstream::{AnswerBody, Lease, Outgoing, UpstreamError};

/// The cell ends a wait for a token itself; the connection's deadline stands
/// behind it, so that the one before does not end the call meanwhile.
const WAIT_MARGIN: Duration = Duration::from_secs(1);

/// What the server said.
pub(super) type Answered = Response<AnswerBody<OutgoingBody>>;

/// Sends `call` until there is an answer for the caller.
pub(super) async fn send(call: &mut Call) -> Result<Answered, ProxyError> {
    let cell = Arc::clone(call.route().cell().ok_or(ProxyError::ScopeNotConfigured)?);
    let mut token = current_token(&cell, call).await?;
    let mut tries = Tries::default();
    loop {
        call.exchange.attempt_begins();
        match once(call, &token, tries.repeats).await {
            Ok(answer) => match decide::after_answer(answer.status(), tries.situation(call)) {
                Decision::RenewAndReplay => {
                    let status = answer.status().as_u16();
                    // Dropping the body closes the connection: the refused answer is
                    // never read on, nor mistaken for the next one.
                    drop(answer);
                    tries.rejections += 1;
                    token = newer_token(&cell, token.generation(), status, call).await?;
                    call.exchange.replays(cell.scope());
                }
                Decision::RenewAndFail => {
                    let status = answer.status().as_u16();
                    drop(answer);
                    // Invalidates the token and asks for a newer one, without waiting for it.
                    cell.renewed_after(token.generation(), Duration::ZERO).await;
                    return Err(rejected(&cell, token.generation(), status));
                }
                Decision::Deliver | Decision::Repeat | Decision::Fail => {
                    if answer.status().is_success() {
                        cell.note_worked(token.generation());
                    }
                    return Ok(answer);
                }
            },
            Err(Unanswered::Failed(error)) => {
                match decide::after_failure(&error, tries.situation(call)) {
                    Decision::Repeat => tries.repeats += 1,
                    Decision::Fail
                    | Decision::Deliver
                    | Decision::RenewAndReplay
                    | Decision::RenewAndFail => return Err(ProxyError::Upstream(error)),
                }
            }
            Err(Unanswered::TimedOut(error)) => return Err(error),
        }
    }
}

/// A token, and what was left of its life when it was found usable.
struct Checked {
    scope: Scope,
    token: Arc<AccessToken>,
    left: Duration,
    at: Instant,
}

impl Checked {
    fn new(cell: &Cell, token: Arc<AccessToken>, now: &Moment) -> Self {
        Self {
            scope: cell.scope(),
            left: token.left(now),
            token,
            at: now.monotonic.into_std(),
        }
    }

    fn generation(&self) -> u64 {
        self.token.generation()
    }

    /// What is left of its life at `now`. Saves a look at the wall clock, which
    /// was read a moment ago.
    fn left(&self, now: Instant) -> Duration {
        self.left
            .saturating_sub(now.saturating_duration_since(self.at))
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
            body_at_hand: call.upload.as_deref().is_none_or(Upload::is_at_hand),
        }
    }
}

/// Why one attempt brought no answer.
enum Unanswered {
    Failed(UpstreamError),
    TimedOut(ProxyError),
}

/// One attempt: a connection, kept or new, and the request on it.
async fn once(call: &mut Call, checked: &Checked, repeats: u8) -> Result<Answered, Unanswered> {
    let now = Instant::now();
    // After a kept connection has failed, the others may be as stale.
    let kept = if repeats == 0 {
        call.worker.client.take_kept(now)
    } else {
        None
    };
    let lease = match kept {
        Some(lease) => lease,
        // On the heap, as all that is rare here: the future of a request stays small.
        None => Box::pin(connect(call)).await?,
    };
    let body = match &call.upload {
        None => None,
        // A decision to send again was made on the body being at hand.
        Some(upload) => {
            let gone = Unanswered::TimedOut(ProxyError::CallerBody);
            Some(upload.begin().ok_or(gone)?)
        }
    };
    let head = &call.head;
    let id = call.exchange.request_id();
    let token = &checked.token;
    let sending = lease.send(Outgoing {
        method: &head.method,
        target: head.uri.path_and_query().map_or("/", PathAndQuery::as_str),
        fields: headers::outgoing(&head.headers, call.noted, head.version, token.header(), id),
        body,
    });
    let sent_at = Instant::now();
    let left = checked.left(sent_at);
    call.exchange.sends(checked.scope, left, token.life());
    let first_byte = call.worker.settings.first_byte_timeout;
    match within(&call.caller, first_byte, sending).await {
        Ok(Ok(answer)) => {
            call.exchange.answered_in(sent_at.elapsed());
            Ok(answer)
        }
        Ok(Err(error)) => Err(Unanswered::Failed(error)),
        Err(Expired::Total) => Err(Unanswered::TimedOut(ProxyError::TotalTimeout)),
        Err(Expired::Phase) if call.upload.as_deref().is_some_and(Upload::waits_for_caller) => {
            Err(Unanswered::TimedOut(ProxyError::CallerTimeout))
        }
        Err(Expired::Phase) => Err(Unanswered::TimedOut(ProxyError::AnswerTimeout)),
    }
}

async fn connect(call: &mut Call) -> Result<Lease, Unanswered> {
    let started = Instant::now();
    let limit = call.worker.client.settings().connect_timeout;
    let connected = within(&call.caller, limit, call.worker.client.connect()).await;
    call.exchange.connected_in(started.elapsed());
    match connected {
        Ok(Ok(lease)) => Ok(lease),
        Ok(Err(error)) => Err(Unanswered::Failed(error)),
        Err(Expired::Phase) => Err(Unanswered::TimedOut(ProxyError::ConnectTimeout)),
        Err(Expired::Total) => Err(Unanswered::TimedOut(ProxyError::TotalTimeout)),
    }
}

/// Awaits `work` until the caller's deadline, which is first set `limit` from now.
async fn within<F: Future>(
    caller: &Caller,
    limit: Duration,
    work: F,
) -> Result<F::Output, Expired> {
    let mut work = pin!(work);
    caller.deadline.set_phase(Instant::now() + limit);
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
    let now = Moment::now();
    if let Some(token) = cell.current(&now) {
        return Ok(Checked::new(cell, token, &now));
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
    Ok(Checked::new(cell, token, &Moment::now()))
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
    Ok(Checked::new(cell, token, &Moment::now()))
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

/// The target in origin-form (RFC 9112 §3.2.1), byte for byte what the caller
/// sent but for the licence parameter. The authority of an absolute-form
/// target is ignored: no request can choose another host.
pub(super) fn target(uri: &Uri) -> Result<Uri, ProxyError> {
    let target = uri.path_and_query().ok_or(ProxyError::TargetNotAllowed)?;
    let target = match target.query().map(|query| (query, without_licence(query))) {
        Some((_, std::borrow::Cow::Owned(query))) => {
            let text = match query.as_str() {
                "" => target.path().to_owned(),
                query => format!("{}?{query}", target.path()),
            };
            // Taking a part out of a valid target leaves a valid target.
            PathAndQuery::try_from(text).map_err(|_| ProxyError::TargetNotAllowed)?
        }
        Some((_, std::borrow::Cow::Borrowed(_))) | None => target.clone(),
    };
    Ok(Uri::from(target))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_goes_out_in_origin_form_without_licence_and_otherwise_untouched() {
        for (received, expected) in [
            (
                "/TEL/?Tel=%2B33+6|x&Licence=S&Pays=FRA",
                "/TEL/?Tel=%2B33+6|x&Pays=FRA",
            ),
            ("/TEL/?Licence=S", "/TEL/"),
            ("/TEL/?", "/TEL/?"),
            ("/TEL/", "/TEL/"),
            ("http://other.example/TEL/?a=%E9%2540", "/TEL/?a=%E9%2540"),
        ] {
            let sent = target(&received.parse().unwrap()).unwrap();
            assert_eq!(sent.to_string(), expected, "{received}");
        }
        assert!(target(&"other.example:443".parse().unwrap()).is_err());
    }
}
