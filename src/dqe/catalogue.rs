//! Every path of the DQE APIs the proxy knows, with the scope it needs and the
//! parameter DQE documents for its credential.
//!
//! DQE documents scopes by product family only; the mapping of a path to a
//! scope follows the family (article "OAuth2 Authentication").

use super::{Carriage, Scope};

/// One known path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The path without version segment and without slashes at its ends, in
    /// the letter case of DQE's documentation.
    pub path: &'static str,
    /// The scope of its family.
    pub scope: Scope,
    /// Calling it does something that repeating it would do again: it sends an
    /// SMS or uses one up. Such a path is off until the operator enables it.
    pub side_effects: bool,
    /// The parameter documented for the licence code or a token, in the letter
    /// case of the documentation; `None` where none is documented.
    pub parameter: Option<&'static str>,
}

/// The licence parameter of nearly every path, and of paths nobody knows.
pub const LICENCE: &str = "Licence";

const fn entry(path: &'static str, scope: Scope) -> Entry {
    Entry {
        path,
        scope,
        side_effects: false,
        parameter: Some(LICENCE),
    }
}

impl Entry {
    /// A call does something, and so is never repeated.
    const fn acting(mut self) -> Self {
        self.side_effects = true;
        self
    }

    /// The parameter documented for the credential.
    const fn with_parameter(mut self, name: &'static str) -> Self {
        self.parameter = Some(name);
        self
    }

    /// Whether the path takes the tokens of ID Mobile, and no others. Such a
    /// path wants the licence code itself besides, as `licence`.
    #[must_use]
    pub fn is_id_mobile(&self) -> bool {
        self.scope == Scope::IdMobile
    }

    /// No licence parameter is documented: the path answers 401 without a
    /// token, or, as `GDPR_VERIF`, asks for no licence.
    const fn without_parameter(mut self) -> Self {
        self.parameter = None;
        self
    }

    /// How the token travels unless the settings say otherwise: both ways
    /// where a licence parameter is documented ("licence code or OAuth2
    /// token"), since such a path may not look at the header and answers an
    /// empty result then; in the header alone elsewhere. ID Mobile's documents
    /// speak of its `token` parameter alone.
    #[must_use]
    pub fn carriage(&self) -> Carriage {
        match self.parameter {
            Some(_) if self.is_id_mobile() => Carriage::Licence,
            Some(_) => Carriage::Both,
            None => Carriage::Header,
        }
    }
}

/// The built-in catalogue. `/SINGLE/` serves address suggestion and reverse
/// geocoding and differs from the RESTful `/v1/single/` by letter case and
/// version only; all of them are the address family.
pub const CATALOGUE: &[Entry] = &[
    // Address, classic.
    entry("SINGLEV2", Scope::Address),
    entry("SINGLE", Scope::Address),
    entry("COMPLV2", Scope::Address),
    entry("COMPL", Scope::Address),
    entry("CP", Scope::Address),
    entry("ADR", Scope::Address),
    entry("NUM", Scope::Address),
    entry("RNVP", Scope::Address),
    entry("LATLG", Scope::Address),
    // Address, RESTful ("single" and "compl" are above).
    entry("funnelpostcode", Scope::Address),
    entry("funneladdress", Scope::Address),
    entry("funnelcompl", Scope::Address),
    entry("checkaddress", Scope::Address),
    // Phone.
    entry("TEL", Scope::Phone),
    entry("phonelookup", Scope::Phone),
    entry("phone/lookup", Scope::Phone).without_parameter(),
    // E-mail.
    entry("DQEEMAILLOOKUP", Scope::Email),
    entry("MAILSUGGEST", Scope::Email),
    entry("lookupemail", Scope::Email),
    entry("emailsuggest", Scope::Email),
    entry("email/lookup", Scope::Email).without_parameter(),
    // Name.
    entry("FIRSTNAMESUGGEST", Scope::Civility),
    entry("LASTNAMESUGGEST", Scope::Civility),
    // B2B.
    entry("RECSIRET", Scope::B2b),
    entry("SIRETINFO", Scope::B2b),
    entry("lookupcname", Scope::B2b),
    entry("lookupcadr", Scope::B2b),
    entry("checkname", Scope::B2b),
    entry("checkcname", Scope::B2b),
    entry("b2b/lookup", Scope::B2b).without_parameter(),
    entry("b2b/get-info", Scope::B2b).without_parameter(),
    // ID Check.
    entry("SEARCH", Scope::IdCheck),
    entry("IDCHECK", Scope::IdCheck),
    // No documented scope of their own.
    entry("ESTOCADE", Scope::General),
    entry("GETINFOLIFESTYLE", Scope::General),
    entry("GDPR_MSG", Scope::General).acting(),
    entry("GDPR_VERIF", Scope::General)
        .acting()
        .without_parameter(),
    // It asks operators and people for consent, so a call acts.
    entry(ID_MOBILE, Scope::IdMobile)
        .acting()
        .with_parameter("token"),
];

