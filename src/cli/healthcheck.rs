//! `dqe-proxy healthcheck`: asks the running proxy whether it is well, for
//! images without a shell or curl. Exit 0 or 1 and nothing else, as Docker
//! gives other codes a meaning of its own.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use dqe_proxy::config;

use super::settings::SettingsArgs;

/// For all of it, resolving the name included: less than a probe's usual second.
const DEADLINE: Duration = Duration::from_millis(900);
/// More than any answer of ours to a probe.
const LONGEST_ANSWER: u64 = 64 * 1024;
/// Characters of an answer that are shown.
const LONGEST_REASON: usize = 200;

/// What is asked, and whom.
#[derive(Debug, clap::Args)]
pub(crate) struct HealthcheckArgs {
    #[command(flatten)]
    settings: SettingsArgs,
    /// Ask whether calls can be served, not only whether the process lives
    #[arg(long)]
    ready: bool,
    /// The admin listener; by default the one of the settings
    #[arg(long, value_name = "HOST:PORT")]
    address: Option<String>,
}

/// Asks, and prints one line.
pub(crate) fn run(args: &HealthcheckArgs) -> ExitCode {
    let path = if args.ready { "/readyz" } else { "/livez" };
    let checked = address(args).and_then(|address| check(reachable(address), path, DEADLINE));
    let (line, code) = match checked {
        Ok(line) => (line, ExitCode::SUCCESS),
        Err(why) => (why, ExitCode::FAILURE),
    };
    // The exit code says it all to whoever does not read.
    let _ = writeln!(io::stdout(), "{line}");
    code
}

/// The address given, else the one of the settings, of which nothing else is
/// wanted: where somebody asks there may be no secret.
fn address(args: &HealthcheckArgs) -> Result<String, String> {
    if let Some(address) = &args.address {
        let port = address.rsplit_once(':').map(|(_, port)| port);
        return match port.map(str::parse::<u16>) {
            Some(Ok(_)) => Ok(address.clone()),
            _ => {
                Err("--address: a host and a port are expected, such as 127.0.0.1:9090".to_owned())
            }
        };
    }
    let inputs = args.settings.inputs();
    let address = config::admin_address(&inputs).map_err(|problems| problems.to_string())?;
    let address = address.map(|address| address.to_string());
    address.ok_or_else(|| "the admin listener is switched off in the settings".to_owned())
}

/// "Every address" is one to listen on, not one to connect to.
fn reachable(address: String) -> String {
    match address.parse::<SocketAddr>() {
        Ok(mut socket) if socket.ip().is_unspecified() => {
            socket.set_ip(match socket.ip() {
                IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
            socket.to_string()
        }
        _ => address,
    }
}

/// `Ok` when a 200 arrives in time; both ways a line for people.
fn check(address: String, path: &'static str, deadline: Duration) -> Result<String, String> {
    let asked = format!("http://{address}{path}");
    let (sender, receiver) = channel();
    // Neither the system's resolver nor a trickling answer knows a deadline in
    // all, so the one who asks is left behind when it passes.
    thread::spawn(move || {
        let _ = sender.send(ask(&address, path));
    });
    let answer = match receiver.recv_timeout(deadline) {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return Err(format!("{asked}: {error}")),
        Err(RecvTimeoutError::Timeout) => {
            return Err(format!(
                "{asked}: no answer within {} ms",
                deadline.as_millis()
            ));
        }
        Err(RecvTimeoutError::Disconnected) => {
            return Err(format!("{asked}: the question itself failed"));
        }
    };
    match status(&answer) {
        Some("200") => Ok(format!("{asked}: ok")),
        Some(status) => Err(format!("{asked}: status {status}{}", reason(&answer))),
        None => Err(format!("{asked}: the answer is not HTTP")),
    }
}

fn ask(address: &str, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(LONGEST_ANSWER).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn status(answer: &str) -> Option<&str> {
    let mut words = answer.lines().next()?.split(' ');
    let is_http = words.next()?.starts_with("HTTP/1.");
    let status = words.next()?;
    let is_status = status.len() == 3 && status.bytes().all(|it| it.is_ascii_digit());
    (is_http && is_status).then_some(status)
}

/// The failed checks of `/readyz`, on one line.
fn reason(answer: &str) -> String {
    let failed = answer.lines().filter_map(|line| line.strip_prefix("[-]"));
    let mut reason = String::new();
    for check in failed {
        reason.push_str(if reason.is_empty() { ": " } else { "; " });
        reason.push_str(check);
    }
    let shown = reason.chars().take(LONGEST_REASON);
    shown
        .map(|it| if it.is_control() { ' ' } else { it })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::time::Instant;

    use super::*;

    /// Answers one connection with these bytes; keeps it open when `None`.
    fn checked(answer: Option<&'static [u8]>, deadline: Duration) -> Result<String, String> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                request.extend_from_slice(&byte);
            }
            assert!(request.starts_with(b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1:"));
            match answer {
                Some(answer) => stream.write_all(answer).map(|()| None).unwrap(),
                None => Some(stream),
            }
        });
        let result = check(address, "/readyz", deadline);
        server.join().unwrap();
        result.map_err(|why| why.split_once("/readyz: ").unwrap().1.to_owned())
    }

    #[test]
    fn only_a_200_is_well() {
        let not_ready = "status 503: token client_phone failed: refused; token client_email failed";
        let cases: [(&[u8], Option<&str>); 5] = [
            (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n", None),
            (
                b"HTTP/1.1 503 Service Unavailable\r\n\r\n[+]accepting ok\n\
                  [-]token client_phone failed: refused\n[-]token client_email failed\n",
                Some(not_ready),
            ),
            (
                b"HTTP/1.1 404 Not Found\r\n\r\n[-]a\x1b[2J\n",
                Some("status 404: a [2J"),
            ),
            (
                b"SSH-2.0-OpenSSH_9.2 200\r\n",
                Some("the answer is not HTTP"),
            ),
            (b"", Some("the answer is not HTTP")),
        ];
        for (answer, expected) in cases {
            let why = checked(Some(answer), Duration::from_secs(10)).err();
            assert_eq!(why.as_deref(), expected);
        }
    }

    #[test]
    fn a_silent_proxy_is_not_waited_for() {
        let start = Instant::now();
        let why = checked(None, Duration::from_millis(50)).unwrap_err();
        assert_eq!(why, "no answer within 50 ms");
        assert!(start.elapsed() < DEADLINE, "{:?}", start.elapsed());
    }

    #[test]
    fn a_closed_port_is_not_well() {
        // Bound and not listening: no other test can get the port meanwhile.
        let port =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        port.bind(&any.into()).unwrap();
        let address = port.local_addr().unwrap().as_socket().unwrap().to_string();
        let why = check(address, "/livez", DEADLINE).unwrap_err();
        assert!(why.contains("refused"), "{why}");
    }

    #[test]
    fn every_address_means_this_machine() {
        for (address, expected) in [
            ("0.0.0.0:9090", "127.0.0.1:9090"),
            ("[::]:9090", "[::1]:9090"),
            ("10.1.2.3:9090", "10.1.2.3:9090"),
            ("admin.internal:9090", "admin.internal:9090"),
        ] {
            assert_eq!(reachable(address.to_owned()), expected);
        }
    }
}
