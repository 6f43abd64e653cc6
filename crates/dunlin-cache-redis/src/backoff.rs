//! [`Backoff`].

use std::time::Duration;

/// The pause before the next connection attempt. It doubles with each attempt, and its random part
/// keeps instances from connecting all at once.
pub(crate) struct Backoff {
    next: Duration,
    max: Duration,
}

// === impl Backoff ===

impl Backoff {
    const FIRST: Duration = Duration::from_millis(20);

    pub(crate) fn new(max: Duration) -> Self {
        Self { next: Self::FIRST, max }
    }

    pub(crate) fn reset(&mut self) {
        self.next = Self::FIRST;
    }

    /// Waits for the next pause, or for at least half of it.
    pub(crate) async fn wait(&mut self) {
        let pause = self.next.min(self.max);
        self.next = pause.saturating_mul(2);
        tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
    }
}
