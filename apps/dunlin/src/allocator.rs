//! The allocator: mimalloc, without the detour for alignments that its blocks have anyway.
//!
//! The `mimalloc` crate allocates each block by `mi_malloc_aligned`. For a size that is no power of
//! two, that function takes more than the size and searches it for an aligned part. An allocation
//! costs twice as much then, and a request makes dozens.

use std::alloc::{GlobalAlloc, Layout};
use std::ffi::c_void;

use libmimalloc_sys as mi;

/// mimalloc as Rust's allocator.
pub(crate) struct Mimalloc;

/// The alignment of every block of this size or more: `MI_MAX_ALIGN_SIZE` of mimalloc. A smaller
/// block is aligned to the largest power of two in its size.
const NATURAL: usize = 16;

const fn is_natural(size: usize, align: usize) -> bool {
    align <= NATURAL && align <= size
}

/// Makes the kernel give memory in pages of 4 KiB from now on, instead of 2 MiB.
///
/// The first access to a huge page waits until all of it is cleared: 0.2 ms, and longer in a
/// virtual machine whose host has to find the memory. No allocation may hold an event loop for so
/// long. The working set of a loop is small, so it gains nothing from fewer and larger pages.
pub(crate) fn keep_pages_small() {
    // Without it, everything works as well.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

// SAFETY: blocks are mimalloc's own from `alloc` to `dealloc`, with the size and the alignment of
// their layout; see `is_natural`.
unsafe impl GlobalAlloc for Mimalloc {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let (size, align) = (layout.size(), layout.align());
        // SAFETY: every size and every power of two is allowed.
        unsafe { if is_natural(size, align) { mi::mi_malloc(size) } else { mi::mi_malloc_aligned(size, align) }.cast() }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let (size, align) = (layout.size(), layout.align());
        // SAFETY: every size and every power of two is allowed.
        unsafe { if is_natural(size, align) { mi::mi_zalloc(size) } else { mi::mi_zalloc_aligned(size, align) }.cast() }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        // SAFETY: the block is mimalloc's, and it is not used any more.
        unsafe { mi::mi_free(block.cast()) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let old: *mut c_void = block.cast();
        // SAFETY: the block is mimalloc's; if it moves, its content moves with it.
        unsafe {
            let new = if is_natural(size, layout.align()) {
                mi::mi_realloc(old, size)
            } else {
                mi::mi_realloc_aligned(old, size, layout.align())
            };
            new.cast()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn pages_are_small() {
        keep_pages_small();
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        assert!(status.contains("THP_enabled:\t0"), "{status}");
    }

    #[test]
    fn blocks_are_aligned_and_keep_their_content() {
        for align in (0..9).map(|n| 1_usize << n) {
            for size in (1..200).chain([255, 1000, 1025, 3632, 8192, 70_000, 3_000_000]) {
                let layout = Layout::from_size_align(size, align).unwrap();
                let larger = size * 3 / 2 + 1;
                // SAFETY: no size is zero; each block is used within its size and freed once.
                unsafe {
                    let zeroed = Mimalloc.alloc_zeroed(layout);
                    assert!(zeroed.addr().is_multiple_of(align) && *zeroed.add(size - 1) == 0, "{layout:?}");
                    let block = Mimalloc.alloc(layout);
                    assert!(block.addr().is_multiple_of(align), "{layout:?}");
                    block.write_bytes(7, size);
                    let block = Mimalloc.realloc(block, layout, larger);
                    assert!(block.addr().is_multiple_of(align) && *block.add(size - 1) == 7, "{layout:?}");
                    Mimalloc.dealloc(block, Layout::from_size_align(larger, align).unwrap());
                    Mimalloc.dealloc(zeroed, layout);
                }
            }
        }
    }
}
