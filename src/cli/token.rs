//! `dqe-proxy token`: asks DQE for one token per scope now and tells in words
//! what happened.

use std::process::ExitCode;

use clap::Args;
use dqe_proxy::config;
use dqe_proxy::dqe::Scope;
use dqe_proxy::egress::Egress;
use dqe_proxy::token::{self, FetchError, Fetched};

use super::settings::SettingsArgs;
use super::{FAILURE, explain};

/// Arguments of `dqe-proxy token`.
#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    #[command(flatten)]
    settings: SettingsArgs,
    /// Ask for this scope only, for example client_address
    #[arg(long, value_name = "SCOPE")]
    scope: Option<Scope>,
    /// Print the token itself, which is a credential
    #[arg(long)]
    reveal: bool,
}

/// Exit code 0 when every scope asked for was granted, 1 otherwise, 78 for bad settings.
pub(crate) fn run(arguments: &TokenArgs) -> ExitCode {
    let config = match config::load(&arguments.settings.inputs()) {
        Ok(config) => config,
        Err(problems) => return super::bad_settings(&problems),
    };
    let needs_tls = config.token.url.starts_with("https:");
    let client = Egress::build(&config.egress, needs_tls)
        .and_then(|egress| egress.token_client(config.token.connect_timeout));
    let client = match client {
        Ok(client) => client,
        Err(error) => return explain(&error),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return explain(&error),
    };
    let scopes = arguments
        .scope
        .map_or_else(|| config.token.scopes.clone(), |scope| vec![scope]);
    say!("token endpoint: {}", config.token.url);
    let mut refused = 0;
    for scope in scopes {
        let name = scope.as_str();
        let source = &config.token.client_secret;
        match runtime.block_on(token::fetch_once(
            &config.token,
            source,
            client.clone(),
            scope,
        )) {
            Ok(token) => {
                say!("{name:<16} {}", described(&token));
                if arguments.reveal {
                    say!("{:<16} {}", "", token.reveal());
                }
            }
            Err(error) => {
                refused += 1;
                say!("{name:<16} no token: {error}");
                if let FetchError::Refused {
                    detail: Some(detail),
                    ..
                } = &error
                {
                    say!("{:<16} because: {detail}", "");
                }
            }
        }
    }
    runtime.shutdown_background();
    if refused == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FAILURE)
    }
}

fn described(token: &Fetched) -> String {
    let life = token.life.as_secs();
    let took = token.took.as_millis();
    let assumed = if token.life_was_assumed {
        " (assumed: the reply does not say)"
    } else {
        ""
    };
    format!("granted: lives {life} s{assumed}, fetched in {took} ms")
}
