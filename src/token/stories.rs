//! What the token engine does for its readers, told over real sockets with
//! tokens that live for a second or two.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use secrecy::SecretString;
use tokio::time::Instant;

use super::scripted::{Answer, Call, Endpoint, until};
use super::*;
use crate::egress::Egress;

const SECRET: &str = "pass-phrase-of-the-story";
const SECOND: Duration = Duration::from_secs(1);

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn client() -> Client {
    let egress = Egress::build(&crate::egress::Settings::default(), false).unwrap();
    egress.token_client(SECOND).unwrap()
}

fn settings(url: String, scopes: &[Scope]) -> Settings {
    Settings {
        url,
        client_id: SecretString::from("LICENCE-CODE"),
        client_secret: SecretSource::Environment {
            name: "DQE_CLIENT_SECRET".into(),
            value: SecretString::from(SECRET),
        },
        scopes: scopes.to_vec(),
        connect_timeout: SECOND,
    }
}

/// An engine with its renewal tasks running until the test ends.
fn running(settings: Settings) -> Arc<Engine> {
    let engine = Engine::new(settings, client()).unwrap();
    for cell in engine.cells() {
        tokio::spawn(engine.renew_forever(cell));
    }
    engine
}

fn one_scope(endpoint: &Endpoint) -> (Arc<Engine>, Arc<Cell>) {
    let engine = running(settings(endpoint.url(), &[Scope::Email]));
    let cell = engine.cell(Scope::Email).unwrap();
    (engine, cell)
}

fn has_token(cell: &Cell) -> bool {
    cell.current(&Moment::now()).is_some()
}

fn generation(cell: &Cell) -> u64 {
    cell.view().generation
}

#[tokio::test]
async fn the_first_caller_is_held_until_the_first_token_is_there() {
    let endpoint = Endpoint::start(|call| Answer::numbered(call, 300.0)).await;
    let (engine, cell) = one_scope(&endpoint);
    assert!(!engine.has_usable_token(&Moment::now()));
    assert_eq!(cell.unavailable().reason, Reason::Starting);
    let token = cell.wait(millis(700)).await.unwrap();
    assert_eq!(token.header(), "Bearer TK-value-0");
    assert_eq!(token.generation(), 1);
    assert!(engine.has_usable_token(&Moment::now()));
    assert_eq!(cell.view().state, State::Fresh);
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
    let endpoint = Endpoint::start(|call| Answer::numbered(call, 1.0)).await;
    let (_engine, cell) = one_scope(&endpoint);
    cell.wait(SECOND).await.unwrap();
    until(8 * SECOND, "eight renewals", || {
        assert!(has_token(&cell), "a reader found no token");
        generation(&cell) > 8
    })
    .await;
    assert_eq!(cell.view().waits, 1, "only the first caller waited");
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
    cell.wait(SECOND).await.unwrap();
    until(10 * SECOND, "four renewals", || {
        assert!(has_token(&cell), "a reader found no token");
        generation(&cell) > 4
    })
    .await;
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
    cell.wait(SECOND).await.unwrap();
    endpoint.becomes(|_| Answer::status(503, ""));
    until(2 * SECOND, "the token ends", || !has_token(&cell)).await;
    until(2 * SECOND, "a failure is known", || {
        cell.view().last_error.is_some()
    })
    .await;
    assert_eq!(cell.view().state, State::Expired);
    assert_eq!(cell.unavailable().reason, Reason::EndpointUnavailable);
    assert_eq!(cell.unavailable().retry_after, SECOND);
    // Nobody is held for an endpoint that is known to be down.
    let start = Instant::now();
    assert!(cell.wait(SECOND).await.is_none());
    assert!(start.elapsed() < millis(100), "{:?}", start.elapsed());
    endpoint.becomes(|call| Answer::numbered(call, 1.0));
    until(SECOND, "recovery", || has_token(&cell)).await;
}

#[tokio::test]
async fn start_up_with_the_endpoint_down_recovers_by_itself() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let url = format!("http://{address}/oauth/access_token/");
    let engine = running(settings(url, &Scope::ALL));
    let cell = engine.cell(Scope::Phone).unwrap();
    until(SECOND, "a failure is known", || {
        cell.unavailable().reason == Reason::Unreachable
    })
    .await;
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    let _endpoint = Endpoint::on(listener, |call| Answer::numbered(call, 300.0));
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
    let engine = running(settings(endpoint.url(), &Scope::ALL));
    until(SECOND, "six scopes have a token", || {
        engine.cells().iter().filter(|cell| has_token(cell)).count() == 6
    })
    .await;
}

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

