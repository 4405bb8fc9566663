//! The steps, one after the other. Each ends within its time; a step that cannot help any more
//! is not taken.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};

use super::diagnosis::diagnose;
use super::exchange::{Exchange, Request, Unanswered, exchange};
use super::observation::{
    Answer, Asked, Called, LicenceAlone, Observations, Oddity, Reached, SecretSeen, TokenAnswer,
};
use super::reach;
use super::report::{Report, Step, Verdict};
use super::sample::{Meaning, SAMPLES, Sample, meaning};
use super::steps::{call_step, connect_step, http_step, name_step, token_step};
use super::{Plan, Planned};
use crate::dqe::{Carriage, Scope};
use crate::token::{self, FetchError, Fetched, Moment, Reason, fetch_once};
use crate::upstream::{Client, Server, Settings};

/// This many scopes refused for the same reason, which is not the scope's, speak for the rest; so
/// do this many paths that do not answer.
const ALIKE: usize = 2;

/// Takes every step, telling each as it ends, and says what was found.
pub async fn examine(plan: &Plan, tell: impl FnMut(&Step)) -> Report {
    let mut examination = Examination {
        plan,
        tell,
        seen: Observations::default(),
        steps: Vec::new(),
    };
    examination.take_steps().await;
    Report {
        findings: diagnose(&examination.seen),
        steps: examination.steps,
    }
}

struct Examination<'plan, Tell> {
    plan: &'plan Plan,
    tell: Tell,
    seen: Observations,
    steps: Vec<Step>,
}

