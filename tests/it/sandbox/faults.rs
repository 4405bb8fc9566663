//! Faults do on the wire what their names say.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use dqe_proxy::sandbox::{Sandbox, Standing};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{PATIENCE, TOKEN_PATH, bearer, get, last, raw, started};

#[tokio::test]
async fn faults_break_the_wire_as_their_names_say() {
    let sandbox = started().await;
    let request = b"GET /v1/email/lookup HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let whole = raw(sandbox.address(), request).await;
    let length = whole.body().len();
    let struck = |fault: &'static str| {
        let sandbox = sandbox.clone();
        async move {
            sandbox.clear_faults();
            sandbox.set_fault(fault).unwrap();
            let reply = raw(sandbox.address(), request).await;
            assert_eq!(last(&sandbox).faults, [fault]);
            reply
        }
    };
    let reply = struck("business:reset").await;
    assert_eq!(
        (reply.text.as_str(), reply.end),
        ("", Err(ErrorKind::ConnectionReset))
    );
    let reply = struck("business:reset-after-head").await;
    assert_eq!(reply.end, Err(ErrorKind::ConnectionReset));
    assert!(
        reply.status() == 401 && reply.body().len() < length,
        "{}",
        reply.text
    );
    let reply = struck("business:cut-body").await;
    assert!(reply.has_header(&format!("content-length: {}", length + 100)));
    assert_eq!((reply.body().len(), reply.end), (length / 2, Ok(())));
    let reply = struck("business:garbage").await;
    assert!(!reply.text.starts_with("HTTP/") && !reply.text.is_empty());
    let reply = struck("business:wrong-content-length=large").await;
    assert!(reply.has_header(&format!("content-length: {}", length + 7)));
    let reply = struck("business:wrong-content-length=small").await;
    assert!(
        reply.has_header(&format!("content-length: {}", length - 7))
            && reply.body().len() == length
    );
    let reply = struck("business:status=503,retry-after=2").await;
    assert!(reply.status() == 503 && reply.has_header("retry-after: 2"));
    let reply = struck("business:html-200").await;
    assert!(reply.status() == 200 && reply.body().starts_with("<!DOCTYPE html>"));
    let reply = struck("business:empty-200").await;
    assert_eq!((reply.status(), reply.body()), (200, ""));
    let reply = struck("business:truncated-json").await;
    assert!(
        reply.has_header(&format!("content-length: {}", length / 2))
            && reply.body().len() == length / 2
    );
    let reply = struck("business:status=204").await;
    assert!(
        reply.status() == 204
            && reply.text.ends_with("\r\n\r\n")
            && !reply.text.contains("content-length")
    );
}

