//! Content that the kernel can send without copying it: larger files are held in sealed memory
//! files.
//!
//! A file on disk could be sent by the kernel too, but whoever writes to it while it is sent would
//! change what is on its way. A copy in memory that is sealed against writing cannot change. To
//! make it takes as long as to send the content some ten times, so only what is asked for again and
//! again is held so.

use std::sync::Arc;

use bytes::Bytes;
use dunlin_http::Mapped;

/// Content that is held, and the descriptor of it if it has one.
pub(crate) type Held = (Bytes, Option<Arc<dyn Mapped>>);

/// From here on the kernel's own sending is worth its extra system call. For less, copying measured
/// as fast.
const LEAST: usize = 32 << 10;

/// Whether content of so many bytes is worth a descriptor, where there are such.
pub(crate) const fn is_worth(len: usize) -> bool {
    cfg!(any(target_os = "linux", target_os = "android")) && len >= LEAST
}

/// Takes content to be held, in sealed memory if that can be had.
pub(crate) fn hold(bytes: &Bytes) -> Held {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    match linux::seal(bytes) {
        Ok(sealed) => return sealed,
        // Bytes in memory do as well, they only cost more to send.
        Err(error) => tracing::debug!(%error, bytes = bytes.len(), "held without a descriptor"),
    }
    (bytes.clone(), None)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod linux {
    use std::fs::File;
    use std::io::{self, Write};
    use std::os::fd::{AsFd, BorrowedFd};
    use std::ptr::{self, NonNull};
    use std::slice;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use bytes::Bytes;
    use dunlin_http::Mapped;
    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
    use rustix::io::Errno;
    use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
    use rustix::process::{Resource, getrlimit};

    /// A file in memory that nobody can write to, mapped.
    #[derive(Debug)]
    struct Sealed {
        file: File,
        at: NonNull<u8>,
        len: usize,
        _seat: Seat,
    }

    /// What makes [`Bytes`] of a [`Sealed`].
    struct Content(Arc<Sealed>);

    /// One of the descriptors that may be used for this in the whole process.
    #[derive(Debug)]
    struct Seat;

    static TAKEN: AtomicU64 = AtomicU64::new(0);

    /// However many descriptors there are: more files than this are seldom hot.
    const MOST: u64 = 1024;

    pub(super) fn seal(bytes: &[u8]) -> io::Result<super::Held> {
        let sealed = Arc::new(Sealed::new(bytes)?);
        Ok((Bytes::from_owner(Content(Arc::clone(&sealed))), Some(sealed)))
    }

    // === impl Seat ===

    impl Seat {
        /// At most a sixteenth of the descriptors that the process may have.
        fn take() -> Option<Self> {
            let most = getrlimit(Resource::Nofile).current.map_or(MOST, |limit| (limit / 16).min(MOST));
            let seat = |taken| (taken < most).then_some(taken + 1);
            TAKEN.fetch_update(Ordering::Relaxed, Ordering::Relaxed, seat).ok().map(|_| Self)
        }
    }

    impl Drop for Seat {
        fn drop(&mut self) {
            TAKEN.fetch_sub(1, Ordering::Relaxed);
        }
    }

    // === impl Sealed ===

    // SAFETY: what `at` points to is only read, by everybody, and unmapped by the last owner.
    unsafe impl Send for Sealed {}
    // SAFETY: as above.
    unsafe impl Sync for Sealed {}

    impl Sealed {
        fn new(bytes: &[u8]) -> io::Result<Self> {
            let seat = Seat::take().ok_or_else(|| io::Error::other("as many descriptors as may be are in use"))?;
            let mut file = File::from(create()?);
            file.write_all(bytes)?;
            fcntl_add_seals(&file, SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
            // Private, because older kernels do not share a file that is sealed against writing.
            // Populated, because whoever reads the mapping, to encode or encrypt it, reads all of
            // it, and would fault page by page.
            let flags = MapFlags::PRIVATE | MapFlags::POPULATE;
            // SAFETY: a new mapping at a place that the kernel chooses. `len` is not zero. Nobody
            // can write to the file or cut it short, now that it is sealed, so the bytes stay as
            // they are for as long as they are mapped.
            let at = unsafe { mmap(ptr::null_mut(), bytes.len(), ProtFlags::READ, flags, &file, 0) }?;
            let at = NonNull::new(at.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
            Ok(Self { file, at, len: bytes.len(), _seat: seat })
        }
    }

    fn create() -> Result<rustix::fd::OwnedFd, Errno> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        match memfd_create(c"dunlin-static", flags | MemfdFlags::NOEXEC_SEAL) {
            // Kernels before 6.3 do not know the flag.
            Err(Errno::INVAL) => memfd_create(c"dunlin-static", flags),
            done => done,
        }
    }

    impl AsRef<[u8]> for Sealed {
        fn as_ref(&self) -> &[u8] {
            // SAFETY: `len` bytes are mapped at `at` until `self` is dropped, and never change.
            unsafe { slice::from_raw_parts(self.at.as_ptr(), self.len) }
        }
    }

    impl AsFd for Sealed {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.file.as_fd()
        }
    }

    impl Mapped for Sealed {}

    impl Drop for Sealed {
        fn drop(&mut self) {
            // SAFETY: mapped by `new` with this length, and nobody has a reference any more.
            let unmapped = unsafe { munmap(self.at.as_ptr().cast(), self.len) };
            debug_assert!(unmapped.is_ok());
        }
    }

    impl AsRef<[u8]> for Content {
        fn as_ref(&self) -> &[u8] {
            (*self.0).as_ref()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(any(target_os = "linux", target_os = "android"))]
    #[test]
    fn larger_content_has_a_descriptor_that_nobody_can_write_to() {
        use std::os::unix::fs::FileExt;

        let content: Vec<u8> = (0..LEAST + 4097).map(|n| (n / 11) as u8).collect();
        let (bytes, mapping) = hold(&Bytes::from(content.clone()));
        let mapping = mapping.unwrap();
        assert!(bytes == content && mapping.as_ref().as_ref() == content);
        let file = std::fs::File::from(mapping.as_fd().try_clone_to_owned().unwrap());
        assert!(file.write_at(b"x", 0).is_err() && file.set_len(5).is_err() && file.set_len(1 << 20).is_err());
        let mut read = vec![0; content.len()];
        file.read_exact_at(&mut read, 0).unwrap();
        assert!(read == content);
        // The bytes outlive whoever else held the descriptor.
        drop(mapping);
        assert!(bytes == content);
    }
}
