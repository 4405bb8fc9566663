//! One story per mistake: what is said, and where.

use super::*;

/// A file with this mistake, the minimum besides, yields this one line and
/// a hint that contains these words.
fn check(text: &str, expected: &str, hint: &str) {
    let error = with_minimum(text).expect_err(text);
    assert_eq!(lines(&error), [expected], "{text}\n{error}");
    let found = error.as_slice()[0].hint.clone().unwrap_or_default();
    assert!(found.contains(hint), "{text}\n{found}");
}

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
fn a_server_that_is_the_proxy_itself_is_refused() {
    let own = "this is an address the proxy itself listens on";
    for (listener, server, is_own) in [
        ("127.0.0.1:8600", "http://127.0.0.1:8600", true),
        ("127.0.0.1:8600", "http://localhost:8600", true),
        ("127.0.0.1:8600", "https://localhost:8600", true),
        ("[::1]:8600", "http://[::1]:8600", true),
        ("0.0.0.0:8600", "http://127.0.0.1:8600", true),
        ("127.0.0.1:8600", "http://127.0.0.1:9090", true),
        ("127.0.0.1:8600", "http://127.0.0.1:8601", false),
        ("127.0.0.1:8600", "http://127.0.0.2:8600", false),
        ("127.0.0.1:8600", "https://dqe.example:8600", false),
        ("127.0.0.1:0", "http://127.0.0.1:1", false),
    ] {
        let outcome = with_minimum(&format!(
            "[listener]\naddress = \"{listener}\"\nallow = [\"private\"]\n\
             [dqe]\nservers = [\"{server}\"]"
        ));
        let problems = outcome.map_or_else(|error| lines(&error), |_| Vec::new());
        let expected = is_own.then(|| format!("5:12: dqe.servers: {own}"));
        assert_eq!(problems, Vec::from_iter(expected), "{listener} {server}");
    }
}

