//! The `dqe-proxy` command.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the command line speaks to people"
)]

mod cli;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Arguments of the whole command.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a fake DQE, with its token endpoint and faults by name
    Sandbox(cli::sandbox::SandboxArgs),
}

fn main() -> ExitCode {
    let Command::Sandbox(arguments) = Arguments::parse().command;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(cli::sandbox::run(arguments)),
        Err(error) => {
            eprintln!("dqe-proxy: no runtime can be started: {error}");
            ExitCode::FAILURE
        }
    }
}
