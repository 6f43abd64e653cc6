//! Files that a configuration names.

use std::fs::File;
use std::io;
use std::path::Path;

use dunlin_http::read_bounded;

/// The largest file, in bytes: a list of passwords, or certificates.
const MAX: u64 = 16 << 20;

/// Reads a file whole.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    read_bounded(File::open(path)?, MAX)
}
