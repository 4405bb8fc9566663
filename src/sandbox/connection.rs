//! One connection: request after request, each journalled, judged, answered, or spoilt by a fault.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;

use super::answer::{self, Received};
use super::counters::{Violation, count};
use super::credential::{self, Bench, Presented, Verdict};
use super::date::DateLine;
use super::delivery::{Delivery, Next, append_chunked};
use super::fault::{Kind, Loss, Subject};
use super::inspect;
use super::journal::{BODY_KEPT, Entry};
use super::message::{Answer, AnswerLength, Framing, Head};
use super::parameters::Parameters;
use super::route::{self, Family, Route};
use super::scope::Scope;
use super::state::{self, State};
use super::switches::Switches;
use super::token_endpoint;
use super::wire::{NextHead, Transport, Wire};

/// How much of a body is looked at for parameters: a licence may come last in a long form.
const BODY_READ: usize = 1024 * 1024;

/// How a request ended.
enum Ending {
    Answered,
    /// No status was sent, because a fault said so.
    Spoilt,
    /// The caller closed the connection before it was answered.
    Abandoned,
}

/// Serves a connection until its end. Cancelling it (shutdown, pause) closes the socket.
pub(crate) async fn serve<Stream: Transport>(
    stream: Stream,
    state: Arc<State>,
    authority: Arc<str>,
) {
    let number = state.next_connection();
    let mut connection = Connection {
        wire: Wire::new(stream),
        state,
        number,
        authority,
        date: DateLine::default(),
    };
    loop {
        match connection.one_request().await {
            Ok(Next::KeepOpen) => {}
            Ok(Next::Close) => return connection.wire.close().await,
            Ok(Next::Reset) => return connection.wire.reset(),
            // The peer is gone; the journal already says so where a request was under way.
            Err(_) => return,
        }
    }
}

struct Connection<Stream> {
    wire: Wire<Stream>,
    state: Arc<State>,
    number: u64,
    authority: Arc<str>,
    date: DateLine,
}

/// The faults drawn for one request, sorted by what they change.
#[derive(Default)]
struct Spoiling {
    delay: Duration,
    refused_scopes: Vec<Scope>,
    /// The first fault that decides the answer; later ones have nothing left to decide.
    decisive: Option<Kind>,
    names: Vec<String>,
}

