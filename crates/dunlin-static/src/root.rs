//! [`Root`]: opens files beneath a folder, and no others.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::RwLock;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::walk;

/// An open folder. A deployment may put another folder at its path, so the path is checked again
/// from time to time.
pub(crate) struct Root {
    path: PathBuf,
    open: RwLock<Arc<OwnedFd>>,
    /// `true` if the kernel can resolve a path beneath a folder (`openat2`).
    beneath: AtomicBool,
}

/// The permission to wait for a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Fails with `WouldBlock` if the path is not in the kernel's memory.
    No,
    /// Waits as long as it takes.
    Yes,
}

/// The flags for opening a file. The call does not wait for the writer of a pipe, and a terminal
/// does not become the controlling terminal of the process.
const READ: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

// === impl Root ===

impl Root {
    pub(crate) fn new(path: &Path) -> io::Result<Self> {
        let open = RwLock::new(Arc::new(open_root(path)?));
        Ok(Self { path: path.to_owned(), open, beneath: AtomicBool::new(cfg!(target_os = "linux")) })
    }

    /// Opens a path that [`crate::path::parse`] has accepted. Symlinks are followed if they stay
    /// beneath the root.
    pub(crate) fn open(&self, path: &str, wait: Wait) -> io::Result<File> {
        let path = match path.strip_suffix('/').unwrap_or(path) {
            "" => ".",
            path => path,
        };
        let root = Arc::clone(&self.open.read());
        if self.beneath.load(Ordering::Relaxed) {
            match open_beneath(&root, path, wait) {
                // The kernel or a sandbox does not support the call.
                Err(Errno::NOSYS | Errno::PERM) => self.beneath.store(false, Ordering::Relaxed),
                done => return Ok(File::from(done?)),
            }
        }
        match wait {
            Wait::No => Err(io::ErrorKind::WouldBlock.into()),
            Wait::Yes => Ok(File::from(walk::open(&root, path, READ)?)),
        }
    }

    /// Switches to another folder if there is one at the root's path. If there is nothing, it fails
    /// and keeps the old folder.
    pub(crate) fn refresh(&self, wait: Wait) -> io::Result<()> {
        let now = match wait {
            Wait::No => open_root_cached(&self.path)?,
            Wait::Yes => open_root(&self.path)?,
        };
        let (new, old) = (rustix::fs::fstat(&now)?, rustix::fs::fstat(&*Arc::clone(&self.open.read()))?);
        if (new.st_dev, new.st_ino) != (old.st_dev, old.st_ino) {
            tracing::info!(root = %self.path.display(), "the root's path has another folder now: serving that");
            *self.open.write() = Arc::new(now);
        }
        Ok(())
    }

    /// Behaves as on a kernel without `openat2`.
    #[cfg(test)]
    pub(crate) fn without_beneath(self) -> Self {
        self.beneath.store(false, Ordering::Relaxed);
        self
    }
}

fn open_root(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, READ | OFlags::DIRECTORY, Mode::empty())?)
}

#[cfg(target_os = "linux")]
fn open_root_cached(path: &Path) -> io::Result<OwnedFd> {
    use rustix::fs::{CWD, ResolveFlags};
    rustix::fs::openat2(CWD, path, READ | OFlags::DIRECTORY, Mode::empty(), ResolveFlags::CACHED).map_err(would_block)
}

#[cfg(not(target_os = "linux"))]
fn open_root_cached(_: &Path) -> io::Result<OwnedFd> {
    Err(io::ErrorKind::WouldBlock.into())
}

#[cfg(target_os = "linux")]
fn open_beneath(root: &OwnedFd, path: &str, wait: Wait) -> Result<OwnedFd, Errno> {
    use rustix::fs::{ResolveFlags, openat2};
    let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    if wait == Wait::No {
        let found = openat2(root, path, READ, Mode::empty(), beneath | ResolveFlags::CACHED);
        // Kernels before 5.12 do not support the flag.
        return found.map_err(|error| if error == Errno::INVAL { Errno::AGAIN } else { error });
    }
    // The kernel returns AGAIN if a concurrent rename may have moved the path out of the root.
    let mut tries = 0;
    loop {
        match openat2(root, path, READ, Mode::empty(), beneath) {
            Err(Errno::AGAIN) if tries < 16 => tries += 1,
            Err(Errno::AGAIN) => return Err(Errno::BUSY),
            done => return done,
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn open_beneath(_: &OwnedFd, _: &str, _: Wait) -> Result<OwnedFd, Errno> {
    Err(Errno::NOSYS)
}

/// Maps the errors of an old kernel to `WouldBlock`.
#[cfg(target_os = "linux")]
fn would_block(error: Errno) -> io::Error {
    match error {
        Errno::NOSYS | Errno::PERM | Errno::INVAL => io::ErrorKind::WouldBlock.into(),
        error => error.into(),
    }
}

/// Returns `true` if an error means that a path has no file to serve. It is missing or unreadable,
/// or the path leaves the root.
pub(crate) fn is_missing(error: &io::Error) -> bool {
    const MISSING: [Errno; 8] = [
        Errno::NOENT,
        Errno::NOTDIR,
        Errno::XDEV,
        Errno::LOOP,
        Errno::NAMETOOLONG,
        Errno::ACCESS,
        Errno::NXIO,
        Errno::INVAL,
    ];
    error.raw_os_error().is_some_and(|code| MISSING.contains(&Errno::from_raw_os_error(code)))
}

#[cfg(test)]
mod tests;
