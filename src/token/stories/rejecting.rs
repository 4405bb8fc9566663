//! What a rejected token leads to.

use futures_util::future::join_all;

use super::*;
use crate::token::scripted::{Answer, Endpoint, timed, until};

#[tokio::test]
async fn a_thousand_rejected_callers_cost_one_token_call() {
    let endpoint = Endpoint::start(|call| Answer::numbered(call, 300.0)).await;
    let (_engine, cell) = one_scope(&endpoint);
    let first = cell.wait(PATIENCE).await.unwrap();
    let rejected = first.generation();
    let renewed = join_all((0..1000).map(|_| cell.renewed_after(rejected, PATIENCE))).await;
    for token in renewed {
        let token = token.expect("every caller gets the new token");
        assert_eq!(token.generation(), rejected + 1);
    }
    assert_eq!(endpoint.calls().len(), 2);
    assert_eq!(cell.view().forced_renewals, 1);
    // One that comes late with the old token gets the new one without a call.
    let late = cell.renewed_after(rejected, PATIENCE).await.unwrap();
    assert_eq!(late.generation(), rejected + 1);
    assert_eq!(endpoint.calls().len(), 2);
}

#[tokio::test]
async fn a_fresh_token_that_is_rejected_too_starts_no_loop() {
    let endpoint = Endpoint::start(|call| Answer::numbered(call, 300.0)).await;
    let (_engine, cell) = one_scope(&endpoint);
    let first = cell.wait(PATIENCE).await.unwrap();
    let second = cell
        .renewed_after(first.generation(), PATIENCE)
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
    let first = cell.wait(PATIENCE).await.unwrap();
    let waiting = (0..100).map(|_| cell.renewed_after(first.generation(), PATIENCE));
    let (renewed, took) = timed(join_all(waiting)).await;
    assert!(renewed.iter().all(Option::is_some));
    assert!(took < 2 * SECOND, "{took:?}");
    assert_eq!(endpoint.calls().len(), 3);
}

#[tokio::test]
async fn a_caller_that_comes_during_a_forced_renewal_is_held() {
    let endpoint = Endpoint::start(|call| Answer::numbered(call, 300.0)).await;
    let (_engine, cell) = one_scope(&endpoint);
    let first = cell.wait(PATIENCE).await.unwrap();
    let (renewed, held) = tokio::join!(
        cell.renewed_after(first.generation(), PATIENCE),
        cell.wait(PATIENCE)
    );
    assert_eq!(renewed.unwrap().generation(), 2);
    assert_eq!(held.unwrap().generation(), 2);
}

#[tokio::test]
async fn tokens_that_worked_and_are_revoked_in_close_succession_are_each_replaced() {
    let endpoint = Endpoint::start(|call| Answer::numbered(call, 300.0)).await;
    let (_engine, cell) = one_scope(&endpoint);
    let mut token = cell.wait(PATIENCE).await.unwrap();
    // Far closer than the least gap between tokens that never worked, 5 s.
    for revocation in 1..=4 {
        cell.note_worked(token.generation());
        let renewed = cell.renewed_after(token.generation(), PATIENCE).await;
        token = renewed.expect("a caller that is held gets the new token");
        assert_eq!(endpoint.calls().len(), revocation + 1);
    }
}

#[tokio::test]
async fn callers_of_a_revoked_token_are_held_while_tries_follow_each_other_closely() {
    // Nine replies in a row are lost: the tenth still serves callers that are
    // held for 700 ms.
    let endpoint = Endpoint::start(|call| match call.number {
        1..10 => Answer::Close,
        _ => Answer::numbered(call, 300.0),
    })
    .await;
    let (_engine, cell) = one_scope(&endpoint);
    let first = cell.wait(PATIENCE).await.unwrap();
    let waiting = (0..50).map(|_| cell.renewed_after(first.generation(), PATIENCE));
    let waiting = async { tokio::join!(join_all(waiting), cell.wait(PATIENCE)) };
    let ((renewed, held), took) = timed(waiting).await;
    assert!(took < millis(700), "{took:?}");
    assert!(renewed.iter().all(Option::is_some));
    assert_eq!(held.unwrap().generation(), 2);
    assert_eq!(endpoint.calls().len(), 11);
}

#[tokio::test]
async fn a_rejection_hastens_the_renewal_that_is_under_way_and_is_told() {
    // The renewal's own call is silent, and would be for 1.5 s.
    let endpoint = Endpoint::start(|call| match call.number {
        1 => Answer::Silence,
        _ => Answer::numbered(call, 300.0),
    })
    .await;
    let (engine, cell) = one_scope(&endpoint);
    let first = cell.wait(PATIENCE).await.unwrap();
    assert!(cell.suspect(first.generation()));
    until(SECOND, "the renewal is under way", || {
        endpoint.calls().len() == 2
    })
    .await;
    let renewed = cell.renewed_after(first.generation(), PATIENCE);
    let (renewed, took) = timed(renewed).await;
    assert_eq!(renewed.unwrap().generation(), 2);
    assert!(took < millis(700), "{took:?}");
    let rejected = EventKind::Rejected { generation: 1 };
    assert!(engine.events().iter().any(|event| event.kind == rejected));
}

