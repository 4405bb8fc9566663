//! Where the secret comes from, and that it is never shown.

use proptest::prelude::*;

use super::*;
use crate::secret::SecretSource;

const LICENCE: (&str, &str) = ("DQE_LICENCE", "LICENCE1");

fn source(text: &str, environment: &[(&str, &str)]) -> Result<SecretSource, Vec<String>> {
    Written::new(text)
        .load(&[&[LICENCE], environment].concat())
        .map(|config| config.token.client_secret)
        .map_err(|error| lines(&error))
}

#[test]
fn the_secret_comes_from_a_file_a_variable_or_a_credential() {
    let file = source("[dqe]\nclient_secret_file = \"/run/dqe\"", &[]);
    assert!(matches!(file, Ok(SecretSource::File(path)) if path.ends_with("run/dqe")));
    let variable = source(
        "[dqe]\nclient_secret_env = \"MY_SECRET\"",
        &[("MY_SECRET", "hunter2")],
    );
    assert!(matches!(variable, Ok(SecretSource::Environment { name, .. }) if name == "MY_SECRET"));
    let credential = source(
        "[dqe]\nclient_secret_credential = \"dqe\"",
        &[("CREDENTIALS_DIRECTORY", "/run/c")],
    );
    assert!(
        matches!(credential, Ok(SecretSource::Credential(path)) if path.ends_with("run/c/dqe"))
    );
}

#[test]
fn the_environment_wins_over_a_source_named_in_the_file() {
    let found = source(
        "[dqe]\nclient_secret_file = \"/run/dqe\"",
        &[("DQE_CLIENT_SECRET", "hunter2")],
    );
    assert!(
        matches!(found, Ok(SecretSource::Environment { name, .. }) if name == "DQE_CLIENT_SECRET")
    );
}

#[test]
fn two_sources_in_one_place_are_refused() {
    let both =
        "[dqe]\nclient_secret_env = \"DQE_CLIENT_SECRET\"\nclient_secret_file = \"/run/dqe\"";
    assert_eq!(
        source(both, &[]).unwrap_err(),
        ["3:22: dqe.client_secret_file: dqe.client_secret_env names the client secret already"]
    );
    let environment = [
        ("DQE_CLIENT_SECRET", "hunter2"),
        ("DQE_PROXY_DQE_CLIENT_SECRET_FILE", "/run/dqe"),
    ];
    assert_eq!(
        source("", &environment).unwrap_err(),
        [
            "environment DQE_PROXY_DQE_CLIENT_SECRET_FILE: dqe.client_secret_file: the variable DQE_CLIENT_SECRET gives the client secret already"
        ]
    );
}

fn next(text: &str, environment: &[(&str, &str)]) -> Result<Option<SecretSource>, Vec<String>> {
    let minimum = [LICENCE, ("DQE_CLIENT_SECRET", "hunter2")];
    Written::new(text)
        .load(&[&minimum, environment].concat())
        .map(|config| config.token.next_client_secret)
        .map_err(|error| lines(&error))
}

#[test]
fn a_second_secret_may_stand_by_in_the_same_kinds_of_places() {
    assert!(matches!(next("", &[]), Ok(None)));
    let file = next("[dqe]\nclient_secret_next_file = \"/run/next\"", &[]);
    assert!(matches!(file, Ok(Some(SecretSource::File(path))) if path.ends_with("run/next")));
    let variable = next(
        "[dqe]\nclient_secret_next_env = \"DQE_PROXY_NEXT\"",
        &[("DQE_PROXY_NEXT", "hunter3")],
    );
    assert!(
        matches!(variable, Ok(Some(SecretSource::Environment { name, .. })) if name == "DQE_PROXY_NEXT")
    );
    let credential = next(
        "[dqe]\nclient_secret_next_credential = \"next\"",
        &[("CREDENTIALS_DIRECTORY", "/run/c")],
    );
    assert!(
        matches!(credential, Ok(Some(SecretSource::Credential(path))) if path.ends_with("run/c/next"))
    );
}

#[test]
fn a_second_secret_is_held_to_the_rules_of_the_first() {
    for (text, environment, expected) in [
        (
            "client_secret_next_env = \"A_B\"\nclient_secret_next_file = \"/run/next\"",
            &[("A_B", "hunter3")][..],
            "3:27: dqe.client_secret_next_file: dqe.client_secret_next_env names the next client secret already",
        ),
        (
            "client_secret_next_env = \"NEXT_SECRET\"",
            &[],
            "2:26: dqe.client_secret_next_env: the environment variable NEXT_SECRET is not set",
        ),
        (
            "client_secret_next_env = \"hunter3\"",
            &[],
            "2:26: dqe.client_secret_next_env: the environment variable named here is not set",
        ),
        (
            "client_secret_next_credential = \"../next\"",
            &[("CREDENTIALS_DIRECTORY", "/c")],
            "2:33: dqe.client_secret_next_credential: a credential has a name, not a path",
        ),
        (
            "client_secret_next = \"hunter3\"",
            &[],
            "2:1: dqe.client_secret_next: unknown key",
        ),
    ] {
        let error = next(&format!("[dqe]\n{text}"), environment).unwrap_err();
        assert_eq!(error, [expected], "{text}");
    }
    // It stands by: it does not take the place of the first.
    let alone = source("[dqe]\nclient_secret_next_file = \"/run/next\"", &[]);
    assert!(alone.unwrap_err()[0].ends_with("dqe: no client secret"));
}

