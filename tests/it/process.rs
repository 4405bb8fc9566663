//! The process as an operator has it: started by hand or by a supervisor, told
//! by signals, with files that change and outputs that are read.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{Process, Setup, call, eventually, get};

/// Settings of a program in front of `server`, whose secret is read from a file.
fn in_front_of(server: &str) -> [(&str, &str); 4] {
    [
        ("DQE_SERVER", server),
        ("DQE_LICENCE", "SANDBOX"),
        ("DQE_PROXY_DQE_CLIENT_SECRET_FILE", "secret"),
        ("DQE_PROXY_DRAIN_DELAY", "0s"),
    ]
}

#[test]
fn a_secret_file_that_was_lost_is_told_at_a_reload_and_what_it_held_stays_in_use() {
    let dqe = Setup::default().start_dqe();
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "sandbox-secret\n").unwrap();
    let mut process = Process::start(folder.path(), &["run"], &in_front_of(&dqe.sandbox.url()));
    let admin = process.admin();
    eventually("it is ready", || get(admin, "/readyz").status == 200);
    let told = |text: &str| {
        let mut lines = process.lines().into_iter();
        lines.any(|line| line["message"].as_str().unwrap().contains(text))
    };
    process.signal(&["HUP"]);
    eventually("it has read again", || {
        told("secret and CA files read again")
    });

    std::fs::write(&secret, "").unwrap();
    process.signal(&["HUP"]);
    eventually("it says so", || {
        told("is empty; the client secret that was read before stays in use")
    });
    std::fs::remove_file(&secret).unwrap();
    process.signal(&["HUP"]);
    eventually("and why", || told("cannot read the secret file: "));
    let again = process.said().matches("read again\"").count();
    assert_eq!(again, 1, "only what was read is said to have been");
    assert_eq!(get(admin, "/readyz").status, 200);

    std::fs::write(&secret, "sandbox-secret\n").unwrap();
    eventually("it is found", || {
        told("the client secret can be read again")
    });
    process.signal(&["TERM"]);
    assert_eq!(process.ends().code(), Some(0));
    assert!(!process.said().contains("sandbox-secret"));
}

/// `timeout` of coreutils signals the program and its group, which it belongs to.
#[test]
fn two_signals_at_once_are_one_request_to_stop_and_two_apart_are_two() {
    let dqe = Setup::default().start_dqe();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("secret"), "sandbox-secret").unwrap();
    let url = dqe.sandbox.url();
    let start = |delay| {
        let mut variables = in_front_of(&url);
        variables[3].1 = delay;
        let process = Process::start(folder.path(), &["run"], &variables);
        let admin = process.admin();
        eventually("it is ready", || get(admin, "/readyz").status == 200);
        process
    };
    let mut process = start("1s");
    process.signal(&["TERM", "INT", "TERM"]);
    assert_eq!(process.ends().code(), Some(0), "{}", process.said());
    assert!(process.said().contains("every request has ended"));

    let mut process = start("20s");
    process.signal(&["TERM"]);
    process.says("draining");
    let begun = Instant::now();
    eventually("a while later", || {
        begun.elapsed() > Duration::from_millis(250)
    });
    process.signal(&["TERM"]);
    assert_eq!(process.ends().code(), Some(1), "{}", process.said());
    assert!(process.said().contains("told a second time"));
}

/// The hint to a warning is a field, and no line end in the middle of a message.
#[test]
fn a_warning_of_the_settings_is_one_line_of_the_log_and_shows_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let mut variables = in_front_of("http://127.0.0.1:1");
    // The secret itself, where the path of its file belongs.
    variables[2].1 = "h0nter2-and-more";
    let process = Process::start(folder.path(), &["run"], &variables);
    process.says("no token");
    let lines = process.lines();
    let warning = lines
        .iter()
        .find(|line| line["hint"].is_string())
        .unwrap_or_else(|| panic!("{}", process.said()));
    let message = warning["message"].as_str().unwrap();
    assert!(
        message.ends_with("there is no file at this path, or it cannot be looked at"),
        "{message}"
    );
    let trouble = lines
        .iter()
        .find(|line| line["code"] == "secret_unreadable");
    let detail = trouble.unwrap()["detail"].as_str().unwrap();
    assert!(detail.contains("No such file"), "the reason: {detail}");
    assert!(!process.said().contains("h0nter2"), "{}", process.said());
}

