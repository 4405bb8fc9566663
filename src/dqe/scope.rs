//! The OAuth2 scopes DQE documents (article "OAuth2 Authentication"), and the
//! grant of ID Mobile, whose token endpoint is another (article "ID Mobile — Token").

use std::fmt;
use std::str::FromStr;

/// What a token is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// DQE Address APIs.
    Address,
    /// DQE Phone APIs.
    Phone,
    /// DQE Email APIs.
    Email,
    /// DQE ID Check APIs.
    IdCheck,
    /// Multiple DQE APIs.
    General,
    /// DQE B2B APIs.
    B2b,
    /// DQE Name APIs.
    Civility,
    /// DQE ID Mobile API, which has a token endpoint of its own.
    IdMobile,
}

impl Scope {
    /// Every scope, in the order of DQE's page; ID Mobile's last.
    pub const ALL: [Self; 8] = [
        Self::Address,
        Self::Phone,
        Self::Email,
        Self::IdCheck,
        Self::General,
        Self::B2b,
        Self::Civility,
        Self::IdMobile,
    ];

    /// The scopes of the OAuth2 token endpoint.
    pub const OAUTH: [Self; 7] = {
        let [oauth @ .., _id_mobile] = Self::ALL;
        oauth
    };

    /// Its place in [`Self::ALL`].
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }

    /// The value on the wire, for example `client_address`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
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
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no scope of DQE.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a scope of DQE; there are {}", Scope::ALL.map(Scope::as_str).join(", "))]
pub struct UnknownScope;

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.as_str() == text)
            .ok_or(UnknownScope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scope_is_read_back_from_its_name() {
        for scope in Scope::ALL {
            assert_eq!(scope.as_str().parse(), Ok(scope));
        }
        assert_eq!("client_adress".parse::<Scope>(), Err(UnknownScope));
    }

    #[test]
    fn every_scope_knows_its_place() {
        for (place, scope) in Scope::ALL.into_iter().enumerate() {
            assert_eq!(scope.index(), place, "{scope}");
        }
    }
}
