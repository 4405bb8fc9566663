//! ID Mobile: a token endpoint, a token and a way for it to travel of its own;
//! a call acts, so it is sent once.

use std::io::Write;
use std::process::Command;
use std::time::Duration;

use dqe_proxy::sandbox::{Carrier, CredentialKind, Scope, Standing};

use crate::support::{Answer, Running, Scripted, Setup, TokenServer, call, eventually, granted};

const TARGET: &str = "/IDMOBILE/?number=33612345678&name=ACME&scope=simswap&mode=2";
const SUCCESS: &str = r#"{"status":"success","operator":"Orange","swapped":"false"}"#;

fn setup() -> Setup {
    Setup::default().set("DQE_ENABLE", "IDMOBILE")
}

fn state_is(running: &Running, state: &str) -> bool {
    let line = format!(r#"dqe_proxy_token_state{{scope="client_idmobile",state="{state}"}}"#);
    running.metric(&line) == Some(1.0)
}

fn started(setup: Setup) -> Running {
    let running = setup.start();
    eventually("ID Mobile has a token", || state_is(&running, "fresh"));
    running
}

fn form(running: &Running, target: &str, body: &str) -> Answer {
    call(
        running.address,
        format!(
            "POST {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ),
    )
}

/// Target and body DQE received last, with `{token}` for the token it was
/// issued for ID Mobile, which has to be there once, live, and in no header.
#[track_caller]
fn received(running: &Running) -> (String, String) {
    let entry = running.last_received();
    let [presented] = &entry.credentials[..] else {
        panic!("not exactly one token: {:?}", entry.credentials);
    };
    assert_eq!(presented.kind, CredentialKind::Token(Standing::Live));
    assert_eq!(presented.scope, Some(Scope::IdMobile));
    assert!(!presented.wrong_scope);
    assert_eq!(entry.violations, []);
    assert!(entry.header_values("authorization").is_empty());
    let named = |bytes: &[u8]| {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        match text.split_once("token=TK") {
            Some((before, rest)) => {
                let end = rest.find('&').unwrap_or(rest.len());
                format!("{before}token={{token}}{}", &rest[end..])
            }
            None => text,
        }
    };
    let (target, body) = (named(&entry.target), named(&entry.body));
    let in_form = presented.carrier == Carrier::Body;
    assert_eq!(body.contains("{token}"), in_form, "{body}");
    assert_eq!(target.contains("{token}"), !in_form, "{target}");
    (target, body)
}

#[test]
fn a_token_of_its_own_and_the_licence_code_take_the_place_of_the_callers() {
    let running = started(setup());
    let query = "number=33612345678&name=ACME&scope=simswap&mode=2";
    for (sent, at_dqe) in [
        (
            format!("/IDMOBILE/?{query}"),
            format!("/IDMOBILE/?{query}&token={{token}}&licence=SANDBOX"),
        ),
        (
            format!("/IDMOBILE/?licence=OLD&{query}&token=TKOLD"),
            format!("/IDMOBILE/?token={{token}}&licence=SANDBOX&{query}"),
        ),
        (
            format!(
                "/v1/IdMobile?{query}&Token=&LICENCE=&l%69cence=x&user_infos=%7B%22a%22%3A%22%C3%A9%22%7D"
            ),
            format!(
                "/v1/IdMobile?{query}&token={{token}}&licence=SANDBOX&user_infos=%7B%22a%22%3A%22%C3%A9%22%7D"
            ),
        ),
    ] {
        let answer = running.get(&sent);
        assert_eq!((answer.status, &*answer.text()), (200, SUCCESS), "{sent}");
        assert_eq!(received(&running).0, at_dqe, "{sent}");
    }
    for (target, body, expected) in [
        (
            "/IDMOBILE/",
            query.to_owned(),
            (
                "/IDMOBILE/",
                format!("{query}&token={{token}}&licence=SANDBOX"),
            ),
        ),
        (
            "/IDMOBILE/?token=OLD",
            format!("licence=OLD&{query}"),
            (
                "/IDMOBILE/",
                format!("token={{token}}&licence=SANDBOX&{query}"),
            ),
        ),
        (
            "/IDMOBILE/?licence=OLD",
            query.to_owned(),
            ("/IDMOBILE/?token={token}&licence=SANDBOX", query.to_owned()),
        ),
    ] {
        let answer = form(&running, target, &body);
        assert_eq!(
            (answer.status, &*answer.text()),
            (200, SUCCESS),
            "{target} {body}"
        );
        let (target, body) = received(&running);
        assert_eq!((&*target, body), expected);
    }
    // Its token is asked for in its own words, at its own endpoint.
    let journal = running.dqe.sandbox.journal();
    let asked: Vec<_> = journal
        .iter()
        .filter(|entry| entry.path() == b"/ACCESS_TOKEN/")
        .collect();
    assert_eq!(asked.len(), 1);
    assert_eq!(
        String::from_utf8_lossy(&asked[0].body),
        "licence=SANDBOX&client_secret=sandbox-secret&grant_type=client_idmobile"
    );
    assert_eq!(running.counters().violations(), 0);
}

#[test]
fn awkward_tokens_arrive_as_they_were_issued() {
    let running = started(setup().switch("token-characters=special"));
    let answer = running.get(TARGET);
    assert_eq!((answer.status, &*answer.text()), (200, SUCCESS));
    received(&running);
}

#[test]
fn it_is_off_and_not_mentioned_until_it_is_enabled() {
    let running = Running::start();
    running.wait_until_ready();
    let answer = running.get(TARGET);
    assert_eq!(answer.json()["code"], "route_not_found");
    for page in ["/metrics", "/status.json", "/readyz?verbose"] {
        let text = running.admin_get(page).text().to_ascii_lowercase();
        assert!(text.contains("client_phone"), "{page}");
        assert!(!text.contains("idmobile"), "{page}: {text}");
    }
    let journal = running.dqe.sandbox.journal();
    assert!(
        journal
            .iter()
            .all(|entry| entry.path() != b"/ACCESS_TOKEN/")
    );
}

#[test]
fn its_token_is_renewed_and_shown_like_every_other() {
    let running = started(setup().token_life(Duration::from_secs(2)));
    eventually("it has been renewed twice", || {
        let line = r#"dqe_proxy_token_generation{scope="client_idmobile"}"#;
        running.metric(line) >= Some(3.0)
    });
    let answer = running.get(TARGET);
    assert_eq!((answer.status, &*answer.text()), (200, SUCCESS));
    let ready = running.admin_get("/readyz?verbose").text();
    assert!(ready.contains("[+]token client_idmobile ok"), "{ready}");
    let status = running.admin_get("/status.json").text();
    assert!(status.contains("client_idmobile"), "{status}");
    assert!(!status.contains("SANDBOX"), "{status}");
    assert_eq!(running.counters().violations(), 0);
}

#[test]
fn a_dead_token_is_renewed_and_the_call_is_not_sent_again() {
    for refusal in ["200", "401", "400"] {
        let running = started(setup().switch(&format!("classic-refusal={refusal}")));
        let before = running.received().len();
        running.dqe.sandbox.revoke(Scope::IdMobile);
        let answer = running.get(TARGET);
        assert_eq!(answer.status, 502, "{refusal}: {}", answer.text());
        assert_eq!(answer.json()["code"], "credential_rejected", "{refusal}");
        assert_eq!(
            answer.field("retry-after").as_deref(),
            Some("1"),
            "{refusal}"
        );
        assert_eq!(running.received().len(), before + 1, "{refusal}");
        // The next call finds the new token there, or waits for it.
        eventually("the next call works", || {
            let answer = running.get(TARGET);
            (answer.status, &*answer.text()) == (200, SUCCESS)
        });
        let forced = r#"dqe_proxy_token_forced_renewals_total{scope="client_idmobile"}"#;
        assert_eq!(running.metric(forced), Some(1.0), "{refusal}");
    }
}

#[test]
fn another_error_of_id_mobile_is_the_callers_to_read() {
    let running = started(setup());
    let answer = running.get("/IDMOBILE/?number=336&name=ACME&scope=nothing");
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.text(),
        r#"{"status":"error","error_type":"invalid scope","error_id":"04"}"#
    );
    let forced = r#"dqe_proxy_token_forced_renewals_total{scope="client_idmobile"}"#;
    assert_eq!(running.metric(forced), Some(0.0));
}

#[test]
fn a_call_whose_fate_is_unknown_is_not_sent_again() {
    let running = started(setup().fault("path=/IDMOBILE/:reset"));
    let answer = running.get(TARGET);
    assert_eq!(answer.json()["code"], "upstream_broken");
    assert_eq!(running.received().len(), 1);
}

#[test]
fn trouble_with_its_endpoint_is_its_own() {
    for fault in [
        "token&scope=client_idmobile:refuse=invalid_client",
        "token&scope=client_idmobile:status=500",
        "token&scope=client_idmobile:status=503",
    ] {
        let running = setup().set("TOKEN_WAIT", "10ms").fault(fault).start();
        running.wait_until_ready();
        assert_eq!(running.get("/TEL/?Tel=0612345678").status, 200, "{fault}");
        let answer = running.get(TARGET);
        assert_eq!(answer.status, 503, "{fault}");
        assert_eq!(answer.json()["code"], "token_unavailable", "{fault}");
        // Nothing of it, and no other token in its place, went to DQE.
        let entries = running.received();
        assert!(
            entries.iter().all(|entry| entry.path() == b"/TEL/"),
            "{fault}"
        );
    }
    // And the other way round.
    let running = setup()
        .set("TOKEN_WAIT", "10ms")
        .fault("token&scope=client_phone:refuse=invalid_client")
        .fault("token&scope=client_general:refuse=invalid_client")
        .start();
    eventually("ID Mobile has a token", || state_is(&running, "fresh"));
    assert_eq!(running.get(TARGET).text(), SUCCESS);
    assert_eq!(running.get("/TEL/?Tel=06").status, 503);
}

#[test]
fn the_errors_of_its_older_pages_are_refusals_and_not_tried_again_at_once() {
    let running = setup()
        .secret("wrong")
        .switch("token-errors.mobile=mobile")
        .start();
    let line = r#"dqe_proxy_token_renewals_total{scope="client_idmobile",outcome="permanent",reason="invalid_client"}"#;
    eventually("it is refused", || running.metric(line) >= Some(1.0));
    let calls = r#"dqe_proxy_token_calls_total{scope="client_idmobile"}"#;
    assert!(running.metric(calls) <= Some(2.0));
}

#[test]
fn what_it_repeats_of_the_credential_is_masked_the_licence_code_too() {
    let scripted = Scripted::start(|head, stream| {
        let target = head.split(' ').nth(1).unwrap();
        let body = format!(r#"{{"status":"success","asked":"{target}"}}"#);
        let location = "https://partner.example/?token=SESSION0123456789&status=success";
        let answer = if target.contains("redirect_uri") {
            format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n")
        } else {
            let length = body.len();
            format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}")
        };
        stream.get_mut().write_all(answer.as_bytes()).is_ok()
    });
    let running = started(setup().server(scripted.url()).set("DQE_CARRIAGE", "header"));
    let answer = running.get("/IDMOBILE/?number=33612345678&token=OLD");
    let text = answer.text();
    assert!(
        text.contains("token=****") && text.contains("licence=****"),
        "{text}"
    );
    assert!(
        !text.contains("SANDBOX") && !text.contains("TKscripted"),
        "{text}"
    );
    // The partner's own session token is not ours to take out.
    let sent_back = running.get("/IDMOBILE/?number=33612345678&redirect_uri=x");
    assert_eq!(
        sent_back.field("location").unwrap(),
        "https://partner.example/?token=SESSION0123456789&status=success"
    );
    eventually("it is logged, without what is secret", || {
        let lines = running.log_lines("/IDMOBILE/");
        lines.iter().all(|line| {
            let line = line.to_string();
            !line.contains("SANDBOX")
                && !line.contains("TKscripted")
                && !line.contains("33612345678")
        }) && lines.len() == 2
    });
}

/// What a command of the program prints, and its exit code.
fn command(arguments: &[&str], server: &str, more: &[(&str, &str)]) -> (String, Option<i32>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dqe-proxy"));
    command.args(arguments).env_clear();
    command.env("DQE_LICENCE", "SANDBOX");
    command.env("DQE_CLIENT_SECRET", "sandbox-secret");
    command.env("DQE_SERVER", server);
    command.envs(more.iter().copied());
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (String::from_utf8(text).unwrap(), output.status.code())
}

#[test]
fn the_commands_know_it_when_it_is_on() {
    let dqe = Setup::default().start_dqe();
    let server = dqe.sandbox.url();
    let on = [("DQE_PROXY_DQE_ENABLE", "IDMOBILE")];
    let (text, code) = command(&["token"], &server, &on);
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains(&format!("token endpoint: {server}/ACCESS_TOKEN/ (POST)")),
        "{text}"
    );
    assert!(text.contains("client_idmobile  granted"), "{text}");
    let (text, code) = command(&["token", "--scope", "client_idmobile"], &server, &on);
    assert_eq!(code, Some(0), "{text}");
    assert!(!text.contains("/oauth/"), "{text}");
    let (text, code) = command(&["token"], &server, &[]);
    assert_eq!(code, Some(0), "{text}");
    assert!(!text.to_ascii_lowercase().contains("idmobile"), "{text}");
    let (text, code) = command(&["token", "--scope", "client_idmobile"], &server, &[]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("ID Mobile is off"), "{text}");

    let (text, code) = command(&["doctor", "--no-calls"], &server, &on);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("client_idmobile"), "{text}");
    let (text, _) = command(&["doctor", "--no-calls"], &server, &[]);
    assert!(!text.to_ascii_lowercase().contains("idmobile"), "{text}");
    dqe.sandbox
        .set_fault("token&scope=client_idmobile:refuse=invalid_client")
        .unwrap();
    let (text, code) = command(&["doctor"], &server, &on);
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("Found 1 problem:") && text.contains("[id_mobile_refused]"),
        "{text}"
    );
    assert!(text.contains("[id_mobile] client_secret_file"), "{text}");
    let journal = dqe.sandbox.business_journal();
    assert!(journal.iter().all(|entry| entry.path() != b"/IDMOBILE/"));
}

#[test]
fn a_secret_of_its_own_goes_to_its_endpoint_alone() {
    let server = TokenServer::start(|_| Some(granted()));
    let more = [
        ("DQE_PROXY_DQE_ENABLE", "IDMOBILE"),
        ("DQE_PROXY_ID_MOBILE_CLIENT_SECRET_ENV", "MOBILE_SECRET"),
        ("MOBILE_SECRET", "other-secret"),
        ("DQE_PROXY_DQE_SCOPES", "client_phone"),
    ];
    let (text, code) = command(&["token"], server.url(), &more);
    assert_eq!(code, Some(0), "{text}");
    let calls = server.calls();
    assert_eq!(calls.len(), 2, "{calls:?}");
    let of = |path: &str| calls.iter().find(|call| call.line.contains(path)).unwrap();
    assert!(of("/ACCESS_TOKEN/").has("client_secret=other-secret"));
    assert!(of("/oauth/access_token/").has("client_secret=sandbox-secret"));
}
