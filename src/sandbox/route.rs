//! Path → endpoint, family and scope. The sandbox's own table, written from DQE's documentation.
//!
//! The scope of a path is documented by product family only; which path needs which scope is
//! inferred, hence the switches `scope-check` and `geocoding-scope`.

use std::fmt::{self, Display, Formatter};

use super::parameters::Parameters;
use super::scope::Scope;

/// A product family, as used for counting and for refusals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the product names")]
pub enum Family {
    Address,
    Geocoding,
    Phone,
    Email,
    Civility,
    B2b,
    IdCheck,
    Mobile,
    General,
}

impl Family {
    /// All of them, in the order of their discriminants.
    pub const ALL: [Self; 9] = [
        Self::Address,
        Self::Geocoding,
        Self::Phone,
        Self::Email,
        Self::Civility,
        Self::B2b,
        Self::IdCheck,
        Self::Mobile,
        Self::General,
    ];

    /// The lower-case name used in switches and counters.
    pub fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Geocoding => "geocoding",
            Self::Phone => "phone",
            Self::Email => "email",
            Self::Civility => "civility",
            Self::B2b => "b2b",
            Self::IdCheck => "idcheck",
            Self::Mobile => "mobile",
            Self::General => "general",
        }
    }

    /// The scope a token needs here, besides `client_general` which is good for all but ID Mobile.
    pub fn scope(self) -> Scope {
        match self {
            Self::Address | Self::Geocoding => Scope::Address,
            Self::Phone => Scope::Phone,
            Self::Email => Scope::Email,
            Self::Civility => Scope::Civility,
            Self::B2b => Scope::B2b,
            Self::IdCheck => Scope::IdCheck,
            Self::Mobile => Scope::IdMobile,
            Self::General => Scope::General,
        }
    }
}

impl Scope {
    /// The family whose switches its token requests see.
    pub(crate) fn family(self) -> Family {
        match self {
            Self::Address => Family::Address,
            Self::Phone => Family::Phone,
            Self::Email => Family::Email,
            Self::IdCheck => Family::IdCheck,
            Self::General => Family::General,
            Self::B2b => Family::B2b,
            Self::Civility => Family::Civility,
            Self::IdMobile => Family::Mobile,
        }
    }
}

impl Display for Family {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Which generation of the API a path belongs to; it decides how refusals look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// Upper-case path, French parameters, `Licence` in the parameters.
    Classic,
    /// `/v1/…/`, English parameters, `Licence` in the parameters.
    Restful,
    /// `/v1/email/lookup` and its like: no `Licence` parameter, 401 without a token.
    Lookup,
}

/// One path of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Token,
    MobileToken,
    SingleV2,
    Single,
    /// `/SINGLE/` with a position instead of an address: never found by its path alone.
    SingleAround,
    ComplV2,
    Compl,
    Cp,
    Adr,
    Num,
    Rnvp,
    LatLg,
    Tel,
    EmailLookup,
    MailSuggest,
    FirstNameSuggest,
    LastNameSuggest,
    RecSiret,
    SiretInfo,
    Search,
    IdMobile,
    GdprMsg,
    GdprVerif,
    Estocade,
    LifeStyle,
    RestSingle,
    RestCompl,
    RestFunnelPostcode,
    RestFunnelAddress,
    RestCheckAddress,
    RestPhoneLookup,
    RestPhone,
    RestLookupEmail,
    RestEmailSuggest,
    RestEmail,
    RestCompanies,
    RestCompanyList,
    RestCompanyInfo,
}

/// Where a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) endpoint: Endpoint,
    pub(crate) family: Family,
    pub(crate) style: Style,
}

impl Route {
    /// The route of a request with these parameters: `/SINGLE/` is two products, and asked for a
    /// position it belongs to geocoding.
    pub(crate) fn of(self, parameters: &Parameters) -> Self {
        let is_position = self.endpoint == Endpoint::Single
            && parameters.has("Lat")
            && parameters.has("Lon")
            && !parameters.has("Adresse");
        if is_position {
            Self {
                endpoint: Endpoint::SingleAround,
                family: Family::Geocoding,
                ..self
            }
        } else {
            self
        }
    }

    pub(crate) fn is_token_endpoint(self) -> bool {
        matches!(self.endpoint, Endpoint::Token | Endpoint::MobileToken)
    }
}

