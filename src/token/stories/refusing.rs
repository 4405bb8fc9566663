//! What a refused scope or a refusing endpoint leads to.

use super::*;
use crate::token::scripted::{Answer, Endpoint, until};

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
        let engine = running(settings(endpoint.url(), &Scope::OAUTH));
        let refused = engine.cell(Scope::IdCheck).unwrap();
        until(SECOND, "the scope is refused", || refused.is_refused()).await;
        until(SECOND, "the others have a token", || {
            engine.cells().iter().filter(|cell| has_token(cell)).count() == 6
        })
        .await;
        assert_eq!(refused.view().state, TokenState::Refused);
        assert!(refused.unavailable().reason.is_permanent(), "{body}");
        assert!(refused.wait(SECOND).await.is_none());
        assert!(!engine.cell(Scope::General).unwrap().is_refused());
    }
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
