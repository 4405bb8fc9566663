//! `dqe-proxy doctor`, as people run it: each fault is named by its cause, and nothing secret is
//! shown.
#![expect(clippy::unwrap_used, reason = "a story that cannot go on has failed")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Output};

use dqe_proxy::sandbox::{Sandbox, Scope, Settings};
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

#[tokio::test]
async fn a_name_that_is_not_resolved_is_named() {
    let examined = examine("https://dqe.invalid", &[], &["--json"]).await;
    assert_eq!(
        (examined.code, examined.causes()),
        (Some(1), vec!["name_not_resolved".to_owned()])
    );
    assert!(examined.text.contains("dqe.invalid"));
}

#[tokio::test]
async fn a_refused_connection_is_named() {
    let sandbox = dqe().await;
    let url = sandbox.url();
    sandbox.pause_listening().await;
    let examined = examine(&url, &[], &["--json"]).await;
    assert_eq!(
        (examined.code, examined.causes()),
        (Some(1), vec!["connection_refused".to_owned()])
    );
    let report = examined.json();
    assert_eq!(report["findings"][0]["side"], "network");
    let skipped = report["steps"].as_array().unwrap().iter().filter(|step| {
        step["verdict"] == "skipped"
            && ["token", "call"]
                .iter()
                .any(|stage| step["stage"] == *stage)
    });
    assert_eq!(skipped.count(), 2);
}

async fn with_https(address: SocketAddr) -> Sandbox {
    start(Settings {
        address,
        https: true,
        ..Settings::default()
    })
    .await
}

fn authority_of(sandbox: &Sandbox) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    std::fs::write(&path, sandbox.ca_pem().unwrap()).unwrap();
    let path = path.display().to_string();
    (folder, path)
}

#[tokio::test]
async fn an_unknown_authority_is_named_and_a_known_one_is_well() {
    let local = SocketAddr::from(([127, 0, 0, 1], 0));
    let (sandbox, other) = (with_https(local).await, with_https(local).await);
    for (authority, causes) in [
        (&other, vec!["tls_unknown_authority".to_owned()]),
        (&sandbox, vec![]),
    ] {
        let (_folder, file) = authority_of(authority);
        let settings = [("DQE_PROXY_UPSTREAM_CA_FILES", file.as_str())];
        let examined = examine(&sandbox.url(), &settings, &["--json"]).await;
        assert_eq!(examined.causes(), causes, "{}", examined.text);
    }
}

#[tokio::test]
async fn an_authority_that_cannot_be_read_is_named() {
    let settings = [("DQE_PROXY_UPSTREAM_CA_FILES", "/nowhere/ca.pem")];
    let examined = examine("https://dqe.invalid", &settings, &[]).await;
    assert_eq!(examined.code, Some(1));
    for said in ["warning: ", "trust_unusable", "/nowhere/ca.pem"] {
        assert!(examined.text.contains(said), "{said}: {}", examined.text);
    }
}

#[tokio::test]
async fn a_certificate_for_another_name_is_named() {
    // The sandbox's certificate is good for 127.0.0.1, not for its neighbour.
    let sandbox = with_https(SocketAddr::from(([127, 0, 0, 2], 0))).await;
    let (_folder, file) = authority_of(&sandbox);
    let settings = [("DQE_PROXY_UPSTREAM_CA_FILES", file.as_str())];
    let examined = examine(&sandbox.url(), &settings, &["--json"]).await;
    assert_eq!(examined.causes(), ["tls_wrong_name"], "{}", examined.text);
}

#[tokio::test]
async fn a_port_without_tls_is_named_whether_it_answers_or_waits() {
    let authority = with_https(SocketAddr::from(([127, 0, 0, 1], 0))).await;
    let (_folder, file) = authority_of(&authority);
    let settings = [("DQE_PROXY_UPSTREAM_CA_FILES", file.as_str())];
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", plain.local_addr().unwrap());
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = plain.accept().unwrap();
        stream
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .unwrap();
        // Until the program has read it and gone.
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let examined = examine(&url, &settings, &["--json"]).await;
    assert_eq!(examined.causes(), ["tls_not_spoken"], "{}", examined.text);
    answering.join().unwrap();
    let sandbox = dqe().await;
    let url = sandbox.url().replace("http:", "https:");
    let settings = [settings[0], ("DQE_PROXY_UPSTREAM_CONNECT_TIMEOUT", "300ms")];
    let examined = examine(&url, &settings, &["--json"]).await;
    assert_eq!(examined.causes(), ["tls_silent"], "{}", examined.text);
}

