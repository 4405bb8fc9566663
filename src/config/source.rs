//! The text of a settings file, its places, and its syntax errors. The
//! parser's own messages are not shown as they are: they print the line they
//! complain about, and with it any secret that stands there.

use std::path::Path;

use super::problem::{Place, Problem};

/// No settings file is larger; a larger one is the wrong file.
const MAX_BYTES: u64 = 1024 * 1024;

/// No more broken lines are told than these; the file is likely not TOML at all.
const MOST_SYNTAX_PROBLEMS: usize = 20;

/// A text and where its lines begin.
pub(super) struct Source<'a> {
    pub(super) path: &'a Path,
    pub(super) text: &'a str,
    line_starts: Vec<usize>,
}

impl<'a> Source<'a> {
    pub(super) fn new(path: &'a Path, text: &'a str) -> Self {
        let newlines = text.match_indices('\n').map(|(offset, _)| offset + 1);
        Self {
            path,
            text,
            line_starts: std::iter::once(0).chain(newlines).collect(),
        }
    }

    /// Line and column of a byte offset. An offset inside a character or past
    /// the end counts as the nearest one before.
    pub(super) fn place(&self, offset: usize) -> Place {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let line = self.line_of(offset);
        let line_start = self.line_starts[line];
        // A byte order mark takes no column.
        let before = self.text[line_start..offset].trim_start_matches('\u{feff}');
        Place::File {
            path: self.path.to_owned(),
            line: line + 1,
            column: before.chars().count() + 1,
        }
    }

    /// The first error of each line: the rest of a line mostly suffers from it.
    pub(super) fn syntax_problems(&self, errors: &[toml::de::Error]) -> Vec<Problem> {
        let mut found: Vec<(usize, &str)> = errors
            .iter()
            .map(|error| {
                let offset = error.span().map_or(self.text.len(), |span| span.start);
                (offset, error.message())
            })
            .collect();
        found.sort_unstable();
        found.dedup_by_key(|(offset, _)| self.line_of(*offset));
        found.truncate(MOST_SYNTAX_PROBLEMS);
        let problems = found.into_iter().map(|(offset, message)| {
            // The message is one of the parser's fixed sentences: it quotes nothing.
            Problem::without_key(&self.place(offset), format!("not TOML: {message}")).hint(
                "one key to a line, text in quotes; the keys of the file are checked once it is TOML",
            )
        });
        problems.collect()
    }

    /// The line of a byte offset, counted from nought.
    fn line_of(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= offset) - 1
    }
}

/// The text of the file at `path`, which `named_by` names.
pub(super) fn read(path: &Path, named_by: &Place) -> Result<String, Problem> {
    if path.as_os_str().is_empty() {
        return Err(Problem::without_key(named_by, "names no settings file")
            .hint("leave it out, or give it a path"));
    }
    let refuse = |reason: String| {
        let message = format!("cannot read the settings file {}: {reason}", path.display());
        Problem::without_key(named_by, message)
    };
    let bytes = content(path).map_err(|error| {
        let problem = refuse(error.to_string());
        if error.kind() == std::io::ErrorKind::NotFound {
            problem.hint("a file that is named has to exist; without a file, leave the name out")
        } else {
            problem
        }
    })?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(refuse(format!("it is larger than {MAX_BYTES} bytes")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid_up_to = error.utf8_error().valid_up_to();
        let valid = String::from_utf8_lossy(&error.as_bytes()[..valid_up_to]);
        let place = Source::new(path, &valid).place(valid_up_to);
        Problem::without_key(&place, "a byte that is not UTF-8").hint("save the file as UTF-8")
    })
}

fn content(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?
        .take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_lines_and_characters_from_one() {
        let source = Source::new(Path::new("config.toml"), "\u{feff}é=1\r\n\nab");
        for (offset, expected) in [
            (0, "1:1"),
            (3, "1:1"),
            (4, "1:1"),
            (5, "1:2"),
            (9, "2:1"),
            (11, "3:2"),
            (12, "3:3"),
            (99, "3:3"),
        ] {
            let place = source.place(offset).to_string();
            assert_eq!(place, format!("config.toml:{expected}"), "{offset}");
        }
    }
}
