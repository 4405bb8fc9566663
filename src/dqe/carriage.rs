//! How the credential of a call travels to DQE, which its documents leave open.

use std::fmt;

/// How the token travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carriage {
    /// `Authorization: Bearer …`.
    Header,
    /// As the value of the path's licence parameter; no `Authorization`.
    Licence,
    /// Both ways, so that it is right whichever DQE looks at.
    Both,
}

impl Carriage {
    /// Every carriage.
    pub const ALL: [Self; 3] = [Self::Header, Self::Licence, Self::Both];

    /// The word of the settings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Licence => "licence",
            Self::Both => "both",
        }
    }

    /// Whether `Authorization` goes on the call.
    #[must_use]
    pub fn has_header(self) -> bool {
        self != Self::Licence
    }

    /// Whether the token is the value of a parameter.
    #[must_use]
    pub fn has_parameter(self) -> bool {
        self != Self::Header
    }
}

impl fmt::Display for Carriage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
