//! What the answers to the sample calls point to. Pure.

use std::time::Duration;

use super::observation::{Answer, Called, Observations};
use super::report::{Finding, Side};
use super::sample::Meaning;
use super::steps::shown;
use crate::dqe::Carriage;

/// Longer than some callers wait in all.
const SLOW: Duration = Duration::from_secs(1);

/// What one path's answers say about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trait {
    /// The settings' carriage is refused, this one is taken.
    HeaderIgnored(Carriage),
    LicenceIgnored(Carriage),
    /// Neither alone, only together.
    BothNeeded,
    /// Either alone, not together.
    BothRefused(Carriage),
    /// As the settings have it calls work; alone the header does not.
    HeaderAloneIgnored,
    /// As the settings have it calls work; alone the parameter does not.
    LicenceAloneIgnored,
    /// The parameter could be spared.
    HeaderIsEnough,
    /// However it travels.
    Refused,
    NoSuchPath,
    Page,
    Redirect,
    Throttled,
    Failing,
    Unanswered,
}

/// Causes by calls: one finding for each trait, naming the paths that show it.
pub(super) fn of_calls(seen: &Observations) -> Vec<Finding> {
    let mut groups: Vec<(Trait, Vec<&Called>)> = Vec::new();
    for called in &seen.calls {
        for shown in traits(called) {
            match groups.iter_mut().find(|(known, _)| *known == shown) {
                Some((_, paths)) => paths.push(called),
                None => groups.push((shown, vec![called])),
            }
        }
    }
    let mut findings: Vec<Finding> = groups
        .into_iter()
        .map(|(shown, paths)| finding(shown, &paths, seen))
        .collect();
    findings.extend(of_pace(&seen.calls));
    findings
}

fn traits(called: &Called) -> Vec<Trait> {
    let [header, licence, both] = Carriage::ALL.map(|carriage| called.is_taken(carriage));
    let takes_licence = called.planned.sample.takes_licence;
    let in_force = called.planned.carriage;
    if !(header || licence || both) {
        return vec![untaken(called)];
    }
    // The header alone keeps the token out of URLs; both together are the next best.
    let best = match (header, both) {
        (true, _) => Carriage::Header,
        (false, true) => Carriage::Both,
        (false, false) => Carriage::Licence,
    };
    if !called.is_taken(in_force) {
        return vec![match (header, licence) {
            (false, true) => Trait::HeaderIgnored(best),
            (true, false) => Trait::LicenceIgnored(best),
            (false, false) => Trait::BothNeeded,
            (true, true) => Trait::BothRefused(best),
        }];
    }
    let mut traits = Vec::new();
    if !header {
        traits.push(Trait::HeaderAloneIgnored);
    }
    if !licence && takes_licence {
        traits.push(Trait::LicenceAloneIgnored);
    }
    if header && in_force != Carriage::Header {
        traits.push(Trait::HeaderIsEnough);
    }
    traits
}

/// What it means that no carriage is taken: the answer to the one in force decides.
fn untaken(called: &Called) -> Trait {
    let in_force = Carriage::ALL
        .into_iter()
        .zip(&called.answers)
        .find(|(carriage, _)| *carriage == called.planned.carriage);
    match in_force.map(|(_, answer)| answer) {
        Some(Answer::Meant(meaning)) => match meaning {
            Meaning::Refused(_) | Meaning::Nothing | Meaning::Taken => Trait::Refused,
            Meaning::NoSuchPath => Trait::NoSuchPath,
            Meaning::Page => Trait::Page,
            Meaning::Redirect => Trait::Redirect,
            Meaning::Throttled => Trait::Throttled,
            Meaning::Status(_) => Trait::Failing,
        },
        Some(Answer::Failed(_)) | None => Trait::Unanswered,
    }
}

