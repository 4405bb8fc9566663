//! What is never shown.

use std::sync::Mutex;

use super::*;
use crate::dqe::Method;
use crate::token::scripted::{Answer, Endpoint, until};

#[tokio::test]
async fn a_token_can_be_fetched_once_and_is_shown_only_on_request() {
    let endpoint = Endpoint::start(|call| Answer::numbered(call, 300.0)).await;
    let settings = settings(endpoint.url(), &[Scope::Email]);
    let source = &settings.client_secret;
    let fetched = fetch_once(&settings, source, client(), Scope::Email)
        .await
        .unwrap();
    assert_eq!(fetched.life, 300 * SECOND);
    assert!(!format!("{fetched:?}").contains("TK-value-0"));
    assert_eq!(fetched.reveal(), "TK-value-0");
    endpoint.becomes(|_| Answer::status(400, "Invalid Client"));
    let error = fetch_once(&settings, source, client(), Scope::Email)
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), Reason::InvalidClient.sentence());
}

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_secret_is_in_any_log_line_view_or_error() {
    show_everything(Method::Post).await;
}

#[tokio::test]
async fn no_secret_that_stands_in_the_url_is_either() {
    show_everything(Method::Get).await;
}

async fn show_everything(method: Method) {
    let captured = Captured::default();
    let writer = captured.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    // With one subscriber only, tracing asks the thread that meets a log line
    // first whether anybody wants it, and another story's thread would say no.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    // Servers that echo what they were sent, in every kind of answer.
    let echo = format!("{SECRET} LICENCE-CODE TK-value-0");
    let endpoint = Endpoint::start(move |call| match call.number {
        1 => Answer::status(500, &echo),
        2 => Answer::status(200, &echo),
        3 => Answer::status(429, &echo),
        4 => Answer::Close,
        5 => Answer::status(400, &format!("Unauthorized Client {echo}")),
        _ => Answer::numbered(call, 1.0),
    })
    .await;
    let mut settings = settings(endpoint.url(), &[Scope::Email]);
    settings.request.method = method;
    let engine = running(settings);
    let cell = engine.cell(Scope::Email).unwrap();
    let token = cell.wait(PATIENCE).await.unwrap();
    until(90 * SECOND, "the script has been played", || {
        endpoint.calls().len() > 7
    })
    .await;
    let is_in_url = endpoint.calls()[0].head.contains(SECRET);
    assert_eq!(is_in_url, method == Method::Get);
    let said = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
    assert!(said.contains("the first token is there"), "{said}");
    assert!(said.contains("unauthorized_scope"), "{said}");
    let shown = format!(
        "{said} {engine:?} {cell:?} {token:?} {:?} {:?}",
        engine.events(),
        cell.view()
    );
    for hidden in [SECRET, "LICENCE-CODE", "TK-value"] {
        let at = shown.find(hidden);
        assert_eq!(at.map(|at| &shown[at.saturating_sub(200)..at + 20]), None);
    }
}
