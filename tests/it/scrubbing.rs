//! A server that repeats the credential it was sent: whatever the spelling and
//! wherever the answer's pieces end, the caller sees asterisks.

use std::io::Write;

use crate::support::{Answer, Running, Scripted, Setup, call};

/// A server that answers `status` with what `body` makes of the token and of
/// the target it received, in pieces of `step` bytes each in a chunk of its own;
/// 0: whole, under its length.
fn repeating(
    status: &'static str,
    step: usize,
    body: impl Fn(&str, &str) -> String + Send + Sync + 'static,
) -> Scripted {
    Scripted::start(move |head, stream| {
        let bearer = head.split_once("authorization: Bearer ").unwrap().1;
        let token = bearer.split_once("\r\n").unwrap().0;
        let target = head.split(' ').nth(1).unwrap();
        let body = body(token, target);
        let mut answer = format!("HTTP/1.1 {status}\r\nX-Target: {target}\r\n").into_bytes();
        if step == 0 {
            let length = body.len();
            answer.extend(format!("Content-Length: {length}\r\n\r\n{body}").bytes());
        } else {
            answer.extend(b"Transfer-Encoding: chunked\r\n\r\n");
            for piece in body.as_bytes().chunks(step) {
                answer.extend(format!("{:x}\r\n", piece.len()).bytes());
                answer.extend(piece);
                answer.extend(b"\r\n");
            }
            answer.extend(b"0\r\n\r\n");
        }
        stream.get_mut().write_all(&answer).is_ok()
    })
}

/// The scripted server's tokens begin so and are long enough to be looked for.
const BEGINNING: &str = "TKscripted";

fn starred(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'*').count()
}

#[track_caller]
fn assert_masked(answer: &Answer, story: &str) {
    let text = answer.text();
    assert!(!text.contains(BEGINNING), "{story}: {text}");
    for (name, value) in &answer.fields {
        assert!(!value.contains(BEGINNING), "{story}: {name}: {value}");
    }
    assert!(answer.complete, "{story}");
}

#[test]
fn an_error_that_repeats_the_credential_reaches_the_caller_with_asterisks_in_its_place() {
    for status in ["400 Bad", "403 No", "404 No", "500 Sorry", "302 There"] {
        for step in [0, 1, 7, 1000] {
            let scripted = repeating(status, step, |token, target| {
                let encoded = token.replace('-', "%2D");
                let escaped = token.replace('-', "\\u002d");
                format!(r#"{{"details":"{token}","a":"{encoded}","b":"{escaped}","c":"{target}"}}"#)
            });
            for carriage in ["both", "header"] {
                let running = Setup::default()
                    .server(scripted.url())
                    .set("DQE_CARRIAGE", carriage)
                    .start();
                let story = format!("{status} {step} {carriage}");
                let answer = running.get("/v1/single/?Address=TKx&Licence=OURS");
                assert_masked(&answer, &story);
                let json = answer.json();
                assert!(starred(json["details"].as_str().unwrap()) > 20, "{story}");
                let target = json["c"].as_str().unwrap();
                assert!(target.starts_with("/v1/single/?Address=TKx"), "{target}");
                assert_eq!(starred(target) > 0, carriage == "both", "{story}");
            }
        }
    }
}

#[test]
fn an_ordinary_answer_that_repeats_its_parameters_is_masked_when_the_token_was_one() {
    for step in [0, 1, 5] {
        let scripted = repeating("200 OK", step, |_, target| format!("<a href=\"{target}\">"));
        let running = Setup::default().server(scripted.url()).start();
        let answer = running.get("/TEL/?Tel=0612345678");
        assert_masked(&answer, "200");
        let text = answer.text();
        let (before, stars) = text.split_once("Licence=").unwrap();
        assert_eq!(before, "<a href=\"/TEL/?Tel=0612345678&");
        assert!(
            stars.starts_with("***") && stars.ends_with("*\">"),
            "{stars}"
        );
    }
}

#[test]
fn what_is_no_credential_passes_as_it_is() {
    let page = "TKscripte ".repeat(3000);
    let sent = page.clone();
    for (status, code) in [("200 OK", 200), ("404 Not Found", 404)] {
        let page = page.clone();
        let scripted = repeating(status, 777, move |_, _| page.clone());
        let running = Setup::default().server(scripted.url()).start();
        let answer = running.get("/TEL/?Tel=0612345678");
        assert_eq!(answer.status, code);
        let pairs = answer.body.iter().zip(sent.as_bytes());
        let same = pairs.take_while(|(got, sent)| got == sent).count();
        let got = (same, answer.body.len(), answer.complete);
        assert_eq!(got, (sent.len(), sent.len(), true));
    }
}

#[test]
fn the_licence_code_in_an_error_is_masked_and_in_an_ordinary_answer_it_is_a_word() {
    let say = |status| repeating(status, 3, |_, _| "licence SANDBOX not allowed".to_owned());
    for (status, expected) in [
        ("403 No", "licence ******* not allowed"),
        ("200 OK", "licence SANDBOX not allowed"),
    ] {
        let running = Setup::default().server(say(status).url()).start();
        assert_eq!(running.get("/TEL/?Tel=0612345678").text(), expected);
    }
}

#[test]
fn dqe_is_asked_not_to_compress_and_an_error_it_compresses_all_the_same_is_withheld() {
    let running = Running::start();
    let request = "GET /TEL/?Tel=0612345678 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
        Accept-Encoding: gzip, deflate\r\nAccept-Encoding: br\r\n\r\n";
    assert_eq!(call(running.address, request).status, 200);
    let entry = running.last_received();
    assert_eq!(entry.header_values("accept-encoding"), [b"identity"]);
    for (status, expected) in [("200 OK", 200), ("400 Bad", 502), ("304 Same", 304)] {
        let coded = format!(
            "HTTP/1.1 {status}\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n{}",
            if expected == 304 { "" } else { "\u{1f}abc" }
        );
        let scripted = Scripted::answering(coded);
        let running = Setup::default().server(scripted.url()).start();
        let answer = running.get("/TEL/?Tel=0612345678");
        assert_eq!(answer.status, expected, "{status}");
        if expected == 502 {
            assert_eq!(answer.json()["code"], "answer_coded");
        }
    }
}
