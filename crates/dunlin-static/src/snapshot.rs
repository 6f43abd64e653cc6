//! Reads the whole content of a file at one moment. Blocks.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use dunlin_http::Clock;
use rustix::buffer::spare_capacity;
use rustix::io::{Errno, pread};

use crate::stamp::Stamp;
use crate::tag::{Digest, Hasher};

/// The content of a file at one moment.
pub(crate) struct Snapshot {
    pub(crate) bytes: Vec<u8>,
    pub(crate) stamp: Stamp,
    /// `true` if a later change would show in the stamp.
    pub(crate) settled: bool,
}

/// The limit of attempts to read a file that changes meanwhile. The last attempt counts in any
/// case.
const MAX_TRIES: usize = 8;

/// Reads a file of at most `max` bytes. Returns `None` if it is longer.
///
/// An equal stamp before and after shows that no process wrote in between. A file that changed just
/// now gets a moment to settle. A file that changes all the time, such as a log, is taken as it was
/// read last. Its tag is right in any case, because it is computed from the bytes.
pub(crate) fn read(file: &File, max: u64) -> io::Result<Option<Snapshot>> {
    let mut tries = 0;
    loop {
        tries += 1;
        let before = settle(file)?;
        if before.len > max {
            return Ok(None);
        }
        let settled = before.is_settled(Clock::system().now());
        let bytes = read_to(file, before.len)?;
        let unchanged = Stamp::of(&file.metadata()?).same_content(&before) && bytes.len() as u64 == before.len;
        if unchanged || tries == MAX_TRIES {
            return Ok(Some(Snapshot { bytes, stamp: before, settled: settled && unchanged }));
        }
    }
}

/// Hashes a file of any length. Returns `None` if it changed meanwhile, or may have changed.
pub(crate) fn digest(file: &File, expect: &Stamp) -> io::Result<Option<Digest>> {
    let before = settle(file)?;
    if !before.same_content(expect) || !before.is_settled(Clock::system().now()) {
        return Ok(None);
    }
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 256 << 10];
    let mut at = 0;
    loop {
        match file.read_at(&mut buffer, at) {
            Ok(0) => break,
            Ok(n) => {
                hasher.update(&buffer[..n]);
                at += n as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let unchanged = Stamp::of(&file.metadata()?).same_content(expect) && at == expect.len;
    Ok(unchanged.then(|| hasher.finish()))
}

/// Moves the cursor of an open file to its beginning.
pub(crate) fn rewind(mut file: &File) -> io::Result<()> {
    io::Seek::seek(&mut file, io::SeekFrom::Start(0)).map(drop)
}

/// Waits until the stamp is settled, if that takes at most 100 ms. Returns the stamp.
fn settle(file: &File) -> io::Result<Stamp> {
    let stamp = Stamp::of(&file.metadata()?);
    let wait = stamp.settles_in(Clock::system().now());
    if wait.is_zero() || wait.as_millis() > 100 {
        return Ok(stamp);
    }
    std::thread::sleep(wait);
    Ok(Stamp::of(&file.metadata()?))
}

fn read_to(file: &File, len: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(usize::try_from(len).map_err(io::Error::other)?);
    while bytes.len() < bytes.capacity() {
        let at = bytes.len() as u64;
        match pread(file, spare_capacity(&mut bytes), at) {
            Ok(0) => break,
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(bytes)
}

/// Returns `true` if a file begins with UTF-8. The rest is assumed to be UTF-8 too.
pub(crate) fn is_text(file: &File) -> io::Result<bool> {
    let beginning = read_to(file, 64 << 10)?;
    // The last character in the buffer may be incomplete.
    Ok(std::str::from_utf8(&beginning).map_or_else(|error| error.error_len().is_none(), |_| true))
}
