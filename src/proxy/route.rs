//! Which path goes where: pattern → scope, replay class.

use crate::dqe::Scope;

/// One line of the route table, before it is bound to a token cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Which paths.
    pub pattern: Pattern,
    /// The scope whose token is put on.
    pub scope: Scope,
    /// True when repeating the call repeats an effect (an SMS): never replayed.
    pub side_effects: bool,
}

/// Which paths a rule is for. Letter case and one trailing slash do not
/// matter, and a version segment (`/v1/…`) is optional in front of a catalogue path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// This whole path.
    Exact(String),
    /// Everything below this path, which ends with a slash; written `/x/*`.
    Below(String),
}
