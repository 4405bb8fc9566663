//! What the program says about itself: a `tracing` subscriber on standard
//! error. Only this crate's own events pass, so that no dependency can log a
//! header or a body, whatever the level.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use tracing::{Dispatch, Level};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::{Writer as FieldWriter, debug_fn};
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::SubscriberExt;

use super::Settings;
use super::escape::{Escaped, push_json_line};
use super::writer::{HandOver, Writer};

/// Targets begin with the path of the module that logs.
const OWN_TARGET: &str = env!("CARGO_CRATE_NAME");

/// Lines that may wait for a slow reader of standard error.
const WAITING_LINES: usize = 1024;

/// Longest time the end of the program waits for that reader.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Starts logging to standard error. To be kept until the program ends: the
/// last lines are written when it is dropped.
///
/// The first call in a process counts; later ones (tests) change nothing.
/// Fails when the system has no thread to give.
pub fn init(settings: &Settings) -> io::Result<EventLog> {
    let is_terminal = io::stderr().is_terminal();
    let has_colours = is_terminal && std::env::var_os("NO_COLOR").is_none_or(|it| it.is_empty());
    let writer = Writer::start("log", WAITING_LINES, Box::new(io::stderr()))?;
    let dispatch = dispatch(
        settings.level,
        settings.format.is_text(is_terminal),
        has_colours,
        writer.hand_over(),
    );
    // Somebody else's subscriber is as good as ours for what called us twice.
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
        });
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
        let mut bytes = Vec::with_capacity(line.len());
        if self.is_json {
            push_json_line(&mut bytes, line);
        } else {
            bytes.extend_from_slice(line);
        }
        self.lines.offer(bytes, 1);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
