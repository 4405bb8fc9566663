//! A token ready to be sent. Its value has one door, [`AccessToken::header`];
//! it is neither shown nor serialised anywhere.

use std::fmt;
use std::time::Duration;

use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

use super::moment::Moment;
use super::timing::{Term, Timing};

/// An access token: the ready `Authorization` value, its number and its times.
#[derive(Clone)]
pub struct AccessToken {
    header: HeaderValue,
    generation: u64,
    term: Term,
}

impl AccessToken {
    pub(super) fn new(header: HeaderValue, generation: u64, term: Term) -> Self {
        Self {
            header,
            generation,
            term,
        }
    }

    /// `Bearer …`, marked sensitive (RFC 6750 §2.1). The one door to the value.
    #[must_use]
    pub fn header(&self) -> &HeaderValue {
        &self.header
    }

    /// The number of this token in its cell, rising from 1. The same value
    /// handed out twice by the server keeps its number.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether it may be sent at `now`, by both clocks.
    #[must_use]
    pub fn is_usable(&self, now: &Moment) -> bool {
        self.term.is_usable(now)
    }

    /// Time to its expiry; zero when that has passed.
    #[must_use]
    pub fn left(&self, now: &Moment) -> Duration {
        self.term.left(now)
    }

    /// How long it lives in all.
    #[must_use]
    pub fn life(&self) -> Duration {
        self.term.life
    }

    /// Less than a quarter of its life is left although its renewal was due:
    /// renewal is in trouble.
    #[must_use]
    pub fn is_stale(&self, now: &Moment) -> bool {
        let stale_after = Timing::of(self.term.life).stale_after();
        self.term.age(now) >= stale_after.max(self.term.renew_after)
    }

    /// Whether there is reason to doubt it, so that an answer that is only
    /// suspicious counts as a rejection: it is past its renewal point, or the
    /// clocks disagree by more than a second.
    #[must_use]
    pub fn is_doubtful(&self, now: &Moment) -> bool {
        let monotonic = now.monotonic_since(&self.term.asked);
        let wall = now.wall_since(&self.term.asked);
        self.term.age(now) >= self.term.renew_after
            || monotonic.abs_diff(wall) > Duration::from_secs(1)
    }

    /// The same token with other times.
    pub(super) fn with_term(&self, term: Term) -> Self {
        Self {
            term,
            ..self.clone()
        }
    }

    /// Whether the server handed out this value again.
    pub(super) fn has_value(&self, header: &HeaderValue) -> bool {
        self.header == *header
    }
}

/// `Bearer …` as a sensitive field value; `None` when the token cannot stand
/// in one.
pub(super) fn bearer(token: &SecretString) -> Option<HeaderValue> {
    let text = secrecy::zeroize::Zeroizing::new(format!("Bearer {}", token.expose_secret()));
    let mut header = HeaderValue::from_str(&text).ok()?;
    header.set_sensitive(true);
    Some(header)
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessToken")
            .field("generation", &self.generation)
            .field("term", &self.term)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> AccessToken {
        let term = Term::new(Moment::now(), Duration::from_secs(300), 0.5);
        let header = bearer(&SecretString::from("hunter2")).unwrap();
        AccessToken::new(header, 1, term)
    }

    #[test]
    fn the_header_is_ready_and_sensitive() {
        let token = token();
        assert_eq!(token.header(), "Bearer hunter2");
        assert!(token.header().is_sensitive());
        assert!(token.has_value(&bearer(&SecretString::from("hunter2")).unwrap()));
        assert!(!token.has_value(&bearer(&SecretString::from("hunter")).unwrap()));
    }

    #[test]
    fn no_byte_of_a_token_is_printed() {
        let token = token();
        assert!(!format!("{token:?} {:?}", token.header()).contains("hunter2"));
    }

    #[test]
    fn a_token_is_in_doubt_past_its_renewal_point_or_when_clocks_disagree() {
        let token = token();
        let asked = token.term.asked;
        assert!(!token.is_doubtful(&asked.later(Duration::from_secs(100))));
        assert!(token.is_doubtful(&asked.later(Duration::from_secs(160))));
        let jumped = Moment {
            wall: asked.wall - Duration::from_secs(3600),
            ..asked.later(Duration::from_secs(9))
        };
        assert!(token.is_doubtful(&jumped));
    }
}