#[tokio::test]
async fn a_wrong_licence_code_is_told_from_a_wrong_secret() {
    let takes_codes = ["licence-code=on"];
    let licence = causes_of("", &takes_codes, &[("DQE_LICENCE", "OTHER")]).await;
    assert_eq!(licence, ["licence_refused"]);
    let secret = causes_of("", &takes_codes, &[("DQE_CLIENT_SECRET", "other")]).await;
    assert_eq!(secret, ["client_secret_refused"]);
}

#[tokio::test]
async fn a_refused_credential_is_asked_about_twice_at_most() {
    let sandbox = dqe().await;
    let settings = [("DQE_CLIENT_SECRET", "\"sandbox-secret\"")];
    let examined = examine(&sandbox.url(), &settings, &["--json", "--no-calls"]).await;
    assert_eq!(examined.causes(), ["credential_refused", "~secret_quoted"]);
    assert_eq!(sandbox.counters().token_outcome("invalid_client"), 2);
}

#[tokio::test]
async fn a_secret_that_is_not_there_is_named() {
    let settings = [
        ("DQE_CLIENT_SECRET", ""),
        ("DQE_PROXY_DQE_CLIENT_SECRET_FILE", "/nowhere/secret"),
    ];
    assert_eq!(causes_of("", &[], &settings).await, ["secret_unreadable"]);
}

#[tokio::test]
async fn a_scope_that_is_not_granted_is_named_and_the_others_go_on() {
    let sandbox = dqe().await;
    sandbox.grant(
        Scope::OAUTH
            .into_iter()
            .filter(|scope| *scope != Scope::B2b)
            .collect(),
    );
    let examined = examine(&sandbox.url(), &[], &["--json"]).await;
    assert_eq!(examined.causes(), ["scope_not_granted"]);
    let report = examined.json();
    assert!(
        report["findings"][0]["says"]
            .as_str()
            .unwrap()
            .contains("client_b2b")
    );
    assert_eq!(report["findings"][0]["side"], "contract");
    let good = |step: &&Value| step["stage"] == "call" && step["verdict"] == "ok";
    assert_eq!(
        report["steps"]
            .as_array()
            .unwrap()
            .iter()
            .filter(good)
            .count(),
        8
    );
}

#[tokio::test]
async fn an_endpoint_that_only_answers_500_is_likely_a_parameter_name() {
    assert_eq!(
        causes_of("token:status=500", &[], &[]).await,
        ["token_parameter_name"]
    );
    let some = causes_of("token&scope=client_phone:status=500", &[], &[]).await;
    assert_eq!(some, ["token_endpoint_failing"]);
}

#[tokio::test]
async fn a_slow_and_a_silent_token_endpoint_are_named() {
    let slow = causes_of("", &["token-latency=1600ms"], &[PHONE_ONLY]).await;
    assert_eq!(slow, ["token_endpoint_slow"]);
    assert_eq!(
        causes_of("token:hang", &[], &[PHONE_ONLY]).await,
        ["token_endpoint_silent"]
    );
}

#[tokio::test]
async fn what_answers_in_place_of_the_token_endpoint_is_named() {
    for (fault, cause) in [
        ("token:html-200", "token_endpoint_page"),
        ("token:empty-200", "token_reply_unusable"),
        ("token:truncated-json", "token_reply_unusable"),
        ("token:status=503", "token_endpoint_failing"),
        ("token:status=429", "token_endpoint_throttles"),
        ("token:status=404", "token_endpoint_refuses"),
        ("token:reset", "token_endpoint_breaks"),
        ("token:refuse=unsupported_grant_type", "scope_unknown"),
        ("token:refuse=invalid_request", "token_request_incomplete"),
        ("any:garbage", "no_http"),
    ] {
        assert_eq!(
            causes_of(fault, &[], &[PHONE_ONLY]).await,
            [cause],
            "{fault}"
        );
    }
}

#[tokio::test]
async fn a_redirected_token_endpoint_is_named_with_the_place() {
    let sandbox = dqe().await;
    sandbox
        .set_fault("token:redirect=https://login.example/portal?client_secret=x")
        .unwrap();
    let examined = examine(&sandbox.url(), &[], &["--json"]).await;
    assert_eq!(examined.causes(), ["token_endpoint_redirect"]);
    assert!(
        examined.text.contains("https://login.example/portal,"),
        "{}",
        examined.text
    );
    assert!(
        !examined.text.contains("client_secret="),
        "{}",
        examined.text
    );
}