fn finding(shown: Trait, paths: &[&Called], seen: &Observations) -> Finding {
    let list: Vec<&str> = paths
        .iter()
        .map(|called| called.planned.sample.path)
        .collect();
    let list = list.join(", ");
    let set = |carriage: Carriage| set_carriage(carriage, paths, seen);
    match shown {
        Trait::HeaderIgnored(best) => Finding::problem(
            "header_ignored",
            Side::Settings,
            format!(
                "{list}: DQE ignores the Authorization header and takes the token as the Licence parameter"
            ),
            set(best),
        ),
        Trait::LicenceIgnored(best) => Finding::problem(
            "licence_ignored",
            Side::Settings,
            format!(
                "{list}: DQE does not take the token as the Licence parameter and takes it in the Authorization header"
            ),
            set(best),
        ),
        Trait::BothNeeded => Finding::problem(
            "both_needed",
            Side::Settings,
            format!(
                "{list}: DQE wants the token in the Authorization header and as the Licence parameter at once"
            ),
            set(Carriage::Both),
        ),
        Trait::BothRefused(best) => Finding::problem(
            "both_refused",
            Side::Settings,
            format!(
                "{list}: DQE takes the token in the header or as the parameter, and not in both at once"
            ),
            set(best),
        ),
        Trait::HeaderAloneIgnored => Finding::advice(
            "header_ignored",
            Side::Settings,
            format!("{list}: DQE ignores the Authorization header and takes the Licence parameter"),
            "nothing: the settings have it right; the parameter must stay",
        ),
        Trait::LicenceAloneIgnored => Finding::advice(
            "licence_ignored",
            Side::Settings,
            format!(
                "{list}: DQE takes the Authorization header and does not take the Licence parameter alone"
            ),
            "nothing: the settings have it right",
        ),
        Trait::HeaderIsEnough => Finding::advice(
            "header_is_enough",
            Side::Settings,
            format!("{list}: DQE takes the Authorization header alone"),
            format!(
                "nothing has to be done; to keep the token out of URLs, {}",
                set(Carriage::Header)
            ),
        ),
        Trait::Refused => Finding::problem(
            "token_refused",
            Side::Dqe,
            format!("{list}: DQE refuses a token it has issued a moment ago, however it travels"),
            "when it is so everywhere, DQE's token server and its API disagree, in their clocks or their contracts; when it is some paths, ask DQE which scope opens them, and set it as [[route]] scope",
        ),
        Trait::NoSuchPath => Finding::problem(
            "no_such_path",
            Side::Dqe,
            format!("{list}: this server does not know the path"),
            "harmless when nobody calls it; otherwise check dqe.servers",
        ),
        Trait::Page => Finding::problem(
            "call_page",
            Side::Network,
            format!("{list}: something that is no API answer comes, such as a web page"),
            "check that dqe.servers names the API server; a captive portal, an inspecting proxy or a maintenance page look like this",
        ),
        Trait::Redirect => Finding::problem(
            "call_redirect",
            Side::Settings,
            format!("{list}: DQE answers with a redirect"),
            "check the name in dqe.servers; where a redirect leads to that server itself, the proxy follows it for GET and HEAD, and a call costs two",
        ),
        Trait::Throttled => Finding::problem(
            "calls_throttled",
            Side::Contract,
            format!("{list}: DQE answers 429: too many calls"),
            "try again later; ask DQE for your limit",
        ),
        Trait::Failing => Finding::problem(
            "calls_failing",
            Side::Dqe,
            format!("{list}: DQE answers with an error that is no refusal"),
            "try again later; when it stays so, tell DQE, with the time",
        ),
        Trait::Unanswered => Finding::problem(
            "calls_unanswered",
            Side::Dqe,
            format!("{list}: no whole answer comes"),
            "try again; when it stays so, look at firewalls on the way, then tell DQE",
        ),
    }
}

/// One line for all when every path that works takes this carriage, a route each otherwise.
fn set_carriage(carriage: Carriage, paths: &[&Called], seen: &Observations) -> String {
    let works = |called: &&Called| Carriage::ALL.iter().any(|one| called.is_taken(*one));
    let suits_all = seen
        .calls
        .iter()
        .filter(works)
        .all(|called| called.is_taken(carriage));
    if suits_all && paths.len() > 1 {
        return format!("set [dqe] carriage = \"{carriage}\"");
    }
    let routes: Vec<String> = paths
        .iter()
        .map(|called| format!("path = \"{}\"", called.planned.sample.path))
        .collect();
    format!(
        "set carriage = \"{carriage}\" in a [[route]] of its own for {}",
        routes.join(" and ")
    )
}