#[test]
fn a_second_secret_in_the_place_of_the_first_is_a_warning() {
    let file = Written::new(
        "[dqe]\nclient_secret_file = \"secret\"\nclient_secret_next_file = \"secret\"",
    );
    let secret = file.folder.path().join("secret");
    std::fs::write(&secret, "hunter2").unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    let warnings = file.load(&[LICENCE]).unwrap().warnings;
    let messages: Vec<_> = warnings.iter().map(|warning| &warning.message).collect();
    assert_eq!(messages, ["the client secret is read from the same place"]);
}

#[test]
fn the_summary_names_the_place_of_each_secret_and_no_value() {
    let file = Written::new(
        "[dqe]\nclient_secret_next_env = \"NEXT_SECRET\"\n[token]\nextra_parameters = [\"key=hunter4\"]",
    );
    let environment = [
        LICENCE,
        ("DQE_CLIENT_SECRET", "hunter2"),
        ("NEXT_SECRET", "hunter3"),
    ];
    let shown = shown(&file.load(&environment));
    for line in [
        "client_secret = \"…\"",
        "client_secret_next_env = \"NEXT_SECRET\"",
        "extra_parameters = [\"key=…\"]",
    ] {
        assert!(shown.contains(line), "{shown}");
    }
    assert!(!shown.contains("hunter"), "{shown}");
}

#[test]
fn a_source_that_cannot_work_is_refused() {
    for (line, environment, expected) in [
        (
            "client_secret_env = \"MY_SECRET\"",
            &[][..],
            "dqe.client_secret_env: the environment variable MY_SECRET is not set",
        ),
        (
            "client_secret_env = \"MY_SECRET\"",
            &[("MY_SECRET", "")],
            "dqe.client_secret_env: the environment variable MY_SECRET is empty",
        ),
        (
            "client_secret_env = \"hunter2\"",
            &[],
            "dqe.client_secret_env: the environment variable named here is not set",
        ),
        (
            "client_secret_credential = \"dqe\"",
            &[],
            "dqe.client_secret_credential: the environment variable CREDENTIALS_DIRECTORY is not set",
        ),
        (
            "client_secret_credential = \"../dqe\"",
            &[("CREDENTIALS_DIRECTORY", "/c")],
            "dqe.client_secret_credential: a credential has a name, not a path",
        ),
        (
            "client_secret_credential = \"..\"",
            &[("CREDENTIALS_DIRECTORY", "/c")],
            "dqe.client_secret_credential: a credential has a name, not a path",
        ),
    ] {
        let error = source(&format!("[dqe]\n{line}"), environment).unwrap_err();
        assert_eq!(error.len(), 1, "{error:?}");
        assert!(error[0].ends_with(expected), "{error:?}");
    }
    let broken = source("", &[("DQE_CLIENT_SECRET", "hunter2\nmore")]).unwrap_err();
    assert!(
        broken[0].starts_with("environment DQE_CLIENT_SECRET: dqe.client_secret: "),
        "{broken:?}"
    );
    assert!(!broken[0].contains("hunter2"), "{broken:?}");
}

#[test]
fn a_variable_that_holds_the_secret_may_have_any_name() {
    let text = "[dqe]\nclient_secret_env = \"DQE_PROXY_SECRET\"";
    assert!(source(text, &[("DQE_PROXY_SECRET", "hunter2")]).is_ok());
}

#[test]
fn a_secret_file_that_is_not_there_or_open_to_all_is_a_warning() {
    let file = Written::new("[dqe]\nclient_secret_file = \"secret\"");
    let messages = || -> Vec<String> {
        let warnings = file.load(&[LICENCE]).unwrap().warnings;
        warnings
            .into_iter()
            .map(|warning| warning.message)
            .collect()
    };
    assert_eq!(
        messages(),
        ["there is no file at this path, or it cannot be looked at"]
    );
    let secret = file.folder.path().join("secret");
    std::fs::write(&secret, "hunter2").unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |mode| {
            std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(mode)).unwrap()
        };
        mode(0o644);
        assert_eq!(messages(), ["everybody on this machine can read the file"]);
        mode(0o640);
        assert_eq!(messages(), Vec::<String>::new());
        for (content, message) in [
            (&b""[..], "the file is empty"),
            (b"\n", "the file is empty"),
            (&[b'x'; 5000], "the file is too large for a secret"),
            (
                b"hunter2\nhunter3\n",
                "the file is not one line of text in UTF-8, or has a control character",
            ),
        ] {
            std::fs::write(&secret, content).unwrap();
            assert_eq!(messages(), [message]);
        }
    }
}

