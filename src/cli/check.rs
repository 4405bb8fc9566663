//! `dqe-proxy check`: the settings, offline. Every problem at once, or the
//! settings in force and where each comes from.

use std::io::Write;
use std::process::ExitCode;

use clap::Args;
use dqe_proxy::config::{self, Inputs, Problem, Problems};

use super::settings::SettingsArgs;

/// Exit code for bad settings (`EX_CONFIG` of sysexits).
pub(crate) const BAD_SETTINGS: u8 = 78;

/// Arguments of `check`.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    settings: SettingsArgs,
}

impl CheckArgs {
    /// Checks the settings: 0 when they are good, 78 when they are not.
    pub(crate) fn run(&self) -> ExitCode {
        let inputs = self.settings.inputs();
        let (output, errors, code) = report(&inputs);
        // A reader that went away is no reason for another exit code.
        let _ = std::io::stderr().write_all(errors.as_bytes());
        let _ = std::io::stdout().write_all(output.as_bytes());
        ExitCode::from(code)
    }
}

/// What goes to standard output, what to standard error, and the exit code.
fn report(inputs: &Inputs) -> (String, String, u8) {
    match config::load(inputs) {
        Ok(config) => {
            let warnings: String = config.warnings.iter().map(warning_line).collect();
            (config.summary.to_string(), warnings, 0)
        }
        Err(problems) => (String::new(), problem_lines(&problems), BAD_SETTINGS),
    }
}

/// A warning as it is printed; for `run` as well.
pub(crate) fn warning_line(warning: &Problem) -> String {
    format!("warning: {warning}\n")
}

/// All problems and warnings as they are printed, with their number; for `run` as well.
pub(crate) fn problem_lines(problems: &Problems) -> String {
    let count = problems.as_slice().len();
    let noun = if count == 1 { "problem" } else { "problems" };
    format!("{problems}\n{count} {noun} in the settings\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(secret: &str, extra: &[(&str, &str)]) -> Inputs {
        let environment = [("DQE_LICENCE", "LICENCE1"), ("DQE_CLIENT_SECRET", secret)];
        Inputs {
            environment: environment
                .iter()
                .chain(extra)
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            ..Inputs::default()
        }
    }

    #[test]
    fn good_settings_are_listed_with_their_origin_and_without_credentials() {
        let (output, errors, code) = report(&inputs("hunter2", &[("DQE_PROXY_LOG_LEVEL", "warn")]));
        assert_eq!((errors.as_str(), code), ("", 0));
        assert!(output.contains("level = \"warn\""), "{output}");
        assert!(
            output.contains("# environment DQE_PROXY_LOG_LEVEL"),
            "{output}"
        );
        for credential in ["hunter2", "LICENCE1"] {
            assert!(!output.contains(credential), "{output}");
        }
    }

    #[test]
    fn bad_settings_end_with_78_and_the_number_of_problems() {
        let extra = [
            ("DQE_PROXY_LOG_LEVEL", "loud"),
            ("DQE_PROXY_LOG_COLOR", "1"),
        ];
        let (output, errors, code) = report(&inputs("hunter2", &extra));
        assert_eq!((output.as_str(), code), ("", BAD_SETTINGS));
        assert!(
            errors.contains("environment DQE_PROXY_LOG_COLOR: "),
            "{errors}"
        );
        assert!(errors.ends_with("2 problems in the settings\n"), "{errors}");
    }

    #[test]
    fn warnings_do_not_fail_the_check() {
        let extra = [("DQE_PROXY_ADMIN_ADDRESS", "0.0.0.0:9090")];
        let (_, errors, code) = report(&inputs("hunter2", &extra));
        assert_eq!(code, 0);
        assert!(
            errors.starts_with("warning: environment DQE_PROXY_ADMIN_ADDRESS: "),
            "{errors}"
        );
    }
}
