//! The file of the log, which can be opened again while lines are written to it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt as _, fchown};
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

/// The mode of a file that is made: its group may read it.
const MODE: u32 = 0o640;

/// The file that lines are written to.
pub(super) static FILE: Opened = Opened(Mutex::new(None));

/// A file, with its path.
pub(super) struct Opened(Mutex<Option<(PathBuf, File)>>);

/// An error of a log file.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the log {}: {error}; make its folder, or let this user write there", path.display())]
pub(crate) struct Unopened {
    path: PathBuf,
    #[source]
    error: io::Error,
}

/// The writer of the file that is open at the time of each write.
pub(super) struct ToFile;

// === impl Opened ===

impl Opened {
    /// Opens the file at `path` to append to it, and closes the one before. If that is not
    /// possible, the one before stays in use.
    pub(super) fn open(&self, path: &Path) -> Result<(), Unopened> {
        let file = append(path).map_err(|error| Unopened { path: path.to_owned(), error })?;
        // The file before is closed outside the lock.
        let before = self.0.lock().replace((path.to_owned(), file));
        drop(before);
        Ok(())
    }

    /// Closes the file.
    pub(super) fn close(&self) {
        let before = self.0.lock().take();
        drop(before);
    }

    /// The path of the file, if one is open.
    pub(super) fn path(&self) -> Option<PathBuf> {
        self.0.lock().as_ref().map(|(path, _)| path.clone())
    }

    /// Gives the file to another user.
    pub(super) fn give(&self, user: u32, group: u32) -> io::Result<()> {
        match &*self.0.lock() {
            Some((_, file)) => fchown(file, Some(user), Some(group)),
            None => Ok(()),
        }
    }
}

/// Opens a file without waiting, which a named pipe without a reader would need.
fn append(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(MODE).custom_flags(OFlags::NONBLOCK.bits().cast_signed());
    let file = options.open(path)?;
    fcntl_setfl(&file, fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
    Ok(file)
}

// === impl ToFile ===

impl Write for ToFile {
    /// Writes to a copy of the descriptor, so that a slow file does not keep another one from being
    /// opened.
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let file = match &*FILE.0.lock() {
            Some((_, file)) => file.try_clone()?,
            None => return Err(io::ErrorKind::NotFound.into()),
        };
        (&file).write_all(lines).map(|()| lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
