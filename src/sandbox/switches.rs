//! Switches: what nobody outside DQE knows, and which both answers to are played.
//!
//! A switch is a name and a value, both text at the border ([`Switches::set`]) and typed inside.

use std::fmt::Write;
use std::time::Duration;

use super::route::Family;

/// How the credential of a family must travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carriage {
    /// Only `Authorization: Bearer` counts.
    Header,
    /// Only the `Licence` parameter counts.
    Licence,
    /// One good credential is enough, wherever it travels.
    Either,
    /// Both must be there and good.
    Both,
}

/// What the token endpoint says in `expires_in`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpiresIn {
    /// `"300"`, as documented.
    String,
    /// `300`.
    Number,
    /// No such member.
    Missing,
    /// `"0"`.
    Zero,
    /// `"-300"`.
    Negative,
    /// A number no clock can hold.
    Absurd,
    /// `"soon"`.
    Word,
}

/// Format of the token endpoint's error bodies, which the documentation does not show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorBody {
    /// `Invalid Client`.
    Text,
    /// `{"error":"invalid_client"}`.
    Json,
}

/// How long the token endpoint gives a live token again instead of a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenReuse {
    /// Never: each call issues a new token.
    Off,
    /// Until this much of its life is over, in percent (1 to 100).
    UntilPercent(u8),
}

/// Every switch, each with the value it has when nobody touches it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Switches {
    /// `token-errors=text|json`.
    pub token_errors: ErrorBody,
    /// `expires-in=string|number|missing|zero|negative|absurd|word`.
    pub expires_in: ExpiresIn,
    /// `token-life=<duration>`: how long the next tokens live.
    pub token_life: Duration,
    /// `token-reuse=off|on|until:80%`: the same token again, until it expires or until this much
    /// of its life is over.
    pub token_reuse: TokenReuse,
    /// `token-reuse-tells=rest|life`: a token given again is announced with what is left of its
    /// life, or with its whole life.
    pub token_reuse_tells_life: bool,
    /// `one-token=on|off`: issuing a token revokes the earlier ones of its scope.
    pub one_token: bool,
    /// `token-characters=plain|special`: special ones must be percent-encoded in a query.
    pub special_tokens: bool,
    /// `renewal-refusal=400|401`: answer to a refresh token that no longer renews.
    pub renewal_refusal: u16,
    /// `clock-skew=<duration>`: tokens end this much earlier than announced.
    pub clock_skew: Duration,
    /// `classic-refusal=200|401`: status beside the documented body of a refused credential.
    pub classic_refusal: u16,
    /// `echo-credential=on|off`: RESTful refusals repeat the refused value in `details`.
    pub echo_credential: bool,
    /// `licence-code=on|off`: accept the plain licence code where a token is expected.
    pub licence_code: bool,
    /// `scope-check=on|off`: a token is good for its own family only.
    pub scope_check: bool,
    /// `geocoding-scope=address|general`: which tokens `/LATLG/` takes.
    pub geocoding_takes_address: bool,
    /// `carriage.<family>=header|licence|either|both`; `carriage.all=…` sets all of them.
    pub carriage: [Carriage; Family::ALL.len()],
    /// `carriage.lookup=…`: of `/v1/email/lookup` and `/v1/phone/lookup`.
    pub lookup_carriage: Carriage,
    /// `slash-redirect=on|off`: slash-less classic paths answer 301 with an absolute `Location`.
    pub slash_redirect: bool,
    /// `classic-content-type=json|html|text`.
    pub classic_content_type: ContentType,
    /// `chunked=on|off`: answers are chunked instead of announcing their length.
    pub chunked: bool,
    /// `keep-alive=on|off`: off closes after each answer, and says so.
    pub keep_alive: bool,
    /// `idle-timeout=<duration>`: idle connections are closed after this long.
    pub idle_timeout: Duration,
    /// `latency=<duration>`: delay of every business answer.
    pub latency: Duration,
    /// `token-latency=<duration>`: delay of every token answer.
    pub token_latency: Duration,
}