#[tokio::test]
async fn a_hanging_answer_lasts_until_the_caller_leaves() {
    let sandbox = started().await;
    sandbox.set_fault("any:hang").unwrap();
    let mut stream = TcpStream::connect(sandbox.address()).await.unwrap();
    stream
        .write_all(b"GET /oauth/access_token/ HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    let arrived = |sandbox: &Sandbox| sandbox.journal().len() == 1;
    assert!(sandbox.until(PATIENCE, arrived).await);
    assert_eq!(last(&sandbox).status, None);
    let counters = sandbox.counters();
    assert_eq!(
        (counters.token_endpoint_requests, counters.token_requests()),
        (1, 0)
    );
    let waited = timeout(Duration::from_millis(200), stream.read(&mut [0_u8; 1])).await;
    assert!(waited.is_err(), "nothing is answered");
    drop(stream);
    assert!(
        sandbox
            .until(PATIENCE, |sandbox| last(sandbox).abandoned)
            .await
    );
    let never = sandbox.until(Duration::from_millis(10), |_| false).await;
    assert!(!never);
}

#[tokio::test]
async fn a_slow_answer_takes_its_time() {
    let sandbox = started().await;
    sandbox.set_fault("path=/tel:slow=150ms").unwrap();
    let begun = Instant::now();
    get(&sandbox, "/TEL/", "").await;
    assert!(begun.elapsed() >= Duration::from_millis(150));
}

#[tokio::test]
async fn an_answer_may_come_before_the_body_is_read() {
    let sandbox = started().await;
    sandbox.set_fault("early-answer,times=1").unwrap();
    let mut stream = TcpStream::connect(sandbox.address()).await.unwrap();
    stream
        .write_all(b"POST /TEL/ HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
        .await
        .unwrap();
    let mut first = [0_u8; 12];
    timeout(PATIENCE, stream.read_exact(&mut first))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&first, b"HTTP/1.1 413");
    stream
        .write_all(b"Tel=1GET /TEL/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut rest = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut rest))
        .await
        .unwrap()
        .unwrap();
    assert!(rest.contains("HTTP/1.1 401"), "{rest}");
}

#[tokio::test]
async fn a_connection_said_to_stay_open_may_close() {
    let sandbox = started().await;
    sandbox.set_fault("close-after-answer").unwrap();
    let reply = raw(sandbox.address(), b"GET /TEL/ HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(reply.status() == 401 && !reply.has_header("connection: close"));
}

#[tokio::test]
async fn faults_of_credentials_strike_where_they_aim() {
    let sandbox = started().await;
    let header = bearer(&sandbox, "client_phone").await;
    let path = "/v1/phonelookup/?Number=0612345678&Country=FRA&Format=";
    let id = sandbox
        .set_fault("scope=client_phone:unauthorized")
        .unwrap();
    let reply = get(&sandbox, path, &header).await;
    assert!(
        reply.status() == 401 && reply.body().contains(r#""details":"TK"#),
        "the token is echoed: {}",
        reply.text
    );
    assert!(sandbox.clear_fault(id) && !sandbox.clear_fault(id));
    sandbox.set_fault("business:wrong-answer,times=1").unwrap();
    assert!(!get(&sandbox, path, &header).await.body().contains("Found"));
    sandbox.set_fault("token:refuse-scope=client_b2b").unwrap();
    let refused = get(&sandbox, &format!("{TOKEN_PATH}&scope=client_b2b"), "").await;
    assert_eq!(
        (refused.status(), refused.body()),
        (400, "Unauthorized Client")
    );
    assert_eq!(
        get(&sandbox, &format!("{TOKEN_PATH}&scope=client_email"), "")
            .await
            .status(),
        200
    );
    sandbox
        .set_fault("business:revoke=client_phone,times=1")
        .unwrap();
    assert_eq!(get(&sandbox, path, &header).await.status(), 401);
    assert_eq!(sandbox.faults().last().map(|fault| fault.hits), Some(1));
    sandbox
        .set_fault("token&scope=client_idcheck:status=503,times=2")
        .unwrap();
    let target = format!("{TOKEN_PATH}&scope=client_idcheck");
    for expected in [503, 503, 200] {
        assert_eq!(get(&sandbox, &target, "").await.status(), expected);
    }
}

#[tokio::test]
async fn a_lost_reply_has_issued_its_token_and_revoked_the_previous_one() {
    let sandbox = started().await;
    sandbox.set_switch("one-token", "on").unwrap();
    let target = format!("{TOKEN_PATH}&scope=client_phone");
    let call = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut issued = 0;
    for (way, seen) in [
        ("reset", ""),
        ("empty", "HTTP/1.1 200"),
        ("html", "HTTP/1.1 200"),
        ("500", "HTTP/1.1 500"),
        ("stall", ""),
    ] {
        sandbox.clear_faults();
        let header = bearer(&sandbox, "client_phone").await;
        let fault = format!("token:lose-reply={way}");
        sandbox.set_fault(&fault).unwrap();
        let mut stream = TcpStream::connect(sandbox.address()).await.unwrap();
        stream.write_all(call.as_bytes()).await.unwrap();
        issued += 2;
        let was_issued = |sandbox: &Sandbox| sandbox.counters().token_outcome("issued") == issued;
        assert!(sandbox.until(PATIENCE, was_issued).await, "{way}");
        if way != "stall" {
            let mut reply = [0_u8; 1024];
            let read = timeout(PATIENCE, stream.read(&mut reply)).await.unwrap();
            let reply = String::from_utf8_lossy(&reply[..read.unwrap_or(0)]).into_owned();
            assert!(
                reply.starts_with(seen) && !reply.contains("TK"),
                "{way}: {reply}"
            );
            assert_eq!(reply.is_empty(), seen.is_empty(), "{way}: {reply}");
        }
        drop(stream);
        let path = "/v1/phonelookup/?Number=0612345678&Country=FRA&Format=";
        assert_eq!(get(&sandbox, path, &header).await.status(), 401, "{way}");
        let counters = sandbox.counters();
        assert_eq!(counters.faults(&format!("token.lose-reply-{way}")), 1);
    }
    assert_eq!(sandbox.counters().carried(Standing::Revoked), 5);
    assert_eq!(sandbox.counters().violations(), 0, "nobody could know");
}

#[tokio::test]
async fn a_business_call_may_be_done_and_its_answer_lost() {
    let sandbox = started().await;
    let header = bearer(&sandbox, "client_general").await;
    let path = "/GDPR_MSG/?Phone=0612345678&Custom_sms=x&Country=FRA&Company=Here";
    sandbox
        .set_fault("path=/GDPR_MSG/:lose-reply,times=1")
        .unwrap();
    let lost = get(&sandbox, path, &header).await;
    assert_eq!(
        (lost.text.as_str(), lost.end),
        ("", Err(ErrorKind::ConnectionReset))
    );
    assert_eq!(last(&sandbox).status, None);
    assert_eq!(sandbox.counters().faults("business.lose-reply-reset"), 1);
    assert_eq!(get(&sandbox, path, &header).await.status(), 200);
}

#[tokio::test]
async fn one_of_several_faults_is_drawn_and_told() {
    let sandbox = started().await;
    let fault = "token:any-of=status=500|html-200|empty-200";
    sandbox.set_fault(fault).unwrap();
    for _ in 0..60 {
        get(&sandbox, TOKEN_PATH, "").await;
    }
    let counters = sandbox.counters();
    let hits =
        ["status", "html-200", "empty-200"].map(|kind| counters.faults(&format!("token.{kind}")));
    assert!(hits.iter().all(|hits| *hits > 5), "{hits:?}");
    assert_eq!(hits.iter().sum::<u64>(), 60);
    for entry in sandbox.journal() {
        let told = entry.faults[0].strip_prefix(fault).unwrap();
        assert!(
            matches!(
                (told, entry.status),
                (" → status", Some(500)) | (" → html-200" | " → empty-200", Some(200))
            ),
            "{told} {:?}",
            entry.status
        );
    }
}
