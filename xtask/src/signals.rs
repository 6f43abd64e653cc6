//! Records the signals that should end this process.

use std::sync::atomic::{AtomicI32, Ordering};

static LAST: AtomicI32 = AtomicI32::new(0);

extern "C" fn record(signal: libc::c_int) {
    LAST.store(signal, Ordering::Release);
}

/// Records SIGINT, SIGTERM and SIGHUP from now on; they no longer end this process. A child process
/// has the default handlers.
pub(crate) fn catch() {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // SAFETY: the handler only stores into an atomic.
        unsafe { libc::signal(signal, record as extern "C" fn(libc::c_int) as libc::sighandler_t) };
    }
}

/// Takes the last signal since the previous call.
pub(crate) fn take() -> Option<i32> {
    match LAST.swap(0, Ordering::AcqRel) {
        0 => None,
        signal => Some(signal),
    }
}