fn of_pace(calls: &[Called]) -> Option<Finding> {
    let slowest = calls.iter().max_by_key(|called| called.took)?;
    (slowest.took > SLOW).then(|| {
        Finding::advice(
            "calls_slow",
            Side::Dqe,
            format!(
                "{} took {} for an answer",
                slowest.planned.sample.path,
                shown(slowest.took)
            ),
            "some callers give up after a second: look at the network on the way, then ask DQE",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::super::Planned;
    use super::super::exchange::Unanswered;
    use super::super::sample::SAMPLES;
    use super::*;
    use crate::dqe::Scope;

    const OK: Answer = Answer::Meant(Meaning::Taken);
    const NO: Answer = Answer::Meant(Meaning::Refused("401"));
    const NIL: Answer = Answer::Meant(Meaning::Nothing);

    fn called(sample: usize, carriage: Carriage, answers: [Answer; 3]) -> Called {
        Called {
            planned: Planned {
                sample: &SAMPLES[sample],
                scope: Scope::Address,
                carriage,
            },
            answers,
            took: Duration::from_millis(5),
        }
    }

    fn found(calls: Vec<Called>) -> Vec<(&'static str, bool)> {
        let seen = Observations {
            calls,
            ..Observations::default()
        };
        of_calls(&seen)
            .iter()
            .map(|finding| (finding.cause, finding.is_problem))
            .collect()
    }

    #[test]
    fn every_combination_of_answers_has_its_meaning() {
        use Carriage::{Both, Header, Licence};
        for (in_force, answers, expected) in [
            (Header, [OK, OK, OK], vec![]),
            (Both, [OK, OK, OK], vec![("header_is_enough", false)]),
            (Header, [NIL, OK, OK], vec![("header_ignored", true)]),
            (Header, [NO, OK, NO], vec![("header_ignored", true)]),
            (Both, [NO, OK, OK], vec![("header_ignored", false)]),
            (Licence, [NO, OK, OK], vec![("header_ignored", false)]),
            (Licence, [OK, NO, OK], vec![("licence_ignored", true)]),
            (Header, [OK, NO, OK], vec![("licence_ignored", false)]),
            (Header, [NO, NO, OK], vec![("both_needed", true)]),
            (Both, [OK, OK, NO], vec![("both_refused", true)]),
            (Header, [NO, NO, NO], vec![("token_refused", true)]),
            (Header, [NIL, NIL, NIL], vec![("token_refused", true)]),
            (
                Header,
                [Answer::Meant(Meaning::Status(500)), NO, NO],
                vec![("calls_failing", true)],
            ),
            (
                Header,
                [const { Answer::Failed(Unanswered::Broken) }, NO, NO],
                vec![("calls_unanswered", true)],
            ),
        ] {
            let shown = format!("{in_force} {answers:?}");
            assert_eq!(
                found(vec![called(0, in_force, answers)]),
                expected,
                "{shown}"
            );
        }
        // Where no licence parameter is documented, its refusal is no news.
        assert_eq!(found(vec![called(4, Header, [OK, NO, OK])]), []);
    }

    #[test]
    fn what_to_set_names_all_paths_or_each() {
        let remedy = |calls: Vec<Called>| {
            let seen = Observations {
                calls,
                ..Observations::default()
            };
            of_calls(&seen)[0].remedy.clone()
        };
        let ignored = || [NIL, OK, OK];
        assert_eq!(
            remedy(vec![
                called(0, Carriage::Header, ignored()),
                called(3, Carriage::Header, ignored()),
                called(4, Carriage::Header, [OK, NO, OK]),
                called(5, Carriage::Header, [NO, NO, NO]),
            ]),
            "set [dqe] carriage = \"both\""
        );
        assert_eq!(
            remedy(vec![
                called(0, Carriage::Header, ignored()),
                called(3, Carriage::Header, [OK, NO, NO]),
            ]),
            "set carriage = \"both\" in a [[route]] of its own for path = \"/SINGLEV2/\""
        );
    }

    #[test]
    fn a_slow_answer_is_told() {
        let mut slow = called(0, Carriage::Header, [OK, OK, OK]);
        slow.took = Duration::from_millis(1500);
        assert_eq!(found(vec![slow]), [("calls_slow", false)]);
    }
}
