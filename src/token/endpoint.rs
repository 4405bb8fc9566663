//! One call to the token endpoint: a form out, a reply in. The secret travels
//! in the body only, the reply's body is never kept, shown or logged.

use std::error::Error as _;
use std::fmt::Write as _;
use std::time::Duration;

use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

use super::access_token::bearer;
use super::error::{EngineError, Reason};
use super::moment::Moment;
use crate::dqe::Scope;
use crate::dqe::dialect::{Fault, Reply, read_reply, token_request};

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
            detail,
            took: None,
        }
    }
}

/// Where tokens are asked for, and as whom.
pub(super) struct Endpoint {
    client: Client,
    url: reqwest::Url,
    client_id: SecretString,
}

impl Endpoint {
    pub(super) fn new(
        url: &str,
        client_id: SecretString,
        client: Client,
    ) -> Result<Self, EngineError> {
        let url = reqwest::Url::parse(url).map_err(|_| EngineError::Url)?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(EngineError::Url);
        }
        Ok(Self {
            client,
            url,
            client_id,
        })
    }

    /// The same endpoint through another client.
    pub(super) fn with_client(&self, client: Client) -> Self {
        Self {
            client,
            url: self.url.clone(),
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
        let form = token_request(
            self.client_id.expose_secret(),
            secret.expose_secret(),
            scope,
        );
        let mut response = self
            .client
            .post(self.url.clone())
            .header(http::header::ACCEPT, "application/json")
            .form(&form)
            .send()
            .await
            .map_err(failed_call)?;
        let status = response.status();
        let retry_after = response.headers().get(http::header::RETRY_AFTER).cloned();
        let body = read_body(&mut response, status.is_success()).await?;
        let now = Moment::now();
        let took = now.monotonic_since(&asked);
        let retry_after = retry_after.as_ref().map(HeaderValue::as_bytes);
        let failure = |reason, retry_after| Failure {
            reason,
            retry_after,
            detail: Some(format!("status {}", status.as_u16())),
            took: Some(took),
        };
        let grant = match read_reply(status.as_u16(), retry_after, &body, now.wall) {
            Reply::Granted(grant) => grant,
            Reply::Transient { fault, retry_after } => {
                return Err(failure(fault.into(), retry_after));
            }
            Reply::Permanent(refusal) => return Err(failure(refusal.into(), None)),
        };
        let Some(header) = bearer(&grant.access_token) else {
            return Err(failure(Fault::IllegalAccessToken.into(), None));
        };
        Ok(Success {
            asked,
            header,
            life: grant.life,
            life_was_assumed: grant.life_was_assumed,
            took,
        })
    }
}

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
    Failure::without_reply(reason, Some(chain(&error.without_url())))
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
