//! The values switches take, and how they are written.

use std::time::Duration;

/// Declares a choice by the words it is written with.
macro_rules! words {
    (
        $(#[$documentation:meta])*
        $name:ident { $($(#[$meaning:meta])* $variant:ident = $word:literal,)+ }
    ) => {
        $(#[$documentation])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[$meaning])* $variant,)+
        }

        impl $name {
            pub(super) const WORDS: &[(&str, Self)] = &[$(($word, Self::$variant),)+];
        }
    };
}

words! {
    /// How the credential of a family must travel.
    Carriage {
        /// Only `Authorization: Bearer` counts.
        Header = "header",
        /// Only the `Licence` parameter counts.
        Licence = "licence",
        /// One good credential is enough, wherever it travels.
        Either = "either",
        /// Both must be there and good.
        Both = "both",
    }
}

words! {
    /// What the token endpoint says in `expires_in`.
    ExpiresIn {
        /// `"300"`, as documented.
        String = "string",
        /// `300`.
        Number = "number",
        /// No such member.
        Missing = "missing",
        /// `"0"`.
        Zero = "zero",
        /// `"-300"`.
        Negative = "negative",
        /// A number no clock can hold.
        Absurd = "absurd",
        /// `"soon"`.
        Word = "word",
    }
}

words! {
    /// Format of the token endpoint's error bodies, which the documentation does not show.
    ErrorBody {
        /// `Invalid Client`.
        Text = "text",
        /// `{"error":"invalid_client"}`.
        Json = "json",
        /// `{"status":400,"message":"Invalid Client","details":"","error":"invalid_client"}`, as
        /// the RESTful paths say it.
        Restful = "restful",
        /// `{"status":"error","error_type":"invalid client secret","error_id":"03"}` with status
        /// 200, as older pages on ID Mobile have it.
        Mobile = "mobile",
    }
}

words! {
    /// Content type of the classic JSON answers.
    ContentType {
        /// `application/json`.
        Json = "json",
        /// `text/html; charset=utf-8`.
        Html = "html",
        /// `text/plain; charset=utf-8`.
        Text = "text",
    }
}

words! {
    /// How a classic path says nothing when it refuses a credential.
    Nothing {
        /// `{}`, and no byte at all on `/ADR/`.
        Documented = "documented",
        /// `{}` everywhere.
        Object = "object",
        /// No byte at all.
        Empty = "empty",
    }
}

/// How long the token endpoint gives a live token again instead of a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenReuse {
    /// Never: each call issues a new token.
    Off,
    /// Until this much of its life is over, in percent (1 to 100).
    UntilPercent(u8),
}

pub(super) const TOKEN_REUSE: &str = "off | on | until:80%";
pub(super) const DURATION: &str = "250ms, 1.5s, 2m…";

pub(super) fn read_reuse(text: &str) -> Option<TokenReuse> {
    match text {
        "off" => return Some(TokenReuse::Off),
        "on" => return Some(TokenReuse::UntilPercent(100)),
        _ => {}
    }
    let percent = text.strip_prefix("until:")?.strip_suffix('%')?;
    let percent = percent.parse().ok()?;
    (1..=100)
        .contains(&percent)
        .then_some(TokenReuse::UntilPercent(percent))
}

pub(super) fn written_reuse(reuse: TokenReuse) -> String {
    match reuse {
        TokenReuse::Off => "off".to_owned(),
        TokenReuse::UntilPercent(100) => "on".to_owned(),
        TokenReuse::UntilPercent(percent) => format!("until:{percent}%"),
    }
}

/// Reads `250ms`, `1.5s`, `2m` or plain seconds. At most a day: a longer wait is a mistake.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let (number, unit) = match text.find(|one: char| one.is_ascii_alphabetic()) {
        Some(at) => text.split_at(at),
        None => (text, "s"),
    };
    let scale = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    let seconds = number.parse::<f64>().ok()? * scale;
    (0.0..=86_400.0)
        .contains(&seconds)
        .then(|| Duration::from_secs_f64(seconds))
}

/// A duration as [`parse_duration`] reads it.
pub(super) fn written_duration(duration: Duration) -> String {
    match duration.subsec_millis() {
        0 => format!("{}s", duration.as_secs()),
        _ => format!("{}ms", duration.as_millis()),
    }
}

pub(super) fn pick<Value: Copy>(words: &[(&str, Value)], text: &str) -> Option<Value> {
    let found = words.iter().find(|(word, _)| *word == text);
    found.map(|(_, value)| *value)
}

pub(super) fn word<Value: Copy + PartialEq>(words: &[(&str, Value)], value: Value) -> String {
    let found = words.iter().find(|(_, known)| *known == value);
    found.map_or("?", |(word, _)| word).to_owned()
}

pub(super) fn joined<Value>(words: &[(&str, Value)]) -> String {
    let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    words.join(" | ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_their_unit() {
        for (text, expected) in [
            ("250ms", Some(250_u128)),
            ("1.5s", Some(1500)),
            ("2", Some(2000)),
            ("1m", Some(60_000)),
        ] {
            assert_eq!(
                parse_duration(text).map(|span| span.as_millis()),
                expected,
                "{text}"
            );
        }
        for text in ["", "s", "-1s", "2 weeks", "nan", "inf", "1e99s", "25h"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }
}
