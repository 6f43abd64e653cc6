//! Files that a configuration names, read up to a limit.

use std::io;
use std::path::Path;

use dunlin_http::read_bounded;

/// The largest file of a configuration, in bytes.
pub(crate) const MAX_CONFIGURATION: u64 = 64 << 20;

/// The largest file that a key names, in bytes: a secret, a list of users or keys, a page.
pub(crate) const MAX_NAMED: u64 = 16 << 20;

/// Reads a file whole.
///
/// # Errors
/// The file cannot be read, or has more than `max` bytes, as a device may have without end.
pub(crate) fn read_file(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    read_bounded(std::fs::File::open(path)?, max)
}

/// Reads a file of text whole.
///
/// # Errors
/// As [`read_file`], or the file is not UTF-8.
pub(crate) fn read_text(path: &Path, max: u64) -> io::Result<String> {
    String::from_utf8(read_file(path, max)?).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
}
