//! Which credential a request carries and whether it opens the door. Pure.

use std::time::Instant;

use super::message::Head;
use super::parameters::{Parameters, Place};
use super::route::{Endpoint, Family, Route, Style};
use super::scope::Scope;
use super::switches::{Carriage, Switches};
use super::token::{Standing, Tokens};

/// Where a credential travelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// `Authorization: Bearer …`.
    Header,
    /// A parameter of the query.
    Query,
    /// A parameter of the body.
    Body,
}

/// What a presented value turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A token this sandbox knows or does not know.
    Token(Standing),
    /// The licence code itself.
    LicenceCode,
    /// Nothing between the equals sign and the next parameter.
    Empty,
    /// An `Authorization` that is no bearer.
    OtherScheme,
}

/// One credential found in a request, judged when the request arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presented {
    /// Where it travelled.
    pub carrier: Carrier,
    /// What it is.
    pub kind: Kind,
    /// The scope of the token, when it was ever issued.
    pub scope: Option<Scope>,
    /// Which token it is: the first issued is 1. None when it was never issued.
    pub generation: Option<u64>,
    /// Live, but of a scope that this path does not take.
    pub wrong_scope: bool,
    /// Revoked or cut short by a clock's skew, and its holder could not know: not refused so far,
    /// not replaced so far, or so shortly before that the request was on its way.
    pub untold: bool,
    /// What was left of the life its token was announced with, in thousandths.
    pub life_left: Option<u16>,
    /// The value as sent; printing helpers mask it.
    pub(crate) value: String,
}

impl Presented {
    fn is_good(&self, switches: &Switches) -> bool {
        match self.kind {
            Kind::Token(Standing::Live) => !self.wrong_scope || !switches.scope_check,
            Kind::LicenceCode => switches.licence_code,
            Kind::Token(Standing::Expired | Standing::Revoked | Standing::Unknown)
            | Kind::Empty
            | Kind::OtherScheme => false,
        }
    }
}

/// Whether the door opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Admitted,
    /// Nothing was presented where this family looks.
    Missing,
    /// The parameter is there with nothing in it.
    Empty,
    /// Something was presented and refused; the value is for the echo.
    Refused(String),
}

/// What the judge needs to know besides the request.
pub(crate) struct Bench<'state> {
    pub(crate) tokens: &'state Tokens,
    pub(crate) switches: &'state Switches,
    pub(crate) client_id: &'state str,
}

/// Every credential the request carries, in the order header, query, body.
pub(crate) fn presented(
    head: &Head,
    parameters: &Parameters,
    route: Route,
    bench: &Bench<'_>,
    now: Instant,
) -> Vec<Presented> {
    let mut found = Vec::with_capacity(1);
    for value in head.values("authorization") {
        let value = String::from_utf8_lossy(value);
        let (scheme, rest) = value.split_once(' ').unwrap_or((value.as_ref(), ""));
        let bearer = scheme.eq_ignore_ascii_case("bearer");
        let mut one = judge(Carrier::Header, rest.trim(), route, bench, now);
        if !bearer {
            one.kind = Kind::OtherScheme;
        }
        found.push(one);
    }
    for parameter in parameters.iter() {
        // `token` is ID Mobile's own parameter; `/GDPR_VERIF/` has a `Token` that is another thing.
        let is_credential = if route.endpoint == Endpoint::IdMobile {
            parameter.name == "token"
        } else {
            parameter.name.eq_ignore_ascii_case("licence")
        };
        if is_credential {
            let carrier = match parameter.place {
                Place::Query => Carrier::Query,
                Place::Body => Carrier::Body,
            };
            found.push(judge(carrier, &parameter.value, route, bench, now));
        }
    }
    found
}

/// Decides from what was presented. `/GDPR_VERIF/` is documented without a credential, and the
/// token endpoints judge theirs themselves.
pub(crate) fn verdict(route: Route, presented: &[Presented], switches: &Switches) -> Verdict {
    if route.is_token_endpoint() || route.endpoint == Endpoint::GdprVerif {
        return Verdict::Admitted;
    }
    let looks_at_header = route.style != Style::Classic || !switches.classic_header_ignored;
    let in_header: Vec<&Presented> = presented
        .iter()
        .filter(|one| one.carrier == Carrier::Header && looks_at_header)
        .collect();
    let in_parameter: Vec<&Presented> = presented
        .iter()
        .filter(|one| one.carrier != Carrier::Header)
        .collect();
    let good = |list: &[&Presented]| list.iter().any(|one| one.is_good(switches));
    let looked_at = match carriage(route, switches) {
        Carriage::Header => vec![in_header],
        Carriage::Licence => vec![in_parameter],
        Carriage::Either => vec![in_parameter.into_iter().chain(in_header).collect()],
        Carriage::Both => vec![in_header, in_parameter],
    };
    let Some(lacking) = looked_at.into_iter().find(|list| !good(list)) else {
        return Verdict::Admitted;
    };
    match lacking.iter().find(|one| one.kind != Kind::Empty) {
        Some(refused) => Verdict::Refused(refused.value.clone()),
        None if lacking.is_empty() => Verdict::Missing,
        None => Verdict::Empty,
    }
}

fn carriage(route: Route, switches: &Switches) -> Carriage {
    match route.style {
        // Its documents know the parameter `token` alone.
        _ if route.family == Family::Mobile => Carriage::Licence,
        Style::Lookup => switches.lookup_carriage,
        Style::Classic | Style::Restful => switches.carriage,
    }
}