impl<Tell: FnMut(&Step)> Examination<'_, Tell> {
    async fn take_steps(&mut self) {
        let client = self.client(self.plan.upstream.clone());
        self.reach(&client).await;
        let token_client = match token_server(self.plan) {
            Some(server) if server.origin() != self.plan.upstream.server.origin() => {
                let client = self.client(Settings {
                    server,
                    ..self.plan.upstream.clone()
                });
                self.reach(&client).await;
                client
            }
            Some(_) | None => Rc::clone(&client),
        };
        let secret = self.secret();
        let tokens_are_open = self.seen.servers.last().is_some_and(Reached::is_open);
        let granted = if tokens_are_open && secret.is_some() {
            self.tokens(&token_client).await
        } else {
            self.skip("token", "", "not asked for: see above");
            Vec::new()
        };
        let is_open = self.seen.servers.first().is_some_and(Reached::is_open);
        if self.plan.calls.is_empty() {
            self.skip("call", "", "not made: not asked for");
        } else if is_open {
            self.calls(&client, &granted).await;
        } else {
            self.skip("call", "", "not made: see above");
        }
    }

    fn client(&self, settings: Settings) -> Rc<Client> {
        let at_server = settings.limit(1);
        let tls = Arc::new(ArcSwap::new(Arc::clone(&self.plan.tls)));
        Client::new(settings, tls, at_server, Rc::default())
    }

    fn step(&mut self, step: Step) {
        (self.tell)(&step);
        self.steps.push(step);
    }

    fn skip(&mut self, stage: &'static str, subject: &str, says: &str) {
        self.step(Step {
            stage,
            subject: subject.to_owned(),
            verdict: Verdict::Skipped,
            says: says.to_owned(),
            took: None,
        });
    }

    /// Name, connection with TLS, and whether it is HTTP that answers.
    async fn reach(&mut self, client: &Rc<Client>) {
        let server = client.settings().server.clone();
        let mut reached = Reached {
            origin: server.origin(),
            host: server.host().to_owned(),
            port: server.port(),
            addresses: Ok(Vec::new()),
            connected: None,
            http: None,
        };
        let begun = Moment::now();
        reached.addresses = reach::resolve(&server).await;
        self.step(name_step(&reached, since(&begun)));
        if reached.addresses.is_ok() {
            let begun = Moment::now();
            let connected = reach::connect(client).await.map(|_| since(&begun));
            self.step(connect_step(&server, &connected, since(&begun)));
            reached.connected = Some(connected);
        }
        if matches!(reached.connected, Some(Ok(_))) {
            let begun = Moment::now();
            // Without a credential: only whether HTTP answers, and by what clock.
            let answered = exchange(client, bare(Method::HEAD, "/"), self.plan.patience).await;
            if let Ok(answer) = &answered {
                self.seen.clock = answer.clock.or(self.seen.clock);
            }
            let answered = answered.map(|answer| answer.status);
            self.step(http_step(&server, &answered, since(&begun)));
            reached.http = Some(answered);
        }
        self.seen.servers.push(reached);
    }

    /// The secret, once it could be read.
    fn secret(&mut self) -> Option<SecretString> {
        match self.plan.token.client_secret.read() {
            Ok(secret) => {
                let oddities = oddities(&secret, &self.plan.token.client_id);
                self.seen.secret = Some(SecretSeen::Read(oddities));
                Some(secret)
            }
            Err(error) => {
                self.step(Step {
                    stage: "secret",
                    subject: String::new(),
                    verdict: Verdict::Bad,
                    says: error.to_string(),
                    took: None,
                });
                self.seen.secret = Some(SecretSeen::Unreadable(error.to_string()));
                None
            }
        }
    }

    /// A token for each scope; what was granted.
    async fn tokens(&mut self, client: &Rc<Client>) -> Vec<(Scope, Fetched)> {
        let mut granted = Vec::new();
        for scope in self.plan.token.scopes.clone() {
            if self.are_alike() {
                let says = "not asked for: the answer would be the same";
                self.skip("token", scope.as_str(), says);
                self.seen.tokens.push(Asked {
                    scope,
                    answer: TokenAnswer::NotAsked,
                });
                continue;
            }
            let begun = Moment::now();
            let (fetched, by_next) = self.fetch(&self.plan.token, scope).await;
            self.seen.next_secret_alone |= by_next;
            let answer = token_answer(&fetched);
            self.step(token_step(scope.as_str(), &answer, since(&begun)));
            self.seen.tokens.push(Asked { scope, answer });
            if let Ok(token) = fetched {
                granted.push((scope, token));
            }
        }
        if let Some(id_mobile) = &self.plan.id_mobile {
            let scope = Scope::IdMobile;
            let begun = Moment::now();
            let answer = token_answer(&self.fetch(id_mobile, scope).await.0);
            self.step(token_step(scope.as_str(), &answer, since(&begun)));
            self.seen.tokens.push(Asked { scope, answer });
        }
        if self.was_refused_for(Reason::Redirect) {
            let path = self.token_path();
            // Without a credential, which must not follow a redirect either.
            let answered = exchange(client, bare(Method::POST, &path), self.plan.patience).await;
            self.seen.redirect = answered.ok().and_then(|answer| answer.location);
        }
        granted
    }

    /// A token, with the next secret where only that one works, as the proxy
    /// itself would get it; and whether it was that one.
    async fn fetch(
        &self,
        token: &token::Settings,
        scope: Scope,
    ) -> (Result<Fetched, FetchError>, bool) {
        let ask = |source| fetch_once(token, source, self.plan.token_client.clone(), scope);
        let fetched = ask(&token.client_secret).await;
        match (&fetched, &token.next_client_secret) {
            (Err(_), Some(next)) => match ask(next).await {
                Ok(by_next) => (Ok(by_next), true),
                Err(_) => (fetched, false),
            },
            (Ok(_), _) | (_, None) => (fetched, false),
        }
    }

    /// Whether so many scopes were refused alike that the others need not be asked for.
    fn are_alike(&self) -> bool {
        let was_asked = |asked: &&Asked| !matches!(asked.answer, TokenAnswer::NotAsked);
        let tokens = self.seen.tokens.iter().filter(was_asked);
        let reasons: Vec<Option<Reason>> = tokens.map(reason_of).collect();
        let Some(Some(first)) = reasons.first().copied() else {
            return false;
        };
        let is_of_the_scope = matches!(first, Reason::UnauthorizedScope | Reason::UnsupportedScope);
        reasons.len() >= ALIKE
            && !is_of_the_scope
            && reasons.iter().all(|reason| *reason == Some(first))
    }

    fn was_refused_for(&self, wanted: Reason) -> bool {
        self.seen
            .tokens
            .iter()
            .any(|asked| reason_of(asked) == Some(wanted))
    }

    fn token_path(&self) -> String {
        let after_scheme = self.plan.token.url.split_once("://");
        let rest = after_scheme.map_or("", |(_, rest)| rest);
        let path = rest.find('/').map_or("/", |at| &rest[at..]);
        path.split(['?', '#']).next().unwrap_or("/").to_owned()
    }

    async fn calls(&mut self, client: &Rc<Client>, granted: &[(Scope, Fetched)]) {
        let mut silent = 0;
        for planned in self.plan.calls.clone() {
            let path = planned.sample.path;
            let token = token_for(granted, planned);
            let Some(token) = token else {
                let why = format!("not made: no token of {}", planned.scope);
                self.skip("call", path, &why);
                continue;
            };
            if silent == ALIKE {
                self.skip("call", path, "not made: DQE does not answer");
                continue;
            }
            let called = self.call(client, planned, token).await;
            silent = if called.is_silent() { silent + 1 } else { 0 };
            self.step(call_step(&called));
            self.seen.calls.push(called);
        }
        if self.was_refused_for(Reason::InvalidClient) && granted.is_empty() {
            let request = with_licence_code(&self.plan.token.client_id);
            let answered = exchange(client, request, self.plan.patience).await;
            let answer = self.answer(answered);
            self.seen.licence_alone = Some(match answer {
                Answer::Meant(Meaning::Taken) => LicenceAlone::Taken,
                Answer::Meant(Meaning::Refused(_) | Meaning::Nothing) => LicenceAlone::Refused,
                Answer::Meant(_) | Answer::Failed(_) => LicenceAlone::Unclear,
            });
        }
    }

    /// One sample, with each carriage; without the others when the first one meets silence.
    async fn call(&mut self, client: &Rc<Client>, planned: Planned, token: &Fetched) -> Called {
        let mut called = Called {
            planned,
            answers: Carriage::ALL.map(|_| Answer::Failed(Unanswered::Silent(self.plan.patience))),
            took: Duration::ZERO,
        };
        for (at, carriage) in Carriage::ALL.into_iter().enumerate() {
            let request = with_token(planned.sample, token, carriage);
            let begun = Moment::now();
            let answered = exchange(client, request, self.plan.patience).await;
            called.took = called.took.max(since(&begun));
            called.answers[at] = self.answer(answered);
            if called.is_silent() {
                break;
            }
        }
        called
    }

    fn answer(&mut self, answered: Result<Exchange, Unanswered>) -> Answer {
        match answered {
            Ok(answer) => {
                self.seen.clock = self.seen.clock.or(answer.clock);
                Answer::Meant(meaning(answer.status, &answer.body))
            }
            Err(failed) => Answer::Failed(failed),
        }
    }
}

