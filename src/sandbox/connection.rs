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
use super::fault::{Kind, Subject};
use super::inspect;
use super::journal::{BODY_KEPT, Entry};
use super::message::{Answer, AnswerLength, Framing, Head};
use super::parameters::Parameters;
use super::route::{self, Route};
use super::state::{self, State};
use super::switches::Switches;
use super::token::Scope;
use super::token_endpoint;
use super::wire::{NextHead, Transport, Wire};

/// How a request ended.
enum Ending {
    Answered(u16),
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
        let idle = self.state.switches().idle_timeout;
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

        if self.state.has_early_answer() {
            let spoiling = self.draw(&head, route, None, true);
            if spoiling.decisive.is_some() {
                return self.answer_early(head, route, spoiling).await;
            }
        }
        if head.values("expect").next().is_some() {
            count(&self.state.tally.expectations);
            self.wire.send(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        let (body, body_length) = match head.framing {
            Framing::Length(0) => (Bytes::new(), 0),
            framing => match self.wire.body(framing, BODY_KEPT).await {
                Ok(body) => body,
                Err(error) => {
                    self.note_incomplete(&head, route);
                    return Err(error);
                }
            },
        };
        let content_type = head.values("content-type").next().unwrap_or_default();
        let parameters = Parameters::read(head.query(), content_type, &body);
        let asked = route
            .filter(|route| route.is_token_endpoint())
            .and(token_endpoint::asked_scope(&parameters));
        let spoiling = self.draw(&head, route, asked, false);

        let switches = self.state.switches();
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
        let entry = self.entry(
            &head,
            (body, body_length),
            route,
            asked,
            presented,
            &spoiling,
        );
        drop(switches);
        let sequence = self.state.received(entry);

        let authority = self.authority.clone();
        let received = Received {
            head: &head,
            parameters: &parameters,
            route,
            verdict: &verdict,
            authority: &authority,
        };
        let outcome = self.finish(received, spoiling, keep_open).await;
        match &outcome {
            Ok((_, Ending::Answered(status))) => self.state.ended(sequence, Some(*status), false),
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
        for (kind, name) in self.state.draw_faults(subject, early) {
            spoiling.names.push(name);
            match kind {
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

    fn entry(
        &self,
        head: &Head,
        body: (Bytes, u64),
        route: Option<Route>,
        asked: Option<Scope>,
        credentials: Vec<Presented>,
        spoiling: &Spoiling,
    ) -> Entry {
        let tally = &self.state.tally;
        count(&tally.requests);
        let token_endpoint = route.is_some_and(Route::is_token_endpoint);
        let family = route.filter(|_| !token_endpoint).map(|route| route.family);
        match family {
            Some(family) => tally.family(family),
            None if !token_endpoint => count(&tally.unknown_paths),
            None => {}
        }
        let violations = inspect::violations(head, route, &credentials);
        for violation in &violations {
            tally.violation(*violation);
        }
        Entry {
            sequence: 0,
            at: SystemTime::now(),
            connection: self.number,
            method: head.method.clone(),
            target: head.target.clone(),
            version: head.version,
            headers: head.headers.clone(),
            body: body.0,
            body_length: body.1,
            family,
            token_endpoint,
            credentials,
            scope: if token_endpoint {
                asked
            } else {
                family.map(|family| family.scope())
            },
            violations,
            faults: spoiling.names.clone(),
            status: None,
            abandoned: false,
        }
    }

    /// Journals a request whose body never came to its end.
    fn note_incomplete(&self, head: &Head, route: Option<Route>) {
        let nothing = (Bytes::new(), 0);
        let entry = self.entry(head, nothing, None, None, Vec::new(), &Spoiling::default());
        let family = route
            .filter(|route| !route.is_token_endpoint())
            .map(|route| route.family);
        let token_endpoint = route.is_some_and(Route::is_token_endpoint);
        let sequence = self.state.received(Entry {
            family,
            token_endpoint,
            ..entry
        });
        self.state.ended(sequence, None, true);
    }

    /// Waits as told, answers or spoils.
    async fn finish(
        &mut self,
        received: Received<'_>,
        spoiling: Spoiling,
        keep_open: bool,
    ) -> io::Result<(Next, Ending)> {
        let token_endpoint = received.route.is_some_and(Route::is_token_endpoint);
        let switches = self.state.switches();
        let latency = if token_endpoint {
            switches.token_latency
        } else {
            switches.latency
        };
        let chunked = switches.chunked;
        drop(switches);
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
        let answer = match answer::replaced(spoiling.decisive.as_ref(), received.route) {
            Some(answer) => answer,
            None => answer::compute(
                &self.state,
                &received,
                &spoiling.refused_scopes,
                state::now(),
            ),
        };
        let answer = answer::altered(answer, spoiling.decisive.as_ref());
        let delivery = Delivery::of(spoiling.decisive.as_ref(), answer.body.len(), keep_open);
        let bodiless = matches!(answer.status, 204 | 304);
        let chunked = chunked && !head_only && !bodiless && delivery.is_exact(&answer);
        let length = match () {
            () if bodiless => AnswerLength::Untold,
            () if chunked => AnswerLength::Chunked,
            () => AnswerLength::Known(delivery.announced),
        };
        let mut bytes = answer.head(self.date.now(), length, !keep_open);
        if chunked {
            append_chunked(&mut bytes, &answer.body);
        } else if !head_only && !bodiless {
            bytes.extend_from_slice(&answer.body[..delivery.sent]);
        }
        self.wire.send(&bytes).await?;
        Ok((delivery.next, Ending::Answered(answer.status)))
    }

    /// Answers before the body is read, then reads the body and goes on.
    async fn answer_early(
        &mut self,
        head: Head,
        route: Option<Route>,
        spoiling: Spoiling,
    ) -> io::Result<Next> {
        let entry = self.entry(&head, (Bytes::new(), 0), route, None, Vec::new(), &spoiling);
        let sequence = self.state.received(entry);
        let answer = Answer::text(413, "Content Too Large");
        let length = AnswerLength::Known(answer.body.len());
        let mut bytes = answer.head(self.date.now(), length, false);
        bytes.extend_from_slice(&answer.body);
        let sent = self.wire.send(&bytes).await;
        self.state
            .ended(sequence, sent.is_ok().then_some(413), sent.is_err());
        sent?;
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
            self.date.now(),
            AnswerLength::Known(answer.body.len()),
            true,
        );
        bytes.extend_from_slice(&answer.body);
        self.wire.send(&bytes).await?;
        Ok(Next::Close)
    }
}
