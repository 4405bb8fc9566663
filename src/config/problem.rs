//! What is wrong with the settings, where, and what to do about it. No value
//! of a setting is ever part of a message: any of them may hold a secret that
//! was put in the wrong place. The position leads to it.

use std::fmt;
use std::path::PathBuf;

/// Where a setting was written. Ordered as problems are listed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Nowhere: the built-in default.
    Default,
    /// The settings file.
    File {
        /// The file as it was named.
        path: PathBuf,
        /// Line, counted from one.
        line: usize,
        /// Column in characters, counted from one.
        column: usize,
    },
    /// An environment variable.
    Environment(String),
    /// A flag of the command line.
    Flag(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("settings"),
            Self::File { path, line, column } => {
                write!(f, "{}:{line}:{column}", path.display())
            }
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// One thing wrong, or worth a warning.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where it was written.
    pub place: Place,
    /// The key concerned, `listener.address`; `None` where there is none.
    pub key: Option<String>,
    /// What is wrong. Holds no value of any setting.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl Problem {
    pub(super) fn new(
        place: &Place,
        key: &(impl ToString + ?Sized),
        message: impl Into<String>,
    ) -> Self {
        Self {
            place: place.clone(),
            key: Some(key.to_string()),
            message: message.into(),
            hint: None,
        }
    }

    pub(super) fn without_key(place: &Place, message: impl Into<String>) -> Self {
        Self {
            place: place.clone(),
            key: None,
            message: message.into(),
            hint: None,
        }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if let Some(key) = &self.key {
            write!(f, "{key}: ")?;
        }
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

/// Everything wrong with the settings, in the order of its place; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl Problems {
    pub(super) fn new(problems: Vec<Problem>, warnings: Vec<Problem>) -> Self {
        Self {
            problems: in_order(problems),
            warnings: in_order(warnings),
        }
    }

    /// The problems, in the order of their place.
    #[must_use]
    pub fn as_slice(&self) -> &[Problem] {
        &self.problems
    }

    /// What is allowed but likely not meant; often the cause of a problem.
    #[must_use]
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }
}

/// Sorted by place, each once.
pub(super) fn in_order(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort();
    problems.dedup();
    problems
}

/// One problem to a line, its hint below it; then the warnings, marked as such.
impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let problems = self.problems.iter().map(Problem::to_string);
        let warnings = self.warnings.iter();
        let warnings = warnings.map(|warning| format!("warning: {warning}"));
        let lines: Vec<_> = problems.chain(warnings).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for Problems {}