/// Everything that is ever shown about these settings.
fn shown(outcome: &Result<Config, Problems>) -> String {
    match outcome {
        Ok(config) => format!("{} {:?} {config:?}", config.summary, config.warnings),
        Err(problems) => format!("{problems} {problems:?}"),
    }
}

#[test]
fn a_secret_beside_a_syntax_error_is_not_printed() {
    for text in [
        "[dqe]\nclient_secret = [\"hunter2\"",
        "[dqe]\nclient_secret = hunter2",
        "[dqe]\nclient_secret = \"hunter2",
        "[dqe]\nclient_secret = 'hunter2\"\nlicence",
        "[dqe]\nclient_secret hunter2 = \"x\"",
        "[dqe]\nclient_secret = \"\\hunter2\"",
        "[dqe]\nclient_secret = \"x\" hunter2",
        "[dqe]\n\"hunter2",
        "[dqe]\nhunter2\nhunter2",
        "[hunter2",
        "[dqe]\nlicence = \"hunter2\"\nlicence = \"hunter2\"",
        "hunter2",
    ] {
        let text = shown(&Written::new(text).load(&[]));
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn a_secret_in_the_place_of_any_value_is_not_printed_by_a_problem() {
    for key in keys::KEYS {
        for value in [
            "\"s3cr3t+42=\"",
            "[\"s3cr3t+42=\"]",
            "{ a = \"s3cr3t+42=\" }",
        ] {
            let outcome = with_minimum(&format!("{key} = {value}\n[log]\nlevl = 1"));
            let text = outcome.unwrap_err().to_string();
            assert!(!text.contains("s3cr3t"), "{key}: {text}");
        }
        let environment = [(key.variable(), "s3cr3t+42=".to_owned())];
        if let Err(problems) = load(&Inputs {
            environment: environment.to_vec(),
            ..Inputs::default()
        }) {
            assert!(
                !problems.to_string().contains("s3cr3t"),
                "{key}: {problems}"
            );
        }
    }
}

#[test]
fn a_secret_in_place_of_its_own_path_is_not_listed() {
    let config = Written::new("[dqe]\nclient_secret_file = \"s3cr3t42\"")
        .load(&[LICENCE])
        .unwrap();
    assert!(!config.summary.to_string().contains("s3cr3t42"));
    assert!(!format!("{:?}", config.warnings).contains("s3cr3t42"));
    assert!(!config.summary.to_string().contains("LICENCE1"));
}

#[test]
fn inputs_do_not_print_the_environment() {
    assert!(!format!("{:?}", inputs(&MINIMUM)).contains("hunter2"));
}

const PLANTED: &str = "Zx81+9/Qk77=";

/// A line of a settings file, whole or broken, with the secret somewhere on it.
fn line() -> impl Strategy<Value = String> {
    let key = prop_oneof![
        Just("client_secret".to_owned()),
        Just("licence".to_owned()),
        Just("client_secret_file".to_owned()),
        Just("client_secret_env".to_owned()),
        Just("adress".to_owned()),
        Just("path".to_owned()),
        "[a-z_.\"]{1,8}",
    ];
    let value = prop_oneof![
        Just(format!("\"{PLANTED}\"")),
        Just(format!("[\"{PLANTED}\", 1]")),
        Just(PLANTED.to_owned()),
        Just(format!("'{PLANTED}")),
        Just(format!("{{ a = \"{PLANTED}\" }}")),
        Just(format!("\"\"\"\n{PLANTED}")),
        "\\PC{0,12}",
    ];
    prop_oneof![
        4 => (key, "( = |=| |: )", value).prop_map(|(key, sign, value)| format!("{key}{sign}{value}")),
        2 => prop_oneof![Just("dqe"), Just("listener"), Just("upstream"), Just("log")]
            .prop_map(|section| format!("[{section}]")),
        1 => Just("[[route]]".to_owned()),
        1 => Just(format!("\"{PLANTED}\" = 1")),
        1 => Just(PLANTED.to_owned()),
        1 => "\\PC{0,20}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_file_makes_it_panic_or_shows_a_secret(lines in prop::collection::vec(line(), 0..12)) {
        let mut entries = value::Entries::defaults(keys::KEYS);
        let mut problems = Vec::new();
        let text = lines.join("\n");
        file::parse(std::path::Path::new("config.toml"), &text, &mut entries, &mut problems);
        let shown = Problems::new(problems, Vec::new()).to_string();
        prop_assert!(!shown.contains(PLANTED), "{text}\n{shown}");
        let outcome = Written::new(&text).load(&[]);
        if let Err(problems) = outcome {
            prop_assert!(!problems.to_string().contains(PLANTED), "{text}\n{problems}");
        }
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let file = Written::new("");
        std::fs::write(file.path(), bytes).unwrap();
        let _ = file.load(&MINIMUM);
    }
}
