//! The time in which no server is up.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::policy::Set;
use super::state::Upstream;
use crate::Error;

/// The pause between two attempts to reach a server while none is up.
const PAUSE: Duration = Duration::from_millis(100);

/// The right to try the servers while none is up. Only one request has it at a time.
pub(super) struct Probe<'u>(&'u Upstream);

// === impl Upstream ===

impl Upstream {
    pub(super) fn is_down(&self) -> bool {
        self.is_down.load(Ordering::Acquire)
    }

    /// Notes that no server is up.
    pub(super) fn set_down(&self, error: Option<&Error>) {
        if !self.is_down.swap(true, Ordering::AcqRel) {
            let reason = error.map_or_else(|| "all are unhealthy".to_owned(), Error::to_string);
            self.servers.iter().for_each(|server| server.set_reason(reason.clone()));
            tracing::warn!("upstream {}: no server is up: {reason}; requests wait for one", self.name);
        }
    }

    /// Notes that a server is up, and wakes the requests that wait.
    pub(super) fn set_up(&self) {
        if self.is_down() && self.is_down.swap(false, Ordering::AcqRel) {
            tracing::info!("upstream {}: a server is up again", self.name);
            self.back.notify_waiters();
        }
    }

    /// Waits until a request may try the servers: because one is up, or for all that wait.
    /// `pauses`: the request has just tried them.
    pub(super) async fn wait(&self, deadline: Instant, mut pauses: bool) -> Result<Option<Probe<'_>>, Error> {
        let unavailable = || {
            self.unavailable.increment();
            Error::Unavailable
        };
        let _place = self.places.try_acquire().map_err(|_| unavailable())?;
        loop {
            let mut back = std::pin::pin!(self.back.notified());
            back.as_mut().enable();
            if !self.is_down() {
                return Ok(None);
            }
            if !pauses && !self.candidates(Set::EMPTY).is_empty() {
                let probe = self.probe();
                if probe.is_some() {
                    return Ok(probe);
                }
            }
            pauses = false;
            let now = Instant::now();
            if now >= deadline {
                return Err(unavailable());
            }
            let _ = tokio::time::timeout_at(deadline.min(now + PAUSE), back).await;
        }
    }

    fn probe(&self) -> Option<Probe<'_>> {
        (!self.is_probing.swap(true, Ordering::AcqRel)).then_some(Probe(self))
    }
}

// === impl Probe ===

impl Drop for Probe<'_> {
    fn drop(&mut self) {
        self.0.is_probing.store(false, Ordering::Release);
    }
}
