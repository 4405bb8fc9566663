//! One token, fetched once and told about: the commands `token` and `doctor`.

use std::time::Duration;

use super::Settings;
use super::endpoint::{Client, Endpoint, Failure};
use super::error::{EngineError, Reason};
use super::obstacle::Obstacle;
use super::timing::{LONGEST_ATTEMPT, Timing};
use crate::dqe::Scope;
use crate::secret::{SecretError, SecretSource};

/// A token that was fetched to be told about, not to be used.
#[derive(Debug)]
pub struct Fetched {
    /// How long it lives from the moment it was asked for.
    pub life: Duration,
    /// The reply did not say so; it is assumed.
    pub life_was_assumed: bool,
    /// From the request to the whole reply.
    pub took: Duration,
    /// How long the proxy waits for such a reply while it serves.
    pub patience: Duration,
    header: http::HeaderValue,
}

impl Fetched {
    /// `Bearer …`, marked sensitive: to find out what DQE takes.
    #[must_use]
    pub fn header(&self) -> &http::HeaderValue {
        &self.header
    }

    /// The token itself. Only for a person who asked to see it, and for a
    /// licence parameter, which is no header.
    #[must_use]
    pub fn reveal(&self) -> &str {
        let text = self.header.to_str().unwrap_or_default();
        text.strip_prefix("Bearer ").unwrap_or_default()
    }
}

/// Why no token could be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The settings name no usable endpoint.
    #[error(transparent)]
    Settings(#[from] EngineError),
    /// The secret cannot be read.
    #[error("{}", Reason::SecretUnreadable.sentence())]
    Secret(#[from] SecretError),
    /// The token endpoint gave none.
    #[error("{}", reason.sentence())]
    Refused {
        /// Why.
        reason: Reason,
        /// The status of the reply; `None` without a whole reply.
        status: Option<u16>,
        /// How long the endpoint asks to be left alone.
        retry_after: Option<Duration>,
        /// The documented word the reply was recognised by, in lower case.
        word: Option<&'static str>,
        /// What kept the connection from being made, where that is known.
        obstacle: Option<Obstacle>,
        /// What the layers below say; without URL, body or secret.
        detail: Option<String>,
    },
}

impl From<Failure> for FetchError {
    fn from(failure: Failure) -> Self {
        Self::Refused {
            reason: failure.reason,
            status: failure.status,
            retry_after: failure.retry_after,
            word: failure.word,
            obstacle: failure.obstacle,
            detail: failure.detail,
        }
    }
}

/// Makes one call for a token of `scope` with the secret of `source`, one of
/// the settings' two: at most 3 s, no retry.
///
/// # Errors
/// When the secret cannot be read or the endpoint grants no token.
pub async fn fetch_once(
    settings: &Settings,
    source: &SecretSource,
    client: Client,
    scope: Scope,
) -> Result<Fetched, FetchError> {
    let endpoint = Endpoint::new(settings, client)?;
    let secret = source.read()?;
    let success = endpoint.ask(&secret, scope, LONGEST_ATTEMPT).await?;
    Ok(Fetched {
        life: success.life,
        life_was_assumed: success.life_was_assumed,
        took: success.took,
        patience: Timing::of(success.life).attempt_timeout(),
        header: success.header,
    })
}
