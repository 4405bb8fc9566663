//! `dqe-proxy token`: asks DQE for one token per scope now and tells in words
//! what happened, with which of the two secrets, and what to do about it.

use std::error::Error as _;
use std::process::ExitCode;

use clap::Args;
use dqe_proxy::config;
use dqe_proxy::dqe::{Method, Scope};
use dqe_proxy::egress::Egress;
use dqe_proxy::secret::SecretSource;
use dqe_proxy::token::{self, FetchError, Fetched};

use super::diagnosis::{diagnose, may_be_the_secret};
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
    let wanted = match arguments.scope {
        None => {
            let main = (&config.token, config.token.scopes.clone());
            let id_mobile = config.id_mobile.as_ref();
            let id_mobile = id_mobile.map(|settings| (settings, settings.scopes.clone()));
            std::iter::once(main).chain(id_mobile).collect()
        }
        Some(Scope::IdMobile) => match &config.id_mobile {
            Some(settings) => vec![(settings, settings.scopes.clone())],
            None => {
                complain!("ID Mobile is off: add \"IDMOBILE\" to enable below [dqe]");
                return ExitCode::from(FAILURE);
            }
        },
        Some(scope) => vec![(&config.token, vec![scope])],
    };
    let mut told: Vec<(Scope, Vec<String>)> = Vec::new();
    for (settings, scope) in each(wanted) {
        let ask =
            |source| runtime.block_on(token::fetch_once(settings, source, client.clone(), scope));
        let name = scope.as_str();
        match ask_with_both(settings, ask) {
            Ok((token, worked)) => {
                say!("{name:<WIDTH$} granted{worked}: {}", described(&token));
                if arguments.reveal {
                    say!("{:<WIDTH$} {}", "", token.reveal());
                }
            }
            Err(lines) => {
                let twin = told.iter().find(|(_, other)| *other == lines);
                if let Some((twin, _)) = twin {
                    say!("{name:<WIDTH$} no token: as for {}", twin.as_str());
                } else {
                    for (index, line) in lines.iter().enumerate() {
                        say!("{:<WIDTH$} {line}", if index == 0 { name } else { "" });
                    }
                }
                told.push((scope, lines));
            }
        }
    }
    runtime.shutdown_background();
    if told.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FAILURE)
    }
}

/// Each scope with the settings of its endpoint, which is told before its first.
fn each(
    wanted: Vec<(&token::Settings, Vec<Scope>)>,
) -> impl Iterator<Item = (&token::Settings, Scope)> {
    wanted.into_iter().flat_map(|(settings, scopes)| {
        let way = match settings.request.method {
            Method::Post => "POST",
            Method::Get => "GET, the secret in the URL",
        };
        say!("token endpoint: {} ({way})", settings.url);
        scopes.into_iter().map(move |scope| (settings, scope))
    })
}

/// Room for the longest name of a scope.
const WIDTH: usize = 16;

/// Asks with the secret in use, and with the next one when that may be what is
/// refused. The token and which secret worked, or the lines that say why none did.
fn ask_with_both<'a>(
    settings: &'a token::Settings,
    ask: impl Fn(&'a SecretSource) -> Result<Fetched, FetchError>,
) -> Result<(Fetched, &'static str), Vec<String>> {
    let next = settings.next_client_secret.as_ref();
    let error = match ask(&settings.client_secret) {
        Ok(token) if next.is_some() => return Ok((token, " with the first secret")),
        Ok(token) => return Ok((token, "")),
        Err(error) => error,
    };
    let Some(next) = next.filter(|_| may_be_the_secret(&error)) else {
        return Err(lines("no token", &error));
    };
    match ask(next) {
        Ok(token) => {
            let worked = match error {
                FetchError::Secret(_) => " with the next secret, the first one cannot be read",
                FetchError::Refused { .. } | FetchError::Settings(_) => {
                    " with the next secret, the first one is refused"
                }
            };
            Ok((token, worked))
        }
        Err(other) => {
            let first = lines("no token with the first secret", &error);
            let second = lines("no token with the next secret", &other);
            Err(first.into_iter().chain(second).collect())
        }
    }
}

/// What is told about a call that brought no token.
fn lines(heading: &str, error: &FetchError) -> Vec<String> {
    let Some(diagnosis) = diagnose(error) else {
        let cause = error.source();
        let cause = cause.map(|cause| format!("  because:  {cause}"));
        return [format!("{heading}: {error}")]
            .into_iter()
            .chain(cause)
            .collect();
    };
    let mut lines = vec![
        format!("{heading}: {}", diagnosis.means),
        format!("  answered: {}", diagnosis.answered),
        format!("  to do:    {}", diagnosis.to_do),
        format!("  side:     {}", diagnosis.side),
    ];
    // Beside a status, the layers below have nothing more to say.
    if let FetchError::Refused {
        status: None,
        detail: Some(detail),
        ..
    } = error
    {
        lines.push(format!("  because:  {detail}"));
    }
    lines
}

fn described(token: &Fetched) -> String {
    let life = token.life.as_secs();
    let took = token.took.as_millis();
    let assumed = if token.life_was_assumed {
        " (assumed: the reply does not say)"
    } else {
        ""
    };
    format!("lives {life} s{assumed}, fetched in {took} ms")
}
