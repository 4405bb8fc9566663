//! The `Date` of answers, written once a second instead of once a request.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;

/// The last date written, as RFC 9110 §5.6.7 wants it.
#[derive(Debug, Default)]
pub(crate) struct DateLine {
    second: i64,
    text: String,
}

impl DateLine {
    /// The date by a clock that runs `ahead` of this machine's.
    pub(crate) fn now(&mut self, ahead: Duration) -> &str {
        let now = Timestamp::now();
        let now = now.checked_add(ahead).unwrap_or(now);
        if self.text.is_empty() || now.as_second() != self.second {
            self.second = now.as_second();
            // Only years outside 0 to 9999 cannot be written; an empty date hurts nobody.
            self.text = DateTimePrinter::new()
                .timestamp_to_rfc9110_string(&now)
                .unwrap_or_default();
        }
        &self.text
    }
}