#[test]
fn an_empty_item_hides_no_other_one() {
    let error = with_minimum("[listener]\nallow = [\"\", \"10.0.0.0/33\"]").unwrap_err();
    assert_eq!(
        lines(&error),
        [
            "2:10: listener.allow: an empty item",
            "2:14: listener.allow: not a network",
        ]
    );
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
fn values_of_the_wrong_shape_are_refused() {
    for (text, expected, hint) in [
        (
            "[listener]\naddress = 8080",
            "2:11: listener.address: text is expected here, not a whole number",
            "\"127.0.0.1:8080\"",
        ),
        (
            "[listener]\naddress = \"\"",
            "2:11: listener.address: is empty",
            "value",
        ),
        (
            "[listener]\nallow = \"private\"",
            "2:9: listener.allow: a list of texts is expected here, not text",
            "[\"loopback\"]",
        ),
        (
            "[listener]\nallow = [\"private\", 1]",
            "2:21: listener.allow: an item that is a whole number, not text",
            "quotes",
        ),
        (
            "[listener]\nthreads = -1",
            "2:11: listener.threads: a whole number from 0 to 1024 is expected here",
            "threads = 0",
        ),
        (
            "[listener]\nthreads = 99999999999999999999",
            "2:11: listener.threads: a whole number from 0 to 1024 is expected here",
            "threads",
        ),
        (
            "[listener]\nthreads = \"4\"",
            "2:11: listener.threads: a whole number is expected here, not text",
            "threads = 0",
        ),
        (
            "[listener]\nidle_timeout = \"75\"",
            "2:16: listener.idle_timeout: a duration needs a unit",
            "\"3s\"",
        ),
        (
            "[listener]\nidle_timeout = 1.5",
            "2:16: listener.idle_timeout: a duration needs a unit",
            "\"3s\"",
        ),
        (
            "[listener]\nidle_timeout = \"1d\"",
            "2:16: listener.idle_timeout: not a duration",
            "\"3s\"",
        ),
        (
            "[listener]\nidle_timeout = \"0s\"",
            "2:16: listener.idle_timeout: this duration cannot be zero",
            "unit",
        ),
        (
            "[listener]\nmax_body = 1048576",
            "2:12: listener.max_body: a size needs a unit",
            "\"64KiB\" or \"10MiB\"",
        ),
        (
            "[listener]\nmax_body = \"10MB\"",
            "2:12: listener.max_body: not a unit of sizes",
            "\"64KiB\", \"10MiB\" or \"1GiB\"",
        ),
        (
            "[listener]\nmax_head = \"512B\"",
            "2:12: listener.max_head: a size from 1KiB to 1MiB is expected here",
            "unit",
        ),
        (
            "[listener]\nmax_memory = \"1MiB\"",
            "2:14: listener.max_memory: a size from 16MiB to 1024GiB is expected here",
            "or write \"0\"",
        ),
        (
            "[listener]\nmax_fields = 0",
            "2:14: listener.max_fields: a whole number from 1 to 1000 is expected here",
            "max_fields = 100",
        ),
        (
            "[[route]]\npath=\"/a\"\nscope=\"client_b2b\"\nmax_body = [1]",
            "4:12: route.max_body: a size is expected here, not a list",
            "\"64KiB\"",
        ),
        (
            "[drain]\ndelay = \"-2s\"",
            "2:9: drain.delay: a duration cannot be negative",
            "unit",
        ),
        (
            "[drain]\ndelay = 1979-05-27",
            "2:9: drain.delay: a duration is expected here, not a date",
            "\"2s\"",
        ),
        (
            "[log]\naccess = \"true\"",
            "2:10: log.access: true or false is expected here, not text",
            "true",
        ),
        (
            "[log]\nlevel = \"warning\"",
            "2:9: log.level: not a word this key knows",
            "did you mean \"warn\"?",
        ),
        (
            "[log]\nformat = \"xml\"",
            "2:10: log.format: not a word this key knows",
            "auto, json, text",
        ),
        (
            "[dqe]\nscopes = \"client_email\"",
            "2:10: dqe.scopes: \"auto\" or a list of texts is expected here, not text",
            "scopes = [\"…\"",
        ),
        (
            "[dqe]\nlicence = { a = 1 }",
            "2:11: dqe.licence: text is expected here, not a table",
            "licence",
        ),
    ] {
        check(text, expected, hint);
    }
}

#[test]
fn values_without_sense_are_refused() {
    for (text, expected, hint) in [
        (
            "[listener]\naddress = \"localhost:8080\"",
            "2:11: listener.address: not an address with a port",
            "127.0.0.1:8080",
        ),
        (
            "[listener]\naddress = \":8080\"",
            "2:11: listener.address: not an address with a port",
            "0.0.0.0:8080",
        ),
        (
            "[listener]\naddress = \"0.0.0.0:8080\"",
            "2:11: listener.address: an address other machines can reach needs to be told who may call",
            "allow = [\"private\"]",
        ),
        (
            "[listener]\nallow = []",
            "2:9: listener.allow: an empty list lets nobody call",
            "loopback, private, any",
        ),
        (
            "[listener]\nallow = [\"any\", \"privat\"]",
            "2:17: listener.allow: not a network",
            "did you mean \"private\"?",
        ),
        (
            "[listener]\nallow = [\"10.0.0.0/33\"]",
            "2:10: listener.allow: not a network",
            "10.1.0.0/16",
        ),
        (
            "[listener]\nhosts = [\"a\", \"dqe:8080\"]",
            "2:15: listener.hosts: a host has no port here",
            "without",
        ),
        (
            "[cors]\norigins = [\"https://a.example\", \"intranet\"]",
            "2:33: cors.origins: an origin begins with https:// or http://",
            "https://",
        ),
        (
            "[cors]\norigins = [\"any\"]",
            "2:12: cors.origins: origins are named one by one: any page could spend the account",
            "https://intranet.example",
        ),
        (
            "[cors]\norigins = \"https://a.example\"",
            "2:11: cors.origins: a list of texts is expected here, not text",
            "[",
        ),
        (
            "[listener]\naddress = \"127.0.0.1:9090\"",
            "2:11: listener.address: callers and operators need a port each",
            "same port",
        ),
        (
            "[admin]\naddress = \"127.0.0.1:8080\"",
            "2:11: admin.address: callers and operators need a port each",
            "same port",
        ),
        (
            "[admin]\naddress = \"on\"",
            "2:11: admin.address: not an address with a port",
            "or \"off\"",
        ),
        (
            "[dqe]\nservers = []",
            "2:11: dqe.servers: no server is named",
            "one server",
        ),
        (
            "[dqe]\nservers = [\"https://a.example\", \"https://b.example\"]",
            "2:33: dqe.servers: more than one server: failover is not available yet",
            "exactly one",
        ),
        (
            "[dqe]\nscopes = []",
            "2:10: dqe.scopes: an empty list leaves nothing to forward",
            "auto",
        ),
        (
            "[dqe]\nscopes = [\"auto\"]",
            "2:11: dqe.scopes: \"auto\" stands alone, not in a list",
            "scopes = \"auto\"",
        ),
        (
            "[dqe]\nscopes = [\"client_mail\"]",
            "2:11: dqe.scopes: not a scope of DQE",
            "client_email",
        ),
        (
            "[dqe]\nenable = [\"GDPR_MSGS\"]",
            "2:11: dqe.enable: not a path with side effects",
            "GDPR_MSG",
        ),
        (
            "[dqe]\nenable = [\"TEL\"]",
            "2:11: dqe.enable: this path has no side effects",
            "already",
        ),
        (
            "[dqe]\nenable = [\"IDMOBIL\"]",
            "2:11: dqe.enable: not a path with side effects",
            "did you mean \"IDMOBILE\"?",
        ),
        (
            "[dqe]\nscopes = [\"client_idmobile\"]",
            "2:11: dqe.scopes: ID Mobile has a token endpoint of its own",
            "when enable names IDMOBILE",
        ),
        (
            "[id_mobile]\nclient_secret = \"hunter2\"",
            "2:1: id_mobile.client_secret: a secret does not stand in the settings file",
            "client_secret_file",
        ),
    ] {
        check(text, expected, hint);
    }
    for server in [
        "http://dqe.example",
        "dqe.example",
        "https://dqe.example/path",
        "https://me:hunter2@dqe.example",
    ] {
        let error = with_minimum(&format!("[dqe]\nservers = [\"{server}\"]")).unwrap_err();
        assert_eq!(error.as_slice().len(), 1, "{error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
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
fn an_overridden_value_is_checked_all_the_same() {
    let file = Written::new("[log]\nlevel = \"loud\"\n");
    let error = file.load(&[MINIMUM[0], MINIMUM[1], ("DQE_PROXY_LOG_LEVEL", "info")]);
    assert_eq!(
        lines(&error.unwrap_err()),
        ["2:9: log.level: not a word this key knows"]
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