type Line = (&'static str, Endpoint, Family, Style);

const CLASSIC: &[Line] = &[
    (
        "oauth/access_token",
        Endpoint::Token,
        Family::General,
        Style::Classic,
    ),
    (
        "access_token",
        Endpoint::MobileToken,
        Family::Mobile,
        Style::Classic,
    ),
    (
        "singlev2",
        Endpoint::SingleV2,
        Family::Address,
        Style::Classic,
    ),
    ("single", Endpoint::Single, Family::Address, Style::Classic),
    (
        "complv2",
        Endpoint::ComplV2,
        Family::Address,
        Style::Classic,
    ),
    ("compl", Endpoint::Compl, Family::Address, Style::Classic),
    ("cp", Endpoint::Cp, Family::Address, Style::Classic),
    ("adr", Endpoint::Adr, Family::Address, Style::Classic),
    ("num", Endpoint::Num, Family::Address, Style::Classic),
    ("rnvp", Endpoint::Rnvp, Family::Address, Style::Classic),
    ("latlg", Endpoint::LatLg, Family::Geocoding, Style::Classic),
    ("tel", Endpoint::Tel, Family::Phone, Style::Classic),
    (
        "dqeemaillookup",
        Endpoint::EmailLookup,
        Family::Email,
        Style::Classic,
    ),
    (
        "mailsuggest",
        Endpoint::MailSuggest,
        Family::Email,
        Style::Classic,
    ),
    (
        "firstnamesuggest",
        Endpoint::FirstNameSuggest,
        Family::Civility,
        Style::Classic,
    ),
    (
        "lastnamesuggest",
        Endpoint::LastNameSuggest,
        Family::Civility,
        Style::Classic,
    ),
    ("recsiret", Endpoint::RecSiret, Family::B2b, Style::Classic),
    (
        "siretinfo",
        Endpoint::SiretInfo,
        Family::B2b,
        Style::Classic,
    ),
    ("search", Endpoint::Search, Family::IdCheck, Style::Classic),
    (
        "idmobile",
        Endpoint::IdMobile,
        Family::Mobile,
        Style::Classic,
    ),
    (
        "gdpr_msg",
        Endpoint::GdprMsg,
        Family::General,
        Style::Classic,
    ),
    (
        "gdpr_verif",
        Endpoint::GdprVerif,
        Family::General,
        Style::Classic,
    ),
    (
        "estocade",
        Endpoint::Estocade,
        Family::General,
        Style::Classic,
    ),
    (
        "getinfolifestyle",
        Endpoint::LifeStyle,
        Family::General,
        Style::Classic,
    ),
];

const RESTFUL: &[Line] = &[
    (
        "single",
        Endpoint::RestSingle,
        Family::Address,
        Style::Restful,
    ),
    (
        "compl",
        Endpoint::RestCompl,
        Family::Address,
        Style::Restful,
    ),
    (
        "funnelpostcode",
        Endpoint::RestFunnelPostcode,
        Family::Address,
        Style::Restful,
    ),
    (
        "funneladdress",
        Endpoint::RestFunnelAddress,
        Family::Address,
        Style::Restful,
    ),
    (
        "funnelcompl",
        Endpoint::RestCompl,
        Family::Address,
        Style::Restful,
    ),
    (
        "checkaddress",
        Endpoint::RestCheckAddress,
        Family::Address,
        Style::Restful,
    ),
    (
        "phonelookup",
        Endpoint::RestPhoneLookup,
        Family::Phone,
        Style::Restful,
    ),
    (
        "phone/lookup",
        Endpoint::RestPhone,
        Family::Phone,
        Style::Lookup,
    ),
    (
        "lookupemail",
        Endpoint::RestLookupEmail,
        Family::Email,
        Style::Restful,
    ),
    (
        "emailsuggest",
        Endpoint::RestEmailSuggest,
        Family::Email,
        Style::Restful,
    ),
    (
        "email/lookup",
        Endpoint::RestEmail,
        Family::Email,
        Style::Lookup,
    ),
    (
        "lookupcname",
        Endpoint::RestCompanies,
        Family::B2b,
        Style::Restful,
    ),
    (
        "checkname",
        Endpoint::RestCompanies,
        Family::B2b,
        Style::Restful,
    ),
    (
        "checkcname",
        Endpoint::RestCompanies,
        Family::B2b,
        Style::Restful,
    ),
    (
        "lookupcadr",
        Endpoint::RestCompanies,
        Family::B2b,
        Style::Restful,
    ),
    (
        "b2b/lookup",
        Endpoint::RestCompanyList,
        Family::B2b,
        Style::Restful,
    ),
    (
        "b2b/get-info",
        Endpoint::RestCompanyInfo,
        Family::B2b,
        Style::Restful,
    ),
];

/// The route of a path: case-insensitive, with or without the trailing slash. A path under
/// `/v<digits>/` is RESTful, or classic when no RESTful one has its name.
pub(crate) fn find(path: &[u8]) -> Option<Route> {
    let path = path.strip_prefix(b"/")?;
    let path = path.strip_suffix(b"/").unwrap_or(path);
    let found = match without_version(path) {
        Some(rest) => look_up(RESTFUL, rest).or_else(|| look_up(CLASSIC, rest)),
        None => look_up(CLASSIC, path),
    };
    found.copied().map(|(_, endpoint, family, style)| Route {
        endpoint,
        family,
        style,
    })
}

fn look_up(table: &'static [Line], path: &[u8]) -> Option<&'static Line> {
    table
        .iter()
        .find(|(name, ..)| path.eq_ignore_ascii_case(name.as_bytes()))
}

fn without_version(path: &[u8]) -> Option<&[u8]> {
    let slash = path.iter().position(|byte| *byte == b'/')?;
    let digits = path[..slash]
        .strip_prefix(b"v")
        .or_else(|| path[..slash].strip_prefix(b"V"))?;
    let is_version = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    is_version.then(|| &path[slash + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_found_whatever_their_case_and_slash() {
        for (path, expected) in [
            ("/SINGLEV2/", Some(Endpoint::SingleV2)),
            ("/singlev2", Some(Endpoint::SingleV2)),
            ("/SINGLE/", Some(Endpoint::Single)),
            ("/v1/single/", Some(Endpoint::RestSingle)),
            ("/v12/phone/lookup", Some(Endpoint::RestPhone)),
            ("/v2/TEL/", Some(Endpoint::Tel)),
            ("/oauth/ACCESS_TOKEN/", Some(Endpoint::Token)),
            ("/ACCESS_TOKEN", Some(Endpoint::MobileToken)),
            ("/", None),
            ("", None),
            ("/v/single/", None),
            ("/nothing/", None),
        ] {
            assert_eq!(
                find(path.as_bytes()).map(|route| route.endpoint),
                expected,
                "{path}"
            );
        }
    }
}
