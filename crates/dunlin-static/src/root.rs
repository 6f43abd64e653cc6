//! [`Root`]: opens what is beneath a folder, and nothing else.

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

/// A folder that is open. It is looked for again by its path from time to time, since a deployment
/// may put another in its place.
pub(crate) struct Root {
    path: PathBuf,
    open: RwLock<Arc<OwnedFd>>,
    /// Whether the kernel resolves beneath a folder by itself.
    beneath: AtomicBool,
}

/// Whether opening may wait for a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Never: what is not in the kernel's memory fails with `WouldBlock`.
    No,
    /// As long as it takes.
    Yes,
}

/// How a file is opened: without waiting for a writer of a pipe, and without becoming anybody's
/// terminal.
const READ: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

// === impl Root ===

impl Root {
    pub(crate) fn new(path: &Path) -> io::Result<Self> {
        let open = RwLock::new(Arc::new(open_root(path)?));
        Ok(Self { path: path.to_owned(), open, beneath: AtomicBool::new(cfg!(target_os = "linux")) })
    }

    /// Opens a path that [`crate::path::parse`] let through. Symlinks are followed as long as they
    /// stay beneath the root.
    pub(crate) fn open(&self, path: &str, wait: Wait) -> io::Result<File> {
        let path = match path.strip_suffix('/').unwrap_or(path) {
            "" => ".",
            path => path,
        };
        let root = Arc::clone(&self.open.read());
        if self.beneath.load(Ordering::Relaxed) {
            match open_beneath(&root, path, wait) {
                // An old kernel, or a sandbox that does not know the call.
                Err(Errno::NOSYS | Errno::PERM) => self.beneath.store(false, Ordering::Relaxed),
                done => return Ok(File::from(done?)),
            }
        }
        match wait {
            Wait::No => Err(io::ErrorKind::WouldBlock.into()),
            Wait::Yes => Ok(File::from(walk::open(&root, path, READ)?)),
        }
    }

    /// Looks whether another folder has taken the root's path, and turns to it. A path where
    /// nothing is keeps the old.
    pub(crate) fn refresh(&self, wait: Wait) -> io::Result<()> {
        let now = match wait {
            Wait::No => open_root_cached(&self.path)?,
            Wait::Yes => open_root(&self.path)?,
        };
        let (new, old) = (rustix::fs::fstat(&now)?, rustix::fs::fstat(&*Arc::clone(&self.open.read()))?);
        if (new.st_dev, new.st_ino) != (old.st_dev, old.st_ino) {
            tracing::info!(root = %self.path.display(), "another folder is in the root's place");
            *self.open.write() = Arc::new(now);
        }
        Ok(())
    }

    /// Takes the kernel for an old one.
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
        // Kernels before 5.12 do not know the flag.
        return found.map_err(|error| if error == Errno::INVAL { Errno::AGAIN } else { error });
    }
    // A rename at the same moment may make the kernel unsure whether it stayed beneath.
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

/// What an old kernel says is that it would have to wait.
#[cfg(target_os = "linux")]
fn would_block(error: Errno) -> io::Error {
    match error {
        Errno::NOSYS | Errno::PERM | Errno::INVAL => io::ErrorKind::WouldBlock.into(),
        error => error.into(),
    }
}

/// Whether an error says that there is nothing to be served at a path: nothing, nothing that may be
/// read, or a way out of the root.
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
