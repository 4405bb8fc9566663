//! What a rejected token leads to.

use futures_util::future::join_all;

use super::*;
use crate::token::scripted::{Answer, Endpoint};

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
