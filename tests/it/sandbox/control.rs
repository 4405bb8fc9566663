//! The control port.

use super::{TOKEN_PATH, bearer, get, raw, started};

#[tokio::test]
async fn the_control_port_reads_and_changes_everything() {
    let sandbox = started().await;
    let header = bearer(&sandbox, "client_phone").await;
    get(&sandbox, "/TEL/?Tel=1", &header).await;
    let control = sandbox.control_address();
    let ask = |line: &'static str, body: &'static str| async move {
        let length = body.len();
        let request = format!(
            "{line} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        raw(control, request.as_bytes()).await
    };
    assert_eq!(ask("GET /", "").await.status(), 200);
    let journal = ask("GET /journal?after=0", "").await;
    assert!(
        !journal.body().contains("sandbox-secret"),
        "{}",
        journal.body()
    );
    let token = header.trim_start_matches("Authorization: Bearer ").trim();
    assert!(
        !journal.body().contains(token) && journal.body().contains(&token[..8]),
        "{}",
        journal.body()
    );
    let entries: serde_json::Value = serde_json::from_str(journal.body()).unwrap();
    assert_eq!(entries.as_array().unwrap().len(), 2);
    assert_eq!(entries[1]["credentials"][0]["kind"], "live");
    let counters: serde_json::Value =
        serde_json::from_str(ask("GET /counters", "").await.body()).unwrap();
    assert_eq!(
        (&counters["requests"], &counters["family.phone"]),
        (&2.into(), &1.into())
    );
    let switches = ask("PUT /switches?token-life=1500ms&classic-refusal=200", "").await;
    assert!(
        switches.body().contains(r#""token-life":"1500ms""#),
        "{}",
        switches.text
    );
    assert_eq!(sandbox.switches().classic_refusal, 200);
    assert_eq!(ask("PUT /switches?nonsense=1", "").await.status(), 400);
    let set = ask("POST /faults", "business:status=503").await;
    assert_eq!(set.body(), r#"{"id":1}"#);
    let wrong = ask("POST /faults", "business:explode").await;
    assert!(
        wrong.status() == 400 && wrong.body().contains("reset-after-head"),
        "{}",
        wrong.text
    );
    assert_eq!(get(&sandbox, "/TEL/", &header).await.status(), 503);
    assert!(ask("GET /faults", "").await.body().contains(r#""hits":1"#));
    assert_eq!(ask("DELETE /faults?id=9", "").await.status(), 404);
    assert_eq!(ask("DELETE /faults", "").await.status(), 200);
    assert_eq!(
        ask("POST /revoke?scope=client_phone", "").await.body(),
        r#"{"revoked":1}"#
    );
    assert_eq!(ask("POST /revoke?scope=nothing", "").await.status(), 400);
    assert_eq!(ask("POST /secret?value=next", "").await.status(), 200);
    assert_eq!(
        get(&sandbox, &format!("{TOKEN_PATH}&scope=client_phone"), "")
            .await
            .status(),
        400
    );
    assert_eq!(ask("DELETE /counters", "").await.status(), 200);
    assert_eq!(ask("DELETE /journal", "").await.status(), 200);
    assert_eq!(
        (sandbox.counters().requests, sandbox.journal().len()),
        (0, 0)
    );
    assert_eq!(ask("GET /nothing", "").await.status(), 404);
}
