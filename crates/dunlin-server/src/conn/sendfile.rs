//! Sends content of a mapped file without a copy (`sendfile(2)`).
//!
//! Output consists of slices of memory. Where one of them lies in the [`Mapped`] file of the
//! response, the kernel sends that part of the file instead. The client gets the same bytes.

use std::io::{self, IoSlice};
use std::os::fd::AsFd;
use std::task::{Context, Poll};

use dunlin_http::Mapped;
use rustix::fs::sendfile;
use rustix::io::Errno;
use rustix::net::{SendFlags, send};
use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};

/// A socket that the kernel can send files to.
pub(super) trait Socket: AsFd {
    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Runs `send`. If it would block, the socket counts as full until the kernel reports room.
    fn attempt(&self, send: impl FnOnce() -> io::Result<()>) -> io::Result<()>;
}

/// The beginning of the output: a slice outside the file, if there is one, and a range of the file.
#[derive(Debug, PartialEq, Eq)]
struct Beginning<'a> {
    before: Option<&'a [u8]>,
    at: usize,
    len: usize,
}

/// Sends the beginning of `bufs`, at most `limit` bytes. Slices in `mapping` come from the file.
/// Returns `None` if they have to be written like other bytes.
pub(super) fn poll_send<S: Socket>(
    socket: &S,
    cx: &mut Context<'_>,
    bufs: &[IoSlice<'_>],
    mapping: &dyn Mapped,
    limit: usize,
) -> Option<Poll<io::Result<usize>>> {
    let Beginning { before, at, len } = beginning(bufs, mapping.as_ref())?;
    loop {
        match socket.poll_ready(cx) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(error)) => return Some(Poll::Ready(Err(error))),
            Poll::Pending => return Some(Poll::Pending),
        }
        let mut sent = 0;
        let done = socket.attempt(|| {
            if let Some(before) = before {
                // MORE makes the kernel wait for the file, instead of sending a small packet.
                sent = send(socket, before, SendFlags::MORE | SendFlags::NOSIGNAL | SendFlags::DONTWAIT)?;
                if sent < before.len() {
                    return Ok(());
                }
            }
            sent += sendfile(socket, mapping, Some(&mut (at as u64)), len.min(limit))?;
            Ok(())
        });
        match done {
            // The next call meets the same error, and reports it.
            _ if sent > 0 => return Some(Poll::Ready(Ok(sent))),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(error) if is_unsupported(&error) => return None,
            Err(error) => return Some(Poll::Ready(Err(error))),
            // The file is shorter than its mapping.
            Ok(()) => return None,
        }
    }
}

/// Returns the beginning of `bufs` if a large part of it lies in the file.
fn beginning<'a>(bufs: &'a [IoSlice<'_>], content: &[u8]) -> Option<Beginning<'a>> {
    let (before, slice) = match bufs {
        [slice, ..] if offset(slice, content).is_some() => (None, slice),
        [before, slice, ..] => (Some(&**before), slice),
        _ => return None,
    };
    Some(Beginning { before, at: offset(slice, content)?, len: slice.len() })
}

/// The position of a slice in `content`, by its address.
fn offset(slice: &[u8], content: &[u8]) -> Option<usize> {
    let at = slice.as_ptr().addr().checked_sub(content.as_ptr().addr())?;
    let end = at.checked_add(slice.len())?;
    (end <= content.len() && !slice.is_empty()).then_some(at)
}

/// Returns `true` if the kernel cannot send between these descriptors, or cannot send files at all.
fn is_unsupported(error: &io::Error) -> bool {
    const UNSUPPORTED: [Errno; 4] = [Errno::INVAL, Errno::NOSYS, Errno::OPNOTSUPP, Errno::PERM];
    error.raw_os_error().is_some_and(|code| UNSUPPORTED.contains(&Errno::from_raw_os_error(code)))
}

// === impl Socket ===

impl Socket for TcpStream {
    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_write_ready(cx)
    }

    fn attempt(&self, send: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        self.try_io(Interest::WRITABLE, send)
    }
}

impl Socket for UnixStream {
    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_write_ready(cx)
    }

    fn attempt(&self, send: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        self.try_io(Interest::WRITABLE, send)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bufs: &[&[u8]], content: &[u8], expect: Option<(bool, usize, usize)>) {
        let bufs: Vec<_> = bufs.iter().map(|buf| IoSlice::new(buf)).collect();
        let found = beginning(&bufs, content).map(|found| (found.before.is_some(), found.at, found.len));
        assert_eq!(found, expect);
    }

    #[test]
    fn slices_are_known_by_their_address() {
        let all = [7; 100];
        let (content, head) = (&all[10..90], [7; 20]);
        check(&[content], content, Some((false, 0, 80)));
        check(&[&head, &content[5..]], content, Some((true, 5, 75)));
        check(&[&content[79..], &head], content, Some((false, 79, 1)));
        check(&[&head, &head, content], content, None);
        for other in [&all[9..20], &all[80..91], &all[..], &all[90..], &all[..10], &content[..0], &head] {
            check(&[other], content, None);
            check(&[&head, other], content, None);
        }
        check(&[], content, None);
    }
}
