//! Runs the cases of a group against one running proxy and tells of every one
//! that went otherwise: name, clause, what was sent, what the server received,
//! what the caller received.

use std::fmt::Write as _;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::case::{Case, Ends, Got, Piece, Reached, VALUE, shown};
use crate::support::{PATIENCE, Program, Reaction, Recorded, Recorder};

/// Sent last on a connection that is to be kept; answered by the proxy itself.
const PROBE: &[u8] =
    b"GET /nowhere HTTP/1.1\r\nHost: probe\r\nX-Request-Id: probe\r\nConnection: close\r\n\r\n";

/// Runs `cases`, all of them, and fails with a report of those that went wrong.
pub(super) fn run(cases: &[Case]) {
    run_with(&[], cases);
}

/// The same, with settings by their environment variables without `DQE_PROXY_`.
pub(super) fn run_with(settings: &[(&str, &str)], cases: &[Case]) {
    let recorder = Recorder::start();
    let settings: Vec<_> = settings
        .iter()
        .copied()
        // The wire is what is looked at; how the token travels has tables of its own.
        .chain([("LISTENER_THREADS", "1"), ("DQE_CARRIAGE", "header")])
        .collect();
    let mut program = Program::start(&recorder.url(), &settings, &[VALUE]);
    let mut report = String::new();
    let mut failed = 0;
    for case in cases {
        let seen = carry_out(case, &recorder, &program);
        let wrong = seen.judge(case, recorder.authority());
        if !wrong.is_empty() {
            failed += 1;
            seen.report(case, &wrong, &mut report);
        }
    }
    program.check_log();
    assert!(
        failed == 0,
        "{failed} of {} cases went wrong\n{report}",
        cases.len()
    );
}

/// What happened.
struct Seen {
    calls: Vec<Recorded>,
    received: Vec<u8>,
    end: End,
    /// The call of the next caller: its connection, and what was wrong with it.
    follow_up: (usize, Option<String>),
}

#[derive(Debug, PartialEq, Eq)]
enum End {
    Closed,
    Reset,
    /// Nothing more came, and no end either.
    Silence,
}

fn carry_out(case: &Case, recorder: &Recorder, program: &Program) -> Seen {
    recorder.reacts(case.reaction.clone());
    let mut stream = TcpStream::connect_timeout(&program.address, PATIENCE).unwrap();
    let patience = PATIENCE / 3;
    stream.set_read_timeout(Some(patience)).unwrap();
    stream.set_write_timeout(Some(patience)).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut received = Vec::new();
    // The system tells of a reset once: to whoever sends or to whoever reads.
    let mut was_reset = false;
    for piece in &case.pieces {
        match piece {
            Piece::Send(bytes) => was_reset |= stream.write_all(bytes).is_err(),
            Piece::Apart(bytes) => {
                std::thread::park_timeout(Duration::from_millis(1));
                was_reset |= stream.write_all(bytes).is_err();
            }
            Piece::Await(text) => await_text(&mut stream, text, &mut received),
            Piece::HalfClose => drop(stream.shutdown(Shutdown::Write)),
        }
    }
    if case.ends == Ends::Kept {
        let _ = stream.write_all(PROBE);
    }
    let end = match stream.read_to_end(&mut received) {
        Ok(_) if was_reset => End::Reset,
        Ok(_) => End::Closed,
        Err(error) if error.kind() == ErrorKind::ConnectionReset => End::Reset,
        Err(_) => End::Silence,
    };
    drop(stream);
    let calls = recorder.take_calls();
    if let Some(bytes) = case.unasked {
        recorder.says_unasked(bytes.as_bytes());
    }
    Seen {
        calls,
        received,
        end,
        follow_up: follow_up(recorder, program),
    }
}

fn await_text(stream: &mut TcpStream, text: &str, received: &mut Vec<u8>) {
    let mut byte = [0; 1];
    while !received.ends_with(text.as_bytes()) {
        match stream.read(&mut byte) {
            Ok(1) => received.push(byte[0]),
            Ok(_) | Err(_) => return,
        }
    }
}

