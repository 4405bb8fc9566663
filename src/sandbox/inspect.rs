//! What a proxy must not do, looked for in one request. Pure.

use super::counters::Violation;
use super::credential::{Carrier, Kind, Presented};
use super::message::Head;
use super::route::{Endpoint, Route};
use super::token::Standing;

/// Every violation, each at most once.
pub(crate) fn violations(
    head: &Head,
    route: Option<Route>,
    credentials: &[Presented],
) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut note = |violation| {
        if !found.contains(&violation) {
            found.push(violation);
        }
    };
    for (name, value) in &head.headers {
        let name = name.to_ascii_lowercase();
        if is_hop_by_hop(&name, value) {
            note(Violation::HopByHopHeader);
        }
        if name == b"cookie" {
            note(Violation::Cookie);
        }
        if name.starts_with(b"x-forwarded-") || name == b"forwarded" || name == b"x-real-ip" {
            note(Violation::ForwardingHeader);
        }
    }
    if head.values("authorization").count() > 1 {
        note(Violation::SeveralAuthorizations);
    }
    let Some(route) = route.filter(|route| !route.is_token_endpoint()) else {
        return found;
    };
    if credentials
        .iter()
        .filter(|one| one.carrier != Carrier::Header)
        .count()
        > 1
    {
        note(Violation::SeveralLicences);
    }
    for one in credentials {
        match one.kind {
            Kind::Token(Standing::Live) if one.wrong_scope => note(Violation::WrongScope),
            Kind::Token(Standing::Live) | Kind::Empty => {}
            Kind::Token(_) if one.untold => {}
            Kind::Token(Standing::Expired) => note(Violation::ExpiredToken),
            Kind::Token(Standing::Revoked) => note(Violation::RevokedToken),
            Kind::Token(Standing::Unknown) => note(Violation::UnknownToken),
            Kind::LicenceCode => note(Violation::LicenceCodeInClear),
            Kind::OtherScheme => note(Violation::OtherAuthorization),
        }
    }
    // `/GDPR_VERIF/` is documented without a credential.
    let needs_one = route.endpoint != Endpoint::GdprVerif;
    if needs_one && credentials.iter().all(|one| one.kind == Kind::Empty) {
        note(Violation::NoCredential);
    }
    found
}

fn is_hop_by_hop(name: &[u8], value: &[u8]) -> bool {
    match name {
        b"connection" => value
            .split(|byte| *byte == b',')
            .map(<[u8]>::trim_ascii)
            .any(|option| {
                !option.eq_ignore_ascii_case(b"keep-alive")
                    && !option.eq_ignore_ascii_case(b"close")
            }),
        b"keep-alive" | b"te" | b"trailer" | b"upgrade" => true,
        other => other.starts_with(b"proxy-"),
    }
}
