//! Stories about whole settings, told through `load`.

mod example;
mod layers;
mod mistakes;
mod routes;
mod secrets;
mod token_endpoint;
mod values;

use std::path::PathBuf;

use secrecy::ExposeSecret;

use super::*;

/// A settings file in a folder of its own, which goes with it.
struct Written {
    folder: tempfile::TempDir,
}

impl Written {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.toml"), text).unwrap();
        Self { folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("config.toml")
    }

    fn load(&self, environment: &[(&str, &str)]) -> Result<Config, Problems> {
        load(&Inputs {
            file: Some(self.path()),
            ..inputs(environment)
        })
    }
}

fn inputs(environment: &[(&str, &str)]) -> Inputs {
    Inputs {
        environment: environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        ..Inputs::default()
    }
}

/// The two settings nobody can do without.
const MINIMUM: [(&str, &str); 2] = [
    ("DQE_LICENCE", "LICENCE1"),
    ("DQE_CLIENT_SECRET", "hunter2"),
];

/// Loads a file with the minimum in the environment.
fn with_minimum(text: &str) -> Result<Config, Problems> {
    Written::new(text).load(&MINIMUM)
}

/// Loads environment variables on top of the minimum.
fn with_variables(extra: &[(&str, &str)]) -> Result<Config, Problems> {
    load(&inputs(&[&MINIMUM[..], extra].concat()))
}

/// Problems as `line:column: key: message`, without the hints.
fn lines(problems: &Problems) -> Vec<String> {
    let problems = problems.as_slice().iter();
    problems
        .map(|problem| {
            let place = match &problem.place {
                Place::File { line, column, .. } => format!("{line}:{column}"),
                Place::Default | Place::Environment(_) | Place::Flag(_) => {
                    problem.place.to_string()
                }
            };
            let key = problem.key.as_ref();
            let key = key.map_or_else(String::new, |key| format!("{key}: "));
            format!("{place}: {key}{}", problem.message)
        })
        .collect()
}

/// A file with this mistake, the minimum besides, yields this one line and
/// a hint that contains these words.
fn check(text: &str, expected: &str, hint: &str) {
    let error = with_minimum(text).expect_err(text);
    assert_eq!(lines(&error), [expected], "{text}\n{error}");
    let found = error.as_slice()[0].hint.clone().unwrap_or_default();
    assert!(found.contains(hint), "{text}\n{found}");
}

#[test]
fn licence_and_secret_from_the_environment_are_enough() {
    let config = load(&inputs(&MINIMUM)).unwrap();
    assert_eq!(config.listener.address.to_string(), "127.0.0.1:8080");
    assert!(config.listener.allow.contains([127, 0, 0, 1].into()));
    assert!(!config.listener.allow.contains([10, 0, 0, 1].into()));
    assert_eq!(
        config.admin.address.map(|address| address.port()),
        Some(9090)
    );
    let token = &config.token;
    assert_eq!(
        token.url,
        "https://prod2.dqe-software.com/oauth/access_token/"
    );
    assert_eq!(token.client_id.expose_secret(), "LICENCE1");
    assert_eq!(
        token.client_secret.read().unwrap().expose_secret(),
        "hunter2"
    );
    assert_eq!(token.scopes, crate::dqe::Scope::OAUTH);
    assert!(config.id_mobile.is_none());
    assert_eq!(config.warnings, []);
}

#[test]
fn a_file_under_ten_lines_is_enough() {
    let file = Written::new(
        "[dqe]\nlicence = \"LICENCE1\"\nclient_secret_file = \"secret\"\n[listener]\naddress = \"0.0.0.0:8080\"\nallow = [\"private\"]\n",
    );
    let secret = file.folder.path().join("secret");
    std::fs::write(&secret, "hunter2\n").unwrap();
    let config = file.load(&[]).unwrap();
    assert_eq!(config.token.client_secret.path(), Some(secret.as_path()));
    assert_eq!(
        config.token.client_secret.read().unwrap().expose_secret(),
        "hunter2"
    );
    assert!(config.listener.allow.contains([10, 0, 0, 1].into()));
}
