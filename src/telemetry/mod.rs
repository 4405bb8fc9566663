//! Logs: what the program says about itself, on standard error, and one line
//! per request, on standard output. Both are written by a thread of their own,
//! so that a reader which has stopped reading stalls nobody else: what does
//! not fit is dropped and counted. Counters are in `metrics`, not here.

mod access_line;
mod access_log;
mod escape;
mod events;
mod log_throttle;
#[cfg(test)]
mod testing;
mod writer;

pub use access_log::{AccessLog, AccessRecord, WorkerLog};
pub use events::{EventLog, init};
pub use log_throttle::LogThrottle;

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

impl Format {
    /// Settles `Auto`, given whether the sink is a terminal.
    fn is_text(self, on_terminal: bool) -> bool {
        match self {
            Self::Auto => on_terminal,
            Self::Json => false,
            Self::Text => true,
        }
    }
}
