//! Secrets that are wrong, missing, corrected or rotated.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::*;
use crate::token::scripted::{Answer, Call, Endpoint, until};

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
    let mut settings = settings(endpoint.url(), &Scope::OAUTH);
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
    let mut settings = settings(endpoint.url(), &Scope::OAUTH);
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

/// An endpoint that knows the secrets in the list.
async fn knowing(secrets: &Arc<Mutex<Vec<&'static str>>>) -> Endpoint {
    let secrets = Arc::clone(secrets);
    Endpoint::start(move |call| {
        let known = secrets.lock().unwrap();
        let is_known = |secret: &&str| call.has(&format!("client_secret={secret}"));
        if known.iter().any(is_known) {
            Answer::numbered(call, 2.0)
        } else {
            Answer::status(400, "Invalid Client")
        }
    })
    .await
}

fn known(secrets: &[&'static str]) -> Arc<Mutex<Vec<&'static str>>> {
    Arc::new(Mutex::new(secrets.to_vec()))
}

/// An engine whose secret, in the file at `path`, has been refused.
async fn refused(endpoint: &Endpoint, path: &Path) -> (Arc<Engine>, Arc<Cell>) {
    let mut settings = settings(endpoint.url(), &[Scope::Email]);
    settings.client_secret = SecretSource::File(path.to_owned());
    let engine = running(settings);
    let cell = engine.cell(Scope::Email).unwrap();
    until(SECOND, "the refusal", || {
        cell.unavailable().reason == Reason::InvalidClient
    })
    .await;
    (engine, cell)
}

fn written_in_place(path: &Path, content: &str) {
    std::fs::write(path, content).unwrap();
}

fn renamed_over(path: &Path, content: &str) {
    replaced(&path.to_owned(), content);
}

/// As a mounted Kubernetes secret changes: a link in the path is swapped.
fn swapped_by_symlink(path: &Path, content: &str) {
    let folder = path.parent().unwrap().join(content);
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("secret"), content).unwrap();
    let new = path.with_extension("link");
    std::os::unix::fs::symlink(folder.join("secret"), &new).unwrap();
    std::fs::rename(new, path).unwrap();
}

#[tokio::test]
async fn a_corrected_secret_file_works_within_two_seconds_however_it_is_written() {
    for write in [written_in_place, renamed_over, swapped_by_symlink] {
        let folder = tempfile::tempdir().unwrap();
        let path = secret_file(&folder);
        write(&path, "wrong");
        let secrets = known(&["right"]);
        let endpoint = knowing(&secrets).await;
        let (_engine, cell) = refused(&endpoint, &path).await;
        write(&path, "right");
        let took = until(2 * SECOND, "a token", || has_token(&cell)).await;
        assert!(took < millis(1500), "{took:?}");
    }
}

#[tokio::test]
async fn a_secret_that_is_rotated_is_used_without_a_signal_and_without_a_gap() {
    for write in [written_in_place, renamed_over, swapped_by_symlink] {
        let folder = tempfile::tempdir().unwrap();
        let path = secret_file(&folder);
        write(&path, "old");
        let secrets = known(&["old"]);
        let endpoint = knowing(&secrets).await;
        let mut settings = settings(endpoint.url(), &[Scope::Email]);
        settings.client_secret = SecretSource::File(path.clone());
        let engine = running(settings);
        let cell = engine.cell(Scope::Email).unwrap();
        until(SECOND, "a token", || has_token(&cell)).await;
        // The file is early: DQE does not know the new secret yet.
        write(&path, "new");
        let tried = |secret: &str| {
            let calls = endpoint.calls();
            let with = |call: &&Call| call.has(&format!("client_secret={secret}"));
            calls.iter().filter(with).count()
        };
        unseen(&cell, "the new one is tried", || tried("new") > 1).await;
        *secrets.lock().unwrap() = vec!["new"];
        let begun = generation(&cell);
        unseen(&cell, "two renewals", || generation(&cell) > begun + 1).await;
        let old = tried("old");
        unseen(&cell, "two more", || generation(&cell) > begun + 3).await;
        assert_eq!(tried("old"), old, "the old one is forgotten");
    }
}

#[tokio::test]
async fn the_next_secret_takes_over_when_the_first_is_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let (first, next) = (secret_file(&folder), folder.path().join("next"));
    written_in_place(&first, "old");
    written_in_place(&next, "new");
    let secrets = known(&["old", "new"]);
    let endpoint = knowing(&secrets).await;
    let mut settings = settings(endpoint.url(), &Scope::OAUTH);
    settings.client_secret = SecretSource::File(first.clone());
    settings.next_client_secret = Some(SecretSource::File(next));
    let engine = running(settings);
    let cell = engine.cell(Scope::Email).unwrap();
    until(SECOND, "every scope has a token", || {
        engine.cells().iter().all(|cell| has_token(cell))
    })
    .await;
    assert!(
        endpoint
            .calls()
            .iter()
            .all(|call| call.has("client_secret=old"))
    );
    *secrets.lock().unwrap() = vec!["new"];
    let begun = generation(&cell);
    unseen(&cell, "three renewals", || generation(&cell) > begun + 2).await;
    let calls = endpoint.calls();
    let refused = calls
        .iter()
        .filter(|call| call.number > 7 && call.has("client_secret=old"));
    assert!(refused.count() <= 8, "one refusal told all");
    // The operator finishes the rotation.
    renamed_over(&first, "new");
    let begun = generation(&cell);
    unseen(&cell, "three renewals", || generation(&cell) > begun + 2).await;
}

#[tokio::test]
async fn a_signal_makes_a_changed_secret_count_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = secret_file(&folder);
    written_in_place(&path, "wrong");
    let secrets = known(&["right"]);
    let endpoint = knowing(&secrets).await;
    let (engine, cell) = refused(&endpoint, &path).await;
    written_in_place(&path, "right");
    engine.reload(client());
    until(millis(300), "a token", || has_token(&cell)).await;
}

#[tokio::test]
async fn a_next_secret_whose_first_try_is_lost_is_tried_again_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (first, next) = (secret_file(&folder), folder.path().join("next"));
    written_in_place(&first, "old");
    written_in_place(&next, "new");
    let mut tries = 0;
    let endpoint = Endpoint::start(move |call| {
        if call.has("client_secret=old") {
            return Answer::status(400, "Invalid Client");
        }
        tries += 1;
        match tries {
            1 | 2 => Answer::status(503, ""),
            _ => Answer::numbered(call, 300.0),
        }
    })
    .await;
    let mut settings = settings(endpoint.url(), &[Scope::Email]);
    settings.client_secret = SecretSource::File(first);
    settings.next_client_secret = Some(SecretSource::File(next));
    let engine = running(settings);
    let cell = engine.cell(Scope::Email).unwrap();
    until(3 * SECOND, "a token", || has_token(&cell)).await;
}
