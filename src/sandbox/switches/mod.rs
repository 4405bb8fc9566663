//! Switches: what nobody outside DQE knows, and which both answers to are played.
//!
//! A switch is a name and a value, both text at the border ([`Switches::set`]) and typed inside.
//! `name=value` sets it for everybody, `name.<family>=value` for one product family; a token
//! request belongs to the family of the scope it asks for. What exists is the table in `rows`.

mod by_family;
mod choice;
mod rows;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use super::route::Family;

pub(crate) use by_family::ByFamily;
pub use choice::{
    Carriage, ContentType, ErrorBody, ExpiresIn, Nothing, TokenReuse, parse_duration,
};
use rows::{ROWS, Row};

/// Every switch, each with the value it has when nobody touches it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Switches {
    /// `token-errors`: format of the token endpoint's error bodies.
    pub token_errors: ErrorBody,
    /// `expires-in`: what the token endpoint says in it.
    pub expires_in: ExpiresIn,
    /// `token-life`: how long the next tokens live.
    pub token_life: Duration,
    /// `token-reuse`: the same token again, until it expires or until this much of its life is
    /// over.
    pub token_reuse: TokenReuse,
    /// `token-reuse-tells`: a token given again is announced with its whole life.
    pub token_reuse_tells_life: bool,
    /// `one-token`: issuing a token revokes the earlier ones of its scope.
    pub one_token: bool,
    /// `token-characters`: tokens hold characters that must be percent-encoded in a query.
    pub special_tokens: bool,
    /// `renewal-refusal`: answer to a refresh token that no longer renews.
    pub renewal_refusal: u16,
    /// `clock-skew`: tokens end this much earlier than announced.
    pub clock_skew: Duration,
    /// `date-ahead`: the clock that dates answers runs this much ahead.
    pub date_ahead: Duration,
    /// `token-latency`: delay of every token answer.
    pub token_latency: Duration,
    /// `carriage`: how the credential must travel.
    pub carriage: Carriage,
    /// `carriage.lookup`: the same for `/v1/email/lookup` and `/v1/phone/lookup`.
    pub lookup_carriage: Carriage,
    /// `classic-header`: classic paths do not look at `Authorization` at all.
    pub classic_header_ignored: bool,
    /// `classic-refusal`: status beside the documented body of a refused credential.
    pub classic_refusal: u16,
    /// `classic-nothing`: how a refusal that says nothing is written.
    pub classic_nothing: Nothing,
    /// `echo-credential`: RESTful refusals repeat the refused value in `details`.
    pub echo_credential: bool,
    /// `licence-code`: the plain licence code is accepted where a token is expected.
    pub licence_code: bool,
    /// `scope-check`: a token is good for its own family only.
    pub scope_check: bool,
    /// `geocoding-scope`: `/LATLG/` takes tokens of `client_address` too.
    pub geocoding_takes_address: bool,
    /// `slash-redirect`: slash-less classic paths answer 301 with an absolute `Location`.
    pub slash_redirect: bool,
    /// `classic-content-type`: content type of the classic JSON answers.
    pub classic_content_type: ContentType,
    /// `gzip`: business answers are compressed for callers that accept it.
    pub gzip: bool,
    /// `chunked`: answers are chunked instead of announcing their length.
    pub chunked: bool,
    /// `keep-alive`: off closes after each answer, and says so.
    pub keep_alive: bool,
    /// `idle-timeout`: idle connections are closed after this long.
    pub idle_timeout: Duration,
    /// `latency`: delay of every business answer.
    pub latency: Duration,
    /// What differs for one family, set by name.
    pub families: Differences,
}

/// The switches that have another value for one family.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Differences {
    /// Family and name of the switch → value, already known to be readable.
    values: BTreeMap<(usize, &'static str), String>,
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
            date_ahead: Duration::ZERO,
            token_latency: Duration::ZERO,
            carriage: Carriage::Either,
            lookup_carriage: Carriage::Either,
            classic_header_ignored: false,
            classic_refusal: 401,
            classic_nothing: Nothing::Documented,
            echo_credential: true,
            licence_code: false,
            scope_check: true,
            geocoding_takes_address: true,
            slash_redirect: false,
            classic_content_type: ContentType::Json,
            gzip: false,
            chunked: false,
            keep_alive: true,
            idle_timeout: Duration::from_secs(60),
            latency: Duration::ZERO,
            families: Differences::documented(),
        }
    }
}

impl Differences {
    /// The one classic family whose refusal has a documented status.
    fn documented() -> Self {
        let mut differences = Self::default();
        differences.set(Family::Geocoding, "classic-refusal", "200");
        differences
    }

    fn set(&mut self, family: Family, name: &'static str, value: &str) {
        self.values
            .insert((family as usize, name), value.to_owned());
    }

    fn forget(&mut self, name: &str) {
        self.values.retain(|(_, known), _| *known != name);
    }

