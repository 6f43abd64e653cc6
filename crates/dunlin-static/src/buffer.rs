//! Reusable buffers that files are read into.

use std::cell::RefCell;
use std::ops::Range;

use bytes::Bytes;

/// The size of a chunk, in bytes.
///
/// It is large enough that a chunk's system calls cost little beside its copy. Larger ones measured
/// no faster. It is small enough to stay in the second-level cache between the two copies, from the
/// file and to the socket.
pub(crate) const CHUNK: usize = 256 << 10;

/// The number of free buffers that a thread keeps.
const MAX_FREE: usize = 8;

thread_local! {
    static FREE: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

/// A buffer of [`CHUNK`] bytes. On drop it becomes a free buffer of the current thread.
pub(crate) struct Buffer {
    bytes: Box<[u8]>,
    filled: usize,
}

// === impl Buffer ===

impl Buffer {
    /// Takes the buffer that was freed last, or makes a new one.
    pub(crate) fn take() -> Self {
        let free = FREE.try_with(|free| free.borrow_mut().pop()).ok().flatten();
        Self { bytes: free.unwrap_or_else(|| vec![0; CHUNK].into()), filled: 0 }
    }

    /// The number of bytes of a range that fit.
    pub(crate) fn len_for(&self, range: &Range<u64>) -> usize {
        usize::try_from(range.end - range.start).unwrap_or(usize::MAX).min(self.bytes.len())
    }

    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Returns the first `filled` bytes. The buffer is freed when their last clone is dropped.
    pub(crate) fn freeze(mut self, filled: usize) -> Bytes {
        self.filled = filled;
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        let _ = FREE.try_with(|free| {
            let mut free = free.borrow_mut();
            if free.len() < MAX_FREE {
                free.push(bytes);
            }
        });
    }
}