fn judge(
    carrier: Carrier,
    value: &str,
    route: Route,
    bench: &Bench<'_>,
    now: Instant,
) -> Presented {
    let value = value.trim();
    let (kind, judged) = if value.is_empty() {
        (Kind::Empty, None)
    } else if value == bench.client_id {
        (Kind::LicenceCode, None)
    } else {
        let judged = bench.tokens.judge(value, now, bench.switches.clock_skew);
        (Kind::Token(judged.standing), Some(judged))
    };
    let issued = judged.and_then(|judged| judged.issued);
    Presented {
        carrier,
        kind,
        scope: issued.map(|(scope, _)| scope),
        generation: issued.map(|(_, generation)| generation),
        wrong_scope: issued.is_some_and(|(scope, _)| !takes(route.family, scope, bench.switches)),
        untold: judged.is_some_and(|judged| judged.untold),
        life_left: judged.and_then(|judged| judged.left),
        value: value.to_owned(),
    }
}

fn takes(family: Family, scope: Scope, switches: &Switches) -> bool {
    match family {
        Family::Mobile => scope == Scope::IdMobile,
        Family::Geocoding => {
            scope == Scope::General || (scope == Scope::Address && switches.geocoding_takes_address)
        }
        Family::Address
        | Family::Phone
        | Family::Email
        | Family::Civility
        | Family::B2b
        | Family::IdCheck
        | Family::General => scope == family.scope() || scope == Scope::General,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use super::*;
    use crate::sandbox::random::Random;
    use crate::sandbox::route;
    use crate::sandbox::switches::{ByFamily, TokenReuse};
    use crate::sandbox::token::Issuing;

    /// `{phone}` in header or query stands for a live token of `client_phone`, `{general}` likewise.
    fn check(path: &str, header: &str, query: &str, switch: &str, expected: &str) {
        let mut tokens = Tokens::new(Random::seeded(Some(7)));
        let now = Instant::now();
        let issuing = Issuing {
            life: Duration::from_secs(9),
            reuse: TokenReuse::Off,
            reuse_tells_life: false,
            only_one: false,
            special_characters: false,
        };
        let phone = tokens.issue(Scope::Phone, issuing, now).access_token;
        let general = tokens.issue(Scope::General, issuing, now).access_token;
        let fill = |text: &str| {
            text.replace("{phone}", &phone)
                .replace("{general}", &general)
        };
        let mut switches = Switches::default();
        if !switch.is_empty() {
            switches.set_from(switch).unwrap();
        }
        let by_family = ByFamily::new(switches);
        let line = if header.is_empty() {
            String::new()
        } else {
            format!("Authorization: {}\r\n", fill(header))
        };
        let text = format!(
            "GET {path}?{} HTTP/1.1\r\nHost: a\r\n{line}\r\n",
            fill(query)
        );
        let head = Head::parse(&Bytes::from(text)).unwrap();
        let route = route::find(head.path()).unwrap();
        let parameters = Parameters::read(head.query(), b"", b"");
        let route = route.of(&parameters);
        let switches = by_family.of(Some(route), None);
        let bench = Bench {
            tokens: &tokens,
            switches,
            client_id: "CODE",
        };
        let found = presented(&head, &parameters, route, &bench, now);
        let word = match verdict(route, &found, switches) {
            Verdict::Admitted => "admitted",
            Verdict::Missing => "missing",
            Verdict::Empty => "empty",
            Verdict::Refused(_) => "refused",
        };
        assert_eq!(word, expected, "{path} {header} {query} {switch}");
    }

    #[test]
    fn a_live_token_of_the_right_scope_opens_wherever_it_travels() {
        check("/TEL/", "Bearer {phone}", "Tel=1", "", "admitted");
        check("/TEL/", "bearer {phone}", "Tel=1", "", "admitted");
        check("/TEL/", "", "Licence={phone}", "", "admitted");
        check("/TEL/", "", "licence={general}", "", "admitted");
        check("/TEL/", "Bearer {phone}", "Licence=stale", "", "admitted");
    }

    #[test]
    fn everything_else_is_refused() {
        check("/TEL/", "", "Tel=1", "", "missing");
        check("/TEL/", "", "Licence=", "", "empty");
        check("/TEL/", "", "Licence=TKnever", "", "refused");
        check("/TEL/", "Basic {phone}", "", "", "refused");
        check("/CP/", "Bearer {phone}", "", "", "refused");
        check("/IDMOBILE/", "", "token={general}", "", "refused");
        check("/IDMOBILE/", "Bearer {general}", "", "", "missing");
        check("/TEL/", "", "Licence=CODE", "", "refused");
    }

    #[test]
    fn switches_change_the_door() {
        check("/TEL/", "", "Licence=CODE", "licence-code=on", "admitted");
        check("/CP/", "Bearer {phone}", "", "scope-check=off", "admitted");
        check(
            "/TEL/",
            "Bearer {phone}",
            "",
            "carriage.phone=licence",
            "missing",
        );
        check(
            "/TEL/",
            "",
            "Licence={phone}",
            "carriage.phone=header",
            "missing",
        );
        check(
            "/TEL/",
            "Bearer {phone}",
            "",
            "carriage.phone=both",
            "missing",
        );
        check(
            "/TEL/",
            "Bearer {phone}",
            "Licence={phone}",
            "carriage.phone=both",
            "admitted",
        );
        check(
            "/v1/phone/lookup",
            "",
            "Licence={phone}",
            "carriage.lookup=header",
            "missing",
        );
        check("/TEL/", "Bearer {phone}", "", "clock-skew=10s", "refused");
        check(
            "/TEL/",
            "Bearer {phone}",
            "",
            "classic-header=ignored",
            "missing",
        );
        check(
            "/v1/phonelookup/",
            "Bearer {phone}",
            "",
            "classic-header=ignored",
            "admitted",
        );
        check(
            "/TEL/",
            "Bearer {phone}",
            "",
            "carriage.email=licence",
            "admitted",
        );
    }
}