fn since(begun: &Moment) -> Duration {
    Moment::now().monotonic_since(begun)
}

/// The server of the token endpoint, when its URL begins with one.
fn token_server(plan: &Plan) -> Option<Server> {
    let (scheme, rest) = plan.token.url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    Server::parse(&format!("{scheme}://{authority}")).ok()
}

fn token_for(granted: &[(Scope, Fetched)], planned: Planned) -> Option<&Fetched> {
    let of_scope = granted.iter().find(|(scope, _)| *scope == planned.scope);
    of_scope.map(|(_, token)| token)
}

fn oddities(secret: &SecretString, licence: &SecretString) -> Vec<Oddity> {
    let text = secret.expose_secret();
    let quoted = |mark: char| text.len() > 1 && text.starts_with(mark) && text.ends_with(mark);
    let mut oddities = Vec::new();
    if text.trim() != text {
        oddities.push(Oddity::Padded);
    }
    if quoted('"') || quoted('\'') {
        oddities.push(Oddity::Quoted);
    }
    if text == licence.expose_secret() {
        oddities.push(Oddity::IsLicence);
    }
    oddities
}

fn reason_of(asked: &Asked) -> Option<Reason> {
    match &asked.answer {
        TokenAnswer::Refused { reason, .. } => Some(*reason),
        TokenAnswer::Granted { .. } | TokenAnswer::Impossible(_) | TokenAnswer::NotAsked => None,
    }
}

fn token_answer(fetched: &Result<Fetched, FetchError>) -> TokenAnswer {
    match fetched {
        Ok(token) => TokenAnswer::Granted {
            life: token.life,
            life_was_assumed: token.life_was_assumed,
            took: token.took,
            patience: token.patience,
        },
        Err(FetchError::Refused { reason, detail, .. }) => TokenAnswer::Refused {
            reason: *reason,
            detail: detail.clone(),
        },
        Err(error @ (FetchError::Settings(_) | FetchError::Secret(_))) => {
            TokenAnswer::Impossible(error.to_string())
        }
    }
}

/// A request without a credential.
fn bare(method: Method, target: &str) -> Request {
    Request {
        method,
        target: target.to_owned(),
        fields: Vec::new(),
        body: None,
    }
}

fn with_token(sample: &Sample, token: &Fetched, carriage: Carriage) -> Request {
    let mut request = bare(Method::GET, &format!("{}?{}", sample.path, sample.query));
    if carriage != Carriage::Licence {
        request.fields.push((AUTHORIZATION, token.header().clone()));
    }
    if carriage != Carriage::Header {
        let encoded = utf8_percent_encode(token.reveal(), NON_ALPHANUMERIC);
        request.target = format!("{}&Licence={encoded}", request.target);
    }
    request
}

/// The licence code as callers without OAuth2 send it; in the body, so that no log of URLs holds it.
fn with_licence_code(licence: &SecretString) -> Request {
    let code = utf8_percent_encode(licence.expose_secret(), NON_ALPHANUMERIC);
    let sample = &SAMPLES[0];
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    Request {
        method: Method::POST,
        target: sample.path.to_owned(),
        fields: vec![(CONTENT_TYPE, form)],
        body: Some(Bytes::from(format!("{}&Licence={code}", sample.query))),
    }
}