/// Content type of the classic JSON answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentType {
    /// `application/json`.
    Json,
    /// `text/html; charset=utf-8`.
    Html,
    /// `text/plain; charset=utf-8`.
    Text,
}

/// Why a switch cannot be set; the sentence lists what exists.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{sentence}")]
pub struct SwitchError {
    sentence: String,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            token_errors: ErrorBody::Text,
            expires_in: ExpiresIn::String,
            token_life: Duration::from_secs(300),
            token_reuse: TokenReuse::Off,
            token_reuse_tells_life: false,
            one_token: false,
            special_tokens: false,
            renewal_refusal: 400,
            clock_skew: Duration::ZERO,
            classic_refusal: 401,
            echo_credential: true,
            licence_code: false,
            scope_check: true,
            geocoding_takes_address: true,
            carriage: [Carriage::Either; Family::ALL.len()],
            lookup_carriage: Carriage::Either,
            slash_redirect: false,
            classic_content_type: ContentType::Json,
            chunked: false,
            keep_alive: true,
            idle_timeout: Duration::from_secs(60),
            latency: Duration::ZERO,
            token_latency: Duration::ZERO,
        }
    }
}

const ON_OFF: &[(&str, bool)] = &[("on", true), ("off", false)];
const REFUSALS: &[(&str, u16)] = &[("200", 200), ("401", 401)];
const RENEWAL_REFUSALS: &[(&str, u16)] = &[("400", 400), ("401", 401)];
const ERROR_BODIES: &[(&str, ErrorBody)] = &[("text", ErrorBody::Text), ("json", ErrorBody::Json)];
const CHARACTERS: &[(&str, bool)] = &[("plain", false), ("special", true)];
const GEOCODING: &[(&str, bool)] = &[("address", true), ("general", false)];
const REUSE_TELLS: &[(&str, bool)] = &[("rest", false), ("life", true)];
const CONTENT_TYPES: &[(&str, ContentType)] = &[
    ("json", ContentType::Json),
    ("html", ContentType::Html),
    ("text", ContentType::Text),
];
const CARRIAGES: &[(&str, Carriage)] = &[
    ("header", Carriage::Header),
    ("licence", Carriage::Licence),
    ("either", Carriage::Either),
    ("both", Carriage::Both),
];
const EXPIRES_IN: &[(&str, ExpiresIn)] = &[
    ("string", ExpiresIn::String),
    ("number", ExpiresIn::Number),
    ("missing", ExpiresIn::Missing),
    ("zero", ExpiresIn::Zero),
    ("negative", ExpiresIn::Negative),
    ("absurd", ExpiresIn::Absurd),
    ("word", ExpiresIn::Word),
];

impl Switches {
    /// Sets one switch from `name=value`.
    ///
    /// # Errors
    /// When the name or the value is unknown; the sentence says what exists.
    pub fn set_from(&mut self, text: &str) -> Result<(), SwitchError> {
        match text.split_once('=') {
            Some((name, value)) => self.set(name.trim(), value.trim()),
            None => Err(refuse(format!(
                "a switch is written name=value, not {text:?}"
            ))),
        }
    }

