//! One story per mistake in names, sections and the file as a whole: what is said,
//! and where.

use super::*;

#[test]
fn six_different_mistakes_are_six_problems() {
    let text = r#"[listener]
adress = "0.0.0.0:8080"
header_timeout = 10

[dqe]
license = "LICENCEX"
client_secret = "hunter2"
scopes = ["client_adress"]

[[route]]
path = "/oauth/access_token/"
scope = "client_general"
"#;
    let error = Written::new(text).load(&[]).unwrap_err();
    assert_eq!(
        lines(&error),
        [
            "2:1: listener.adress: unknown key",
            "3:18: listener.header_timeout: a duration needs a unit",
            "6:1: dqe.license: unknown key",
            "7:1: dqe.client_secret: a secret does not stand in the settings file",
            "8:11: dqe.scopes: not a scope of DQE",
            "11:8: route.path: the token endpoint is never forwarded to",
        ]
    );
    for problem in error.as_slice() {
        assert!(problem.hint.is_some(), "{problem}");
    }
    for value in ["hunter2", "LICENCEX", "0.0.0.0"] {
        assert!(!error.to_string().contains(value), "{error}");
    }
}

#[test]
fn a_problem_is_shown_with_file_line_and_column() {
    let file = Written::new("[lisener]\n");
    let text = file.load(&MINIMUM).unwrap_err().to_string();
    let expected = format!(
        "{}:1:2: lisener: unknown section\n  hint: did you mean [listener]?",
        file.path().display()
    );
    assert_eq!(text, expected);
}

#[test]
fn unknown_keys_lead_to_known_ones() {
    for (text, expected, hint) in [
        (
            "[listener]\nadress = 1",
            "2:1: listener.adress: unknown key",
            "\"listener.address\"",
        ),
        (
            "[listener]\nheader-timeout = 1",
            "2:1: listener.header-timeout: unknown key",
            "\"listener.header_timeout\"",
        ),
        (
            "[dqe]\nserver = 1",
            "2:1: dqe.server: unknown key",
            "\"dqe.servers\"",
        ),
        (
            "[dqe]\nclient_id = 1",
            "2:1: dqe.client_id: unknown key",
            "\"dqe.licence\"",
        ),
        (
            "[dqe]\nmax_idle = 1",
            "2:1: dqe.max_idle: unknown key",
            "below [upstream]",
        ),
        (
            "[dqe]\nretries = 1",
            "2:1: dqe.retries: unknown key",
            "the keys of [dqe] are servers, licence",
        ),
        (
            "[token]\nxyz = 1",
            "2:1: token.xyz: unknown key",
            "the keys of [token] are wait",
        ),
        (
            "[[route]]\npath=\"/a\"\nscope=\"client_b2b\"\nretries = 1",
            "4:1: route.retries: unknown key",
            "path, scope, carriage, side_effects",
        ),
        ("licence = 1", "1:1: licence: unknown key", "below [dqe]"),
        (
            "dqe.licens = 1",
            "1:5: dqe.licens: unknown key",
            "\"dqe.licence\"",
        ),
        (
            "[quotas]\n",
            "1:2: quotas: unknown section",
            "listener, cors, admin, dqe, id_mobile, relay, upstream",
        ),
        (
            "[[caller]]\nname = 1",
            "1:3: caller: unknown key",
            "the sections are",
        ),
        (
            "listener = 1",
            "1:1: listener: is a section, written once",
            "[listener]",
        ),
        (
            "[[listener]]",
            "1:3: listener: is a section, written once",
            "[listener]",
        ),
        (
            "[route]\npath = \"/x\"",
            "1:2: route: may be written many times",
            "[[route]]",
        ),
        (
            "route = [1]",
            "1:10: route: a table of keys is expected here",
            "[[route]]",
        ),
        (
            "[[routes]]\npath = \"/x\"",
            "1:3: routes: unknown key",
            "did you mean [[route]]?",
        ),
    ] {
        check(text, expected, hint);
    }
}

#[test]
fn what_does_not_look_like_a_name_is_not_repeated() {
    for text in [
        "\"hunter2 +/=\" = 1",
        "[dqe]\nhunter2a8f93b = 1",
        "[\"a b\"]",
    ] {
        let error = with_minimum(text).unwrap_err().to_string();
        for word in ["hunter2", "a b"] {
            assert!(!error.contains(word), "{error}");
        }
    }
}