    fn iter(&self) -> impl Iterator<Item = (Family, &'static str, &str)> {
        self.values
            .iter()
            .map(|((family, name), value)| (Family::ALL[*family], *name, value.as_str()))
    }
}

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

    /// Sets one switch: `name` or `name.all` for every family, `name.<family>` for one.
    ///
    /// # Errors
    /// When the name or the value is unknown; the sentence says what exists.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), SwitchError> {
        if let Some(row) = row(name) {
            return self.set_for_all(row, name, value);
        }
        let (row, place) = name
            .rsplit_once('.')
            .and_then(|(name, place)| Some((row(name)?, place)))
            .ok_or_else(|| unknown(name))?;
        if place == "all" {
            return self.set_for_all(row, name, value);
        }
        let family = Family::ALL
            .into_iter()
            .find(|family| row.by_family && family.name() == place)
            .ok_or_else(|| unknown(name))?;
        let mut trial = self.clone();
        if !(row.read)(&mut trial, value) {
            return Err(wrong_value(name, row, value));
        }
        self.families.set(family, row.name, value);
        Ok(())
    }

    fn set_for_all(&mut self, row: &Row, name: &str, value: &str) -> Result<(), SwitchError> {
        if !(row.read)(self, value) {
            return Err(wrong_value(name, row, value));
        }
        self.families.forget(row.name);
        if row.name == "carriage" {
            self.lookup_carriage = self.carriage;
        }
        Ok(())
    }

    /// Sets `token-life` for all, finer than text can write it.
    pub(crate) fn set_token_life(&mut self, life: Duration) {
        self.token_life = life;
        self.families.forget("token-life");
    }

    /// Every switch with its present value, in the form [`Switches::set`] takes; a family is
    /// listed where it differs from the others.
    pub fn list(&self) -> Vec<(String, String)> {
        let everybody = ROWS
            .iter()
            .map(|row| (row.name.to_owned(), (row.write)(self)));
        let differences = self
            .families
            .iter()
            .map(|(family, name, value)| (format!("{name}.{family}"), value.to_owned()));
        everybody.chain(differences).collect()
    }

    /// The whole table for people: each switch with its present value, what it takes and does.
    pub fn explained(&self) -> String {
        let mut text = String::new();
        for row in ROWS {
            let assigned = format!("{}={}", row.name, (row.write)(self));
            let mark = if row.by_family { '*' } else { ' ' };
            // Writing into a string cannot fail.
            let _ = writeln!(
                text,
                "  {mark} {assigned:<26} {} ({})",
                row.does,
                (row.takes)()
            );
        }
        let _ = write!(text, "  * can be set for one family, as name.family=value:");
        for family in Family::ALL {
            let _ = write!(text, " {family}");
        }
        text.push('\n');
        text
    }

    /// The switches as `family` sees them.
    fn of(&self, family: Family) -> Self {
        let mut seen = Self {
            families: Differences::default(),
            ..self.clone()
        };
        for (_, name, value) in self.families.iter().filter(|(of, ..)| *of == family) {
            if let Some(row) = row(name) {
                (row.read)(&mut seen, value);
            }
        }
        seen
    }
}

fn row(name: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.name == name)
}

fn wrong_value(name: &str, row: &Row, value: &str) -> SwitchError {
    refuse(format!(
        "switch {name} takes {}, not {value:?}",
        (row.takes)()
    ))
}

fn unknown(name: &str) -> SwitchError {
    let mut sentence = format!("there is no switch {name:?}; there are");
    for row in ROWS {
        // Writing into a string cannot fail.
        let _ = write!(sentence, " {}", row.name);
    }
    sentence.push_str("; for one family as name.family, of");
    for family in Family::ALL {
        let _ = write!(sentence, " {family}");
    }
    let by_all = ROWS.iter().filter(|row| !row.by_family);
    sentence.push_str("; not so");
    for row in by_all {
        let _ = write!(sentence, " {}", row.name);
    }
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
        let mut changed = Switches::default();
        changed.set("latency.phone", "20ms").unwrap();
        changed.set("token-reuse", "until:80%").unwrap();
        for listed in [Switches::default(), changed] {
            let mut switches = Switches::default();
            for (name, value) in listed.list() {
                assert_eq!(switches.set(&name, &value), Ok(()), "{name}={value}");
            }
            assert_eq!(switches, listed);
        }
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
            r#"switch classic-refusal takes 200 | 400 | 401, not "403""#
        );
        for wrong in [
            "chunked",
            "token-reuse=until:0%",
            "token-reuse=until:101%",
            "token-reuse=until:80",
            "token-reuse=yes",
            "latency=-1s",
            "latency.phones=1s",
            "latency.phone=soon",
            // The family is not known before the request is there.
            "idle-timeout.phone=1s",
            "carriage.lookup.phone=header",
        ] {
            assert!(switches.set_from(wrong).is_err(), "{wrong}");
        }
        assert_eq!(switches, Switches::default());
    }

    #[test]
    fn a_switch_is_set_for_one_family_or_for_all() {
        let mut switches = Switches::default();
        switches.set_from("carriage.phone=header").unwrap();
        assert_eq!(switches.of(Family::Phone).carriage, Carriage::Header);
        assert_eq!(switches.of(Family::Email).carriage, Carriage::Either);
        switches.set_from("carriage.all=licence").unwrap();
        assert_eq!(switches.of(Family::Phone).carriage, Carriage::Licence);
        assert_eq!(switches.lookup_carriage, Carriage::Licence);
        switches.set_from("carriage.lookup=header").unwrap();
        assert_eq!(switches.carriage, Carriage::Licence);
        assert_eq!(switches.of(Family::Geocoding).classic_refusal, 200);
        switches.set_from("classic-refusal=401").unwrap();
        assert_eq!(switches.of(Family::Geocoding).classic_refusal, 401);
    }

    #[test]
    fn the_table_is_explained_in_full() {
        let text = Switches::default().explained();
        for (name, _) in Switches::default().list() {
            let name = name.split('.').next().unwrap();
            assert!(text.contains(name), "{name}");
        }
        assert!(text.contains("string | number | missing"), "{text}");
    }
}
