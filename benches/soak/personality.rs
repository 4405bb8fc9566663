//! The three kinds of authorization server.

use clap::ValueEnum;

/// How a server treats a token that is still alive when it is asked for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Personality {
    /// It issues another, and both work.
    New,
    /// It hands out the same until its end.
    SameToken,
    /// It issues another, and the earlier one is dead.
    RevokePrevious,
}

impl Personality {
    pub(crate) const ALL: [Self; 3] = [Self::New, Self::SameToken, Self::RevokePrevious];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::New => "new token",
            Self::SameToken => "same token",
            Self::RevokePrevious => "revoke previous",
        }
    }

    /// The fake DQE's switches.
    pub(crate) fn switches(self) -> &'static [&'static str] {
        match self {
            Self::New => &[],
            Self::SameToken => &["token-reuse=on"],
            Self::RevokePrevious => &["one-token=on"],
        }
    }
}
