//! One call to the token endpoint: parameters out, a reply in. The secret
//! travels where the settings say, in the body unless they say the query; the
//! reply's body is never kept, shown or logged, nor is a URL with a query.

use std::error::Error as _;
use std::fmt::Write as _;
use std::time::Duration;

use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

use super::Settings;
use super::access_token::bearer;
use super::error::{EngineError, Reason};
use super::moment::Moment;
use super::obstacle::Obstacle;
use crate::dqe::token_reply::{Fault, Reading, Reply, read_reply};
use crate::dqe::{Method, Scope, TokenRequest};

/// The HTTP client token calls are made with, from `Egress::token_client`.
pub type Client = reqwest::Client;

/// Largest reply that is read. The cap is applied while reading.
const MAX_REPLY_BYTES: usize = 64 * 1024;

/// A token, fresh from the endpoint.
#[derive(Debug)]
pub(super) struct Success {
    /// The moment before the request was sent.
    pub(super) asked: Moment,
    /// `Bearer …`, sensitive.
    pub(super) header: HeaderValue,
    pub(super) life: Duration,
    pub(super) life_was_assumed: bool,
    /// From the request to the whole reply.
    pub(super) took: Duration,
}

/// A call that brought no token.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) reason: Reason,
    pub(super) retry_after: Option<Duration>,
    /// The status of the reply; `None` when there was none, or not a whole one.
    pub(super) status: Option<u16>,
    /// The documented word the reply was recognised by.
    pub(super) word: Option<&'static str>,
    /// What kept the connection from being made, where the layers below tell.
    pub(super) obstacle: Option<Obstacle>,
    /// What the layers below say; without URL, body or secret.
    pub(super) detail: Option<String>,
    /// From the request to the whole reply; `None` without one.
    pub(super) took: Option<Duration>,
}

impl Failure {
    pub(super) fn without_reply(reason: Reason, detail: Option<String>) -> Self {
        Self {
            reason,
            retry_after: None,
            status: None,
            word: None,
            obstacle: None,
            detail,
            took: None,
        }
    }
}

/// Where tokens are asked for, how, and as whom.
pub(super) struct Endpoint {
    client: Client,
    url: reqwest::Url,
    request: TokenRequest,
    reading: Reading,
    client_id: SecretString,
}

impl Endpoint {
    pub(super) fn new(settings: &Settings, client: Client) -> Result<Self, EngineError> {
        let url = reqwest::Url::parse(&settings.url).map_err(|_| EngineError::Url)?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(EngineError::Url);
        }
        Ok(Self {
            client,
            url,
            request: settings.request.clone(),
            reading: settings.reading,
            client_id: settings.client_id.clone(),
        })
    }

    /// The same endpoint through another client.
    pub(super) fn with_client(&self, client: Client) -> Self {
        Self {
            client,
            url: self.url.clone(),
            request: self.request.clone(),
            reading: self.reading,
            client_id: self.client_id.clone(),
        }
    }

    /// Asks for one token; ends within `patience`.
    pub(super) async fn ask(
        &self,
        secret: &SecretString,
        scope: Scope,
        patience: Duration,
    ) -> Result<Success, Failure> {
        let asked = Moment::now();
        tokio::time::timeout(patience, self.call(asked, secret, scope))
            .await
            .unwrap_or_else(|_| Err(Failure::without_reply(Reason::TimedOut, None)))
    }

    async fn call(
        &self,
        asked: Moment,
        secret: &SecretString,
        scope: Scope,
    ) -> Result<Success, Failure> {
        let mut response = self
            .request(secret, scope)
            .send()
            .await
            .map_err(failed_call)?;
        let status = response.status();
        let retry_after = response.headers().get(http::header::RETRY_AFTER).cloned();
        let body = read_body(&mut response, status.is_success())
            .await
            .map_err(|failure| Failure {
                status: Some(status.as_u16()),
                ..failure
            })?;
        let now = Moment::now();
        let took = now.monotonic_since(&asked);
        let retry_after = retry_after.as_ref().map(HeaderValue::as_bytes);
        let failure = |reason, retry_after, word| Failure {
            reason,
            retry_after,
            status: Some(status.as_u16()),
            word,
            obstacle: None,
            detail: Some(format!("status {}", status.as_u16())),
            took: Some(took),
        };
        let reply = read_reply(status.as_u16(), retry_after, &body, now.wall, self.reading);
        let grant = match reply {
            Reply::Granted(grant) => grant,
            Reply::Transient { fault, retry_after } => {
                return Err(failure(fault.into(), retry_after, None));
            }
            Reply::Permanent { refusal, word } => {
                return Err(failure(refusal.into(), None, word));
            }
        };
        let Some(header) = bearer(&grant.access_token) else {
            return Err(failure(Fault::IllegalAccessToken.into(), None, None));
        };
        Ok(Success {
            asked,
            header,
            life: grant.life,
            life_was_assumed: grant.life_was_assumed,
            took,
        })
    }

    fn request(&self, secret: &SecretString, scope: Scope) -> reqwest::RequestBuilder {
        let client_id = self.client_id.expose_secret();
        let parameters = self
            .request
            .encoded(client_id, secret.expose_secret(), scope);
        let request = match self.request.method {
            Method::Post => self
                .client
                .post(self.url.clone())
                .header(http::header::CONTENT_TYPE, FORM)
                .body(bytes::Bytes::from_owner(parameters)),
            Method::Get => {
                let mut url = self.url.clone();
                url.set_query(Some(&parameters));
                self.client.get(url)
            }
        };
        request.header(http::header::ACCEPT, "application/json")
    }
}

const FORM: &str = "application/x-www-form-urlencoded";

type Body = secrecy::zeroize::Zeroizing<Vec<u8>>;

/// Reads at most [`MAX_REPLY_BYTES`]. Of an error, what has come by then is
/// enough: its status says most.
async fn read_body(response: &mut reqwest::Response, is_success: bool) -> Result<Body, Failure> {
    let mut body = Body::default();
    loop {
        let chunk = match response.chunk().await {
            Ok(Some(chunk)) => chunk,
            Ok(None) => return Ok(body),
            Err(error) if is_success => return Err(failed_call(error)),
            Err(_) => return Ok(body),
        };
        if body.len() + chunk.len() > MAX_REPLY_BYTES {
            if is_success {
                return Err(Failure::without_reply(Reason::TooLarge, None));
            }
            return Ok(body);
        }
        body.extend_from_slice(&chunk);
    }
}

fn failed_call(error: reqwest::Error) -> Failure {
    let reason = if error.is_connect() {
        Reason::Unreachable
    } else if error.is_timeout() {
        Reason::TimedOut
    } else {
        Reason::Broken
    };
    // A URL may carry the secret.
    let error = error.without_url();
    Failure {
        obstacle: error.is_connect().then(|| Obstacle::of(&error)).flatten(),
        ..Failure::without_reply(reason, Some(chain(&error)))
    }
}

/// An error with its causes on one line.
fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Writing to a String cannot fail.
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}
