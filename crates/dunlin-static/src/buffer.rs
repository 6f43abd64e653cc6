//! Buffers that files are read into, used again while they are warm.

use std::cell::RefCell;
use std::ops::Range;

use bytes::Bytes;

/// Bytes of a chunk: enough that the system calls of a chunk cost little beside its copy (larger
/// ones measured no faster), small enough to stay in the second-level cache between the copy from
/// the file and the copy to the socket.
pub(crate) const CHUNK: usize = 256 << 10;

/// Buffers that a thread keeps for the next chunk.
const KEPT: usize = 8;

thread_local! {
    static FREE: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

/// A buffer of [`CHUNK`] bytes, which goes back to the thread that drops it.
pub(crate) struct Buffer {
    bytes: Box<[u8]>,
    filled: usize,
}

// === impl Buffer ===

impl Buffer {
    /// The buffer that was used last, or a new one.
    pub(crate) fn take() -> Self {
        let kept = FREE.try_with(|free| free.borrow_mut().pop()).ok().flatten();
        Self { bytes: kept.unwrap_or_else(|| vec![0; CHUNK].into()), filled: 0 }
    }

    /// How much of a range fits.
    pub(crate) fn room(&self, range: &Range<u64>) -> usize {
        usize::try_from(range.end - range.start).unwrap_or(usize::MAX).min(self.bytes.len())
    }

    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// The first `filled` bytes. The buffer is free again when the last clone is dropped.
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
            if free.len() < KEPT {
                free.push(bytes);
            }
        });
    }
}