impl<Stream: Transport> Connection<Stream> {
    async fn one_request(&mut self) -> io::Result<Next> {
        let idle = self.state.switches().written().idle_timeout;
        let head = match self.wire.next_head(idle).await? {
            NextHead::Head(head) => head,
            NextHead::End => return Ok(Next::Close),
            NextHead::TooLong => return self.malformed(431).await,
        };
        let arrived = state::now();
        let Ok(head) = Head::parse(&head) else {
            return self.malformed(400).await;
        };
        let route = route::find(head.path());
        let mut entry = self.entry(&head, route);

        if self.state.has_early_answer() {
            let spoiling = self.draw(&head, route, None, true);
            if spoiling.decisive.is_some() {
                entry.faults = spoiling.names;
                return self.answer_early(&head, entry).await;
            }
        }
        if head.values("expect").next().is_some() {
            count(&self.state.tally.expectations);
            self.wire.send(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        let (body, body_length) = match head.framing {
            Framing::Length(0) => (Bytes::new(), 0),
            framing => match self.wire.body(framing, BODY_READ).await {
                Ok(body) => body,
                Err(error) => {
                    let sequence = self.state.received(entry);
                    self.state.ended(sequence, None, true);
                    return Err(error);
                }
            },
        };
        let content_type = head.values("content-type").next().unwrap_or_default();
        let parameters = Parameters::read(head.query(), content_type, &body);
        let route = route.map(|route| route.of(&parameters));
        let asked = route
            .filter(|route| route.is_token_endpoint())
            .and(token_endpoint::asked_scope(&parameters));
        let spoiling = self.draw(&head, route, asked, false);

        // A copy, so that a request sees one state of the switches from its beginning to its end.
        let switches = self.state.switches().of(route, asked).clone();
        let presented = self.presented(&head, &parameters, route, &switches, arrived);
        let verdict = match (route, &spoiling.decisive) {
            (Some(_), Some(Kind::Unauthorized)) => {
                let value = presented.first().map(|one| one.value.clone());
                Verdict::Refused(value.unwrap_or_default())
            }
            (Some(route), _) => credential::verdict(route, &presented, &switches),
            (None, _) => Verdict::Admitted,
        };
        let keep_open = head.keeps_alive() && switches.keep_alive;
        entry.violations = inspect::violations(&head, route, &presented);
        for violation in &entry.violations {
            self.state.tally.violation(*violation);
        }
        self.state.tally.carried(&presented);
        // Copied when it is cut, so that the journal does not keep the rest alive.
        entry.body = match body.get(..BODY_KEPT) {
            Some(first) if body.len() > BODY_KEPT => Bytes::copy_from_slice(first),
            Some(_) | None => body,
        };
        entry.body_length = body_length;
        entry.credentials = presented;
        entry.scope = entry.scope.or(asked);
        entry.faults.clone_from(&spoiling.names);
        let sequence = self.state.received(entry);

        let authority = self.authority.clone();
        let received = Received {
            head: &head,
            parameters: &parameters,
            route,
            verdict: &verdict,
            switches: &switches,
            authority: &authority,
        };
        let outcome = self.finish(sequence, received, spoiling, keep_open).await;
        match &outcome {
            // Noted before it was sent.
            Ok((_, Ending::Answered)) => {}
            Ok((_, Ending::Spoilt)) => self.state.ended(sequence, None, false),
            Ok((_, Ending::Abandoned)) | Err(_) => self.state.ended(sequence, None, true),
        }
        outcome.map(|(next, _)| next)
    }

    fn draw(
        &self,
        head: &Head,
        route: Option<Route>,
        asked: Option<Scope>,
        early: bool,
    ) -> Spoiling {
        let token_endpoint = route.is_some_and(Route::is_token_endpoint);
        let scope = if token_endpoint {
            asked
        } else {
            route.map(|route| route.family.scope())
        };
        let subject = Subject {
            token_endpoint,
            path: head.path(),
            scope,
        };
        let mut spoiling = Spoiling::default();
        for drawn in self.state.draw_faults(subject, early) {
            self.state.tally.fault(token_endpoint, drawn.kind.label());
            spoiling.names.push(drawn.name);
            match drawn.kind {
                Kind::Slow(delay) => spoiling.delay += delay,
                // Acts now: the request is judged after the revocation.
                Kind::Revoke(scope) => {
                    self.state.revoke(scope);
                }
                Kind::RefuseScope(scope) => spoiling.refused_scopes.push(scope),
                other => {
                    spoiling.decisive.get_or_insert(other);
                }
            }
        }
        spoiling
    }

    fn presented(
        &self,
        head: &Head,
        parameters: &Parameters,
        route: Option<Route>,
        switches: &Switches,
        arrived: Instant,
    ) -> Vec<Presented> {
        let Some(route) = route.filter(|route| !route.is_token_endpoint()) else {
            return Vec::new();
        };
        let client = self.state.client();
        let tokens = self.state.tokens();
        let bench = Bench {
            tokens: &tokens,
            switches,
            client_id: &client.id,
        };
        credential::presented(head, parameters, route, &bench, arrived)
    }

    /// Counts a request and begins its entry with what its head tells.
    fn entry(&self, head: &Head, route: Option<Route>) -> Entry {
        let tally = &self.state.tally;
        count(&tally.requests);
        let token_endpoint = route.is_some_and(Route::is_token_endpoint);
        let family = route.filter(|_| !token_endpoint).map(|route| route.family);
        match family {
            Some(family) => tally.family(family),
            None if token_endpoint => count(&tally.token_endpoint_requests),
            None => count(&tally.unknown_paths),
        }
        Entry {
            sequence: 0,
            at: SystemTime::now(),
            connection: self.number,
            method: head.method.clone(),
            target: head.target.clone(),
            version: head.version,
            headers: head.headers.clone(),
            body: Bytes::new(),
            body_length: 0,
            family,
            token_endpoint,
            credentials: Vec::new(),
            scope: family.map(Family::scope),
            violations: Vec::new(),
            faults: Vec::new(),
            status: None,
            abandoned: false,
        }
    }

    /// Waits as told, answers or spoils.
    async fn finish(
        &mut self,
        sequence: u64,
        received: Received<'_>,
        spoiling: Spoiling,
        keep_open: bool,
    ) -> io::Result<(Next, Ending)> {
        let token_endpoint = received.route.is_some_and(Route::is_token_endpoint);
        let latency = if token_endpoint {
            received.switches.token_latency
        } else {
            received.switches.latency
        };
        let delay = latency + spoiling.delay;
        if !delay.is_zero() && !self.wire.pause(delay).await {
            return Ok((Next::Close, Ending::Abandoned));
        }
        // Faults that leave nothing to compute come first: a token is not issued for nobody.
        match &spoiling.decisive {
            Some(Kind::Hang) => {
                self.wire.wait_for_end().await;
                return Ok((Next::Close, Ending::Abandoned));
            }
            Some(Kind::Reset) => return Ok((Next::Reset, Ending::Spoilt)),
            Some(Kind::Garbage) => {
                self.wire
                    .send(b"\x16\x03\x01 this is no HTTP\r\n\x00\xff\r\n\r\n")
                    .await?;
                return Ok((Next::Close, Ending::Spoilt));
            }
            _ => {}
        }
        let head_only = received.head.method.as_ref() == b"HEAD";
        let answer = match answer::replaced(spoiling.decisive.as_ref(), &received) {
            Some(answer) => answer,
            None => answer::compute(
                &self.state,
                &received,
                &spoiling.refused_scopes,
                state::now(),
            ),
        };
        if let Some(Kind::LoseReply(loss)) = spoiling.decisive {
            match loss {
                Loss::Reset => return Ok((Next::Reset, Ending::Spoilt)),
                Loss::Stall => {
                    self.wire.wait_for_end().await;
                    return Ok((Next::Close, Ending::Abandoned));
                }
                Loss::Empty | Loss::Html | Loss::Status500 => {}
            }
        }
        let answer = answer::altered(answer, spoiling.decisive.as_ref());
        let answer = answer::packed(answer, &received);
        let delivery = Delivery::of(spoiling.decisive.as_ref(), answer.body.len(), keep_open);
        let bodiless = matches!(answer.status, 204 | 304);
        let chunked =
            received.switches.chunked && !head_only && !bodiless && delivery.is_exact(&answer);
        let length = match () {
            () if bodiless => AnswerLength::Untold,
            () if chunked => AnswerLength::Chunked,
            () => AnswerLength::Known(delivery.announced),
        };
        let mut bytes = answer.head(
            self.date.now(received.switches.date_ahead),
            length,
            !keep_open,
        );
        if chunked {
            append_chunked(&mut bytes, &answer.body);
        } else if !head_only && !bodiless {
            bytes.extend_from_slice(&answer.body[..delivery.sent]);
        }
        // Before it is sent, so that whoever has the answer finds it in the journal.
        self.state.ended(sequence, Some(answer.status), false);
        self.wire.send(&bytes).await?;
        if spoiling.decisive.is_none() {
            self.tell(&received, answer.status);
        }
        Ok((delivery.next, Ending::Answered))
    }

    /// Notes what an answer has told about tokens: a 401 the end of the one it refuses, a new token
    /// the end of those it replaces. A classic refusal under a 200 tells nothing for certain.
    fn tell(&self, received: &Received<'_>, status: u16) {
        match (received.route, received.verdict) {
            (Some(route), _) if route.is_token_endpoint() && status == 200 => {
                if let Some(scope) = token_endpoint::asked_scope(received.parameters) {
                    self.state.tokens().tell_revoked(scope, state::now());
                }
            }
            (Some(_), Verdict::Refused(value)) if status == 401 => {
                let skew = received.switches.clock_skew;
                self.state.tokens().tell(value, state::now(), skew);
            }
            _ => {}
        }
    }

    /// Answers before the body is read, then reads the body and goes on.
    async fn answer_early(&mut self, head: &Head, entry: Entry) -> io::Result<Next> {
        let sequence = self.state.received(entry);
        let answer = Answer::text(413, "Content Too Large");
        let length = AnswerLength::Known(answer.body.len());
        let mut bytes = answer.head(self.date.now(Duration::ZERO), length, false);
        bytes.extend_from_slice(&answer.body);
        self.state.ended(sequence, Some(answer.status), false);
        self.wire.send(&bytes).await?;
        self.wire.body(head.framing, 0).await?;
        Ok(if head.keeps_alive() {
            Next::KeepOpen
        } else {
            Next::Close
        })
    }

    async fn malformed(&mut self, status: u16) -> io::Result<Next> {
        self.state.tally.violation(Violation::Malformed);
        let answer = Answer::text(status, "the request cannot be read");
        let mut bytes = answer.head(
            self.date.now(Duration::ZERO),
            AnswerLength::Known(answer.body.len()),
            true,
        );
        bytes.extend_from_slice(&answer.body);
        self.wire.send(&bytes).await?;
        Ok(Next::Close)
    }
}
