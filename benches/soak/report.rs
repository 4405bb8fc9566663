//! The table that is printed.

use std::fmt;

/// How a row ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Pass,
    Fail,
    Skipped,
}

impl From<bool> for Verdict {
    fn from(is_met: bool) -> Self {
        if is_met { Self::Pass } else { Self::Fail }
    }
}

/// One goal, measured.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) server: &'static str,
    pub(crate) goal: &'static str,
    pub(crate) target: String,
    pub(crate) measured: String,
    pub(crate) verdict: Verdict,
}

/// All rows, aligned.
pub(crate) struct Table<'rows>(pub(crate) &'rows [Row]);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.0.iter().map(|row| {
            let verdict = match row.verdict {
                Verdict::Pass => "pass",
                Verdict::Fail => "FAIL",
                Verdict::Skipped => "skipped",
            };
            [row.server, row.goal, &row.target, &row.measured, verdict]
        });
        let head = ["server", "goal", "target", "measured", ""];
        let lines: Vec<_> = std::iter::once(head).chain(lines).collect();
        let width = |column: usize| {
            let lengths = lines.iter().map(|line| line[column].chars().count());
            lengths.max().unwrap_or_default()
        };
        let [a, b, c, d] = [width(0), width(1), width(2), width(3)];
        for [server, goal, target, measured, verdict] in &lines {
            writeln!(
                f,
                "{server:a$}  {goal:b$}  {target:c$}  {measured:d$}  {verdict}"
            )?;
        }
        Ok(())
    }
}
