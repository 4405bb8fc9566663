//! The program started as an operator starts it, on ports of its own choice, told
//! by signals, with what it says in a file.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use super::eventually;

/// A running program; dropping it kills it. What it says is in a file.
pub(crate) struct Process {
    pub(crate) child: Child,
    log: std::path::PathBuf,
}

impl Process {
    /// Starts it in `folder`, with nothing in its environment but `variables`.
    pub(crate) fn start(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        Self::start_with(folder, arguments, variables, Stdio::null())
    }

    /// The same, with no more than so many open files.
    pub(crate) fn start_with_descriptors(
        folder: &Path,
        count: usize,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Self {
        let script = format!("ulimit -n {count}; exec \"$0\" \"$@\"");
        let mut command = Command::new("sh");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_dqe-proxy")]);
        Self::spawn(command, folder, arguments, variables, Stdio::null())
    }

    /// The same, with another standard output.
    pub(crate) fn start_with(
        folder: &Path,
        arguments: &[&str],
        variables: &[(&str, &str)],
        stdout: Stdio,
    ) -> Self {
        let command = Command::new(env!("CARGO_BIN_EXE_dqe-proxy"));
        Self::spawn(command, folder, arguments, variables, stdout)
    }

    fn spawn(
        mut command: Command,
        folder: &Path,
        arguments: &[&str],
        variables: &[(&str, &str)],
        stdout: Stdio,
    ) -> Self {
        let log = folder.join("log");
        let child = command
            .args(arguments)
            .env_clear()
            .env("DQE_PROXY_LISTENER_ADDRESS", "127.0.0.1:0")
            .env("DQE_PROXY_ADMIN_ADDRESS", "127.0.0.1:0")
            .envs(variables.iter().copied())
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Self { child, log }
    }

    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    pub(crate) fn lines(&self) -> Vec<serde_json::Value> {
        let said = self.said();
        let lines = said.lines();
        lines
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    pub(crate) fn says(&self, word: &str) {
        eventually(word, || self.said().contains(word));
    }

    pub(crate) fn admin(&self) -> SocketAddr {
        self.address("admin")
    }

    pub(crate) fn listener(&self) -> SocketAddr {
        self.address("listener")
    }

    pub(crate) fn address(&self, name: &str) -> SocketAddr {
        self.says("dqe-proxy listens");
        let lines = self.lines();
        let mut addresses = lines.iter().filter_map(|line| line[name].as_str());
        addresses.next().unwrap().parse().unwrap()
    }

    /// One signal after the other, as fast as a shell can.
    pub(crate) fn signal(&self, names: &[&str]) {
        let id = self.child.id();
        let kills = names.iter().map(|name| format!("kill -{name} {id}"));
        let script = kills.collect::<Vec<_>>().join(" && ");
        let sent = Command::new("sh").args(["-c", &script]).status();
        assert!(sent.unwrap().success());
    }

    pub(crate) fn ends(&mut self) -> ExitStatus {
        let mut ended = None;
        eventually("it ends", || {
            ended = self.child.try_wait().unwrap();
            ended.is_some()
        });
        ended.unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
