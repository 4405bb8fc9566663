//! `dqe-proxy doctor`, as people run it: each fault is named by its cause, and nothing secret is
//! shown.
#![expect(clippy::unwrap_used, reason = "a story that cannot go on has failed")]

mod calls;
mod connecting;
mod tokens;

use std::process::{Command, Output};

use dqe_proxy::sandbox::{Sandbox, Settings};
use serde_json::Value;

const SECRET: &str = "sandbox-secret";
const LICENCE: &str = "SANDBOX";

async fn dqe() -> Sandbox {
    start(Settings::default()).await
}

async fn start(settings: Settings) -> Sandbox {
    Sandbox::start(settings).await.unwrap()
}

/// What the program said and how it ended.
struct Examined {
    code: Option<i32>,
    output: String,
    /// Output and errors.
    text: String,
}

impl Examined {
    fn json(&self) -> Value {
        serde_json::from_str(&self.output).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// Causes in order; those that are advice only begin with `~`.
    fn causes(&self) -> Vec<String> {
        let report = self.json();
        let findings = report["findings"].as_array().unwrap().clone();
        let cause = |finding: &Value| {
            let mark = if finding["problem"] == true { "" } else { "~" };
            format!("{mark}{}", finding["cause"].as_str().unwrap())
        };
        findings.iter().map(cause).collect()
    }
}

/// Runs the program against `server`; what `settings` name comes before the right credential.
async fn examine(server: &str, settings: &[(&str, &str)], arguments: &[&str]) -> Examined {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dqe-proxy"));
    command
        .arg("doctor")
        .args(arguments)
        .env_clear()
        .env("DQE_SERVER", server)
        .env("DQE_LICENCE", LICENCE)
        .env("DQE_CLIENT_SECRET", SECRET)
        // The most sensitive one; what the default takes away is a story of its own.
        .env("DQE_PROXY_DQE_CARRIAGE", "header");
    for (name, value) in settings {
        if value.is_empty() {
            command.env_remove(name);
        } else {
            command.env(name, value);
        }
    }
    // The sandbox answers on this thread meanwhile.
    let output: Output = tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Examined {
        code: output.status.code(),
        output: text(&output.stdout),
        text: text(&output.stdout) + &text(&output.stderr),
    }
}

/// The causes found in a sandbox with this fault and these switches.
async fn causes_of(fault: &str, switches: &[&str], settings: &[(&str, &str)]) -> Vec<String> {
    let sandbox = dqe().await;
    for switch in switches {
        let (name, value) = switch.split_once('=').unwrap();
        sandbox.set_switch(name, value).unwrap();
    }
    if !fault.is_empty() {
        sandbox.set_fault(fault).unwrap();
    }
    let examined = examine(&sandbox.url(), settings, &["--json"]).await;
    let causes = examined.causes();
    let has_problem = causes.iter().any(|cause| !cause.starts_with('~'));
    assert_eq!(examined.code, Some(i32::from(has_problem)), "{causes:?}");
    assert_eq!(examined.json()["well"], !has_problem);
    causes
}

const PHONE_ONLY: (&str, &str) = ("DQE_PROXY_DQE_SCOPES", "client_phone");

#[tokio::test]
async fn a_healthy_dqe_is_found_well_by_harmless_calls() {
    let sandbox = dqe().await;
    let examined = examine(&sandbox.url(), &[], &[]).await;
    assert_eq!(examined.code, Some(0), "{}", examined.text);
    assert!(examined.text.contains("All is well."), "{}", examined.text);
    assert!(
        examined
            .text
            .contains("header: ok · licence: ok · both: ok"),
        "{}",
        examined.text
    );
    let counters = sandbox.counters();
    assert_eq!(counters.token_outcome("issued"), 7, "one token per scope");
    let paths: Vec<String> = sandbox
        .business_journal()
        .iter()
        .map(|entry| String::from_utf8_lossy(entry.path()).into_owned())
        .collect();
    assert_eq!(paths.len(), 1 + 9 * 3, "{paths:?}");
    for path in ["GDPR", "IDMOBILE", "ESTOCADE", "SEARCH"] {
        assert!(!paths.iter().any(|called| called.contains(path)), "{path}");
    }
}

#[tokio::test]
async fn nothing_secret_is_shown() {
    let sandbox = dqe().await;
    // Refusals that echo what they refuse.
    sandbox.set_fault("business:unauthorized").unwrap();
    for arguments in [&[][..], &["--json"]] {
        let examined = examine(&sandbox.url(), &[], arguments).await;
        assert_eq!(examined.code, Some(1));
        for hidden in [SECRET, LICENCE, "TK", "18%20rue"] {
            assert!(
                !examined.text.contains(hidden),
                "{hidden}: {}",
                examined.text
            );
        }
    }
    let carried = sandbox.business_journal().iter().any(|entry| {
        let query = String::from_utf8_lossy(entry.query()).into_owned();
        query.contains("Licence=TK")
    });
    assert!(carried, "there was something to hide");
}

#[tokio::test]
async fn without_calls_no_business_path_is_called() {
    let sandbox = dqe().await;
    let examined = examine(&sandbox.url(), &[], &["--no-calls"]).await;
    assert_eq!(examined.code, Some(0), "{}", examined.text);
    assert!(
        examined.text.contains("as far as it was looked at"),
        "{}",
        examined.text
    );
    let journal = sandbox.business_journal();
    let [only] = journal.as_slice() else {
        panic!("{} requests", journal.len());
    };
    assert_eq!(
        (only.method.as_ref(), only.path()),
        (&b"HEAD"[..], &b"/"[..])
    );
    assert!(only.credentials.is_empty() && !only.has_header_credential());
}

#[tokio::test]
async fn bad_settings_end_with_78() {
    let examined = examine("ftp://dqe", &[], &[]).await;
    assert_eq!(examined.code, Some(78), "{}", examined.text);
}