/// Nobody may ever write into it, and a signal has to be obeyed all the same.
#[test]
fn a_secret_file_that_is_a_named_pipe_keeps_nothing_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("secret");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let variables = in_front_of("http://127.0.0.1:1");
    let mut process = Process::start(folder.path(), &["run"], &variables);
    process.says("is a named pipe");
    let admin = process.admin();
    assert_eq!(get(admin, "/livez").status, 200);
    process.signal(&["TERM"]);
    assert_eq!(process.ends().code(), Some(0), "{}", process.said());
}

#[test]
fn a_file_of_authorities_that_is_a_named_pipe_keeps_nothing_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("authorities.pem");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    std::fs::write(folder.path().join("secret"), "sandbox-secret").unwrap();
    let mut variables = in_front_of("http://127.0.0.1:1").to_vec();
    variables.push(("DQE_PROXY_UPSTREAM_CA_FILES", pipe.to_str().unwrap()));
    let mut process = Process::start(folder.path(), &["run"], &variables);
    process.says("is a named pipe");
    assert_eq!(process.ends().code(), Some(1), "{}", process.said());
}

#[test]
fn flags_of_run_need_no_subcommand() {
    let folder = tempfile::tempdir().unwrap();
    let file = "[dqe]\nlicence = \"X\"\nclient_secret_file = \"secret\"\n\
                servers = [\"http://127.0.0.1:1\"]\n";
    std::fs::write(folder.path().join("some.toml"), file).unwrap();
    let arguments = ["--config", "some.toml", "--log-level", "info"];
    let mut process = Process::start(folder.path(), &arguments, &[]);
    process.says("dqe-proxy listens");
    process.signal(&["TERM"]);
    assert_eq!(process.ends().code(), Some(0), "{}", process.said());
}

/// No request has come of it, so that the access log has no line: the log of events
/// and a metric tell why a caller's calls do not arrive, and nothing of what it sent.
#[test]
fn what_is_no_request_is_told_without_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("secret"), "sandbox-secret").unwrap();
    let process = Process::start(folder.path(), &["run"], &in_front_of("http://127.0.0.1:1"));
    let (admin, address) = (process.admin(), process.listener());
    let many = "a: b\r\n".repeat(101);
    for (request, status) in [
        (
            &b"GET /TEL/?Tel=h0nter2\xe9 HTTP/1.1\r\nHost: a\r\n\r\n"[..],
            400,
        ),
        (
            b"GET /TEL/?Tel=h0nter2 and more HTTP/1.1\r\nHost: a\r\n\r\n",
            400,
        ),
        (
            format!("GET /TEL/?Tel=h0nter2 HTTP/1.1\r\nHost: a\r\n{many}\r\n").as_bytes(),
            431,
        ),
    ] {
        assert_eq!(call(address, request).status, status);
    }
    let metrics = get(admin, "/metrics").text();
    for (status, count) in [(400, 2), (414, 0), (431, 1)] {
        let line = format!("dqe_proxy_caller_heads_refused_total{{status=\"{status}\"}} {count}\n");
        assert!(metrics.contains(&line), "{line}");
    }
    for (status, why) in [(400, "not percent-encoded"), (431, "listener.max_fields")] {
        eventually("the log tells", || {
            process.lines().iter().any(|line| {
                line["status"] == status
                    && line["caller"] == "127.0.0.1"
                    && line["message"].as_str().unwrap().contains(why)
            })
        });
    }
    assert!(!process.said().contains("h0nter2"), "{}", process.said());
}

