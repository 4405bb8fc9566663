//! The flags that set a key, shared by every subcommand that needs settings.

use std::path::PathBuf;

use clap::Args;
use dqe_proxy::config::{Flag, Inputs};

/// Where settings come from: flag > environment > file > default.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct SettingsArgs {
    /// The settings file; DQE_PROXY_CONFIG names it otherwise. Without either, no file is read.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where callers connect (listener.address).
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Who may call: networks, or loopback, private, any; separated by commas (listener.allow).
    #[arg(long, value_name = "NETWORKS")]
    allow: Option<String>,
    /// Where operators connect, or "off" (admin.address).
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<String>,
    /// The DQE server (dqe.servers).
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// Least important level logged: error, warn, info, debug, trace (log.level).
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// How log lines look: auto, json, text (log.format).
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
}

impl SettingsArgs {
    /// The flags together with the environment of this process.
    pub(crate) fn inputs(&self) -> Inputs {
        let flags = [
            ("--listen", "listener.address", &self.listen),
            ("--allow", "listener.allow", &self.allow),
            ("--admin", "admin.address", &self.admin),
            ("--server", "dqe.servers", &self.server),
            ("--log-level", "log.level", &self.log_level),
            ("--log-format", "log.format", &self.log_format),
        ];
        let given = flags.into_iter().filter_map(|(name, key, value)| {
            let value = value.clone()?;
            Some(Flag { name, key, value })
        });
        // Bytes that are not UTF-8 become U+FFFD, which the settings refuse.
        let environment = std::env::vars_os().map(|(name, value)| {
            let text = |bytes: std::ffi::OsString| bytes.to_string_lossy().into_owned();
            (text(name), text(value))
        });
        Inputs {
            file: self.config.clone(),
            environment: environment.collect(),
            flags: given.collect(),
        }
    }
}
