//! Sinks for the tests of this part, and a record to write.

use std::io::{self, Write};
use std::net::IpAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, UNIX_EPOCH};

use super::AccessRecord;

/// Keeps what is written; its clones see the same bytes.
#[derive(Clone, Default)]
pub(super) struct Memory(Arc<Mutex<Vec<u8>>>);

impl Memory {
    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap()
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8(self.bytes().clone()).unwrap()
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Takes bytes, but returns only once the sender has been dropped: a pipe
/// whose reader has stopped reading.
pub(super) fn stalled() -> (Sender<()>, Memory, impl Write + Send + 'static) {
    struct Stalled(Receiver<()>, Memory);
    impl Write for Stalled {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            self.1.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (release, stop) = channel();
    let memory = Memory::default();
    (release, memory.clone(), Stalled(stop, memory))
}

/// Gives these results one after the other: at most so many bytes taken, or
/// an error. Afterwards it takes all.
pub(super) struct Scripted {
    pub(super) script: Vec<Result<usize, io::ErrorKind>>,
    pub(super) memory: Memory,
}

impl Write for Scripted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.script.is_empty() {
            return self.memory.write(bytes);
        }
        let limit = self.script.remove(0)?;
        self.memory.write(&bytes[..limit.min(bytes.len())])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A call as most are.
pub(super) fn record() -> AccessRecord<'static> {
    AccessRecord {
        time: UNIX_EPOCH + Duration::from_micros(1_763_951_521_007_900),
        request_id: "5f0c2a",
        caller: IpAddr::from([10, 1, 2, 3]),
        method: "GET",
        route: "/RNVP",
        scope: "client_address",
        status: 200,
        code: "ok",
        request_bytes: 0,
        response_bytes: 512,
        token_wait: Duration::ZERO,
        connect: Duration::from_micros(1500),
        first_byte: Duration::from_nanos(11_023_999),
        total: Duration::from_micros(12_345),
        attempts: 1,
        redirects: 0,
        http_version: "HTTP/1.1",
    }
}
