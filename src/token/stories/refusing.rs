//! What a refused scope, a wrong secret or a missing one leads to.

use std::path::PathBuf;

use super::*;
use crate::token::scripted::{Answer, Call, Endpoint, until};

#[tokio::test]
async fn a_refused_scope_leaves_the_others_alone() {
    for (status, body) in [
        (400, "Unauthorized Client"),
        (400, "no word of use"),
        (400, "Invalid Client"),
    ] {
        let endpoint = Endpoint::start(move |call| {
            if call.has("scope=client_idcheck") {
                Answer::status(status, body)
            } else {
                Answer::numbered(call, 300.0)
            }
        })
        .await;
        let engine = running(settings(endpoint.url(), &Scope::ALL));
        let refused = engine.cell(Scope::IdCheck).unwrap();
        until(SECOND, "the scope is refused", || refused.is_refused()).await;
        until(SECOND, "the others have a token", || {
            engine.cells().iter().filter(|cell| has_token(cell)).count() == 6
        })
        .await;
        assert_eq!(refused.view().state, State::Refused);
        assert!(refused.unavailable().reason.is_permanent(), "{body}");
        assert!(refused.wait(SECOND).await.is_none());
        assert!(!engine.cell(Scope::General).unwrap().is_refused());
    }
}

fn secret_file(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join("secret")
}

fn replaced(path: &PathBuf, content: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, content).unwrap();
    std::fs::rename(new, path).unwrap();
}

fn only_right(call: &Call) -> Answer {
    if call.has("client_secret=right") {
        Answer::numbered(call, 300.0)
    } else {
        Answer::status(400, r#"{"error":"invalid_client"}"#)
    }
}

#[tokio::test]
async fn a_wrong_secret_cools_all_cells_down_until_it_changes() {
    let folder = tempfile::tempdir().unwrap();
    let path = secret_file(&folder);
    replaced(&path, "wrong\n");
    let endpoint = Endpoint::start(only_right).await;
    let mut settings = settings(endpoint.url(), &Scope::ALL);
    settings.client_secret = SecretSource::File(path.clone());
    let engine = running(settings);
    until(SECOND, "every cell knows", || {
        engine
            .cells()
            .iter()
            .all(|cell| cell.unavailable().reason == Reason::InvalidClient)
    })
    .await;
    for cell in engine.cells() {
        assert!(cell.wait(SECOND).await.is_none());
        let retry_after = cell.unavailable().retry_after;
        assert!(retry_after > 25 * SECOND && retry_after <= 30 * SECOND);
    }
    assert_eq!(endpoint.calls().len(), 1, "one call told for all");
    replaced(&path, "right\n");
    until(3 * SECOND, "the new secret is found", || {
        engine.cells().iter().all(|cell| has_token(cell))
    })
    .await;
    assert_eq!(endpoint.calls().len(), 8);
}

#[tokio::test]
async fn a_secret_file_that_appears_later_is_enough() {
    let folder = tempfile::tempdir().unwrap();
    let path = secret_file(&folder);
    let endpoint = Endpoint::start(only_right).await;
    let mut settings = settings(endpoint.url(), &Scope::ALL);
    settings.client_secret = SecretSource::File(path.clone());
    let engine = running(settings);
    until(SECOND, "every cell says so", || {
        engine
            .cells()
            .iter()
            .all(|cell| cell.unavailable().reason == Reason::SecretUnreadable)
    })
    .await;
    replaced(&path, "right");
    until(3 * SECOND, "tokens", || {
        engine.cells().iter().all(|cell| has_token(cell))
    })
    .await;
    assert_eq!(endpoint.calls().len(), 7);
}

#[tokio::test]
async fn a_reload_ends_a_cool_down() {
    let endpoint = Endpoint::start(|_| Answer::status(400, "Invalid Client")).await;
    let (engine, cell) = one_scope(&endpoint);
    until(SECOND, "the refusal", || {
        cell.unavailable().reason == Reason::InvalidClient
    })
    .await;
    endpoint.becomes(|call| Answer::numbered(call, 300.0));
    engine.reload(client());
    until(SECOND, "a token", || has_token(&cell)).await;
}

#[tokio::test]
async fn a_redirect_is_not_followed_to_another_host() {
    let other = Endpoint::start(|call| Answer::numbered(call, 300.0)).await;
    let location: &'static str = format!("Location: {}\r\n", other.url()).leak();
    let endpoint = Endpoint::start(move |_| Answer::Status(307, location, String::new())).await;
    let (_engine, cell) = one_scope(&endpoint);
    until(SECOND, "the refusal", || {
        cell.unavailable().reason == Reason::Redirect
    })
    .await;
    assert!(other.calls().is_empty());
}

#[tokio::test]
async fn settings_that_name_no_endpoint_are_refused() {
    for url in ["", "prod2.dqe-software.com", "ftp://host/", "http://"] {
        let error = Engine::new(settings(url.into(), &[Scope::Email]), client()).unwrap_err();
        assert!(matches!(error, EngineError::Url), "{url}");
    }
    let error = Engine::new(settings("http://host/".into(), &[]), client()).unwrap_err();
    assert!(matches!(error, EngineError::NoScopes));
}