/// The one path of ID Mobile.
pub const ID_MOBILE: &str = "IDMOBILE";

/// The entry of `path`, given without version segment and without slashes at
/// its ends, in any letter case.
#[must_use]
pub fn find(path: &str) -> Option<&'static Entry> {
    CATALOGUE
        .iter()
        .find(|entry| entry.path.eq_ignore_ascii_case(path))
}

/// Whether `path`, without version segment and without slashes at its ends, is
/// in the catalogue, in any letter case.
#[must_use]
pub fn is_known(path: &str) -> bool {
    CATALOGUE
        .iter()
        .any(|entry| entry.path.eq_ignore_ascii_case(path))
}

/// Whether `path` is a token endpoint of DQE, in any letter case and with or
/// without slashes at its ends. Tokens are never minted for a caller.
#[must_use]
pub fn is_token_endpoint(path: &str) -> bool {
    let path = path.trim_matches('/');
    let path = strip_version(path);
    let first = path.split('/').next().unwrap_or_default();
    first.eq_ignore_ascii_case("oauth") || first.eq_ignore_ascii_case("ACCESS_TOKEN")
}

/// `path` without a leading `v<digits>/` segment. Takes a path that does not
/// begin with a slash.
#[must_use]
pub fn strip_version(path: &str) -> &str {
    let Some((first, rest)) = path.split_once('/') else {
        return path;
    };
    let digits = first.strip_prefix(['v', 'V']).unwrap_or_default();
    let is_version = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_version { rest } else { path }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_is_listed_twice() {
        for (index, entry) in CATALOGUE.iter().enumerate() {
            let twin = CATALOGUE[..index]
                .iter()
                .find(|other| other.path.eq_ignore_ascii_case(entry.path));
            assert_eq!(twin, None, "{}", entry.path);
        }
    }

    #[test]
    fn the_token_travels_as_each_path_is_documented() {
        for (path, side_effects, carriage, parameter) in [
            ("TEL", false, Carriage::Both, Some("Licence")),
            ("single", false, Carriage::Both, Some("Licence")),
            ("checkname", false, Carriage::Both, Some("Licence")),
            ("email/lookup", false, Carriage::Header, None),
            ("Phone/Lookup", false, Carriage::Header, None),
            ("b2b/lookup", false, Carriage::Header, None),
            ("GDPR_MSG", true, Carriage::Both, Some("Licence")),
            ("GDPR_VERIF", true, Carriage::Header, None),
            ("idmobile", true, Carriage::Licence, Some("token")),
        ] {
            let entry = find(path).unwrap();
            let found = (entry.side_effects, entry.carriage(), entry.parameter);
            assert_eq!(found, (side_effects, carriage, parameter), "{path}");
        }
    }

    #[test]
    fn a_version_segment_is_taken_off() {
        for (path, expected) in [
            ("v1/email/lookup", "email/lookup"),
            ("V12/SINGLE", "SINGLE"),
            ("email/lookup", "email/lookup"),
            ("v/SINGLE", "v/SINGLE"),
            ("v1x/SINGLE", "v1x/SINGLE"),
            ("v1", "v1"),
            ("v1/v2/SINGLE", "v2/SINGLE"),
        ] {
            assert_eq!(strip_version(path), expected, "{path}");
        }
    }

    #[test]
    fn a_token_endpoint_is_known_in_every_spelling() {
        for path in [
            "/oauth/access_token/",
            "/OAUTH/ACCESS_TOKEN",
            "oauth",
            "/ACCESS_TOKEN/",
            "/access_token",
            "/v1/oauth/x",
        ] {
            assert!(is_token_endpoint(path), "{path}");
        }
        for path in ["/TEL/", "/oauthx/", "/v1/email/lookup"] {
            assert!(!is_token_endpoint(path), "{path}");
        }
    }
}
