//! Durations as operators write them: a number and its unit.

use std::time::Duration;

use jiff::SignedDuration;
use jiff::fmt::friendly::SpanParser;

/// Longest duration accepted; far below what a clock can add.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// What is wrong with a duration.
pub(super) struct InvalidDuration {
    pub(super) message: &'static str,
    pub(super) hint: &'static str,
}

const EXAMPLES: &str =
    r#"write a number with its unit (ms, s, m, h), such as "3s", "700ms" or "1m30s""#;

/// Reads `3s`, `700ms`, `1m30s`, `1.5s`, `2 minutes`. Not accepted: a number
/// without a unit, a negative duration, days and longer units.
pub(super) fn parse(text: &str, zero: bool) -> Result<Duration, InvalidDuration> {
    let wrong = |message, hint| Err(InvalidDuration { message, hint });
    let text = text.trim();
    if text.parse::<f64>().is_ok() {
        return wrong("a duration needs a unit", EXAMPLES);
    }
    // "3s ago" and "-3s" are negative durations to the parser.
    let parsed = SpanParser::new().parse_duration(text);
    let Ok(signed) = parsed else {
        return wrong("not a duration", EXAMPLES);
    };
    if signed.is_negative() {
        return wrong("a duration cannot be negative", EXAMPLES);
    }
    let Ok(duration) = Duration::try_from(signed) else {
        return wrong("not a duration", EXAMPLES);
    };
    if duration > LONGEST {
        return wrong("a duration longer than a day", "the longest is 24h");
    }
    if duration.is_zero() && !zero {
        return wrong("this duration cannot be zero", EXAMPLES);
    }
    Ok(duration)
}

/// The shortest way to write `duration`.
pub(super) fn format(duration: Duration) -> String {
    SignedDuration::try_from(duration)
        .map(|signed| format!("{signed:#}").replace(' ', ""))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<u64, &str>) {
        let found = parse(text, false)
            .map(|duration| u64::try_from(duration.as_millis()).unwrap())
            .map_err(|error| error.message);
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn a_duration_is_a_number_with_a_unit() {
        for (text, millis) in [
            ("3s", 3_000),
            ("700ms", 700),
            ("1m30s", 90_000),
            ("1m 30s", 90_000),
            (" 5m ", 300_000),
            ("1.5s", 1_500),
            ("2 minutes", 120_000),
            ("24h", 86_400_000),
        ] {
            check(text, Ok(millis));
        }
    }

    #[test]
    fn what_is_no_duration_is_refused_with_its_reason() {
        for (text, message) in [
            ("3", "a duration needs a unit"),
            ("0", "a duration needs a unit"),
            ("1.5", "a duration needs a unit"),
            ("-3s", "a duration cannot be negative"),
            ("3s ago", "a duration cannot be negative"),
            ("0s", "this duration cannot be zero"),
            ("25h", "a duration longer than a day"),
            ("1d", "not a duration"),
            ("1w", "not a duration"),
            ("1 month", "not a duration"),
            ("1 year", "not a duration"),
            ("soon", "not a duration"),
            ("3x", "not a duration"),
            ("", "not a duration"),
            ("99999999999999999999999999s", "not a duration"),
        ] {
            check(text, Err(message));
        }
        assert!(parse("0s", true).is_ok_and(|duration| duration.is_zero()));
    }

    #[test]
    fn a_duration_is_written_as_it_is_read() {
        for text in ["3s", "700ms", "1m30s", "0s", "24h", "1m15s500ms"] {
            let Ok(duration) = parse(text, true) else {
                panic!("{text}");
            };
            assert_eq!(format(duration), text);
        }
    }
}
