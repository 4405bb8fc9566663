//! Flag over environment over file over default.

use super::*;
use crate::config::keys::KEYS;

fn flag(name: &'static str, key: &'static str, value: &str) -> Flag {
    Flag {
        name,
        key,
        value: value.to_owned(),
    }
}

#[test]
fn a_flag_overrides_the_environment_which_overrides_the_file() {
    let file = Written::new("[log]\nlevel = \"error\"\n");
    let variable = ("DQE_PROXY_LOG_LEVEL", "warn");
    let environment = [MINIMUM[0], MINIMUM[1], variable];
    let with_flag = Inputs {
        file: Some(file.path()),
        flags: vec![flag("--log-level", "log.level", "debug")],
        ..inputs(&environment)
    };
    let level = |config: Result<Config, Problems>| config.unwrap().log.level;
    assert_eq!(level(load(&inputs(&MINIMUM))), tracing::Level::INFO);
    assert_eq!(level(file.load(&MINIMUM)), tracing::Level::ERROR);
    assert_eq!(level(file.load(&environment)), tracing::Level::WARN);
    assert_eq!(level(load(&with_flag)), tracing::Level::DEBUG);
}

#[test]
fn the_summary_says_where_a_setting_comes_from() {
    let file = Written::new("[log]\nlevel = \"error\"\n");
    let config = load(&Inputs {
        file: Some(file.path()),
        flags: vec![flag("--log-format", "log.format", "json")],
        ..inputs(&[MINIMUM[0], MINIMUM[1], ("DQE_PROXY_LOG_ACCESS", "false")])
    })
    .unwrap();
    let origin = |section: &str, name: &str| {
        let all = config.summary.as_slice().iter();
        let mut found = all.filter(|setting| setting.section == section && setting.name == name);
        found.next().unwrap().origin.clone()
    };
    assert_eq!(
        origin("log", "level"),
        format!("{}:2", file.path().display())
    );
    assert_eq!(origin("log", "access"), "environment DQE_PROXY_LOG_ACCESS");
    assert_eq!(origin("log", "format"), "flag --log-format");
    assert_eq!(origin("drain", "delay"), "default");
}

#[test]
fn the_file_is_named_by_a_flag_or_by_the_environment() {
    let quiet = Written::new("[log]\nlevel = \"error\"\n");
    let loud = Written::new("[log]\nlevel = \"trace\"\n");
    let named = quiet.path().to_str().unwrap().to_owned();
    let environment = [MINIMUM[0], MINIMUM[1], ("DQE_PROXY_CONFIG", named.as_str())];
    assert_eq!(
        load(&inputs(&environment)).unwrap().log.level,
        tracing::Level::ERROR
    );
    assert_eq!(
        loud.load(&environment).unwrap().log.level,
        tracing::Level::TRACE
    );
}

#[test]
fn a_named_file_that_is_missing_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("none.toml");
    let missing = Inputs {
        file: Some(path.clone()),
        ..inputs(&MINIMUM)
    };
    let text = load(&missing).unwrap_err().to_string();
    assert!(
        text.starts_with("flag --config: cannot read the settings file "),
        "{text}"
    );
    assert!(text.contains(path.to_str().unwrap()), "{text}");
    let text = with_variables(&[("DQE_PROXY_CONFIG", "")])
        .unwrap_err()
        .to_string();
    assert!(text.contains("names no settings file"), "{text}");
    let variable = ("DQE_PROXY_CONFIG", path.to_str().unwrap());
    let text = with_variables(&[variable]).unwrap_err().to_string();
    assert!(text.starts_with("environment DQE_PROXY_CONFIG: "), "{text}");
}