    /// Sets one switch.
    ///
    /// # Errors
    /// When the name or the value is unknown; the sentence says what exists.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), SwitchError> {
        match name {
            "token-errors" => self.token_errors = pick(name, value, ERROR_BODIES)?,
            "expires-in" => self.expires_in = pick(name, value, EXPIRES_IN)?,
            "token-life" => self.token_life = span(name, value)?,
            "token-reuse" => self.token_reuse = reuse(value)?,
            "token-reuse-tells" => self.token_reuse_tells_life = pick(name, value, REUSE_TELLS)?,
            "one-token" => self.one_token = pick(name, value, ON_OFF)?,
            "token-characters" => self.special_tokens = pick(name, value, CHARACTERS)?,
            "renewal-refusal" => self.renewal_refusal = pick(name, value, RENEWAL_REFUSALS)?,
            "clock-skew" => self.clock_skew = span(name, value)?,
            "classic-refusal" => self.classic_refusal = pick(name, value, REFUSALS)?,
            "echo-credential" => self.echo_credential = pick(name, value, ON_OFF)?,
            "licence-code" => self.licence_code = pick(name, value, ON_OFF)?,
            "scope-check" => self.scope_check = pick(name, value, ON_OFF)?,
            "geocoding-scope" => self.geocoding_takes_address = pick(name, value, GEOCODING)?,
            "carriage.all" => {
                let carriage = pick(name, value, CARRIAGES)?;
                self.carriage = [carriage; Family::ALL.len()];
                self.lookup_carriage = carriage;
            }
            "carriage.lookup" => self.lookup_carriage = pick(name, value, CARRIAGES)?,
            "slash-redirect" => self.slash_redirect = pick(name, value, ON_OFF)?,
            "classic-content-type" => self.classic_content_type = pick(name, value, CONTENT_TYPES)?,
            "chunked" => self.chunked = pick(name, value, ON_OFF)?,
            "keep-alive" => self.keep_alive = pick(name, value, ON_OFF)?,
            "idle-timeout" => self.idle_timeout = span(name, value)?,
            "latency" => self.latency = span(name, value)?,
            "token-latency" => self.token_latency = span(name, value)?,
            other => {
                let family = other.strip_prefix("carriage.").and_then(|family| {
                    Family::ALL.into_iter().find(|known| known.name() == family)
                });
                let Some(family) = family else {
                    return Err(unknown(other));
                };
                self.carriage[family as usize] = pick(name, value, CARRIAGES)?;
            }
        }
        Ok(())
    }

    /// Every switch with its present value, in the form [`Switches::set`] takes.
    pub fn list(&self) -> Vec<(String, String)> {
        let mut list: Vec<(String, String)> = [
            ("token-errors", word(self.token_errors, ERROR_BODIES)),
            ("expires-in", word(self.expires_in, EXPIRES_IN)),
            ("token-life", written(self.token_life)),
            ("token-reuse", written_reuse(self.token_reuse)),
            (
                "token-reuse-tells",
                word(self.token_reuse_tells_life, REUSE_TELLS),
            ),
            ("one-token", word(self.one_token, ON_OFF)),
            ("token-characters", word(self.special_tokens, CHARACTERS)),
            ("renewal-refusal", self.renewal_refusal.to_string()),
            ("clock-skew", written(self.clock_skew)),
            ("classic-refusal", self.classic_refusal.to_string()),
            ("echo-credential", word(self.echo_credential, ON_OFF)),
            ("licence-code", word(self.licence_code, ON_OFF)),
            ("scope-check", word(self.scope_check, ON_OFF)),
            (
                "geocoding-scope",
                word(self.geocoding_takes_address, GEOCODING),
            ),
            ("carriage.lookup", word(self.lookup_carriage, CARRIAGES)),
            ("slash-redirect", word(self.slash_redirect, ON_OFF)),
            (
                "classic-content-type",
                word(self.classic_content_type, CONTENT_TYPES),
            ),
            ("chunked", word(self.chunked, ON_OFF)),
            ("keep-alive", word(self.keep_alive, ON_OFF)),
            ("idle-timeout", written(self.idle_timeout)),
            ("latency", written(self.latency)),
            ("token-latency", written(self.token_latency)),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
        list.extend(Family::ALL.into_iter().map(|family| {
            (
                format!("carriage.{family}"),
                word(self.carriage[family as usize], CARRIAGES),
            )
        }));
        list
    }
}

/// Reads `250ms`, `1.5s`, `2m` or plain seconds. At most a day: a longer wait is a mistake.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let (number, unit) = match text.find(|one: char| one.is_ascii_alphabetic()) {
        Some(at) => text.split_at(at),
        None => (text, "s"),
    };
    let scale = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    let seconds = number.parse::<f64>().ok()? * scale;
    (0.0..=86_400.0)
        .contains(&seconds)
        .then(|| Duration::from_secs_f64(seconds))
}

/// A duration as [`parse_duration`] reads it.
pub(crate) fn written(duration: Duration) -> String {
    match duration.subsec_millis() {
        0 => format!("{}s", duration.as_secs()),
        _ => format!("{}ms", duration.as_millis()),
    }
}

