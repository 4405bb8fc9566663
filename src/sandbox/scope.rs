//! The scopes DQE grants tokens of, by the names it documents.

use std::fmt::{self, Display, Formatter};

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

/// How many scopes there are.
pub(crate) const SCOPES: usize = Scope::OAUTH.len() + 1;
