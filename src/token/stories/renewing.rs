//! Tokens come, are renewed, and come back after trouble.

use super::*;
use crate::token::scripted::{Answer, Call, Endpoint, timed, until};

#[tokio::test]
async fn the_first_caller_is_held_until_the_first_token_is_there() {
    let endpoint = Endpoint::start(|call| Answer::numbered(call, 300.0)).await;
    let (engine, cell) = one_scope(&endpoint);
    assert!(!engine.has_usable_token(&Moment::now()));
    assert_eq!(cell.unavailable().reason, Reason::Starting);
    let (token, took) = timed(cell.wait(PATIENCE)).await;
    let token = token.unwrap();
    assert!(took < millis(700), "{took:?}");
    assert_eq!(token.header(), "Bearer TK-value-0");
    assert_eq!(token.generation(), 1);
    assert!(engine.has_usable_token(&Moment::now()));
    assert_eq!(cell.view().state, TokenState::Fresh);
    let calls = endpoint.calls();
    assert!(
        calls[0]
            .head
            .starts_with("POST /oauth/access_token/ HTTP/1.1\r\n")
    );
    assert!(!calls[0].head.contains(SECRET));
    assert_eq!(
        calls[0].form,
        format!("client_id=LICENCE-CODE&client_secret={SECRET}&scope=client_email")
    );
}

#[tokio::test]
async fn renewals_are_invisible() {
    let endpoint = Endpoint::start(|call| Answer::numbered(call, 2.0)).await;
    let (_engine, cell) = one_scope(&endpoint);
    cell.wait(PATIENCE).await.unwrap();
    unseen(&cell, "four renewals", || generation(&cell) > 4).await;
    assert_eq!(cell.view().waits, 1, "only the first caller waited");
}

#[tokio::test]
async fn each_scope_has_a_token_of_its_own() {
    let endpoint = Endpoint::start(|call| {
        let (_, scope) = call.form.rsplit_once("scope=").unwrap();
        Answer::Token(format!("TK-for-{scope}"), 300.0)
    })
    .await;
    let engine = running(settings(endpoint.url(), &Scope::OAUTH));
    for cell in engine.cells() {
        let token = cell.wait(PATIENCE).await.unwrap();
        let expected = format!("Bearer TK-for-{}", cell.scope());
        assert_eq!(token.header(), expected.as_str());
    }
    assert_eq!(endpoint.calls().len(), 7);
}

#[tokio::test]
async fn one_odd_200_does_not_latch_anything_off() {
    for odd in [
        "",
        "<html>",
        "{}",
        "[]",
        r#"{"access_token":"t","expires_in":0}"#,
    ] {
        let endpoint = Endpoint::start(move |call| match call.number {
            0 => Answer::status(200, odd),
            _ => Answer::numbered(call, 300.0),
        })
        .await;
        let (_engine, cell) = one_scope(&endpoint);
        until(2 * SECOND, "a token", || has_token(&cell)).await;
        assert_eq!(endpoint.calls().len(), 2, "{odd}");
        assert_eq!(cell.view().last_error, None);
    }
}