fn reuse(value: &str) -> Result<TokenReuse, SwitchError> {
    match value {
        "off" => return Ok(TokenReuse::Off),
        "on" => return Ok(TokenReuse::UntilPercent(100)),
        _ => {}
    }
    let percent = value
        .strip_prefix("until:")
        .and_then(|rest| rest.strip_suffix('%'));
    percent
        .and_then(|percent| percent.parse().ok())
        .filter(|percent| (1..=100).contains(percent))
        .map(TokenReuse::UntilPercent)
        .ok_or_else(|| {
            refuse(format!(
                "switch token-reuse takes off | on | until:80%, not {value:?}"
            ))
        })
}

fn written_reuse(reuse: TokenReuse) -> String {
    match reuse {
        TokenReuse::Off => "off".to_owned(),
        TokenReuse::UntilPercent(100) => "on".to_owned(),
        TokenReuse::UntilPercent(percent) => format!("until:{percent}%"),
    }
}

fn pick<Value: Copy>(
    name: &str,
    value: &str,
    choices: &[(&str, Value)],
) -> Result<Value, SwitchError> {
    let found = choices
        .iter()
        .find(|(word, _)| *word == value)
        .map(|(_, value)| *value);
    found.ok_or_else(|| {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        refuse(format!(
            "switch {name} takes {}, not {value:?}",
            words.join(" | ")
        ))
    })
}

fn span(name: &str, value: &str) -> Result<Duration, SwitchError> {
    parse_duration(value).ok_or_else(|| {
        refuse(format!(
            "switch {name} takes a duration such as 250ms, 1.5s or 2m, not {value:?}"
        ))
    })
}

fn word<Value: Copy + PartialEq>(value: Value, choices: &[(&str, Value)]) -> String {
    choices
        .iter()
        .find(|(_, known)| *known == value)
        .map_or("?", |(word, _)| word)
        .to_owned()
}

fn unknown(name: &str) -> SwitchError {
    let mut sentence = format!("there is no switch {name:?}; there are");
    for (known, _) in Switches::default().list() {
        // Writing into a string cannot fail.
        let _ = write!(sentence, " {known}");
    }
    sentence.push_str(" carriage.all");
    refuse(sentence)
}

fn refuse(sentence: String) -> SwitchError {
    SwitchError { sentence }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_switch_takes_back_the_value_it_lists() {
        let mut switches = Switches::default();
        for (name, value) in switches.list() {
            assert_eq!(switches.set(&name, &value), Ok(()), "{name}={value}");
        }
        assert_eq!(switches, Switches::default());
    }

    #[test]
    fn a_mistake_is_told_with_what_exists() {
        let mut switches = Switches::default();
        let name = switches
            .set_from("classic-refusals=200")
            .unwrap_err()
            .to_string();
        assert!(name.contains("classic-refusal "), "{name}");
        let value = switches
            .set_from("classic-refusal=403")
            .unwrap_err()
            .to_string();
        assert_eq!(
            value,
            r#"switch classic-refusal takes 200 | 401, not "403""#
        );
        assert!(switches.set_from("chunked").is_err());
        for wrong in ["until:0%", "until:101%", "until:80", "yes"] {
            assert!(switches.set("token-reuse", wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn carriage_is_set_by_family_or_for_all() {
        let mut switches = Switches::default();
        switches.set_from("carriage.phone=header").unwrap();
        assert_eq!(switches.carriage[Family::Phone as usize], Carriage::Header);
        switches.set_from("carriage.all=licence").unwrap();
        assert!(
            switches
                .carriage
                .iter()
                .all(|carriage| *carriage == Carriage::Licence)
        );
    }

    #[test]
    fn durations_are_read_with_their_unit() {
        for (text, expected) in [
            ("250ms", Some(250_u128)),
            ("1.5s", Some(1500)),
            ("2", Some(2000)),
            ("1m", Some(60_000)),
        ] {
            assert_eq!(
                parse_duration(text).map(|span| span.as_millis()),
                expected,
                "{text}"
            );
        }
        for text in ["", "s", "-1s", "2 weeks", "nan", "inf", "1e99s", "25h"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }
}
