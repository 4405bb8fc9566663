//! Issued tokens and their states. Pure: the time is an argument.
//!
//! Tokens that ended are remembered for a while, so that the journal can tell an expired token
//! from one that never existed.

use std::collections::{HashMap, VecDeque};
use std::fmt::{self, Display, Formatter};
use std::time::{Duration, Instant};

use super::random::Random;

/// Most tokens remembered, live ones included; the oldest are forgotten first.
const REMEMBERED: usize = 20_000;
/// How long a refresh token renews, as documented.
const REFRESH_LIFE: Duration = Duration::from_secs(600);

const PLAIN: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const SPECIAL: &[u8] = b"ABCXYZabcxyz019+/=*~%";

/// What a token is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are DQE's")]
pub enum Scope {
    Address,
    Phone,
    Email,
    IdCheck,
    General,
    B2b,
    Civility,
    /// The grant of ID Mobile's own token endpoint.
    IdMobile,
}

impl Scope {
    /// The seven scopes of `/oauth/access_token/`.
    pub const OAUTH: [Self; 7] = [
        Self::Address,
        Self::Phone,
        Self::Email,
        Self::IdCheck,
        Self::General,
        Self::B2b,
        Self::Civility,
    ];

    /// The value on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Address => "client_address",
            Self::Phone => "client_phone",
            Self::Email => "client_email",
            Self::IdCheck => "client_idcheck",
            Self::General => "client_general",
            Self::B2b => "client_b2b",
            Self::Civility => "client_civility",
            Self::IdMobile => "client_idmobile",
        }
    }

    /// The scope of this name, ID Mobile's included.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::OAUTH
            .into_iter()
            .chain([Self::IdMobile])
            .find(|scope| scope.name() == name)
    }
}

impl Display for Scope {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// What is known of a presented token at a given instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Issued, neither expired nor revoked.
    Live,
    /// Its life is over.
    Expired,
    /// Revoked before its life was over.
    Revoked,
    /// Never issued, or forgotten.
    Unknown,
}

/// A token as issued, with what the token endpoint says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Issued {
    pub(crate) access_token: String,
    pub(crate) refresh_token: String,
    /// What is left of its life.
    pub(crate) life: Duration,
}

/// How the next token is made; each value is a switch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Issuing {
    pub(crate) life: Duration,
    /// Give the live token again instead of a new one.
    pub(crate) reuse: bool,
    /// Issuing revokes the earlier tokens of the scope.
    pub(crate) only_one: bool,
    /// Let the token contain characters that must be percent-encoded.
    pub(crate) special_characters: bool,
}

#[derive(Debug, Clone)]
struct Record {
    generation: u64,
    scope: Scope,
    refresh_token: String,
    issued_at: Instant,
    expires_at: Instant,
    revoked: bool,
}

/// Every token issued and still remembered.
#[derive(Debug)]
pub(crate) struct Tokens {
    records: HashMap<String, Record>,
    order: VecDeque<String>,
    generation: u64,
    random: Random,
}

impl Tokens {
    pub(crate) fn new(random: Random) -> Self {
        Self {
            records: HashMap::new(),
            order: VecDeque::new(),
            generation: 0,
            random,
        }
    }