#[tokio::test]
async fn a_reply_without_a_life_is_never_immortal() {
    let endpoint = Endpoint::start(|_| Answer::status(200, r#"{"access_token":"TK"}"#)).await;
    let (_engine, cell) = one_scope(&endpoint);
    let token = cell.wait(PATIENCE).await.unwrap();
    assert_eq!(token.life(), 240 * SECOND);
}

#[tokio::test]
async fn a_failing_endpoint_is_invisible_while_a_token_lives() {
    // Seven calls in ten fail, in every way there is.
    let endpoint = Endpoint::start(|call| match call.number % 10 {
        0 | 4 | 8 => Answer::numbered(call, 2.0),
        1 => Answer::status(500, ""),
        2 => Answer::Close,
        3 => Answer::status(200, "<html>maintenance</html>"),
        5 => Answer::status(200, ""),
        6 => Answer::status(200, r#"{"token_type":"Bearer"}"#),
        7 => Answer::status(503, ""),
        _ => Answer::Silence,
    })
    .await;
    let (_engine, cell) = one_scope(&endpoint);
    cell.wait(PATIENCE).await.unwrap();
    unseen(&cell, "four renewals", || generation(&cell) > 4).await;
    let view = cell.view();
    for reason in [Reason::HtmlReply, Reason::EmptyReply, Reason::NoAccessToken] {
        assert!(
            view.renewals_failed
                .iter()
                .any(|(found, _)| *found == reason),
            "{reason:?} is counted: {view:?}"
        );
    }
}

#[tokio::test]
async fn an_expired_token_is_never_served_and_recovery_is_quick() {
    let endpoint = Endpoint::start(|call| Answer::numbered(call, 1.0)).await;
    let (_engine, cell) = one_scope(&endpoint);
    cell.wait(PATIENCE).await.unwrap();
    endpoint.becomes(|_| Answer::status(503, ""));
    until(2 * SECOND, "the token ends", || !has_token(&cell)).await;
    until(2 * SECOND, "a failure is known", || {
        cell.view().last_error.is_some()
    })
    .await;
    assert_eq!(cell.view().state, TokenState::Expired);
    assert_eq!(cell.unavailable().reason, Reason::EndpointUnavailable);
    assert_eq!(cell.unavailable().retry_after, SECOND);
    // Nobody is held for an endpoint that is known to be down.
    let (token, took) = timed(cell.wait(SECOND)).await;
    assert!(token.is_none() && took < millis(100), "{took:?}");
    endpoint.becomes(|call| Answer::numbered(call, 1.0));
    until(SECOND, "recovery", || has_token(&cell)).await;
}

#[tokio::test]
async fn start_up_with_the_endpoint_down_recovers_by_itself() {
    // Nobody listens there yet, and nobody else can.
    let port = tokio::net::TcpSocket::new_v4().unwrap();
    port.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = port.local_addr().unwrap();
    let url = format!("http://{address}/oauth/access_token/");
    let engine = running(settings(url, &Scope::OAUTH));
    let cell = engine.cell(Scope::Phone).unwrap();
    until(SECOND, "a failure is known", || {
        cell.unavailable().reason == Reason::Unreachable
    })
    .await;
    let _endpoint = Endpoint::on(port.listen(16).unwrap(), |call| {
        Answer::numbered(call, 300.0)
    });
    until(millis(1500), "all scopes recover", || {
        engine.cells().iter().all(|cell| has_token(cell))
    })
    .await;
}

#[tokio::test]
async fn a_hanging_endpoint_is_found_again_within_a_second() {
    let endpoint = Endpoint::start(|_| Answer::Silence).await;
    let (_engine, cell) = one_scope(&endpoint);
    let start = Instant::now();
    assert!(cell.wait(millis(700)).await.is_none());
    assert!(start.elapsed() >= millis(700), "held while it may come");
    // At any moment of the pattern of calls.
    until(4 * SECOND, "some calls", || endpoint.calls().len() > 3).await;
    endpoint.becomes(|call| Answer::numbered(call, 300.0));
    until(SECOND, "recovery", || has_token(&cell)).await;
}

#[tokio::test]
async fn a_scope_that_hangs_does_not_keep_the_others() {
    let endpoint = Endpoint::start(|call| {
        if call.has("scope=client_address") {
            Answer::Silence
        } else {
            Answer::numbered(call, 300.0)
        }
    })
    .await;
    let engine = running(settings(endpoint.url(), &Scope::OAUTH));
    until(SECOND, "six scopes have a token", || {
        engine.cells().iter().filter(|cell| has_token(cell)).count() == 6
    })
    .await;
}

#[tokio::test]
async fn an_endless_reply_is_cut_while_it_is_read() {
    let endpoint = Endpoint::start(|call| match call.number {
        0 => Answer::Endless,
        _ => Answer::numbered(call, 300.0),
    })
    .await;
    let (_engine, cell) = one_scope(&endpoint);
    until(2 * SECOND, "a token", || has_token(&cell)).await;
    assert_eq!(cell.view().renewals_failed, [(Reason::TooLarge, 1)]);
    until(SECOND, "the reply is cut", || endpoint.was_cut_off()).await;
}

/// Hands out one token until it ends, as some servers do.
fn repeating(life: f64) -> impl FnMut(&Call) -> Answer + Send {
    let mut issued: Option<(String, Instant)> = None;
    move |call| {
        let alive = issued
            .as_ref()
            .filter(|(_, at)| at.elapsed().as_secs_f64() < life);
        if alive.is_none() {
            issued = Some((format!("TK-value-{}", call.number), Instant::now()));
        }
        let (value, _) = issued.as_ref().unwrap();
        Answer::Token(value.clone(), life)
    }
}

#[tokio::test]
async fn a_server_that_repeats_its_token_is_asked_again_at_its_end() {
    let endpoint = Endpoint::start(repeating(1.0)).await;
    let (_engine, cell) = one_scope(&endpoint);
    cell.wait(PATIENCE).await.unwrap();
    let start = Instant::now();
    while generation(&cell) < 6 {
        assert!(start.elapsed() < 10 * SECOND, "{:?}", cell.view());
        let (token, took) = timed(cell.wait(PATIENCE)).await;
        let token = token.expect("callers are held briefly");
        assert!(took < millis(300), "{took:?}");
        assert!(!token.left(&Moment::now()).is_zero(), "no dead token");
        assert!(!token.is_stale(&Moment::now()), "no false alarm");
        tokio::time::sleep(millis(2)).await;
    }
    assert!(cell.view().same_token >= 1);
    let calls = endpoint.calls().len();
    assert!(calls <= 30, "no loop: {calls} calls for six tokens");
}

#[tokio::test]
async fn failures_at_the_end_of_a_repeated_token_are_not_seen_by_callers_that_are_held() {
    let mut repeating = repeating(1.0);
    // Two calls in three fail; the token is issued all the same.
    let endpoint = Endpoint::start(move |call| match (repeating(call), call.number % 3) {
        (token, 0) => token,
        (_, 1) => Answer::status(500, ""),
        (_, _) => Answer::Close,
    })
    .await;
    let (_engine, cell) = one_scope(&endpoint);
    cell.wait(PATIENCE).await.unwrap();
    let start = Instant::now();
    while generation(&cell) < 6 {
        assert!(start.elapsed() < 10 * SECOND, "{:?}", cell.view());
        let (token, took) = timed(cell.wait(PATIENCE)).await;
        assert!(token.is_some() && took < millis(700), "{:?}", cell.view());
        tokio::time::sleep(millis(2)).await;
    }
}

#[tokio::test]
async fn a_renewal_task_that_ended_is_taken_over_by_the_next() {
    let endpoint = Endpoint::start(|_| Answer::Silence).await;
    let engine = Engine::new(settings(endpoint.url(), &[Scope::B2b]), client()).unwrap();
    let cell = engine.cell(Scope::B2b).unwrap();
    let task = tokio::spawn(engine.renew_forever(&cell));
    until(SECOND, "a call", || !endpoint.calls().is_empty()).await;
    task.abort();
    cell.note_restart();
    endpoint.becomes(|call| Answer::numbered(call, 300.0));
    tokio::spawn(engine.renew_forever(&cell));
    until(SECOND, "a token", || has_token(&cell)).await;
    assert_eq!(cell.view().restarts, 1);
}
