//! What the program says about itself: a `tracing` subscriber on standard
//! error. Only this crate's own events pass, so that no dependency can log a
//! header or a body, whatever the level.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use tracing::{Dispatch, Level};
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::{Writer as FieldWriter, debug_fn};
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::SubscriberExt;

use super::Settings;
use super::escape::{Escaped, escape_json};
use super::writer::{HandOver, Writer};

/// Targets begin with the path of the module that logs.
const OWN_TARGET: &str = env!("CARGO_CRATE_NAME");

/// Lines that may wait for a slow reader of standard error.
const WAITING_LINES: usize = 1024;

/// Longest time the end of the program waits for that reader.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Starts logging to standard error. To be kept until the program ends: the
/// last lines are written when it is dropped, which `std::process::exit` skips.
///
/// The first call in a process counts; later ones (tests) change nothing.
///
/// # Errors
/// The system has no thread to give.
pub fn init(settings: &Settings) -> io::Result<EventLog> {
    let is_terminal = io::stderr().is_terminal();
    let has_colours = is_terminal && std::env::var_os("NO_COLOR").is_none_or(|it| it.is_empty());
    let writer = Writer::start("log", WAITING_LINES, Box::new(io::stderr()), false)?;
    let dispatch = dispatch(
        settings.level,
        settings.format.is_text(is_terminal),
        has_colours,
        writer.hand_over(),
    );
    // It fails when there is a subscriber already, which then stays.
    let _ = tracing::dispatcher::set_global_default(dispatch);
    Ok(EventLog { writer })
}

/// The log of events. Logging costs the thread that logs a formatted line and
/// a hand-over; it never waits for whoever reads standard error.
#[must_use = "the last lines are written when this is dropped"]
pub struct EventLog {
    writer: Writer,
}

impl EventLog {
    /// Lines lost because standard error was not read, or was closed.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.writer.dropped()
    }
}

impl Drop for EventLog {
    fn drop(&mut self) {
        self.writer.finish(LAST_WORDS);
    }
}

fn dispatch(level: Level, is_text: bool, has_colours: bool, lines: HandOver) -> Dispatch {
    let filter = Targets::new().with_target(OWN_TARGET, level);
    let registry = tracing_subscriber::registry().with(filter);
    let layer = tracing_subscriber::fmt::layer()
        .with_timer(Utc)
        .with_ansi(has_colours);
    if is_text {
        // The default field format escapes the message only, and not its newlines.
        let fields = debug_fn(|out, field, value| match field.name() {
            "message" => write!(Escaped(out), "{value:?}"),
            name => write!(Escaped(out), "{name}={value:?}"),
        })
        .delimited(" ");
        Dispatch::new(registry.with(layer.fmt_fields(fields).with_writer(Lines {
            lines,
            is_json: false,
        })))
    } else {
        let layer = layer.json().flatten_event(true).with_current_span(false);
        Dispatch::new(
            registry.with(layer.with_span_list(false).with_writer(Lines {
                lines,
                is_json: true,
            })),
        )
    }
}

/// RFC 3339, UTC, milliseconds.
struct Utc;

impl FormatTime for Utc {
    fn format_time(&self, out: &mut FieldWriter<'_>) -> std::fmt::Result {
        write!(out, "{:.3}", jiff::Timestamp::now())
    }
}

#[derive(Clone)]
struct Lines {
    lines: HandOver,
    is_json: bool,
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Write for Lines {
    /// Called once per event, with the whole line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut bytes = line.to_vec();
        if self.is_json {
            escape_json(&mut bytes, 0);
        }
        self.lines.offer(bytes, 1);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Memory, stalled};
    use super::super::{Format, Settings};
    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    fn logged(is_text: bool, level: Level, act: impl FnOnce()) -> String {
        let memory = Memory::default();
        let writer = Writer::start("test", 100, Box::new(memory.clone()), false).unwrap();
        let dispatch = dispatch(level, is_text, false, writer.hand_over());
        tracing::dispatcher::with_default(&dispatch, act);
        assert!(writer.finish(SOON));
        memory.text()
    }

    #[test]
    fn only_this_crate_is_heard_and_only_at_its_level() {
        let text = logged(true, Level::DEBUG, || {
            tracing::debug!("ours");
            tracing::trace!("too detailed");
            for _ in 0..2 {
                tracing::error!(target: "hyper::proto", "theirs");
                tracing::error!(target: "rustls", "theirs");
            }
        });
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains(" DEBUG dqe_proxy::telemetry::events::tests: ours"));
    }

    #[test]
    fn text_lines_begin_with_the_time_and_end_with_the_fields() {
        let text = logged(true, Level::INFO, || {
            tracing::warn!(scope = "client_email", retry_seconds = 4, "no token");
        });
        let (time, rest) = text.split_once(' ').unwrap();
        time.parse::<jiff::Timestamp>().unwrap();
        let expected = "WARN dqe_proxy::telemetry::events::tests: \
                        no token scope=\"client_email\" retry_seconds=4\n";
        assert_eq!(rest.trim_start(), expected);
    }

    #[test]
    fn json_lines_are_flat_and_dated() {
        let text = logged(false, Level::INFO, || {
            tracing::info!(scope = "client_email", life_seconds = 300, "token renewed");
        });
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["level"], "INFO");
        assert_eq!(value["message"], "token renewed");
        assert_eq!(value["scope"], "client_email");
        assert_eq!(value["life_seconds"], 300);
        let time = value["timestamp"].as_str().unwrap();
        assert_eq!(time.len(), "2026-11-24T02:32:01.123Z".len(), "{time}");
        time.parse::<jiff::Timestamp>().unwrap();
    }

    #[test]
    fn no_text_starts_a_line_or_steers_the_terminal() {
        let evil = "a\nb\u{1b}[31m\u{9b}2J\u{7f}";
        let act = || tracing::info!(plain = evil, shown = %evil, debug = ?evil, "said {evil}");
        for is_text in [true, false] {
            let text = logged(is_text, Level::INFO, act);
            let line = text.strip_suffix('\n').unwrap();
            assert!(!line.chars().any(char::is_control), "{line:?}");
            if !is_text {
                let value: serde_json::Value = serde_json::from_str(line).unwrap();
                assert_eq!(value["shown"], evil);
            }
        }
    }

    #[test]
    fn a_reader_that_stalls_stops_nobody() {
        let (release, _, sink) = stalled();
        let writer = Writer::start("test", 10, Box::new(sink), false).unwrap();
        let dispatch = dispatch(Level::INFO, true, false, writer.hand_over());
        tracing::dispatcher::with_default(&dispatch, || {
            for number in 0..100 {
                tracing::info!(number, "goes on");
            }
        });
        assert!(
            (89..=90).contains(&writer.dropped()),
            "{}",
            writer.dropped()
        );
        assert!(!writer.finish(Duration::from_millis(20)));
        drop(release);
        assert!(writer.finish(SOON));
    }

    #[test]
    fn starting_twice_is_no_error() {
        let settings = Settings {
            level: Level::ERROR,
            format: Format::Auto,
            access: false,
        };
        let first = init(&settings).unwrap();
        let second = init(&settings).unwrap();
        drop(first);
        drop(second);
        tracing::error!("said by a test, after the log has ended");
    }
}
