//! [`Manager`]: the service manager, which hears of the state of the service (sd_notify(3)).

use sd_notify::NotifyState;

/// The service manager of this process: systemd, or another one that sets `$NOTIFY_SOCKET`.
/// Without one, nothing is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manager;

// === impl Manager ===

impl Manager {
    /// The service serves. The manager learns the number of this process, because a handover makes
    /// it the main one.
    pub(crate) fn ready(self, status: &str) {
        Self::send(&[NotifyState::MainPid(std::process::id()), NotifyState::Status(status), NotifyState::Ready]);
    }

    /// The service reads its configuration again (sd_notify(3), `RELOADING=1`).
    pub(crate) fn reloading(self) {
        let now = NotifyState::monotonic_usec_now();
        let reloading =
            [Some(NotifyState::Reloading), now.ok(), Some(NotifyState::Status("reading the configuration again"))];
        Self::send(&reloading.into_iter().flatten().collect::<Vec<_>>());
    }

    /// The service stops.
    pub(crate) fn stopping(self) {
        Self::send(&[NotifyState::Stopping, NotifyState::Status("stopping: answering what is under way")]);
    }

    /// The service is alive.
    pub(super) fn alive(self) {
        Self::send(&[NotifyState::Watchdog]);
    }

    fn send(states: &[NotifyState<'_>]) {
        if let Err(error) = sd_notify::notify(states) {
            tracing::debug!(%error, "the service manager cannot be notified");
        }
    }
}