    /// Issues a token of `scope`, or gives the live one again when `issuing` says so.
    pub(crate) fn issue(&mut self, scope: Scope, issuing: Issuing, now: Instant) -> Issued {
        if issuing.reuse
            && let Some((access_token, record)) = self
                .records
                .iter()
                .filter(|(_, record)| {
                    record.scope == scope && !record.revoked && now < record.expires_at
                })
                .max_by_key(|(_, record)| record.generation)
        {
            return Issued {
                access_token: access_token.clone(),
                refresh_token: record.refresh_token.clone(),
                life: record.expires_at.duration_since(now),
            };
        }
        if issuing.only_one {
            self.revoke(Some(scope));
        }
        let access_token = format!("TK{}", self.characters(issuing.special_characters, 44));
        let refresh_token = format!("*TK{}", self.characters(issuing.special_characters, 47));
        self.generation += 1;
        let record = Record {
            generation: self.generation,
            scope,
            refresh_token: refresh_token.clone(),
            issued_at: now,
            expires_at: now + issuing.life,
            revoked: false,
        };
        self.records.insert(access_token.clone(), record);
        self.order.push_back(access_token.clone());
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.records.remove(&oldest);
        }
        Issued {
            access_token,
            refresh_token,
            life: issuing.life,
        }
    }

    /// The scope of a pair that may still be renewed: both tokens belong together and the refresh
    /// token is at most ten minutes old. A revoked access token is not renewed.
    pub(crate) fn renewable(
        &self,
        access_token: &str,
        refresh_token: &str,
        now: Instant,
    ) -> Option<Scope> {
        let record = self.records.get(access_token)?;
        let belongs = record.refresh_token == refresh_token && !record.revoked;
        (belongs && now.saturating_duration_since(record.issued_at) <= REFRESH_LIFE)
            .then_some(record.scope)
    }

    /// What is known of `token` at `now`, and its scope and generation when it was ever issued.
    pub(crate) fn judge(&self, token: &str, now: Instant) -> (Standing, Option<(Scope, u64)>) {
        let Some(record) = self.records.get(token) else {
            return (Standing::Unknown, None);
        };
        let standing = if record.revoked {
            Standing::Revoked
        } else if now >= record.expires_at {
            Standing::Expired
        } else {
            Standing::Live
        };
        (standing, Some((record.scope, record.generation)))
    }

    /// Revokes every token of `scope`, or every token; answers how many were not yet revoked.
    pub(crate) fn revoke(&mut self, scope: Option<Scope>) -> usize {
        let mut revoked = 0;
        for record in self.records.values_mut() {
            if !record.revoked && scope.is_none_or(|scope| scope == record.scope) {
                record.revoked = true;
                revoked += 1;
            }
        }
        revoked
    }

    fn characters(&mut self, special: bool, length: usize) -> String {
        if !special {
            return self.random.text(PLAIN, length);
        }
        // Each awkward character is there at least once, whatever the draw.
        format!(
            "+/=*~%{}",
            self.random.text(SPECIAL, length.saturating_sub(6))
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUING: Issuing = Issuing {
        life: Duration::from_secs(2),
        reuse: false,
        only_one: false,
        special_characters: false,
    };

    fn tokens() -> (Tokens, Instant) {
        (Tokens::new(Random::seeded(Some(1))), Instant::now())
    }

    #[test]
    fn a_token_lives_until_the_end_of_its_life_and_not_an_instant_longer() {
        let (mut tokens, now) = tokens();
        let issued = tokens.issue(Scope::Phone, ISSUING, now);
        assert_eq!(
            (issued.access_token.len(), issued.refresh_token.len()),
            (46, 50)
        );
        for (after, expected) in [
            (0, Standing::Live),
            (1999, Standing::Live),
            (2000, Standing::Expired),
            (9000, Standing::Expired),
        ] {
            let judged = tokens.judge(&issued.access_token, now + Duration::from_millis(after));
            assert_eq!(judged, (expected, Some((Scope::Phone, 1))), "{after}");
        }
        assert_eq!(tokens.judge("TKother", now), (Standing::Unknown, None));
    }

    #[test]
    fn revoking_a_scope_spares_the_others() {
        let (mut tokens, now) = tokens();
        let phone = tokens.issue(Scope::Phone, ISSUING, now);
        let email = tokens.issue(Scope::Email, ISSUING, now);
        assert_eq!(tokens.revoke(Some(Scope::Phone)), 1);
        assert_eq!(tokens.judge(&phone.access_token, now).0, Standing::Revoked);
        assert_eq!(tokens.judge(&email.access_token, now).0, Standing::Live);
        assert_eq!(tokens.revoke(None), 1);
    }

    #[test]
    fn one_token_at_a_time_revokes_the_previous_one() {
        let (mut tokens, now) = tokens();
        let issuing = Issuing {
            only_one: true,
            ..ISSUING
        };
        let first = tokens.issue(Scope::Phone, issuing, now);
        let second = tokens.issue(Scope::Phone, issuing, now);
        assert_eq!(tokens.judge(&first.access_token, now).0, Standing::Revoked);
        assert_eq!(tokens.judge(&second.access_token, now).0, Standing::Live);
    }

    #[test]
    fn reuse_gives_the_same_token_with_what_is_left_of_its_life() {
        let (mut tokens, now) = tokens();
        let issuing = Issuing {
            reuse: true,
            ..ISSUING
        };
        let first = tokens.issue(Scope::Phone, issuing, now);
        let again = tokens.issue(Scope::Phone, issuing, now + Duration::from_millis(500));
        assert_eq!(again.access_token, first.access_token);
        assert_eq!(again.life, Duration::from_millis(1500));
        let next = tokens.issue(Scope::Phone, issuing, now + Duration::from_secs(2));
        assert_ne!(next.access_token, first.access_token);
    }

    #[test]
    fn a_pair_renews_for_ten_minutes_only() {
        let (mut tokens, now) = tokens();
        let issued = tokens.issue(Scope::B2b, ISSUING, now);
        let renew =
            |after| tokens.renewable(&issued.access_token, &issued.refresh_token, now + after);
        assert_eq!(renew(Duration::from_secs(600)), Some(Scope::B2b));
        assert_eq!(renew(Duration::from_secs(601)), None);
        assert_eq!(
            tokens.renewable(&issued.access_token, "*TKother", now),
            None
        );
    }

    #[test]
    fn special_tokens_hold_every_awkward_character() {
        let (mut tokens, now) = tokens();
        let issued = tokens.issue(
            Scope::B2b,
            Issuing {
                special_characters: true,
                ..ISSUING
            },
            now,
        );
        assert!(
            "+/=*~%"
                .chars()
                .all(|one| issued.access_token.contains(one))
        );
        assert_eq!(issued.access_token.len(), 46);
    }
}