#[tokio::test]
async fn a_thousand_rejected_callers_cost_one_token_call() {
    let endpoint = Endpoint::start(|call| Answer::numbered(call, 300.0)).await;
    let (_engine, cell) = one_scope(&endpoint);
    let first = cell.wait(SECOND).await.unwrap();
    let rejected = first.generation();
    let renewed = join_all((0..1000).map(|_| cell.renewed_after(rejected, SECOND))).await;
    for token in renewed {
        let token = token.expect("every caller gets the new token");
        assert_eq!(token.generation(), rejected + 1);
    }
    assert_eq!(endpoint.calls().len(), 2);
    assert_eq!(cell.view().forced_renewals, 1);
    // One that comes late with the old token gets the new one without a call.
    let late = cell.renewed_after(rejected, SECOND).await.unwrap();
    assert_eq!(late.generation(), rejected + 1);
    assert_eq!(endpoint.calls().len(), 2);
}

#[tokio::test]
async fn a_fresh_token_that_is_rejected_too_starts_no_loop() {
    let endpoint = Endpoint::start(|call| Answer::numbered(call, 300.0)).await;
    let (_engine, cell) = one_scope(&endpoint);
    let first = cell.wait(SECOND).await.unwrap();
    let second = cell
        .renewed_after(first.generation(), SECOND)
        .await
        .unwrap();
    for _ in 0..100 {
        assert!(
            cell.renewed_after(second.generation(), SECOND)
                .await
                .is_none()
        );
    }
    assert_eq!(endpoint.calls().len(), 2);
    assert!(has_token(&cell), "the token stays in use");
}

#[tokio::test]
async fn waiters_do_not_give_up_together_when_the_first_try_fails() {
    let endpoint = Endpoint::start(|call| match call.number {
        1 => Answer::status(503, ""),
        _ => Answer::numbered(call, 300.0),
    })
    .await;
    let (_engine, cell) = one_scope(&endpoint);
    let first = cell.wait(SECOND).await.unwrap();
    let waiting = (0..100).map(|_| cell.renewed_after(first.generation(), 2 * SECOND));
    assert!(join_all(waiting).await.iter().all(Option::is_some));
    assert_eq!(endpoint.calls().len(), 3);
}

#[tokio::test]
async fn a_caller_that_comes_during_a_forced_renewal_is_held() {
    let endpoint = Endpoint::start(|call| Answer::numbered(call, 300.0)).await;
    let (_engine, cell) = one_scope(&endpoint);
    let first = cell.wait(SECOND).await.unwrap();
    let (renewed, held) = tokio::join!(
        cell.renewed_after(first.generation(), SECOND),
        cell.wait(SECOND)
    );
    assert_eq!(renewed.unwrap().generation(), 2);
    assert_eq!(held.unwrap().generation(), 2);
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
    cell.wait(SECOND).await.unwrap();
    let start = Instant::now();
    while generation(&cell) < 6 {
        assert!(start.elapsed() < 10 * SECOND, "{:?}", cell.view());
        let asked = Instant::now();
        let token = cell
            .wait(millis(700))
            .await
            .expect("callers are held briefly");
        assert!(asked.elapsed() < millis(300), "{:?}", asked.elapsed());
        assert!(!token.left(&Moment::now()).is_zero(), "no dead token");
        tokio::time::sleep(millis(2)).await;
    }
    assert!(cell.view().same_token >= 1);
    let calls = endpoint.calls().len();
    assert!(calls <= 30, "no loop: {calls} calls for six tokens");
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

#[tokio::test]
async fn a_token_can_be_fetched_once_and_is_shown_only_on_request() {
    let endpoint = Endpoint::start(|call| Answer::numbered(call, 300.0)).await;
    let settings = settings(endpoint.url(), &[Scope::Email]);
    let fetched = fetch_once(&settings, client(), Scope::Email).await.unwrap();
    assert_eq!(fetched.life, 300 * SECOND);
    assert!(!format!("{fetched:?}").contains("TK-value-0"));
    assert_eq!(fetched.reveal(), "TK-value-0");
    endpoint.becomes(|_| Answer::status(400, "Invalid Client"));
    let error = fetch_once(&settings, client(), Scope::Email)
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
    let captured = Captured::default();
    let writer = captured.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
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
    let (engine, cell) = one_scope(&endpoint);
    let token = cell.wait(SECOND).await.unwrap();
    until(5 * SECOND, "the script has been played", || {
        endpoint.calls().len() > 7
    })
    .await;
    let said = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
    assert!(said.contains("the first token is there"), "{said}");
    assert!(said.contains("internal_error"), "{said}");
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

#[tokio::test]
async fn settings_that_name_no_endpoint_are_refused() {
    for url in ["", "prod2.dqe-software.com", "ftp://host/", "http://"] {
        let error = Engine::new(settings(url.into(), &[Scope::Email]), client()).unwrap_err();
        assert!(matches!(error, EngineError::Url), "{url}");
    }
    let error = Engine::new(settings("http://host/".into(), &[]), client()).unwrap_err();
    assert!(matches!(error, EngineError::NoScopes));
}
