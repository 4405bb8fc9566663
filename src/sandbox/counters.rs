//! Counters that never wrap and are never reset unless asked.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::credential::{Kind, Presented};
use super::route::Family;
use super::scope::{SCOPES, Scope};
use super::token::Standing;
use super::token_endpoint::Outcome;

/// Something a proxy in front of DQE must not do, seen in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Violation {
    /// More than one `Authorization`.
    SeveralAuthorizations,
    /// More than one licence parameter, query and body together.
    SeveralLicences,
    /// An `Authorization` that is no bearer: the caller's own, passed on.
    OtherAuthorization,
    /// A business request without any credential.
    NoCredential,
    /// A token whose announced life was over when the request arrived.
    ExpiredToken,
    /// A revoked token, a second or more after its holder was told: by a 401, or by a newer token.
    RevokedToken,
    /// A token this sandbox never issued.
    UnknownToken,
    /// A live token of a scope the path does not take.
    WrongScope,
    /// The licence code where a token belongs.
    LicenceCodeInClear,
    /// `Connection` naming more than keep-alive or close, `Keep-Alive`, `Proxy-*`, `TE`,
    /// `Trailer`, `Upgrade`.
    HopByHopHeader,
    /// The caller's cookies.
    Cookie,
    /// `X-Forwarded-*`, `Forwarded`, `X-Real-IP`.
    ForwardingHeader,
    /// A request that cannot be read as HTTP.
    Malformed,
}

impl Violation {
    /// All of them, in the order of their discriminants.
    pub const ALL: [Self; 13] = [
        Self::SeveralAuthorizations,
        Self::SeveralLicences,
        Self::OtherAuthorization,
        Self::NoCredential,
        Self::ExpiredToken,
        Self::RevokedToken,
        Self::UnknownToken,
        Self::WrongScope,
        Self::LicenceCodeInClear,
        Self::HopByHopHeader,
        Self::Cookie,
        Self::ForwardingHeader,
        Self::Malformed,
    ];

    /// The name in counters and lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::SeveralAuthorizations => "several_authorizations",
            Self::SeveralLicences => "several_licences",
            Self::OtherAuthorization => "other_authorization",
            Self::NoCredential => "no_credential",
            Self::ExpiredToken => "expired_token",
            Self::RevokedToken => "revoked_token",
            Self::UnknownToken => "unknown_token",
            Self::WrongScope => "wrong_scope",
            Self::LicenceCodeInClear => "licence_code_in_clear",
            Self::HopByHopHeader => "hop_by_hop_header",
            Self::Cookie => "cookie",
            Self::ForwardingHeader => "forwarding_header",
            Self::Malformed => "malformed",
        }
    }
}

/// A reading of every counter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    violations: [u64; Violation::ALL.len()],
    families: [u64; Family::ALL.len()],
    issued: [u64; SCOPES],
    outcomes: [u64; OUTCOMES.len()],
    carried: [u64; STANDINGS.len()],
    least_life_left: [Option<u64>; SCOPES],
    faults: BTreeMap<String, u64>,
    /// Connections accepted.
    pub connections: u64,
    /// Requests received, token endpoint and unknown paths included.
    pub requests: u64,
    /// Requests to a token endpoint, those answered or broken by a fault included.
    pub token_endpoint_requests: u64,
    /// Requests to a path that does not exist.
    pub unknown_paths: u64,
    /// Requests that asked with `Expect` before sending their body.
    pub expectations: u64,
    /// Requests whose connection closed before they were answered.
    pub abandoned: u64,
    /// Connection tasks that panicked: always 0, or the sandbox has a fault of its own.
    pub panics: u64,
}

/// In the order of their discriminants.
const STANDINGS: [(Standing, &str); 4] = [
    (Standing::Live, "live"),
    (Standing::Expired, "expired"),
    (Standing::Revoked, "revoked"),
    (Standing::Unknown, "unknown"),
];
/// No token has been carried so far.
const NONE_SEEN: u64 = u64::MAX;
const OUTCOMES: [&str; 8] = [
    "issued",
    "renewed",
    "invalid_request",
    "invalid_client",
    "unauthorized_client",
    "unsupported_grant_type",
    "misspelt_parameter",
    "renewal_refused",
];

