//! The wire, clause by clause, in raw bytes: for each case what reaches the
//! server and what the caller gets. Tables of cases by group; [`bench`] runs them.
//!
//! `cargo test --test it conformance::census -- --nocapture` prints the count of
//! cases by group and the clauses they stand for.

mod bench;
mod case;

mod answer_fields;
mod answer_form;
mod answer_framing;
mod answer_syntax;
mod connections;
mod expectations;
mod fields;
mod limits;
mod methods;
mod pieces;
mod request_framing;
mod request_syntax;
mod target;

use std::collections::BTreeMap;

use case::Case;

/// A group: its name, its cases, and how many there are at least.
type Group = (&'static str, fn() -> Vec<Case>, usize);

const GROUPS: &[Group] = &[
    ("request framing", request_framing::cases, 152),
    ("request syntax", request_syntax::cases, 154),
    ("target", target::cases, 125),
    ("fields", fields::cases, 99),
    ("methods", methods::cases, 46),
    ("connections", connections::cases, 76),
    ("pieces", pieces::cases, 478),
    ("expectations", expectations::cases, 26),
    ("limits", limits::cases, 29),
    ("answer framing", answer_framing::cases, 124),
    ("answer form", answer_form::cases, 33),
    ("answer syntax", answer_syntax::cases, 59),
    ("answer fields", answer_fields::cases, 33),
];

#[test]
#[allow(clippy::print_stdout, reason = "the census is for a reader")]
fn census_of_the_cases_by_group_and_of_their_clauses() {
    let mut clauses: BTreeMap<&str, usize> = BTreeMap::new();
    let mut all = 0;
    for (group, cases, least) in GROUPS {
        let cases = cases();
        println!("{:4}  {group}", cases.len());
        assert!(
            cases.len() >= *least,
            "{group} has fewer cases than it had: {}",
            cases.len()
        );
        for (index, case) in cases.iter().enumerate() {
            let twin = cases[..index].iter().find(|other| other.name == case.name);
            assert!(
                twin.is_none(),
                "two cases of {group} are called {}",
                case.name
            );
            *clauses.entry(case.clause).or_default() += 1;
        }
        all += cases.len();
    }
    println!("{all:4}  in all");
    for (clause, count) in &clauses {
        println!("{count:4}  {clause}");
    }
}
