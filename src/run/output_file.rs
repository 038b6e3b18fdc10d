//! Writes files for the user.

use std::io::Write;
use std::path::{Path, PathBuf};

/// Writes data with `write` to a file, which is replaced only after all data is written.
///
/// # Errors
/// If the file cannot be written.
#[expect(clippy::disallowed_methods, reason = "this is a file of the user, not of a store")]
pub(crate) fn write_file(
    path: &Path,
    write: impl Fn(&mut dyn Write) -> std::io::Result<()>,
) -> std::io::Result<()> {
    // devices and pipes are written to; a file, or the target of a link, is replaced
    let path = &std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    if std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return write(&mut std::fs::OpenOptions::new().write(true).open(path)?);
    }
    let mut staged = path.as_os_str().to_owned();
    staged.push(format!(".{}.staged", std::process::id()));
    let staged = PathBuf::from(staged);
    let written = std::fs::File::create(&staged)
        .and_then(|mut file| write(&mut file))
        .and_then(|()| std::fs::rename(&staged, path));
    if written.is_err() {
        // best effort: the error that is returned is the first one
        _ = std::fs::remove_file(&staged);
    }
    written
}
