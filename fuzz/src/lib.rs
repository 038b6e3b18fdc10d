//! Helpers that the fuzz targets share. The modules of settings and alert state are included by path: their crates would
//! also build the command line or polars.
#![allow(dead_code, missing_docs, unexpected_cfgs, unfulfilled_lint_expectations)]
#![allow(clippy::all, clippy::pedantic, clippy::nursery, clippy::restriction)]

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

#[path = "../../src/cause_rules.rs"]
mod cause_rules;
#[path = "../../src/config.rs"]
mod config;
#[path = "../../src/settings.rs"]
mod settings;

#[path = "../../analyze/src/error.rs"]
pub mod error;

#[path = "../../analyze/src/timeline"]
pub mod timeline {
    mod scope;
    pub use scope::*;
}

#[path = "../../analyze/src/check"]
pub mod check {
    pub mod confidence;
    pub mod level;
    pub mod thresholds;
}

#[path = "../../analyze/src/alert"]
pub mod alert {
    pub mod state;
    pub mod state_file;
    pub mod state_location;
    pub mod timestamp;
}

#[path = "../../analyze/src/brake"]
pub mod brake {
    pub mod state;
}

/// Reads a settings file and builds its rules.
pub fn read_settings(path: &Path) {
    let Ok(mut config) = config::Config::read(Some(path)) else { return };
    // a path to a file of this machine
    config.cause_rules = None;
    _ = config.classifier();
}

/// A file in memory that is removed when it is dropped.
#[derive(Debug)]
pub struct TemporaryFile(PathBuf);

impl TemporaryFile {
    /// Writes the file.
    pub fn new(ending: &str, bytes: &[u8]) -> Self {
        static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = format!("/dev/shm/bouncewatch-fuzz-{}-{number}.{ending}", std::process::id());
        std::fs::write(&path, bytes).expect("memory can be written");
        Self(path.into())
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        _ = std::fs::remove_file(&self.0);
    }
}

/// Runs a future to its end.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    static RUNTIME: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime starts")
    });
    RUNTIME.block_on(future)
}
