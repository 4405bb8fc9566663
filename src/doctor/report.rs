//! What an examination tells: steps as they were taken, findings in the order of importance.

use std::time::Duration;

/// The whole of it.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Every step, in order.
    pub steps: Vec<Step>,
    /// Causes, the one to look at first at the top; advice comes last.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether nothing was found that keeps calls from working. Advice does not count.
    #[must_use]
    pub fn is_well(&self) -> bool {
        !self.findings.iter().any(|finding| finding.is_problem)
    }
}

/// One step and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// `name`, `connect`, `http`, `token` or `call`.
    pub stage: &'static str,
    /// Host, scope or path.
    pub subject: String,
    /// How it ended.
    pub verdict: Verdict,
    /// One line for people.
    pub says: String,
    /// How long it took; none when it was not taken.
    pub took: Option<Duration>,
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it should.
    Good,
    /// Not as it should; a finding says what it means.
    Bad,
    /// Not taken.
    Skipped,
}

impl Verdict {
    /// The word in text and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Bad => "bad",
            Self::Skipped => "skipped",
        }
    }
}

/// Something worth a person's attention.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The stable word of the cause.
    pub cause: &'static str,
    /// Whose side it is on.
    pub side: Side,
    /// False for advice: calls work without it.
    pub is_problem: bool,
    /// What is wrong, in plain words.
    pub says: String,
    /// What to do about it.
    pub remedy: String,
}

impl Finding {
    pub(super) fn problem(
        cause: &'static str,
        side: Side,
        says: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            cause,
            side,
            is_problem: true,
            says: says.into(),
            remedy: remedy.into(),
        }
    }

    pub(super) fn advice(
        cause: &'static str,
        side: Side,
        says: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            is_problem: false,
            ..Self::problem(cause, side, says, remedy)
        }
    }
}

/// Whose side a cause is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The settings of this proxy.
    Settings,
    /// This machine, or the network between it and DQE.
    Network,
    /// What the licence is entitled to.
    Contract,
    /// DQE's service.
    Dqe,
}

impl Side {
    /// The stable word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Network => "network",
            Self::Contract => "contract",
            Self::Dqe => "dqe",
        }
    }

    /// For people.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Settings => "on your side, in the settings",
            Self::Network => "on your side, this machine or its network",
            Self::Contract => "between you and DQE, in the contract",
            Self::Dqe => "on DQE's side",
        }
    }
}
