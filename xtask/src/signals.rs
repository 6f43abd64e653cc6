//! The signals that ask this process to end, noted for whoever waits.

use std::sync::atomic::{AtomicI32, Ordering};

static LAST: AtomicI32 = AtomicI32::new(0);

extern "C" fn note(signal: libc::c_int) {
    LAST.store(signal, Ordering::Release);
}

/// From now on SIGINT, SIGTERM and SIGHUP do not end this process. A child has its own defaults
/// again.
pub(crate) fn catch() {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // SAFETY: the handler does nothing but store into an atomic.
        unsafe { libc::signal(signal, note as extern "C" fn(libc::c_int) as libc::sighandler_t) };
    }
}

/// The signal that came since the last call, if any.
pub(crate) fn take() -> Option<i32> {
    match LAST.swap(0, Ordering::AcqRel) {
        0 => None,
        signal => Some(signal),
    }
}
