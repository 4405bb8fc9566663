//! How tokens are asked for is a matter of settings, and whatever they name
//! stays closed to callers.

use crate::support::{Scripted, Setup, TokenServer, eventually, granted};

/// A secret with every kind of byte that an encoding could spoil.
const SECRET: &str = "a+b&c=d%25 é~*";
const ENCODED: &str = "client_secret=a%2Bb%26c%3Dd%2525%20%C3%A9~%2A";

fn granting() -> TokenServer {
    TokenServer::start(|_| Some(granted()))
}

#[test]
fn the_token_endpoint_may_be_another_server_with_another_path() {
    let tokens = granting();
    let dqe = Scripted::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
    let running = Setup::default()
        .server(dqe.url())
        .set("TOKEN_SERVER", tokens.url())
        .set("TOKEN_PATH", "/Auth/token")
        .start();
    running.wait_until_ready();
    assert_eq!(running.get("/TEL/?Tel=1").status, 200);
    let heads = dqe.heads();
    assert_eq!(heads.len(), 1);
    assert!(
        heads[0]
            .to_ascii_lowercase()
            .contains("authorization: bearer tk-of-the-story"),
        "{heads:?}"
    );
    for call in tokens.calls() {
        assert_eq!(call.line, "POST /Auth/token HTTP/1.1");
    }
}

#[test]
fn every_byte_of_the_secret_arrives_in_a_form_and_in_a_query() {
    for (method, name) in [
        ("post", "scope"),
        ("post", "grant_type"),
        ("get", "scope"),
        ("get", "grant_type"),
    ] {
        let tokens = granting();
        let setup = Setup::default()
            .set("TOKEN_SERVER", tokens.url())
            .set("TOKEN_METHOD", method)
            .set("TOKEN_SCOPE_PARAMETER", name)
            .set("TOKEN_EXTRA_PARAMETERS", "audience=a&b, key=c=d")
            .secret(SECRET);
        let running = setup.start();
        running.wait_until_ready();
        let calls = tokens.calls();
        assert!(calls.len() >= 7);
        for call in calls {
            for pair in ["client_id=SANDBOX", ENCODED, "audience=a%26b", "key=c%3Dd"] {
                assert!(call.has(pair), "{method} {pair}: {call:?}");
            }
            let in_form = call.form.contains("client_secret");
            let in_query = call.line.contains("client_secret");
            assert_eq!(
                (in_form, in_query),
                (method == "post", method == "get"),
                "{call:?}"
            );
        }
        let asked = tokens.calls();
        assert!(
            asked
                .iter()
                .any(|call| call.has(&format!("{name}=client_email"))),
            "{asked:?}"
        );
    }
}

#[test]
fn the_fake_dqe_grants_by_get_and_by_the_older_name() {
    let running = Setup::default()
        .set("TOKEN_METHOD", "get")
        .set("TOKEN_SCOPE_PARAMETER", "grant_type")
        .start();
    running.wait_until_ready();
    assert_eq!(running.get("/TEL/?Tel=0612345678&Pays=FRA").status, 200);
}

#[test]
fn no_caller_reaches_the_token_endpoint_the_settings_name() {
    let tokens = granting();
    let dqe = Scripted::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
    let running = Setup::default()
        .server(dqe.url())
        .set("TOKEN_SERVER", tokens.url())
        .set("TOKEN_PATH", "/x/token/")
        .file("[[route]]\npath = \"/x/*\"\nscope = \"client_general\"\n")
        .start();
    running.wait_until_ready();
    for path in [
        "/x/token/",
        "/x/token",
        "/X/Token/",
        "/x/token/?client_id=1",
        "/x/token/more",
        "/x/%74oken/",
        "/x/%2574oken/",
        "/v1/x/token/",
        "/x/./token/",
        "/x//token/",
        "/x/y/../token/",
        "/oauth/access_token/",
    ] {
        let status = running.get(path).status;
        assert!(matches!(status, 400 | 404), "{path}: {status}");
    }
    assert_eq!(dqe.heads(), Vec::<String>::new());
    assert_eq!(running.get("/x/tokens").status, 200);
    assert_eq!(dqe.heads().len(), 1);
}

#[test]
fn a_secret_in_the_url_is_on_no_page_of_ours() {
    let tokens = TokenServer::start(|_| Some(b"garbage\r\n".to_vec()));
    let running = Setup::default()
        .set("TOKEN_SERVER", tokens.url())
        .set("TOKEN_METHOD", "get")
        .secret("hunter2-in-the-url")
        .start();
    eventually("a token was asked for", || !tokens.calls().is_empty());
    assert!(tokens.calls()[0].line.contains("hunter2-in-the-url"));
    let answer = running.get("/TEL/?Tel=1");
    assert_eq!(answer.status, 503);
    let shown = [
        answer.text(),
        running.admin_get("/metrics").text(),
        running.admin_get("/readyz?verbose").text(),
    ]
    .concat();
    assert!(!shown.contains("hunter2"), "{shown}");
}
