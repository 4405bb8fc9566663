//! The map of `lib.rs` holds: who may import whom, and where the few words
//! stand that only one place may use.

use std::path::{Path, PathBuf};

fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    assert!(files.len() > 30, "the sources were not found");
    let texts: Vec<(PathBuf, String)> = files
        .into_iter()
        .map(|path| (path.clone(), std::fs::read_to_string(path).unwrap()))
        .collect();
    let tests: Vec<PathBuf> = texts
        .iter()
        .flat_map(|(path, text)| test_modules(path, text))
        .collect();
    let is_test = |path: &Path| {
        tests
            .iter()
            .any(|module| path == module || path.starts_with(module.with_extension("")))
    };
    texts
        .into_iter()
        .filter(|(path, _)| !is_test(path))
        .map(|(path, text)| {
            let name = path.strip_prefix(&root).unwrap().display().to_string();
            (name, code(&text))
        })
        .collect()
}

/// The files of the modules that a file declares for its tests only.
fn test_modules(path: &Path, text: &str) -> Vec<PathBuf> {
    let declared = text.split("#[cfg(test)]\nmod ").skip(1);
    let names = declared.filter_map(|rest| rest.lines().next()?.strip_suffix(';'));
    names
        .map(|name| path.with_file_name(format!("{name}.rs")))
        .collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// A file without its comments and its unit tests.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap();
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// The part a file belongs to: the first folder, or the file's own name.
fn part(file: &str) -> &str {
    file.split('/').next().unwrap().trim_end_matches(".rs")
}

/// The parts of ours that a file names.
fn imports(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (start, _) in code.match_indices("crate::") {
        let rest = &code[start + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let group = group.split(';').next().unwrap();
            let mut depth = 0;
            let mut name = String::new();
            for letter in group.chars() {
                match letter {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    ',' if depth == 0 => found.push(std::mem::take(&mut name)),
                    _ if depth == 0 => name.push(letter),
                    _ => {}
                }
            }
            found.push(name);
        } else {
            found.push(rest.to_owned());
        }
    }
    found
        .into_iter()
        .map(|name| {
            name.trim()
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect()
        })
        .filter(|name: &String| !name.is_empty())
        .collect()
}

const LEAVES: &[&str] = &[
    "secret",
    "caller",
    "deadline",
    "metrics",
    "quota",
    "telemetry",
    "egress",
    "dqe",
    "http1",
];

#[test]
fn every_part_imports_only_what_the_map_allows() {
    let allowed: &[(&str, &[&str])] = &[
        ("secret", &[]),
        ("caller", &["deadline"]),
        ("deadline", &[]),
        ("metrics", &[]),
        ("quota", &[]),
        ("telemetry", &[]),
        ("egress", &["secret"]),
        ("dqe", &[]),
        ("http1", &[]),
        ("server", &[]),
        ("upstream", &[]),
        ("token", &[]),
        ("proxy", &["token", "upstream"]),
        ("admin", &["token", "upstream"]),
        ("doctor", &["token", "upstream"]),
        ("sandbox", &[]),
        ("config", &["server", "proxy", "upstream", "token", "admin"]),
        (
            "app",
            &["config", "admin", "proxy", "server", "token", "upstream"],
        ),
    ];
    let is_leaf = |part: &str| LEAVES.contains(&part);
    for (file, code) in sources() {
        let part = part(&file);
        if matches!(part, "main" | "cli" | "lib") {
            continue;
        }
        let (_, extra) = allowed
            .iter()
            .find(|(name, _)| *name == part)
            .unwrap_or_else(|| panic!("{part} is not on the map"));
        for import in imports(&code) {
            // A leaf may use the leaves it names; the sandbox nothing at all.
            let leaf_allowed = is_leaf(&import) && !is_leaf(part) && part != "sandbox";
            assert!(
                import == part || leaf_allowed || extra.contains(&import.as_str()),
                "{file} imports {import}"
            );
        }
        if part == "sandbox" {
            assert!(
                !code.contains("dqe_proxy::"),
                "{file} reaches the proxy by another way"
            );
        }
    }
}

#[test]
fn words_of_one_place_stand_nowhere_else() {
    // The word, and the files it may stand in.
    let rules: &[(&str, &[&str])] = &[
        ("reqwest", &["token/endpoint.rs", "egress.rs"]),
        ("hyper::client", &[]),
        (
            "hyper::",
            &[
                "admin/mod.rs",
                "admin/server.rs",
                "server/http2.rs",
                "server/stream.rs",
            ],
        ),
        (
            "httparse",
            &[
                "http1/fields.rs",
                "server/request_head/mod.rs",
                "upstream/answer_head.rs",
            ],
        ),
        ("UnbufferedClientConnection", &["upstream/tls/mod.rs"]),
        (
            "tokio_rustls",
            &[
                "sandbox/certificate.rs",
                "sandbox/server.rs",
                "sandbox/wire.rs",
            ],
        ),
        ("RootCertStore", &["egress.rs"]),
        ("ClientConfig::builder", &["egress.rs"]),
        ("danger", &[]),
        ("dangerous()", &[]),
    ];
    for (file, code) in sources() {
        for (word, places) in rules {
            assert!(
                !code.contains(word) || places.contains(&file.as_str()),
                "{file} says {word}"
            );
        }
    }
}

#[test]
fn tasks_are_spawned_only_where_the_map_says() {
    for (file, code) in sources() {
        let spawns = [
            "tokio::spawn",
            "spawn_local",
            "task::spawn",
            "thread::Builder",
            "thread::spawn",
        ];
        let may = matches!(
            part(&file),
            "app" | "server" | "sandbox" | "cli" | "telemetry"
        );
        assert!(
            may || !spawns.iter().any(|word| code.contains(word)),
            "{file} spawns"
        );
    }
}

#[test]
fn serde_derives_stand_at_the_borders_only() {
    for (file, code) in sources() {
        let border = matches!(
            part(&file),
            "config" | "admin" | "sandbox" | "telemetry" | "cli"
        ) || file == "dqe/token_reply/mod.rs"
            || file == "dqe/relay.rs"
            || file == "proxy/response.rs";
        let derives = ["Deserialize", "Serialize"]
            .iter()
            .any(|word| code.contains(word));
        assert!(border || !derives, "{file} derives a format");
    }
}

#[test]
fn no_secret_can_be_printed_or_serialized() {
    for (file, code) in sources() {
        if part(&file) == "sandbox" {
            continue;
        }
        for line in code
            .lines()
            .filter(|line| line.contains("impl") && line.contains(" for "))
        {
            let of_secret = ["AccessToken", "SecretString", "SecretSource"]
                .iter()
                .any(|name| {
                    line.split(" for ")
                        .nth(1)
                        .is_some_and(|target| target.trim_start().starts_with(name))
                });
            let shows = ["Display", "Serialize"]
                .iter()
                .any(|word| line.contains(word));
            assert!(!(of_secret && shows), "{file}: {line}");
        }
    }
}
