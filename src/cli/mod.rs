//! The subcommands: the only place that prints.

pub(crate) mod check;
pub(crate) mod demo;
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
    eprint!("{}", check::problem_lines(problems));
    ExitCode::from(check::BAD_SETTINGS)
}

/// Prints an error with its causes; exit code 1.
pub(crate) fn explain(error: &dyn Error) -> ExitCode {
    eprintln!("dqe-proxy: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        eprintln!("  because: {error}");
        cause = error.source();
    }
    ExitCode::from(FAILURE)
}
