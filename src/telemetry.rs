//! Logs: what the program says about itself, and one line per request.

/// What is logged, and how it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Least important level that is written to standard error.
    pub level: tracing::Level,
    /// How lines look.
    pub format: Format,
    /// Whether each request is written to standard output.
    pub access: bool,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// One JSON object per line.
    Json,
    /// Lines for people.
    Text,
}
