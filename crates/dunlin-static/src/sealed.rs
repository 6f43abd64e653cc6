//! Content in sealed memory files, which the kernel can send without a copy.
//!
//! The kernel could send a file on disk too. But a process that writes to the file meanwhile would
//! change the bytes on their way. A copy in memory that is sealed against writing cannot change.
//! Making it takes about ten times as long as sending the content, so only hot files are sealed.

use std::sync::Arc;

use bytes::Bytes;
use dunlin_http::Mapped;

/// The length from which sealing is worth its extra system call, in bytes. A shorter content
/// measured as fast to copy.
const MIN_LEN: usize = 32 << 10;

/// Content in a sealed file.
pub(crate) struct SealedContent {
    pub(crate) bytes: Bytes,
    /// The descriptor of the file that has these bytes.
    pub(crate) mapping: Arc<dyn Mapped>,
}

/// Returns `true` if content of this length is worth sealing, on a system that can do it.
pub(crate) const fn is_worth(len: usize) -> bool {
    cfg!(any(target_os = "linux", target_os = "android")) && len >= MIN_LEN
}

/// Copies content into a sealed file. Returns `None` if that fails. Then the bytes in memory serve
/// as well, and only cost more to send.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn seal(bytes: &Bytes) -> Option<SealedContent> {
    linux::seal(bytes)
        .inspect_err(|error| {
            tracing::debug!(%error, bytes = bytes.len(), "a file could not be sealed: it is sent from memory");
        })
        .ok()
}

/// Returns `None`: this system has no sealed files.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn seal(_: &Bytes) -> Option<SealedContent> {
    None
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

    use super::SealedContent;

    /// A file in memory that no process can write to, and its mapping.
    #[derive(Debug)]
    struct Sealed {
        file: File,
        at: NonNull<u8>,
        len: usize,
        _permit: DescriptorPermit,
    }

    /// The owner of the [`Bytes`] of a [`Sealed`].
    struct Owner(Arc<Sealed>);

    /// A permit for one descriptor. Their number is limited in the whole process.
    #[derive(Debug)]
    struct DescriptorPermit;

    static PERMITS: AtomicU64 = AtomicU64::new(0);

    /// The limit of permits, however many descriptors the process may have. More files are seldom
    /// hot.
    const MAX_PERMITS: u64 = 1024;

    pub(super) fn seal(bytes: &[u8]) -> io::Result<SealedContent> {
        let sealed = Arc::new(Sealed::new(bytes)?);
        Ok(SealedContent { bytes: Bytes::from_owner(Owner(Arc::clone(&sealed))), mapping: sealed })
    }

    // === impl DescriptorPermit ===

    impl DescriptorPermit {
        /// Takes a permit, if one is left. At most a sixteenth of the descriptors are used.
        fn take() -> Option<Self> {
            let descriptors = getrlimit(Resource::Nofile).current;
            let limit = descriptors.map_or(MAX_PERMITS, |descriptors| (descriptors / 16).min(MAX_PERMITS));
            let next = |taken| (taken < limit).then_some(taken + 1);
            PERMITS.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).ok().map(|_| Self)
        }
    }

    impl Drop for DescriptorPermit {
        fn drop(&mut self) {
            PERMITS.fetch_sub(1, Ordering::Relaxed);
        }
    }

    // === impl Sealed ===

    // SAFETY: the memory at `at` is only read, and it is unmapped with the last reference.
    unsafe impl Send for Sealed {}
    // SAFETY: as above.
    unsafe impl Sync for Sealed {}

    impl Sealed {
        fn new(bytes: &[u8]) -> io::Result<Self> {
            let permit = DescriptorPermit::take();
            let permit = permit.ok_or_else(|| io::Error::other("the limit of descriptors is reached"))?;
            let mut file = File::from(create()?);
            file.write_all(bytes)?;
            fcntl_add_seals(&file, SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
            // Private, because older kernels do not share a file that is sealed against writing.
            // Populated, because a reader that encodes or encrypts the mapping reads all of it, and
            // would fault page by page.
            let flags = MapFlags::PRIVATE | MapFlags::POPULATE;
            // SAFETY: a new mapping at an address that the kernel chooses. `len` is not zero. The
            // file is sealed, so it can be neither written to nor truncated, and the bytes do not
            // change while they are mapped.
            let at = unsafe { mmap(ptr::null_mut(), bytes.len(), ProtFlags::READ, flags, &file, 0) }?;
            let at = NonNull::new(at.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
            Ok(Self { file, at, len: bytes.len(), _permit: permit })
        }
    }

    fn create() -> Result<rustix::fd::OwnedFd, Errno> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        match memfd_create(c"dunlin-static", flags | MemfdFlags::NOEXEC_SEAL) {
            // Kernels before 6.3 do not support the flag.
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
            // SAFETY: mapped by `new` with this length, and no reference is left.
            let unmapped = unsafe { munmap(self.at.as_ptr().cast(), self.len) };
            debug_assert!(unmapped.is_ok());
        }
    }

    impl AsRef<[u8]> for Owner {
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
    fn sealed_content_cannot_be_changed() {
        use std::os::unix::fs::FileExt;

        let content: Vec<u8> = (0..MIN_LEN + 4097).map(|n| (n / 11) as u8).collect();
        let SealedContent { bytes, mapping } = seal(&Bytes::from(content.clone())).unwrap();
        assert!(bytes == content && mapping.as_ref().as_ref() == content);
        let file = std::fs::File::from(mapping.as_fd().try_clone_to_owned().unwrap());
        assert!(file.write_at(b"x", 0).is_err() && file.set_len(5).is_err() && file.set_len(1 << 20).is_err());
        let mut read = vec![0; content.len()];
        file.read_exact_at(&mut read, 0).unwrap();
        assert!(read == content);
        // The bytes outlive the other owner of the descriptor.
        drop(mapping);
        assert!(bytes == content);
    }
}
