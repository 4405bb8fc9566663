//! Issued tokens and their states. Pure: the time is an argument.
//!
//! Tokens that ended are remembered for a while, so that the journal can tell an expired token
//! from one that never existed. Of a token that ended before its announced time it is remembered
//! too when its holder was told: before that, and while requests are on their way, presenting it
//! is nobody's fault.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::random::Random;
use super::scope::{SCOPES, Scope};
use super::switches::TokenReuse;

/// Most tokens remembered, live ones included; the oldest are forgotten first.
const REMEMBERED: usize = 20_000;
/// How long a refresh token renews, as documented.
const REFRESH_LIFE: Duration = Duration::from_secs(600);
/// How long a request may have been on its way when its token's end is told.
const ON_ITS_WAY: Duration = Duration::from_secs(1);

const PLAIN: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const SPECIAL: &[u8] = b"ABCXYZabcxyz019+/=*~%";

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

/// What is found out about a presented token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Judgement {
    pub(crate) standing: Standing,
    /// Its scope and generation, when it was ever issued.
    pub(crate) issued: Option<(Scope, u64)>,
    /// It ended before its announced time, and its holder could not know.
    pub(crate) untold: bool,
    /// What is left of its announced life, in thousandths, rounded down.
    pub(crate) left: Option<u16>,
}

/// A token as issued, with what the token endpoint says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Issued {
    pub(crate) access_token: String,
    pub(crate) refresh_token: String,
    /// The life it is announced with.
    pub(crate) life: Duration,
}

/// How the next token is made; each value is a switch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Issuing {
    pub(crate) life: Duration,
    /// Give the live token again instead of a new one.
    pub(crate) reuse: TokenReuse,
    /// A token given again is announced with its whole life instead of what is left of it.
    pub(crate) reuse_tells_life: bool,
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
    life: Duration,
    revoked: bool,
    told_at: Option<Instant>,
}

impl Record {
    fn expires_at(&self) -> Instant {
        self.issued_at + self.life
    }

    /// Revoked and told, or expired: nothing more can become of it.
    fn is_settled(&self, now: Instant) -> bool {
        now >= self.expires_at() || (self.revoked && self.told_at.is_some())
    }

    fn repeats(&self, reuse: TokenReuse, now: Instant) -> bool {
        let share = match reuse {
            TokenReuse::Off => return false,
            TokenReuse::UntilPercent(percent) => f64::from(percent) / 100.0,
        };
        !self.revoked && now < self.issued_at + self.life.mul_f64(share)
    }
}

/// Every token issued and still remembered.
#[derive(Debug)]
pub(crate) struct Tokens {
    records: HashMap<String, Record>,
    order: VecDeque<String>,
    /// By scope, oldest first, the tokens something may still become of: looked through often.
    open: [Vec<String>; SCOPES],
    generation: u64,
    random: Random,
}

impl Tokens {
    pub(crate) fn new(random: Random) -> Self {
        Self {
            records: HashMap::new(),
            order: VecDeque::new(),
            open: Default::default(),
            generation: 0,
            random,
        }
    }

