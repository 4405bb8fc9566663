//! Keeps everything that is logged while the suite runs, at the most talkative
//! level, for `tests/check_logs` to look through: all of `DQE_PROXY_TEST_LOGS`,
//! a folder. Without it nothing is kept.

use std::fs::File;
use std::io::Write;
use std::sync::{LazyLock, Mutex};

static KEPT: LazyLock<Option<Mutex<File>>> = LazyLock::new(|| {
    let folder = std::env::var_os("DQE_PROXY_TEST_LOGS")?;
    let path = std::path::Path::new(&folder).join(format!("it-{}.log", std::process::id()));
    Some(Mutex::new(File::create(path).unwrap()))
});

/// Keeps `bytes`, whole lines that were logged.
pub(super) fn keep(bytes: &[u8]) {
    if let Some(file) = &*KEPT {
        file.lock().unwrap().write_all(bytes).unwrap();
    }
}

/// Hears what this process logs from now on, that of dependencies included,
/// which the program itself leaves out.
pub(super) fn listen() {
    static LISTENS: LazyLock<()> = LazyLock::new(|| {
        if KEPT.is_some() {
            let subscriber = tracing_subscriber::fmt()
                .with_max_level(tracing::Level::TRACE)
                .with_ansi(false)
                .with_writer(|| Keeper)
                .finish();
            tracing::subscriber::set_global_default(subscriber).unwrap();
        }
    });
    LazyLock::force(&LISTENS);
}

struct Keeper;

impl Write for Keeper {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        keep(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