/// Another caller's request gets its own answer, whatever came before.
fn follow_up(recorder: &Recorder, program: &Program) -> (usize, Option<String>) {
    recorder.reacts(Reaction::says(
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext",
    ));
    let mut stream = TcpStream::connect_timeout(&program.address, PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
        .write_all(b"GET /TEL/?follow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut received = Vec::new();
    let read = stream.read_to_end(&mut received);
    let mut calls = recorder.take_calls();
    // A call that was cut may be noticed late.
    calls.retain(|call| call.whole);
    let connection = calls.last().map_or(0, |call| call.connection);
    let is_right = read.is_ok()
        && received.starts_with(b"HTTP/1.1 200 OK\r\n")
        && received.ends_with(b"\r\n\r\nnext")
        && calls.len() == 1
        && calls[0].head.starts_with(b"GET /TEL/?follow HTTP/1.1\r\n");
    let wrong = (!is_right).then(|| {
        let heads: Vec<_> = calls.iter().map(|call| shown(&call.head)).collect();
        format!(
            "the next caller got {} for {heads:?}, ending {read:?}",
            shown(&received)
        )
    });
    (connection, wrong)
}

impl Seen {
    fn judge(&self, case: &Case, authority: &str) -> Vec<String> {
        let mut wrong: Vec<String> = self.follow_up.1.iter().cloned().collect();
        wrong.extend(self.judge_calls(case, authority));
        let answers = self.answers(case);
        let mut expected = case.gets.clone();
        if case.ends == Ends::Kept {
            expected.push(Got {
                status: 404,
                body: None,
                whole: true,
                fields: vec![("x-request-id", Some("probe"))],
                lines: None,
            });
        }
        match answers {
            Err(why) => wrong.push(why),
            Ok(answers) => {
                let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
                let wanted: Vec<u16> = expected.iter().map(|got| got.status).collect();
                if statuses != wanted {
                    wrong.push(format!(
                        "the answers were to be {wanted:?}, not {statuses:?}"
                    ));
                }
                for (answer, got) in answers.iter().zip(&expected) {
                    wrong.extend(answer.mismatch(got));
                }
            }
        }
        let wanted = match case.ends {
            Ends::Kept | Ends::Closed => End::Closed,
            Ends::Reset => End::Reset,
        };
        if self.end != wanted {
            wrong.push(format!(
                "the connection was to be {:?}, and its end was {:?}",
                case.ends, self.end
            ));
        }
        wrong
    }

    fn judge_calls(&self, case: &Case, authority: &str) -> Vec<String> {
        let mut wrong = Vec::new();
        if let [Reached::NeverWhole] = case.reaches[..] {
            // One of an earlier case may be noticed late; none of any is whole.
            let whole = self.calls.iter().filter(|call| call.whole).count();
            return (whole > 0)
                .then(|| format!("{whole} whole calls reached the server"))
                .into_iter()
                .collect();
        }
        if self.calls.len() != case.reaches.len() {
            wrong.push(format!(
                "{} calls were to reach the server, not {}",
                case.reaches.len(),
                self.calls.len()
            ));
        }
        for (reached, call) in case.reaches.iter().zip(&self.calls) {
            wrong.extend(reached.mismatch(call, authority));
        }
        if let (Some(kept), Some(last)) = (case.server_kept, self.calls.last())
            && kept != (last.connection == self.follow_up.0)
        {
            wrong.push(format!("the server's connection was to be kept: {kept}"));
        }
        wrong
    }

    /// What the caller received, taken apart.
    fn answers(&self, case: &Case) -> Result<Vec<Answer>, String> {
        let sent: Vec<&[u8]> = case
            .pieces
            .iter()
            .filter_map(|piece| match piece {
                Piece::Send(bytes) | Piece::Apart(bytes) => Some(&bytes[..]),
                Piece::Await(_) | Piece::HalfClose => None,
            })
            .collect();
        let to_head = sent.concat().starts_with(b"HEAD ");
        let mut rest = &self.received[..];
        let mut answers = Vec::new();
        while !rest.is_empty() {
            let is_probes = case.ends == Ends::Kept && answers.len() == case.gets.len();
            let whole_end = self.end == End::Closed;
            let (answer, left) = Answer::take(rest, to_head && !is_probes, whole_end)
                .ok_or_else(|| format!("no answer begins with {}", shown(rest)))?;
            rest = left;
            answers.push(answer);
        }
        Ok(answers)
    }

    fn report(&self, case: &Case, wrong: &[String], report: &mut String) {
        let _ = writeln!(report, "\n== {} ({})", case.name, case.clause);
        for wrong in wrong {
            let _ = writeln!(report, "   wrong: {wrong}");
        }
        for piece in &case.pieces {
            let _ = match piece {
                Piece::Send(bytes) | Piece::Apart(bytes) => {
                    writeln!(report, "   sent: {}", shown(bytes))
                }
                Piece::Await(_) | Piece::HalfClose => writeln!(report, "   then: {piece:?}"),
            };
        }
        for call in &self.calls {
            let _ = writeln!(
                report,
                "   server received{}: {} | {}",
                if call.whole { "" } else { ", not whole" },
                shown(&call.head),
                shown(&call.body)
            );
        }
        for piece in &case.reaction.pieces {
            let _ = writeln!(report, "   server said: {}", shown(piece));
        }
        let _ = writeln!(
            report,
            "   caller received: {} and the end was {:?}",
            shown(&self.received),
            self.end
        );
    }
}

/// An answer as the caller sees it.
struct Answer {
    status: u16,
    /// The status line and every field, as they came.
    lines: Vec<Vec<u8>>,
    fields: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    whole: bool,
}

impl Answer {
    /// The first answer in `bytes`, and what follows it.
    fn take(bytes: &[u8], to_head: bool, whole_end: bool) -> Option<(Self, &[u8])> {
        let end = bytes.windows(4).position(|part| part == b"\r\n\r\n")? + 4;
        let (head, rest) = bytes.split_at(end);
        let mut lines = head[..end - 4]
            .split(|byte| *byte == b'\n')
            .map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let status = std::str::from_utf8(lines.next()?).ok()?;
        let status = status.strip_prefix("HTTP/1.")?.get(2..5)?.parse().ok()?;
        let fields: Option<Vec<_>> = lines
            .map(|line| {
                let colon = line.iter().position(|byte| *byte == b':')?;
                let name = String::from_utf8(line[..colon].to_ascii_lowercase()).ok()?;
                Some((name, line[colon + 1..].trim_ascii().to_vec()))
            })
            .collect();
        let mut answer = Self {
            status,
            lines: head[..end - 4]
                .split(|byte| *byte == b'\n')
                .map(|line| line.strip_suffix(b"\r").unwrap_or(line).to_vec())
                .collect(),
            fields: fields?,
            body: Vec::new(),
            whole: true,
        };
        if to_head || status < 200 || status == 204 || status == 304 {
            return Some((answer, rest));
        }
        if answer.field("transfer-encoding").as_deref() == Some(b"chunked") {
            let left = answer.take_chunks(rest);
            answer.whole = left.is_some();
            return Some((answer, left.unwrap_or_default()));
        }
        let length: usize = match answer.field("content-length") {
            Some(length) => std::str::from_utf8(&length).ok()?.parse().ok()?,
            None => {
                answer.whole = whole_end;
                answer.body = rest.to_vec();
                return Some((answer, &[]));
            }
        };
        answer.whole = rest.len() >= length;
        let (body, rest) = rest.split_at(length.min(rest.len()));
        answer.body = body.to_vec();
        Some((answer, rest))
    }

    fn take_chunks<'a>(&mut self, mut rest: &'a [u8]) -> Option<&'a [u8]> {
        loop {
            let end = rest.windows(2).position(|part| part == b"\r\n")?;
            let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).ok()?, 16).ok()?;
            rest = &rest[end + 2..];
            self.body.extend_from_slice(&rest[..size.min(rest.len())]);
            rest = rest.get(size..)?.strip_prefix(b"\r\n")?;
            if size == 0 {
                return Some(rest);
            }
        }
    }

    fn field(&self, name: &str) -> Option<Vec<u8>> {
        let values: Vec<&[u8]> = self
            .fields
            .iter()
            .filter(|(field, _)| field == name)
            .map(|(_, value)| &value[..])
            .collect();
        (!values.is_empty()).then(|| values.join(&b", "[..]))
    }

    fn mismatch(&self, got: &Got) -> Vec<String> {
        let mut wrong = Vec::new();
        if got.body.as_ref().is_some_and(|body| *body != self.body) {
            wrong.push(format!("the body was {}", shown(&self.body)));
        }
        if got.whole != self.whole {
            wrong.push(format!("the answer was to be whole: {}", got.whole));
        }
        if let Some(lines) = &got.lines {
            wrong.extend(self.lines_mismatch(lines));
        }
        for (name, value) in &got.fields {
            let seen = self.field(name);
            if seen.as_deref() != value.map(str::as_bytes) {
                let seen = seen.map(|seen| shown(&seen));
                wrong.push(format!("{name} was to be {value:?}, not {seen:?}"));
            }
        }
        wrong
    }

    fn lines_mismatch(&self, expected: &[&str]) -> Option<String> {
        let in_order = |mut lines: Vec<String>| {
            lines[1..].sort();
            lines
        };
        let seen = self.lines.iter().map(|line| {
            let line = String::from_utf8_lossy(line);
            match line.split_once(": ") {
                Some(("date", date)) if is_now(date) => "date: NOW".to_owned(),
                Some(("x-request-id", id)) if id.len() == 32 => "x-request-id: ID".to_owned(),
                Some(_) | None => line.into_owned(),
            }
        });
        let seen = in_order(seen.collect());
        let expected = in_order(expected.iter().copied().map(str::to_owned).collect());
        (seen != expected).then(|| format!("the head was to be {expected:?}, not {seen:?}"))
    }
}