#[tokio::test]
async fn a_header_that_is_ignored_is_named_with_what_to_set() {
    let sandbox = dqe().await;
    for (name, value) in [("classic-header", "ignored"), ("classic-refusal", "200")] {
        sandbox.set_switch(name, value).unwrap();
    }
    let examined = examine(&sandbox.url(), &[], &["--json"]).await;
    assert_eq!(examined.causes(), ["header_ignored"]);
    let finding = &examined.json()["findings"][0];
    assert_eq!(finding["remedy"], "set [dqe] carriage = \"both\"");
    assert!(
        finding["says"]
            .as_str()
            .unwrap()
            .starts_with("/SINGLEV2/, /SINGLE/, /TEL/,")
    );
    let one = causes_of("", &["carriage.phone=licence"], &[]).await;
    assert_eq!(one, ["header_ignored"]);
}

#[tokio::test]
async fn a_header_that_is_ignored_hurts_nobody_while_the_token_travels_both_ways() {
    let sandbox = dqe().await;
    for (name, value) in [("classic-header", "ignored"), ("classic-refusal", "200")] {
        sandbox.set_switch(name, value).unwrap();
    }
    let settings = [("DQE_PROXY_DQE_CARRIAGE", "auto")];
    let examined = examine(&sandbox.url(), &settings, &["--json"]).await;
    let causes = examined.causes();
    assert!(
        causes.iter().any(|cause| cause == "~header_ignored"),
        "{causes:?}"
    );
    assert_eq!(examined.code, Some(0), "{}", examined.text);
}

#[tokio::test]
async fn a_licence_parameter_that_is_ignored_is_told_and_hurts_nobody() {
    assert_eq!(
        causes_of("", &["carriage=header"], &[]).await,
        ["~licence_ignored"]
    );
    assert_eq!(
        causes_of("", &["carriage=both"], &[]).await,
        ["both_needed"]
    );
}

#[tokio::test]
async fn clocks_that_disagree_are_named() {
    assert_eq!(
        causes_of("", &["date-ahead=1h"], &[PHONE_ONLY]).await,
        ["clock_off"]
    );
    // Tokens are dead on arrival.
    assert_eq!(
        causes_of("", &["clock-skew=300s"], &[PHONE_ONLY]).await,
        ["token_refused"]
    );
}

#[tokio::test]
async fn calls_that_fail_are_named() {
    for (fault, cause) in [
        ("path=/TEL/:status=500", "calls_failing"),
        ("path=/TEL/:status=404", "no_such_path"),
        ("path=/TEL/:status=429", "calls_throttled"),
        ("path=/TEL/:html-200", "call_page"),
        ("path=/TEL/:reset", "calls_unanswered"),
        ("path=/TEL/:empty-200", "token_refused"),
        (
            "path=/TEL/:redirect=https://elsewhere.example/",
            "call_redirect",
        ),
        ("path=/TEL/:slow=1100ms", "~calls_slow"),
    ] {
        assert_eq!(
            causes_of(fault, &[], &[PHONE_ONLY]).await,
            [cause],
            "{fault}"
        );
    }
}

#[tokio::test]
async fn a_dqe_that_does_not_answer_calls_is_not_waited_for_long() {
    let sandbox = dqe().await;
    for sample in ["/SINGLEV2/", "/v1/single/", "/SINGLE/", "/TEL/"] {
        sandbox.set_fault(&format!("path={sample}:hang")).unwrap();
    }
    let settings = [("DQE_PROXY_UPSTREAM_FIRST_BYTE_TIMEOUT", "300ms")];
    let examined = examine(&sandbox.url(), &settings, &["--json"]).await;
    assert_eq!(examined.causes(), ["calls_unanswered"], "{}", examined.text);
    let report = examined.json();
    let skipped = |step: &&Value| step["stage"] == "call" && step["verdict"] == "skipped";
    assert_eq!(
        report["steps"]
            .as_array()
            .unwrap()
            .iter()
            .filter(skipped)
            .count(),
        7
    );
    assert_eq!(
        sandbox.business_journal().len(),
        3,
        "HEAD / and one of each path"
    );
}
