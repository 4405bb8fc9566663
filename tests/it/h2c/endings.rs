//! Streams and connections that end early: by the caller, by DQE, by a drain.

use std::io::Write;

use h2::Reason;

use super::{CALL, in_front_of, logged, setup, started};
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
