//! Sizes as operators write them: a whole number and its unit.

/// What is wrong with a size.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct InvalidSize {
    pub(super) message: String,
    pub(super) hint: &'static str,
}

const EXAMPLES: &str = r#"write a whole number with its unit, such as "64KiB", "10MiB" or "1GiB""#;

/// Units, the largest first; each is 1024 of the next.
const UNITS: [(&str, u64); 4] = [
    ("GiB", 1024 * 1024 * 1024),
    ("MiB", 1024 * 1024),
    ("KiB", 1024),
    ("B", 1),
];

/// Which sizes a key takes, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) least: u64,
    pub(super) most: u64,
    /// `0`, without a unit, is taken too; its meaning is the key's.
    pub(super) zero: bool,
}

/// Reads `64KiB`, `10 MiB`, `512B` (in any letter case), and `0` where `range`
/// has it. Not accepted: a number without a unit, fractions, units of 1000.
pub(super) fn parse(text: &str, range: Range) -> Result<u64, InvalidSize> {
    let wrong = |message: &str| {
        Err(InvalidSize {
            message: message.to_owned(),
            hint: EXAMPLES,
        })
    };
    let text = text.trim();
    let end = text.find(|character: char| !character.is_ascii_digit());
    let (digits, unit) = text.split_at(end.unwrap_or(text.len()));
    let Ok(number) = digits.parse::<u64>() else {
        return wrong("not a size");
    };
    let unit = unit.trim();
    if number == 0 && range.zero {
        return Ok(0);
    }
    if unit.is_empty() {
        return wrong("a size needs a unit");
    }
    let known = |(name, _): &&(&str, u64)| name.eq_ignore_ascii_case(unit);
    let Some((_, factor)) = UNITS.iter().find(known) else {
        return wrong("not a unit of sizes");
    };
    match number.checked_mul(*factor) {
        Some(size) if (range.least..=range.most).contains(&size) => Ok(size),
        Some(_) | None => Err(InvalidSize {
            message: format!(
                "a size from {} to {} is expected here",
                format(range.least),
                format(range.most)
            ),
            hint: if range.zero {
                r#"or write "0"; config.example.toml says what it stands for"#
            } else {
                EXAMPLES
            },
        }),
    }
}

/// The shortest way to write `size` in bytes.
pub(super) fn format(size: u64) -> String {
    let even = |(_, factor): &&(&str, u64)| size.is_multiple_of(*factor);
    match UNITS.iter().find(even) {
        Some((name, factor)) if size > 0 => format!("{}{name}", size / factor),
        Some(_) | None => "0".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: Range = Range {
        least: 1,
        most: u64::MAX,
        zero: false,
    };

    #[test]
    fn a_size_is_a_whole_number_with_a_unit() {
        for (text, expected) in [
            ("512B", 512),
            ("64KiB", 65_536),
            (" 64 kib ", 65_536),
            ("10MiB", 10_485_760),
            ("1GiB", 1_073_741_824),
        ] {
            assert_eq!(parse(text, ANY), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused_with_its_reason() {
        for (text, message) in [
            ("64", "a size needs a unit"),
            ("0", "a size needs a unit"),
            ("64KB", "not a unit of sizes"),
            ("64K", "not a unit of sizes"),
            ("1.5MiB", "not a unit of sizes"),
            ("-1KiB", "not a size"),
            ("", "not a size"),
            ("much", "not a size"),
            ("99999999999999999999999B", "not a size"),
        ] {
            let error = parse(text, ANY).map_err(|error| error.message);
            assert_eq!(error, Err(message.to_owned()), "{text:?}");
        }
    }

    #[test]
    fn a_size_keeps_within_the_range_of_its_key() {
        let range = Range {
            least: 1024,
            most: 1024 * 1024,
            zero: true,
        };
        assert_eq!(parse("0", range), Ok(0));
        assert_eq!(parse("1MiB", range), Ok(1_048_576));
        for text in ["1023B", "1048577B", "99999999999999999GiB"] {
            let error = parse(text, range).map_err(|error| error.message);
            let expected = "a size from 1KiB to 1MiB is expected here".to_owned();
            assert_eq!(error, Err(expected), "{text:?}");
        }
    }

    #[test]
    fn a_size_is_written_as_it_is_read() {
        for text in ["1B", "1023B", "1KiB", "1025B", "64MiB", "3GiB"] {
            let Ok(size) = parse(text, ANY) else {
                panic!("{text}");
            };
            assert_eq!(format(size), text);
        }
        assert_eq!(format(0), "0");
    }
}
