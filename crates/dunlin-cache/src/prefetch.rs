//! Prefetch hints to the processor.
//!
//! Among many entries, the data of one are in no processor cache, and each part is found through a
//! pointer in another. Hints load the parts at the same time instead of one after the other.
//! `examples/hits.rs` with many keys measures the gain.

/// The limit of bytes per call.
const MAX_BYTES: usize = 1024;
const LINE: usize = 64;

/// Loads these bytes, up to the limit, while other work goes on.
#[inline]
pub(crate) fn prefetch(at: *const u8, bytes: usize) {
    for line in (0..bytes.min(MAX_BYTES)).step_by(LINE) {
        hint(at.wrapping_add(line));
    }
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn hint(at: *const u8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: the instruction is part of SSE, which every x86-64 has. A hint reads nothing, so any
    // address is valid.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn hint(_: *const u8) {}
