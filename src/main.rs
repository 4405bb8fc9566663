//! The `dqe-proxy` command: arguments → subcommand → exit code.
//!
//! Exit codes: 0 well, 1 trouble at run time (or found by `doctor`), 2 wrong usage, 78 bad settings.

mod cli;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Arguments of the whole command.
#[derive(Debug, Parser)]
#[command(
    version,
    about,
    propagate_version = true,
    args_conflicts_with_subcommands = true,
    after_help = EXAMPLES
)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Without a subcommand the proxy runs.
    #[command(flatten)]
    run: cli::run::RunArgs,
}

/// Wrong usage, as clap has it.
const USAGE: u8 = 2;

const EXAMPLES: &str = "Examples:
  dqe-proxy demo                                            see it work, no account needed
  DQE_LICENCE=… DQE_CLIENT_SECRET=… dqe-proxy run           in front of DQE, for this machine
  dqe-proxy check --config /etc/dqe-proxy/config.toml       every problem of a settings file at once";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the proxy (the default)
    Run(cli::run::RunArgs),
    /// Show the proxy at work in front of a built-in fake DQE
    Demo(cli::demo::DemoArgs),
    /// Check the settings without a network, every problem at once
    Check(cli::check::CheckArgs),
    /// Find out what keeps calls from working, step by step, and what to do about it
    Doctor(cli::doctor::DoctorArgs),
    /// Ask DQE for one token per scope now, and say what happened
    Token(cli::token::TokenArgs),
    /// Run a fake DQE, with its token endpoint and faults by name
    Sandbox(cli::sandbox::SandboxArgs),
    /// Ask a running proxy whether it is well; exit code 0 or 1
    Healthcheck(cli::healthcheck::HealthcheckArgs),
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return usage(&error),
    };
    match arguments.command {
        None => cli::run::run(&arguments.run),
        Some(Command::Run(arguments)) => cli::run::run(&arguments),
        Some(Command::Demo(arguments)) => cli::demo::run(&arguments),
        Some(Command::Check(arguments)) => arguments.run(),
        Some(Command::Doctor(arguments)) => cli::doctor::run(&arguments),
        Some(Command::Token(arguments)) => cli::token::run(&arguments),
        Some(Command::Sandbox(arguments)) => cli::sandbox::run(arguments),
        Some(Command::Healthcheck(arguments)) => cli::healthcheck::run(&arguments),
    }
}

/// Prints what clap has to say. A healthcheck knows 0 and 1 only, since
/// container engines give other codes a meaning of their own.
fn usage(error: &clap::Error) -> ExitCode {
    // Nothing can be done about a closed standard error.
    let _ = error.print();
    let is_healthcheck = std::env::args_os()
        .nth(1)
        .is_some_and(|first| first == "healthcheck");
    match error.exit_code() {
        0 => ExitCode::SUCCESS,
        _ if is_healthcheck => ExitCode::from(cli::FAILURE),
        _ => ExitCode::from(USAGE),
    }
}
