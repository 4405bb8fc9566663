//! The token endpoint: each row of its documentation, renewal, rotated secrets.

use dqe_proxy::sandbox::Scope;

use super::{TOKEN_PATH, bearer, get, member, post, started};

#[tokio::test]
async fn the_token_endpoint_answers_each_row_of_its_documentation() {
    let sandbox = started().await;
    sandbox.grant(vec![Scope::Address]);
    for (query, status, body) in [
        (
            "client_secret=sandbox-secret&scope=client_address",
            400,
            "Invalid Request",
        ),
        (
            "client_secret=sandbox-secret&scope=client_address&client_id=",
            400,
            "Invalid Request",
        ),
        (
            "client_secret=sandbox-secret&scope=client_address&client_id=OTHER",
            400,
            "Invalid Client",
        ),
        (
            "client_secret=sandbox-secret&scope=client_b2b&client_id=SANDBOX",
            400,
            "Unauthorized Client",
        ),
        (
            "client_secret=sandbox-secret&scope=client&client_id=SANDBOX",
            400,
            "Unsupported Grant Type",
        ),
        (
            "scope=client_address&client_id=SANDBOX",
            400,
            "Invalid Request",
        ),
        (
            "client_secret=&scope=client_address&client_id=SANDBOX",
            400,
            "Invalid Request",
        ),
        (
            "client_secret=sandbox-secret&client_id=SANDBOX",
            400,
            "Invalid Request",
        ),
        (
            "client_secret=sandbox-secret&scope=&client_id=SANDBOX",
            400,
            "Invalid Request",
        ),
        (
            "client_scret=sandbox-secret&scope=client_address&client_id=SANDBOX",
            500,
            "Internal Server Error",
        ),
        (
            "client_secret=wrong&scope=client_address&client_id=SANDBOX",
            400,
            "Invalid Client",
        ),
    ] {
        let by_get = get(&sandbox, &format!("/oauth/access_token/?{query}"), "").await;
        assert_eq!(
            (by_get.status(), by_get.body()),
            (status, body),
            "GET {query}"
        );
        let form = "application/x-www-form-urlencoded";
        let by_post = post(&sandbox, "/oauth/ACCESS_TOKEN", "", form, query).await;
        assert_eq!(
            (by_post.status(), by_post.body()),
            (status, body),
            "POST {query}"
        );
    }
    assert_eq!(sandbox.counters().token_outcome("misspelt_parameter"), 2);
    assert_eq!(sandbox.counters().token_outcome("invalid_client"), 4);
    sandbox.set_switch("token-errors", "json").unwrap();
    let reply = get(&sandbox, "/oauth/access_token/", "").await;
    assert_eq!(reply.body(), r#"{"error":"invalid_request"}"#);
}

#[tokio::test]
async fn a_token_is_renewed_by_its_pair() {
    let sandbox = started().await;
    let first = get(&sandbox, &format!("{TOKEN_PATH}&scope=client_email"), "").await;
    assert_eq!(member(first.body(), "expires_in"), "300");
    assert!(member(first.body(), "refresh_token").starts_with("*TK"));
    let form = format!(
        "access_token={}&refresh_token={}&scope=refresh_token",
        member(first.body(), "access_token"),
        member(first.body(), "refresh_token").replace('*', "%2A"),
    );
    let path = "/oauth/access_token/";
    let second = post(
        &sandbox,
        path,
        "",
        "application/x-www-form-urlencoded",
        &form,
    )
    .await;
    assert_eq!(second.status(), 200);
    assert_ne!(
        member(second.body(), "access_token"),
        member(first.body(), "access_token")
    );
    sandbox.revoke(Scope::Email);
    let refused = post(
        &sandbox,
        path,
        "",
        "application/x-www-form-urlencoded",
        &form,
    )
    .await;
    assert_eq!(refused.status(), 400);
    assert_eq!(sandbox.counters().token_outcome("renewed"), 1);
}

#[tokio::test]
async fn a_rotated_secret_refuses_the_old_one_and_spares_the_tokens() {
    let sandbox = started().await;
    let header = bearer(&sandbox, "client_phone").await;
    sandbox.rotate_secret("next");
    assert_eq!(
        get(&sandbox, &format!("{TOKEN_PATH}&scope=client_phone"), "")
            .await
            .status(),
        400
    );
    let target = "/oauth/access_token/?client_id=SANDBOX&client_secret=next&scope=client_phone";
    assert_eq!(get(&sandbox, target, "").await.status(), 200);
    assert_eq!(
        get(&sandbox, "/TEL/?Tel=0612345678", &header)
            .await
            .status(),
        200
    );
}