#[test]
fn what_is_missing_is_said_once_and_where_it_belongs() {
    let nothing = load(&inputs(&[])).unwrap_err();
    assert_eq!(
        lines(&nothing),
        [
            "settings: dqe: no client secret",
            "settings: dqe.licence: not set"
        ]
    );
    let empty = Written::new("[log]\n\n[dqe]\n").load(&[]).unwrap_err();
    assert_eq!(
        lines(&empty),
        ["3:2: dqe: no client secret", "3:2: dqe.licence: not set"]
    );
    let other = Written::new("[log]\n").load(&[]).unwrap_err();
    assert_eq!(
        lines(&other),
        ["1:1: dqe: no client secret", "1:1: dqe.licence: not set"]
    );
    let misspelt = Written::new("[deq]\nlicence = \"A\"\nclient_secret_file = \"b\"\n").load(&[]);
    assert_eq!(lines(&misspelt.unwrap_err()), ["1:2: deq: unknown section"]);
}

#[test]
fn an_error_in_the_file_does_not_hide_one_in_the_environment() {
    let file = Written::new("[log]\nlevel = \"loud\"\n");
    let error = file.load(&[MINIMUM[0], MINIMUM[1], ("DQE_PROXY_LOG_FORMAT", "xml")]);
    assert_eq!(
        lines(&error.unwrap_err()),
        [
            "2:9: log.level: not a word this key knows",
            "environment DQE_PROXY_LOG_FORMAT: log.format: not a word this key knows",
        ]
    );
}

#[test]
fn every_broken_line_is_told_once_and_nothing_is_guessed_from_the_rest() {
    let error =
        Written::new("[dqe]\nlicence = abc\nscopes = auto\n[log]\nlevl = \"info\"\naccess\n")
            .load(&[])
            .unwrap_err();
    let places: Vec<_> = lines(&error)
        .iter()
        .map(|line| line.split(' ').next().unwrap().to_owned())
        .collect();
    assert_eq!(places, ["2:11:", "3:10:", "6:7:"], "{error}");
}

#[test]
fn columns_count_characters_and_windows_line_ends_do_not_matter() {
    check(
        "[token]\r\n# é\r\nextra_parameters = [\"a=é\", 1]\r\n",
        "3:28: token.extra_parameters: an item that is a whole number, not text",
        "quotes",
    );
    let error = with_minimum("\u{feff}[listener]\nadress = 1").unwrap_err();
    assert_eq!(lines(&error), ["2:1: listener.adress: unknown key"]);
}

#[test]
fn what_is_not_a_settings_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    let outcome = |path: PathBuf| {
        load(&Inputs {
            file: Some(path),
            ..inputs(&MINIMUM)
        })
        .unwrap_err()
    };
    std::fs::write(&path, b"[log]\n# \xff").unwrap();
    assert_eq!(
        lines(&outcome(path.clone())),
        ["2:3: a byte that is not UTF-8"]
    );
    std::fs::write(&path, vec![b'#'; 1024 * 1024 + 1]).unwrap();
    assert!(outcome(path).to_string().contains("larger than"));
    assert!(
        outcome(folder.path().to_owned())
            .to_string()
            .contains("cannot read")
    );
}

#[test]
fn what_is_likely_not_meant_is_a_warning() {
    for (text, expected) in [
        (
            "[admin]\naddress = \"0.0.0.0:9090\"",
            "the admin listener can be reached from other machines, and asks for no password",
        ),
        (
            "[listener]\naddress = \"0.0.0.0:8080\"\nallow = [\"any\"]",
            "whoever reaches the port spends the licence",
        ),
        (
            "[upstream]\nca_files = [\"none.pem\"]",
            "there is no file at this path, or it cannot be looked at",
        ),
        (
            // The settings file itself, which is beside itself.
            "[upstream]\nca_files = [\"config.toml\"]",
            "the file cannot be used: it holds no PEM certificate",
        ),
        (
            "[dqe]\nscopes = [\"client_phone\"]\n\
             [[route]]\npath = \"/a\"\nscope = \"client_b2b\"",
            "client_b2b is not in dqe.scopes: calls get 404 scope_not_configured",
        ),
        (
            "[dqe]\nscopes = [\"client_phone\"]\nenable = [\"gdpr_msg\", \"IDMOBILE\"]",
            "client_general is not in dqe.scopes: calls get 404 scope_not_configured",
        ),
    ] {
        let warnings = with_minimum(text).unwrap().warnings;
        let messages: Vec<_> = warnings
            .iter()
            .map(|warning| warning.message.as_str())
            .collect();
        assert_eq!(messages, [expected], "{text}");
    }
}