    /// Issues a token of `scope`, or gives the live one again when `issuing` says so.
    pub(crate) fn issue(&mut self, scope: Scope, issuing: Issuing, now: Instant) -> Issued {
        let records = &self.records;
        self.open[scope as usize].retain(|token| {
            records
                .get(token)
                .is_some_and(|record| !record.is_settled(now))
        });
        if let Some(again) = self.given_again(scope, issuing, now) {
            return again;
        }
        if issuing.only_one {
            self.revoke(Some(scope), now);
        }
        let access_token = format!("TK{}", self.characters(issuing.special_characters, 44));
        let refresh_token = format!("*TK{}", self.characters(issuing.special_characters, 47));
        self.generation += 1;
        let record = Record {
            generation: self.generation,
            scope,
            refresh_token: refresh_token.clone(),
            issued_at: now,
            life: issuing.life,
            revoked: false,
            told_at: None,
        };
        self.records.insert(access_token.clone(), record);
        self.order.push_back(access_token.clone());
        self.open[scope as usize].push(access_token.clone());
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

    fn given_again(&self, scope: Scope, issuing: Issuing, now: Instant) -> Option<Issued> {
        let newest_first = self.open[scope as usize].iter().rev();
        let (access_token, record) = newest_first
            .filter_map(|token| Some((token, self.records.get(token)?)))
            .find(|(_, record)| record.repeats(issuing.reuse, now))?;
        let life = if issuing.reuse_tells_life {
            record.life
        } else {
            record.expires_at().saturating_duration_since(now)
        };
        Some(Issued {
            access_token: access_token.clone(),
            refresh_token: record.refresh_token.clone(),
            life,
        })
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

    /// What is known of `token` at `now`, by a clock that runs `skew` ahead of the one its life
    /// was announced by.
    pub(crate) fn judge(&self, token: &str, now: Instant, skew: Duration) -> Judgement {
        let Some(record) = self.records.get(token) else {
            return Judgement {
                standing: Standing::Unknown,
                issued: None,
                untold: false,
                left: None,
            };
        };
        let expires_at = record.expires_at();
        let standing = if record.revoked {
            Standing::Revoked
        } else if now + skew >= expires_at {
            Standing::Expired
        } else {
            Standing::Live
        };
        let was_told = record
            .told_at
            .is_some_and(|told_at| now >= told_at + ON_ITS_WAY);
        Judgement {
            standing,
            issued: Some((record.scope, record.generation)),
            untold: standing != Standing::Live && now < expires_at && !was_told,
            left: Some(thousandths(
                expires_at.saturating_duration_since(now),
                record.life,
            )),
        }
    }

    /// Revokes every token of `scope`, or every token; answers how many of them were live.
    pub(crate) fn revoke(&mut self, scope: Option<Scope>, now: Instant) -> usize {
        let mut revoked = 0;
        for token in self.open.iter().flatten() {
            let Some(record) = self.records.get_mut(token) else {
                continue;
            };
            if !record.revoked && scope.is_none_or(|scope| scope == record.scope) {
                record.revoked = true;
                revoked += usize::from(now < record.expires_at());
            }
        }
        revoked
    }

    /// The holder was told that `token` is not taken. The first time counts, and only when the
    /// token has ended: a refusal for another reason tells nothing about its end.
    pub(crate) fn tell(&mut self, token: &str, now: Instant, skew: Duration) {
        if let Some(record) = self.records.get_mut(token)
            && (record.revoked || now + skew >= record.expires_at())
        {
            record.told_at.get_or_insert(now);
        }
    }

    /// The holder was given a newer token of `scope` than the revoked ones, which tells their end.
    pub(crate) fn tell_revoked(&mut self, scope: Scope, now: Instant) {
        for token in &self.open[scope as usize] {
            if let Some(record) = self.records.get_mut(token).filter(|record| record.revoked) {
                record.told_at.get_or_insert(now);
            }
        }
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

/// Nothing is left of a life of no length.
fn thousandths(left: Duration, life: Duration) -> u16 {
    let share = (left.as_nanos() * 1000).checked_div(life.as_nanos());
    share
        .and_then(|share| u16::try_from(share).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUING: Issuing = Issuing {
        life: Duration::from_secs(2),
        reuse: TokenReuse::Off,
        reuse_tells_life: false,
        only_one: false,
        special_characters: false,
    };

    fn tokens() -> (Tokens, Instant) {
        (Tokens::new(Random::seeded(Some(1))), Instant::now())
    }

    fn judge(tokens: &Tokens, issued: &Issued, now: Instant) -> Judgement {
        tokens.judge(&issued.access_token, now, Duration::ZERO)
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
            let judged = judge(&tokens, &issued, now + Duration::from_millis(after));
            assert_eq!(
                (judged.standing, judged.issued),
                (expected, Some((Scope::Phone, 1))),
                "{after}"
            );
            assert!(!judged.untold, "{after}");
        }
        let unknown = tokens.judge("TKother", now, Duration::ZERO);
        assert_eq!(
            (unknown.standing, unknown.issued),
            (Standing::Unknown, None)
        );
    }

    #[test]
    fn revoking_a_scope_spares_the_others() {
        let (mut tokens, now) = tokens();
        let phone = tokens.issue(Scope::Phone, ISSUING, now);
        let email = tokens.issue(Scope::Email, ISSUING, now);
        assert_eq!(tokens.revoke(Some(Scope::Phone), now), 1);
        assert_eq!(judge(&tokens, &phone, now).standing, Standing::Revoked);
        assert_eq!(judge(&tokens, &email, now).standing, Standing::Live);
        assert_eq!(tokens.revoke(None, now), 1);
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
        assert_eq!(judge(&tokens, &first, now).standing, Standing::Revoked);
        assert_eq!(judge(&tokens, &second, now).standing, Standing::Live);
    }

    #[test]
    fn reuse_gives_the_same_token_with_what_is_left_of_its_life() {
        let (mut tokens, now) = tokens();
        let issuing = Issuing {
            reuse: TokenReuse::UntilPercent(100),
            ..ISSUING
        };
        let first = tokens.issue(Scope::Phone, issuing, now);
        let later = now + Duration::from_millis(500);
        let again = tokens.issue(Scope::Phone, issuing, later);
        assert_eq!(again.access_token, first.access_token);
        assert_eq!(again.life, Duration::from_millis(1500));
        let whole = Issuing {
            reuse_tells_life: true,
            ..issuing
        };
        assert_eq!(
            tokens.issue(Scope::Phone, whole, later).life,
            Duration::from_secs(2)
        );
        let next = tokens.issue(Scope::Phone, issuing, now + Duration::from_secs(2));
        assert_ne!(next.access_token, first.access_token);
    }

    #[test]
    fn reuse_may_end_before_the_life_does() {
        let (mut tokens, now) = tokens();
        let issuing = Issuing {
            reuse: TokenReuse::UntilPercent(80),
            ..ISSUING
        };
        let first = tokens.issue(Scope::Phone, issuing, now);
        let at = |milliseconds| now + Duration::from_millis(milliseconds);
        assert_eq!(
            tokens.issue(Scope::Phone, issuing, at(1599)).access_token,
            first.access_token
        );
        let next = tokens.issue(Scope::Phone, issuing, at(1600));
        assert_ne!(next.access_token, first.access_token);
        assert_eq!(judge(&tokens, &first, at(1700)).standing, Standing::Live);
    }

    #[test]
    fn a_revoked_token_is_excused_until_its_holder_could_know() {
        let (mut tokens, now) = tokens();
        let at = |milliseconds| now + Duration::from_millis(milliseconds);
        let life = Issuing {
            life: Duration::from_secs(60),
            ..ISSUING
        };
        let refused = tokens.issue(Scope::Phone, life, now);
        tokens.revoke(Some(Scope::Phone), now);
        assert!(
            judge(&tokens, &refused, at(5000)).untold,
            "nothing was said"
        );
        tokens.tell(&refused.access_token, at(5000), Duration::ZERO);
        assert!(judge(&tokens, &refused, at(5999)).untold, "on its way");
        assert!(!judge(&tokens, &refused, at(6000)).untold);
        // A newer token tells it too, once it is delivered.
        let replaced = tokens.issue(Scope::Phone, life, at(7000));
        let only_one = Issuing {
            only_one: true,
            ..life
        };
        tokens.issue(Scope::Phone, only_one, at(8000));
        assert!(
            judge(&tokens, &replaced, at(20_000)).untold,
            "the reply was lost"
        );
        tokens.tell_revoked(Scope::Phone, at(20_000));
        assert!(!judge(&tokens, &replaced, at(21_000)).untold);
        // Past its announced end nothing excuses it.
        let expired = tokens.issue(Scope::Phone, life, now);
        tokens.revoke(None, now);
        assert!(!judge(&tokens, &expired, at(60_000)).untold);
    }

    #[test]
    fn a_clock_that_runs_ahead_ends_tokens_untold() {
        let (mut tokens, now) = tokens();
        let issued = tokens.issue(Scope::Phone, ISSUING, now);
        let judged = |after| {
            let now = now + Duration::from_millis(after);
            let judged = tokens.judge(&issued.access_token, now, Duration::from_secs(1));
            (judged.standing, judged.untold, judged.left)
        };
        assert_eq!(judged(999), (Standing::Live, false, Some(500)));
        assert_eq!(judged(1500), (Standing::Expired, true, Some(250)));
        assert_eq!(judged(2000), (Standing::Expired, false, Some(0)));
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