#[test]
fn every_key_can_be_set_from_the_environment() {
    // Key, value in the environment, and what then stands in the settings.
    let samples = [
        (
            "listener.address",
            "127.0.0.2:18080",
            "address: 127.0.0.2:18080",
        ),
        (
            "listener.allow",
            "10.1.0.0/16, 10.2.0.0/16",
            "[10.1.0.0/16, 10.2.0.0/16]",
        ),
        (
            "listener.hosts",
            "Dqe.internal,other",
            r#"hosts: ["dqe.internal", "other"]"#,
        ),
        ("listener.threads", "7", "threads: 7"),
        ("listener.max_connections", "77", "max_connections: 77"),
        (
            "listener.max_connections_per_caller",
            "78",
            "max_connections_per_caller: 78",
        ),
        ("listener.max_requests", "79", "max_requests: 79"),
        ("listener.max_memory", "512MiB", "max_memory: 536870912"),
        ("listener.max_head", "32KiB", "max_head: 32768"),
        ("listener.max_fields", "50", "max_fields: 50"),
        ("listener.max_body", "2MiB", "max_body: 2097152"),
        ("listener.h2c", "true", "h2c: true"),
        ("listener.header_timeout", "11s", "header_timeout: 11s"),
        ("listener.idle_timeout", "76s", "idle_timeout: 76s"),
        (
            "cors.origins",
            "https://A.example",
            r#"origins: ["https://a.example"]"#,
        ),
        ("admin.address", "off", "Settings { address: None }"),
        (
            "dqe.servers",
            "https://other.example",
            "https://other.example/oauth/access_token/",
        ),
        ("dqe.licence", "LICENCE2", "licence LICENCE2"),
        ("dqe.client_secret_file", "/run/dqe", r#"File("/run/dqe")"#),
        (
            "dqe.client_secret_env",
            "OTHER_SECRET",
            r#"Environment { name: "OTHER_SECRET""#,
        ),
        (
            "dqe.client_secret_credential",
            "dqe",
            r#"Credential("/run/credentials/dqe")"#,
        ),
        (
            "dqe.client_secret_next_file",
            "/run/next",
            r#"next_client_secret: Some(File("/run/next"))"#,
        ),
        (
            "dqe.client_secret_next_env",
            "OTHER_SECRET",
            r#"next_client_secret: Some(Environment { name: "OTHER_SECRET""#,
        ),
        (
            "dqe.client_secret_next_credential",
            "next",
            r#"next_client_secret: Some(Credential("/run/credentials/next"))"#,
        ),
        (
            "dqe.scopes",
            "client_email,client_phone",
            "scopes: [Email, Phone]",
        ),
        (
            "dqe.carriage",
            "licence",
            r#"Exact("/TEL/"), scope: Phone, carriage: Licence"#,
        ),
        (
            "dqe.enable",
            "GDPR_MSG",
            r#"Exact("/GDPR_MSG/"), scope: General, carriage: Both, parameter: "Licence", side_effects: true"#,
        ),
        (
            "id_mobile.client_secret_file",
            "/run/mobile",
            r#"client_secret: File("/run/mobile")"#,
        ),
        (
            "id_mobile.client_secret_env",
            "OTHER_SECRET",
            r#"client_secret: Environment { name: "OTHER_SECRET""#,
        ),
        (
            "id_mobile.client_secret_credential",
            "mobile",
            r#"client_secret: Credential("/run/credentials/mobile")"#,
        ),
        ("relay.paths", "/a.php,/b", r#"relays: ["/a.php", "/b"]"#),
        ("upstream.connect_timeout", "4s", "connect_timeout: 4s"),
        (
            "upstream.first_byte_timeout",
            "31s",
            "first_byte_timeout: 31s",
        ),
        (
            "upstream.body_idle_timeout",
            "32s",
            "body_idle_timeout: 32s",
        ),
        ("upstream.total_timeout", "6m", "total_timeout: 360s"),
        ("upstream.idle_timeout", "16s", "idle_timeout: 16s"),
        ("upstream.max_idle", "65", "max_idle: 65"),
        ("upstream.max_lifetime", "7m", "max_lifetime: 420s"),
        ("upstream.max_requests", "512", "max_requests: 512"),
        (
            "upstream.ca_files",
            "/etc/ca.pem,/etc/cb.pem",
            r#"["/etc/ca.pem", "/etc/cb.pem"]"#,
        ),
        ("token.wait", "0s", "token_wait: 0ns"),
        (
            "token.server",
            "https://tokens.example",
            r#"url: "https://tokens.example/oauth/access_token/""#,
        ),
        (
            "token.path",
            "/auth/token",
            r#"url: "https://prod2.dqe-software.com/auth/token""#,
        ),
        ("token.method", "get", "method: Get"),
        (
            "token.scope_parameter",
            "grant_type",
            "scope_parameter: GrantType",
        ),
        (
            "token.extra_parameters",
            "audience=api, key=a=b",
            r#"extra: [("audience", SecretBox<str>([REDACTED])), ("key", "#,
        ),
        ("token.reply", "strict", "reading: Strict"),
        ("drain.delay", "0s", "delay: 0ns"),
        ("drain.timeout", "21s", "timeout: 21s }"),
        ("log.level", "trace", "level: Level(Trace)"),
        ("log.format", "text", "format: Text"),
        ("log.access", "false", "access: false"),
    ];
    let sampled: Vec<_> = samples.iter().map(|(key, ..)| (*key).to_owned()).collect();
    let known: Vec<_> = KEYS.iter().map(ToString::to_string).collect();
    assert_eq!(sampled, known);

    let told = |config: &Config| {
        format!(
            "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} licence {}",
            config.listener,
            config.admin,
            config.proxy,
            config.upstream,
            config.egress,
            config.token,
            config.id_mobile,
            config.log,
            config.token.client_id.expose_secret(),
        )
    };
    let usual = told(&with_variables(&[]).unwrap());
    for (key, value, expected) in samples {
        let variable = KEYS
            .iter()
            .find(|other| other.to_string() == key)
            .unwrap()
            .variable();
        assert_eq!(
            variable,
            format!("DQE_PROXY_{}", key.replace('.', "_").to_uppercase())
        );
        let mut environment = vec![(variable.as_str(), value)];
        if key != "dqe.licence" {
            environment.push(("DQE_LICENCE", "LICENCE1"));
        }
        if !key.starts_with("dqe.client_secret") || key.contains("_next_") {
            environment.push(("DQE_CLIENT_SECRET", "hunter2"));
        }
        if key.starts_with("id_mobile") {
            environment.push(("DQE_PROXY_DQE_ENABLE", "IDMOBILE"));
        }
        environment.push(("OTHER_SECRET", "hunter2"));
        environment.push(("CREDENTIALS_DIRECTORY", "/run/credentials"));
        let config = load(&inputs(&environment)).unwrap_or_else(|error| panic!("{error}"));
        let found = told(&config);
        assert!(
            found.contains(expected),
            "{key}: {expected} is not in {found}"
        );
        assert!(
            !usual.contains(expected),
            "{key}: the sample is the default"
        );
    }
}

#[test]
fn short_and_long_names_of_a_key_exclude_each_other() {
    let error = with_variables(&[("DQE_PROXY_DQE_LICENCE", "LICENCE2")]).unwrap_err();
    assert_eq!(
        lines(&error),
        ["environment DQE_LICENCE: dqe.licence: DQE_PROXY_DQE_LICENCE sets the same key"]
    );
}

#[test]
fn the_older_name_of_a_key_works_as_the_present_one() {
    let present = with_minimum("[cors]\norigins = [\"https://a.example\"]\n").unwrap();
    let older = with_minimum("[listener]\norigins = [\"https://a.example\"]\n").unwrap();
    assert_eq!(older.proxy.origins, ["https://a.example"]);
    assert_eq!(older.proxy.origins, present.proxy.origins);
    let variable = "DQE_PROXY_LISTENER_ORIGINS";
    let variable = with_variables(&[(variable, "https://a.example")]).unwrap();
    assert_eq!(variable.proxy.origins, present.proxy.origins);
    assert_eq!(variable.warnings, []);
    let shown = variable.summary.to_string();
    assert!(
        shown.contains("# environment DQE_PROXY_LISTENER_ORIGINS"),
        "{shown}"
    );
}

#[test]
fn the_two_names_of_a_key_exclude_each_other() {
    let both = "[cors]\norigins = []\n[listener]\norigins = [\"https://a.example\"]\n";
    let error = with_minimum(both).unwrap_err();
    assert_eq!(
        lines(&error),
        ["4:11: cors.origins: line 2 sets the same list under its other name"]
    );
    let error = with_variables(&[
        ("DQE_PROXY_LISTENER_ORIGINS", "https://a.example"),
        ("DQE_PROXY_CORS_ORIGINS", "https://a.example"),
    ])
    .unwrap_err();
    assert_eq!(
        lines(&error),
        [
            "environment DQE_PROXY_LISTENER_ORIGINS: cors.origins: DQE_PROXY_CORS_ORIGINS sets the same key"
        ]
    );
}

#[test]
fn dqe_server_names_the_server() {
    let config = with_variables(&[("DQE_SERVER", "http://127.0.0.1:4000")]).unwrap();
    assert_eq!(
        config.token.url,
        "http://127.0.0.1:4000/oauth/access_token/"
    );
    assert_eq!(config.upstream.server.port(), 4000);
}

#[test]
fn an_unknown_variable_of_ours_is_an_error_with_the_nearest_name() {
    for (name, hint) in [
        (
            "DQE_PROXY_LISTENER_ADRESS",
            "did you mean DQE_PROXY_LISTENER_ADDRESS?",
        ),
        (
            "DQE_PROXY_UPSTREAM_CONECT_TIMEOUT",
            "did you mean DQE_PROXY_UPSTREAM_CONNECT_TIMEOUT?",
        ),
        (
            "DQE_PROXY_DQE_CLIENT_SECRET",
            "the variable that holds the secret is DQE_CLIENT_SECRET",
        ),
        (
            "DQE_PROXY_ROUTE_PATH",
            "routes are written in the settings file only",
        ),
        ("DQE_PROXY_X", "a key is named DQE_PROXY_<SECTION>_<KEY>"),
    ] {
        let error = with_variables(&[(name, "hunter3")]).unwrap_err();
        assert_eq!(
            lines(&error),
            [format!("environment {name}: no setting has this name")]
        );
        let problem = &error.as_slice()[0];
        assert_eq!(problem.hint.as_deref(), Some(hint), "{name}");
        assert!(!error.to_string().contains("hunter3"));
    }
}

#[test]
fn variables_of_a_kubernetes_service_are_not_taken_for_ours() {
    let config = with_variables(&[
        ("DQE_PROXY_SERVICE_HOST", "10.96.0.7"),
        ("DQE_PROXY_SERVICE_PORT", "8080"),
        ("DQE_PROXY_SERVICE_PORT_HTTP", "8080"),
        ("DQE_PROXY_PORT", "tcp://10.96.0.7:8080"),
        ("DQE_PROXY_PORT_8080_TCP", "tcp://10.96.0.7:8080"),
        ("DQE_PROXY_PORT_8080_TCP_PROTO", "tcp"),
        ("DQE_PROXY_PORT_8080_TCP_PORT", "8080"),
        ("DQE_PROXY_PORT_8080_TCP_ADDR", "10.96.0.7"),
        ("DQE_PROXY_ADMIN_PORT", "tcp://10.96.0.8:9090"),
        ("DQE_PROXY_ADMIN_SERVICE_HOST", "10.96.0.8"),
        ("DQE_PROXY_ADMIN_PORT_9090_TCP_ADDR", "10.96.0.8"),
    ]);
    assert_eq!(config.unwrap().warnings, []);
    for (name, value) in [
        ("DQE_PROXY_PORT", "8080"),
        ("DQE_PROXY_LISTENER_PORT", "8080"),
        ("DQE_PROXY_PORT_HTTP", "8080"),
    ] {
        assert!(with_variables(&[(name, value)]).is_err(), "{name}");
    }
}

#[test]
fn a_variable_that_is_nearly_ours_is_worth_a_warning() {
    for (name, meant) in [
        ("DQE_LICENSE", Some("DQE_LICENCE")),
        ("DQE_SERVERS", Some("DQE_PROXY_DQE_SERVERS")),
        (
            "DQE_CLIENT_SECRET_FILE",
            Some("DQE_PROXY_DQE_CLIENT_SECRET_FILE"),
        ),
        ("DQE_ACCOUNT_NUMBER", None),
        ("LICENCE", None),
    ] {
        let warnings = with_variables(&[(name, "x")]).unwrap().warnings;
        let hints: Vec<_> = warnings
            .iter()
            .filter_map(|warning| warning.hint.clone())
            .collect();
        let expected: Vec<_> = meant
            .iter()
            .map(|meant| format!("did you mean {meant}?"))
            .collect();
        assert_eq!(hints, expected, "{name}");
    }
    let error = load(&inputs(&[MINIMUM[1], ("DQE_LICENSE", "x")])).unwrap_err();
    assert_eq!(lines(&error), ["settings: dqe.licence: not set"]);
    assert!(
        error.to_string().ends_with("did you mean DQE_LICENCE?"),
        "{error}"
    );
}

#[test]
fn a_variable_is_refused_when_it_is_empty_or_not_text() {
    for (name, value, message) in [
        ("DQE_PROXY_LISTENER_ADDRESS", "", "is empty"),
        ("DQE_PROXY_LOG_ACCESS", "", "true or false is expected here"),
        (
            "DQE_PROXY_LOG_ACCESS",
            "yes",
            "true or false is expected here",
        ),
        ("DQE_PROXY_TOKEN_WAIT", "700", "a duration needs a unit"),
        (
            "DQE_PROXY_LISTENER_THREADS",
            "many",
            "a whole number from 0 to 1024 is expected here",
        ),
        (
            "DQE_PROXY_LOG_LEVEL",
            "\u{fffd}",
            "holds bytes that are not UTF-8",
        ),
        (
            "DQE_PROXY_DQE_SCOPES",
            "",
            "an empty list leaves nothing to forward",
        ),
    ] {
        let error = with_variables(&[(name, value)]).unwrap_err();
        assert_eq!(error.as_slice().len(), 1, "{error}");
        assert_eq!(error.as_slice()[0].message, message, "{name}");
        assert_eq!(
            error.as_slice()[0].place,
            Place::Environment(name.to_owned())
        );
    }
}
