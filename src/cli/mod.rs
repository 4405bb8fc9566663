//! The subcommands: the only place that prints.

/// Prints a line. A reader that went away, such as `head`, or a full disk is
/// no reason to panic, as `println!` does.
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($text)*);
    }};
}

/// Prints a line on standard error, as [`say`] does.
macro_rules! complain {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($text)*);
    }};
}

pub(crate) mod check;
pub(crate) mod demo;
mod diagnosis;
pub(crate) mod doctor;
pub(crate) mod healthcheck;
pub(crate) mod run;
pub(crate) mod sandbox;
pub(crate) mod settings;
pub(crate) mod token;

use std::error::Error;
use std::process::ExitCode;

use dqe_proxy::config::Problems;

/// Trouble at run time.
pub(crate) const FAILURE: u8 = 1;

/// Prints every problem of the settings; exit code 78.
pub(crate) fn bad_settings(problems: &Problems) -> ExitCode {
    complain!("{}", check::problem_lines(problems).trim_end());
    ExitCode::from(check::BAD_SETTINGS)
}

/// Prints an error with its causes; exit code 1.
pub(crate) fn explain(error: &dyn Error) -> ExitCode {
    complain!("dqe-proxy: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        complain!("  because: {error}");
        cause = error.source();
    }
    ExitCode::from(FAILURE)
}
