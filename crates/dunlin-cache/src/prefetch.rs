//! Hints to the processor. Of an entry among many nothing is near, and each part is found by way of
//! another: what is fetched ahead is fetched at the same time, and not one line after the other.

/// The most that is fetched at once, in bytes.
const MOST: usize = 1024;
const LINE: usize = 64;

/// Has these bytes fetched while other work goes on, or the first of them when they are many.
#[inline]
pub(crate) fn prefetch(at: *const u8, bytes: usize) {
    for line in (0..bytes.min(MOST)).step_by(LINE) {
        hint(at.wrapping_add(line));
    }
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn hint(at: *const u8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: it is part of SSE, which every x86-64 has. It is a hint: nothing is read, and any
    // address will do.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn hint(_: *const u8) {}
