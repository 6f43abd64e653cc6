//! Resolves a path beneath a folder, component by component, for kernels without `openat2`.

use std::collections::VecDeque;
use std::ffi::CString;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags, openat, readlinkat};
use rustix::io::Errno;

/// The limit of symlinks in one path, as in Linux.
const MAX_LINKS: usize = 40;

/// Opens `path` beneath `root`. No component is ever opened through a symlink. Instead, the target
/// of the link is read and walked, so that `..` never leaves the root.
pub(crate) fn open(root: &OwnedFd, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    let mut names: VecDeque<CString> = VecDeque::new();
    push_front(&mut names, path.as_bytes())?;
    let mut folders: Vec<OwnedFd> = Vec::new();
    let mut links = 0;
    while let Some(name) = names.pop_front() {
        let here = folders.last().map_or(root.as_fd(), AsFd::as_fd);
        if name.as_bytes() == b".." {
            folders.pop().ok_or(Errno::XDEV)?;
            continue;
        }
        match step(here, &name, flags, names.is_empty()) {
            Ok(found) if names.is_empty() => return Ok(found),
            Ok(folder) => folders.push(folder),
            Err(error @ (Errno::LOOP | Errno::MLINK | Errno::NOTDIR)) => {
                let target = readlinkat(here, &name, Vec::new()).map_err(|_| error)?;
                links += 1;
                if links > MAX_LINKS {
                    return Err(Errno::LOOP);
                }
                if target.as_bytes().starts_with(b"/") {
                    return Err(Errno::XDEV);
                }
                push_front(&mut names, target.as_bytes())?;
            }
            Err(error) => return Err(error),
        }
    }
    // A path that ends in `..`, through a link, names a folder that is already open.
    let here = folders.last().map_or(root.as_fd(), AsFd::as_fd);
    openat(here, ".", flags | OFlags::DIRECTORY, Mode::empty())
}

fn step(here: BorrowedFd<'_>, name: &CString, flags: OFlags, last: bool) -> Result<OwnedFd, Errno> {
    let folder = if last { OFlags::empty() } else { OFlags::DIRECTORY };
    openat(here, name, flags | OFlags::NOFOLLOW | folder, Mode::empty())
}

/// Puts the components of `path` before the remaining ones.
fn push_front(names: &mut VecDeque<CString>, path: &[u8]) -> Result<(), Errno> {
    for name in path.split(|&byte| byte == b'/').rev() {
        if !name.is_empty() && name != b"." {
            names.push_front(CString::new(name).map_err(|_| Errno::INVAL)?);
        }
    }
    Ok(())
}