impl Counters {
    /// How often this violation was seen.
    pub fn violation(&self, violation: Violation) -> u64 {
        self.violations[violation as usize]
    }

    /// All violations together: 0 for a proxy that does its work.
    pub fn violations(&self) -> u64 {
        self.violations.iter().sum()
    }

    /// Business requests of this family, refused ones included.
    pub fn family(&self, family: Family) -> u64 {
        self.families[family as usize]
    }

    /// Tokens issued or renewed of this scope.
    pub fn tokens_issued(&self, scope: Scope) -> u64 {
        self.issued[scope as usize]
    }

    /// Token requests the endpoint itself answered, whatever the outcome; those a fault answered
    /// are only in `token_endpoint_requests`.
    pub fn token_requests(&self) -> u64 {
        self.outcomes.iter().sum()
    }

    /// Token requests by outcome: `issued`, `renewed`, `invalid_request`, `invalid_client`,
    /// `unauthorized_client`, `unsupported_grant_type`, `misspelt_parameter`, `renewal_refused`.
    /// An unknown name reads 0.
    pub fn token_outcome(&self, name: &str) -> u64 {
        OUTCOMES
            .iter()
            .position(|known| *known == name)
            .map_or(0, |at| self.outcomes[at])
    }

    /// Tokens carried by business requests, by what they were on arrival. A revoked or expired one
    /// whose holder could not know is counted here and is no violation.
    pub fn carried(&self, standing: Standing) -> u64 {
        self.carried[standing as usize]
    }

    /// The least that was left of a token of this scope when a business request arrived with it,
    /// in thousandths of its announced life; none before the first.
    pub fn least_life_left(&self, scope: Scope) -> Option<u64> {
        self.least_life_left[scope as usize]
    }

    /// Requests hit by a fault of this kind, such as `token.status` or `business.reset`; of
    /// `lose-reply` the way of losing is part of the kind: `token.lose-reply-stall`.
    pub fn faults(&self, kind: &str) -> u64 {
        self.faults.get(kind).copied().unwrap_or_default()
    }

    /// Every counter by name, for printing. Kinds of faults that hit nothing and scopes without
    /// a carried token are left out.
    pub fn list(&self) -> Vec<(String, u64)> {
        let mut list = vec![
            ("connections".to_owned(), self.connections),
            ("requests".to_owned(), self.requests),
            (
                "token_endpoint_requests".to_owned(),
                self.token_endpoint_requests,
            ),
            ("unknown_paths".to_owned(), self.unknown_paths),
            ("expectations".to_owned(), self.expectations),
            ("abandoned".to_owned(), self.abandoned),
            ("panics".to_owned(), self.panics),
        ];
        list.extend(Family::ALL.map(|family| (format!("family.{family}"), self.family(family))));
        list.extend(OUTCOMES.map(|name| (format!("token.{name}"), self.token_outcome(name))));
        list.extend(
            Scope::OAUTH
                .into_iter()
                .chain([Scope::IdMobile])
                .map(|scope| (format!("issued.{scope}"), self.tokens_issued(scope))),
        );
        list.extend(
            STANDINGS.map(|(standing, name)| (format!("carried.{name}"), self.carried(standing))),
        );
        list.extend(
            Scope::OAUTH
                .into_iter()
                .chain([Scope::IdMobile])
                .filter_map(|scope| {
                    let least = self.least_life_left(scope)?;
                    Some((format!("least_life_left_permille.{scope}"), least))
                }),
        );
        let faults = self.faults.iter();
        list.extend(faults.map(|(kind, hits)| (format!("fault.{kind}"), *hits)));
        list.push(("violations".to_owned(), self.violations()));
        list.extend(
            Violation::ALL.map(|one| (format!("violation.{}", one.name()), self.violation(one))),
        );
        list
    }
}