#[cfg(target_os = "linux")]
#[test]
fn an_access_log_on_a_full_disk_is_told_in_the_log_of_events() {
    let dqe = Setup::default().start_dqe();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("secret"), "sandbox-secret").unwrap();
    let url = dqe.sandbox.url();
    let full = std::fs::File::options().write(true).open("/dev/full");
    let arguments = ["run"];
    let mut process = Process::start_with(
        folder.path(),
        &arguments,
        &in_front_of(&url),
        full.unwrap().into(),
    );
    let admin = process.admin();
    eventually("it is ready", || get(admin, "/readyz").status == 200);
    let address = process.listener();
    for _ in 0..3 {
        assert_eq!(get(address, "/TEL/?Tel=0612345678&Pays=FRA").status, 200);
    }
    process.says("the access log cannot be written: its lines are lost");
    process.says("No space left");
    process.signal(&["TERM"]);
    assert_eq!(process.ends().code(), Some(0), "{}", process.said());
}

/// The line that the fake DQE prints is taken as it is printed.
#[test]
fn the_proxy_starts_as_the_sandbox_says_over_https_too() {
    for with_authority in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let printed = folder.path().join("printed");
        let mut arguments = vec!["sandbox", "--address=127.0.0.1:0"];
        arguments.push("--control-address=127.0.0.1:0");
        if with_authority {
            arguments.extend(["--https", "--ca-file", "authority.pem"]);
        }
        let out = std::fs::File::create(&printed).unwrap();
        let _sandbox = Process::start_with(folder.path(), &arguments, &[], out.into());
        let mut line = String::new();
        eventually("it says how to start the proxy", || {
            let text = std::fs::read_to_string(&printed).unwrap();
            let mut lines = text.lines().map(str::trim);
            let found = lines.find(|line| line.starts_with("DQE_SERVER="));
            line = found.unwrap_or_default().to_owned();
            line.ends_with(" dqe-proxy run")
        });
        let variables: Vec<(&str, &str)> = line
            .split(' ')
            .filter_map(|word| word.split_once('='))
            .collect();
        let elsewhere = tempfile::tempdir().unwrap();
        let process = Process::start(elsewhere.path(), &["run"], &variables);
        let admin = process.admin();
        eventually("it is ready", || get(admin, "/readyz").status == 200);
    }
}

/// A probe by hand is made in a shell that has neither licence nor secret.
#[test]
fn a_healthcheck_needs_the_admin_address_of_the_settings_and_nothing_else() {
    let running = Setup::default().start();
    running.wait_until_ready();
    let check = |arguments: &[&str], variables: &[(&str, &str)]| {
        let output = Command::new(env!("CARGO_BIN_EXE_dqe-proxy"))
            .arg("healthcheck")
            .args(arguments)
            .env_clear()
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code(), said)
    };
    let admin = running.admin.to_string();
    let by_variable = [("DQE_PROXY_ADMIN_ADDRESS", admin.as_str())];
    let (code, said) = check(&["--ready"], &by_variable);
    assert_eq!((code, said.ends_with("ok\n")), (Some(0), true), "{said}");
    let (code, said) = check(&["--admin", &admin], &[]);
    assert_eq!(code, Some(0), "{said}");

    let (code, said) = check(&["--admin", "nonsense"], &[]);
    assert_eq!(code, Some(1));
    assert!(said.contains("admin.address: not an address"), "{said}");
    let (code, said) = check(&["--config", "/nowhere.toml"], &by_variable);
    assert_eq!(code, Some(1));
    assert!(said.contains("cannot read the settings file"), "{said}");
    let (code, said) = check(&["--address", "localhost"], &[]);
    assert_eq!(code, Some(1));
    assert!(said.contains("a host and a port are expected"), "{said}");
}
