//! Streams and connections that end early: by the caller, by DQE, by a drain.

use std::future::poll_fn;
use std::io::Write;
use std::sync::Mutex;

use h2::Reason;

use super::{CALL, MIB, in_front_of, logged, many_bytes, setup, started};
use crate::support::http2::{ask, connect, on_a_runtime, request, talk, whole};
use crate::support::{Scripted, eventually};

#[test]
fn a_stream_that_is_reset_or_whose_connection_goes_ends_its_call_alone() {
    let running = started(setup().fault("business:hang"));
    let in_flight = || running.metric("dqe_proxy_requests_in_flight").unwrap();
    on_a_runtime(async {
        let (mut sender, ended) = connect(running.address).await;
        let mut streams = Vec::new();
        for _ in 0..3 {
            streams.push(sender.send_request(request("GET", CALL), true).unwrap());
            sender = sender.ready().await.unwrap();
        }
        tokio::task::yield_now().await;
        let three = async {
            while in_flight() < 3.0 {
                tokio::task::yield_now().await;
            }
        };
        three.await;
        let (answering, mut sending) = streams.pop().unwrap();
        sending.send_reset(Reason::CANCEL);
        drop((answering, sending));
        while in_flight() > 2.0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(logged(&running, "/TEL/", 1)["code"], "caller_gone");
        // The caller goes without a word.
        ended.abort();
        while in_flight() > 0.0 {
            tokio::task::yield_now().await;
        }
    });
    assert_eq!(logged(&running, "/TEL/", 3)["code"], "caller_gone");
    eventually("the connection is no longer counted", || {
        running.metric("dqe_proxy_caller_connections") == Some(0.0)
    });
}

#[test]
fn an_answer_that_breaks_off_is_reset() {
    let scripted = Scripted::start(|head, stream| {
        let framing = if head.contains("chunked") {
            "Transfer-Encoding: chunked\r\n\r\n64\r\nhello"
        } else {
            "Content-Length: 100\r\n\r\nhello"
        };
        let _ = stream
            .get_mut()
            .write_all(format!("HTTP/1.1 200 OK\r\n{framing}").as_bytes());
        false
    });
    let running = in_front_of(&scripted);
    talk(running.address, async |sender| {
        for target in ["/TEL/?length", "/TEL/?chunked"] {
            let error = ask(&sender, request("GET", target)).await.unwrap_err();
            assert!(error.is_reset(), "{target}: {error}");
        }
    });
    assert_eq!(logged(&running, "/TEL/", 2)["code"], "answer_cut");
}

/// RFC 9113 §8.1: who is answered before it has sent all of its body is told that the
/// rest is not wanted, and that nothing is wrong.
#[test]
fn an_answer_before_the_end_of_its_request_ends_the_upload_and_no_more() {
    let unread = Mutex::new(Vec::new());
    let scripted = Scripted::start(move |head, stream| {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly";
        stream.get_mut().write_all(answer).unwrap();
        let reads_on = head.starts_with("GET");
        if !reads_on {
            let open = stream.get_ref().try_clone().unwrap();
            unread.lock().unwrap().push(open);
        }
        reads_on
    });
    let running = in_front_of(&scripted);
    talk(running.address, async |sender| {
        for _ in 0..3 {
            let mut sender = sender.clone().ready().await.unwrap();
            let mut post = request("POST", CALL);
            let kind = "application/octet-stream".parse().unwrap();
            post.headers_mut().insert("content-type", kind);
            let (answering, mut sending) = sender.send_request(post, false).unwrap();
            sending.send_data(many_bytes(16 * MIB), false).unwrap();
            let answer = whole(answering.await.unwrap()).await.unwrap();
            assert_eq!((answer.status, &*answer.text()), (200, "early"));
            let told = poll_fn(|cx| sending.poll_reset(cx)).await.unwrap();
            assert_eq!(told, Reason::NO_ERROR);
            let next = ask(&sender, request("GET", CALL)).await.unwrap();
            assert_eq!((next.status, &*next.text()), (200, "early"));
        }
    });
    assert_eq!(scripted.heads().len(), 6);
}

#[test]
fn a_drain_lets_streams_finish_and_says_good_bye() {
    let running = started(setup().fault("business:slow=700ms"));
    on_a_runtime(async {
        let (idle, idle_ended) = connect(running.address).await;
        let (mut sender, ended) = connect(running.address).await;
        let streams: Vec<_> = {
            let mut streams = Vec::new();
            for _ in 0..5 {
                streams.push(sender.send_request(request("GET", CALL), true).unwrap().0);
                sender = sender.ready().await.unwrap();
            }
            streams
        };
        while running.metric("dqe_proxy_requests_in_flight") != Some(5.0) {
            tokio::task::yield_now().await;
        }
        running.handle.drain();
        // In order: a connection that is told to go has nothing to complain of.
        idle_ended.await.unwrap().unwrap();
        assert!(idle.ready().await.is_err());
        for stream in streams {
            let answer = whole(stream.await.unwrap()).await.unwrap();
            assert_eq!(answer.status, 200);
        }
        ended.await.unwrap().unwrap();
    });
    running
        .ends_within(crate::support::PATIENCE)
        .unwrap()
        .unwrap();
}