/// The counters as the tasks increment them.
#[derive(Debug)]
pub(crate) struct Tally {
    violations: [AtomicU64; Violation::ALL.len()],
    families: [AtomicU64; Family::ALL.len()],
    issued: [AtomicU64; SCOPES],
    outcomes: [AtomicU64; OUTCOMES.len()],
    carried: [AtomicU64; STANDINGS.len()],
    least_life_left: [AtomicU64; SCOPES],
    /// Locked only by requests that a fault hits.
    faults: Mutex<BTreeMap<String, u64>>,
    pub(crate) connections: AtomicU64,
    pub(crate) requests: AtomicU64,
    pub(crate) token_endpoint_requests: AtomicU64,
    pub(crate) unknown_paths: AtomicU64,
    pub(crate) expectations: AtomicU64,
    pub(crate) abandoned: AtomicU64,
    pub(crate) panics: AtomicU64,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            violations: Default::default(),
            families: Default::default(),
            issued: Default::default(),
            outcomes: Default::default(),
            carried: Default::default(),
            least_life_left: std::array::from_fn(|_| AtomicU64::new(NONE_SEEN)),
            faults: Mutex::default(),
            connections: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            token_endpoint_requests: AtomicU64::new(0),
            unknown_paths: AtomicU64::new(0),
            expectations: AtomicU64::new(0),
            abandoned: AtomicU64::new(0),
            panics: AtomicU64::new(0),
        }
    }
}

impl Tally {
    pub(crate) fn violation(&self, violation: Violation) {
        count(&self.violations[violation as usize]);
    }

    pub(crate) fn family(&self, family: Family) {
        count(&self.families[family as usize]);
    }

    pub(crate) fn outcome(&self, outcome: Outcome) {
        let at = match outcome {
            Outcome::Issued(scope) => {
                count(&self.issued[scope as usize]);
                0
            }
            Outcome::Renewed(scope) => {
                count(&self.issued[scope as usize]);
                1
            }
            Outcome::InvalidRequest => 2,
            Outcome::InvalidClient => 3,
            Outcome::UnauthorizedClient => 4,
            Outcome::UnsupportedGrantType => 5,
            Outcome::MisspeltParameter => 6,
            Outcome::RenewalRefused => 7,
        };
        count(&self.outcomes[at]);
    }

    /// The tokens a business request carried.
    pub(crate) fn carried(&self, credentials: &[Presented]) {
        for one in credentials {
            let Kind::Token(standing) = one.kind else {
                continue;
            };
            count(&self.carried[standing as usize]);
            if let (Some(scope), Some(left)) = (one.scope, one.life_left) {
                self.least_life_left[scope as usize].fetch_min(u64::from(left), Ordering::Relaxed);
            }
        }
    }

    /// A fault of the kind `label` hit a request.
    pub(crate) fn fault(&self, token_endpoint: bool, label: &str) {
        let side = if token_endpoint { "token" } else { "business" };
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        *faults.entry(format!("{side}.{label}")).or_default() += 1;
    }

    /// A reading; the counters are read one after the other, not as one.
    pub(crate) fn read(&self) -> Counters {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counters {
            violations: std::array::from_fn(|at| read(&self.violations[at])),
            families: std::array::from_fn(|at| read(&self.families[at])),
            issued: std::array::from_fn(|at| read(&self.issued[at])),
            outcomes: std::array::from_fn(|at| read(&self.outcomes[at])),
            carried: std::array::from_fn(|at| read(&self.carried[at])),
            least_life_left: std::array::from_fn(|at| {
                Some(read(&self.least_life_left[at])).filter(|left| *left != NONE_SEEN)
            }),
            faults: self
                .faults
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
            connections: read(&self.connections),
            requests: read(&self.requests),
            token_endpoint_requests: read(&self.token_endpoint_requests),
            unknown_paths: read(&self.unknown_paths),
            expectations: read(&self.expectations),
            abandoned: read(&self.abandoned),
            panics: read(&self.panics),
        }
    }

    /// Sets everything back to 0.
    pub(crate) fn reset(&self) {
        let all = self
            .violations
            .iter()
            .chain(&self.families)
            .chain(&self.issued)
            .chain(&self.outcomes)
            .chain(&self.carried);
        let single = [
            &self.connections,
            &self.requests,
            &self.token_endpoint_requests,
            &self.unknown_paths,
            &self.expectations,
            &self.abandoned,
            &self.panics,
        ];
        for counter in all.chain(single) {
            counter.store(0, Ordering::Relaxed);
        }
        for least in &self.least_life_left {
            least.store(NONE_SEEN, Ordering::Relaxed);
        }
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        faults.clear();
    }
}

/// Adds one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