#[tokio::test]
async fn nobody_is_held_when_the_renewal_is_refused() {
    let endpoint = Endpoint::start(|call| match call.number {
        0 => Answer::numbered(call, 300.0),
        _ => Answer::status(400, "Invalid Client"),
    })
    .await;
    let (_engine, cell) = one_scope(&endpoint);
    let first = cell.wait(PATIENCE).await.unwrap();
    let renewed = cell.renewed_after(first.generation(), PATIENCE);
    let (renewed, took) = timed(renewed).await;
    assert!(renewed.is_none() && took < millis(300), "{took:?}");
    let (token, took) = timed(cell.wait(PATIENCE)).await;
    assert!(token.is_none() && took < millis(100), "{took:?}");
}

#[tokio::test]
async fn whoever_only_asks_for_a_renewal_is_not_counted_as_waiting() {
    let endpoint = Endpoint::start(|call| Answer::numbered(call, 300.0)).await;
    let (_engine, cell) = one_scope(&endpoint);
    let first = cell.wait(PATIENCE).await.unwrap();
    let before = cell.view().waits;
    let _ = cell.renewed_after(first.generation(), Duration::ZERO).await;
    assert_eq!(cell.view().forced_renewals, 1);
    assert_eq!(cell.view().waits, before);
}

#[tokio::test]
async fn a_rejected_token_is_no_measure_of_renewals_in_time() {
    let endpoint = Endpoint::start(|call| Answer::numbered(call, 300.0)).await;
    let (engine, cell) = one_scope(&endpoint);
    let first = cell.wait(PATIENCE).await.unwrap();
    cell.renewed_after(first.generation(), PATIENCE)
        .await
        .unwrap();
    assert_eq!(cell.view().slack.buckets.iter().sum::<u64>(), 0);
    // One that is only suspected stays in use until its successor is there.
    assert!(cell.suspect(2));
    until(SECOND, "a third token", || generation(&cell) == 3).await;
    let slack = cell.view().slack;
    assert_eq!(slack.buckets.iter().sum::<u64>(), 1);
    assert!(slack.sum > 0.9, "{slack:?}");
    let events = engine.events();
    let granted = |generation, slack: &dyn Fn(Option<Duration>) -> bool| {
        events.iter().any(|event| {
            matches!(&event.kind, EventKind::Granted { generation: of, slack: left, .. }
                if *of == generation && slack(*left))
        })
    };
    assert!(granted(2, &|slack| slack.is_none()), "{events:?}");
    assert!(
        granted(3, &|slack| slack > Some(290 * SECOND)),
        "{events:?}"
    );
    assert!(
        events
            .iter()
            .any(|event| event.kind == EventKind::Suspected { generation: 2 })
    );
}

#[tokio::test]
async fn suspicion_brings_a_newer_token_and_takes_none_out_of_use() {
    let endpoint = Endpoint::start(|call| Answer::numbered(call, 300.0)).await;
    let (_engine, cell) = one_scope(&endpoint);
    let first = cell.wait(PATIENCE).await.unwrap();
    let renewed = cell
        .renewed_on_suspicion(first.generation(), PATIENCE)
        .await;
    assert_eq!(renewed.unwrap().generation(), 2);
    // One that comes late gets it without a call.
    let late = cell
        .renewed_on_suspicion(first.generation(), PATIENCE)
        .await;
    assert_eq!((late.unwrap().generation(), endpoint.calls().len()), (2, 2));
    // The next is too soon: nobody is asked, and the token stays.
    assert!(cell.renewed_on_suspicion(2, millis(50)).await.is_none());
    assert_eq!(endpoint.calls().len(), 2);
    assert!(has_token(&cell));
}

#[tokio::test]
async fn suspicion_waits_for_one_attempt_only() {
    let endpoint = Endpoint::start(|call| match call.number {
        0 => Answer::numbered(call, 300.0),
        _ => Answer::status(503, ""),
    })
    .await;
    let (_engine, cell) = one_scope(&endpoint);
    let first = cell.wait(PATIENCE).await.unwrap();
    let renewed = cell.renewed_on_suspicion(first.generation(), PATIENCE);
    let (renewed, took) = timed(renewed).await;
    assert!(renewed.is_none() && took < SECOND, "{took:?}");
    assert!(has_token(&cell), "the token stays in use");
}
