//! What an examination saw, as data, so that what it means can be decided without a network.

use std::net::IpAddr;
use std::time::Duration;

use super::Planned;
use super::exchange::Unanswered;
use super::reach::Obstacle;
use super::sample::Meaning;
use crate::dqe::{Carriage, Scope};
use crate::token::Reason;

/// Everything that was seen.
#[derive(Debug, Default)]
pub(super) struct Observations {
    /// One server, or two when tokens come from another one.
    pub(super) servers: Vec<Reached>,
    pub(super) secret: Option<SecretSeen>,
    /// A token was granted for the next secret, and not for the first.
    pub(super) next_secret_alone: bool,
    pub(super) tokens: Vec<Asked>,
    /// Where the token endpoint redirects to.
    pub(super) redirect: Option<String>,
    /// Whether the licence code alone opens a classic path, when a refusal made that worth asking.
    pub(super) licence_alone: Option<LicenceAlone>,
    /// Seconds the server's clock is ahead of this machine's.
    pub(super) clock: Option<i64>,
    pub(super) calls: Vec<Called>,
}

/// A server and how far it was reached.
#[derive(Debug)]
pub(super) struct Reached {
    /// `https://host`, as it stands in the settings.
    pub(super) origin: String,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) addresses: Result<Vec<IpAddr>, Obstacle>,
    /// None when the name already failed.
    pub(super) connected: Option<Result<Duration, Obstacle>>,
    /// Whether it speaks HTTP; none when it was not reached.
    pub(super) http: Option<Result<u16, Unanswered>>,
}

impl Reached {
    pub(super) fn obstacle(&self) -> Option<&Obstacle> {
        match (&self.addresses, &self.connected) {
            (Err(obstacle), _) | (_, Some(Err(obstacle))) => Some(obstacle),
            (Ok(_), Some(Ok(_)) | None) => None,
        }
    }

    /// Whether requests can be sent to it.
    pub(super) fn is_open(&self) -> bool {
        self.obstacle().is_none() && matches!(self.http, Some(Ok(_)))
    }
}

/// The client secret, by what may be told of it.
#[derive(Debug)]
pub(super) enum SecretSeen {
    Unreadable(String),
    Read(Vec<Oddity>),
}

/// Something about the client secret that is likely not meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Oddity {
    /// White space at an end.
    Padded,
    /// Quotes around it.
    Quoted,
    /// It is the licence code.
    IsLicence,
}

/// A token that was asked for.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) scope: Scope,
    pub(super) answer: TokenAnswer,
}

#[derive(Debug)]
pub(super) enum TokenAnswer {
    Granted {
        life: Duration,
        life_was_assumed: bool,
        took: Duration,
        /// How long the proxy waits for such a reply while it serves.
        patience: Duration,
    },
    Refused {
        reason: Reason,
        /// Of the layers below; without URL, body or secret.
        detail: Option<String>,
    },
    /// The settings name no usable endpoint.
    Impossible(String),
    /// Earlier answers say enough.
    NotAsked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LicenceAlone {
    Taken,
    Refused,
    Unclear,
}

/// A sample and what came back for each carriage, in the order of `Carriage::ALL`.
#[derive(Debug)]
pub(super) struct Called {
    pub(super) planned: Planned,
    pub(super) answers: [Answer; 3],
    /// The longest of them.
    pub(super) took: Duration,
}

impl Called {
    /// Whether nothing came back in time for any carriage.
    pub(super) fn is_silent(&self) -> bool {
        self.answers.iter().all(|answer| {
            matches!(
                answer,
                Answer::Failed(
                    Unanswered::Silent(_)
                        | Unanswered::Unreached(Obstacle::Silent(_) | Obstacle::TlsSilent(_))
                )
            )
        })
    }

    /// Whether the credential was taken when it travelled like this.
    pub(super) fn is_taken(&self, carriage: Carriage) -> bool {
        let answers = Carriage::ALL.into_iter().zip(&self.answers);
        answers
            .filter(|(of, _)| *of == carriage)
            .any(|(_, answer)| *answer == Answer::Meant(Meaning::Taken))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Meant(Meaning),
    Failed(Unanswered),
}