/// Whether `date` is the present time in the form of RFC 9110 §5.6.7.
fn is_now(date: &str) -> bool {
    const SLACK: u64 = 20;
    let told = (|| {
        let (weekday, rest) = date.split_once(", ")?;
        let parts: Vec<&str> = rest.split([' ', ':']).collect();
        let &[day, month, year, hour, minute, second, "GMT"] = &parts[..] else {
            return None;
        };
        let widths = [day, year, hour, minute, second].map(str::len);
        let months = [
            "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
        ];
        let month = months.iter().position(|name| *name == month)? as u64;
        let number = |text: &str| text.parse::<u64>().ok();
        let year = number(year)?;
        let is_leap = |year: u64| {
            year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
        };
        let lengths = [
            31,
            28 + u64::from(is_leap(year)),
            31,
            30,
            31,
            30,
            31,
            31,
            30,
            31,
            30,
        ];
        let days = (1970..year)
            .map(|year| 365 + u64::from(is_leap(year)))
            .sum::<u64>()
            + lengths[..month as usize].iter().sum::<u64>()
            + number(day)?.checked_sub(1)?;
        let weekdays = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
        let seconds = number(hour)? * 3600 + number(minute)? * 60 + number(second)?;
        (widths == [2, 4, 2, 2, 2] && weekday == weekdays[(days % 7) as usize])
            .then_some(days * 86_400 + seconds)
    })();
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |now| now.as_secs());
    told.is_some_and(|told| told.abs_diff(now) <= SLACK)
}
