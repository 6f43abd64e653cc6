//! [`Remembered`]: a limited number of results of expensive verifications, for a short time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use tokio::sync::OnceCell;

/// A hash of credentials with a random prefix. Neither the memory of the process nor the time of a
/// look-up reveals the credentials.
pub(crate) type Fingerprint = [u8; 32];

/// Results by credentials. Concurrent verifications of one credential share one result.
#[derive(Debug)]
pub(crate) struct Remembered<T> {
    seed: [u8; 16],
    capacity: usize,
    entries: Mutex<HashMap<Fingerprint, Entry<T>>>,
}

#[derive(Debug)]
struct Entry<T> {
    result: Arc<OnceCell<T>>,
    until: Instant,
}

// === impl Remembered ===

impl<T> Remembered<T> {
    /// Remembers up to `capacity` results.
    pub(crate) fn new(capacity: usize) -> Self {
        let mut seed = [0; 16];
        seed[..8].copy_from_slice(&fastrand::u64(..).to_le_bytes());
        seed[8..].copy_from_slice(&fastrand::u64(..).to_le_bytes());
        Self { seed, capacity, entries: Mutex::default() }
    }

    /// The fingerprint of credentials that have these parts.
    pub(crate) fn fingerprint(&self, parts: &[&[u8]]) -> Fingerprint {
        let mut hash = Sha256::new();
        hash.update(self.seed);
        for part in parts {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }

    /// The cell of a result, which may be empty. A new cell expires after `time`.
    pub(crate) fn cell(&self, fingerprint: Fingerprint, time: Duration, now: Instant) -> Arc<OnceCell<T>> {
        let mut entries = self.entries.lock();
        if let Some(entry) = entries.get(&fingerprint)
            && entry.until > now
        {
            return entry.result.clone();
        }
        if entries.len() >= self.capacity {
            entries.retain(|_, entry| entry.until > now);
            if entries.len() >= self.capacity {
                // All results are in use, so any one is removed.
                let first = entries.keys().next().copied();
                first.and_then(|first| entries.remove(&first));
            }
        }
        let result = Arc::new(OnceCell::new());
        entries.insert(fingerprint, Entry { result: result.clone(), until: now + time });
        result
    }

    /// Forgets a result, for example one that could not be determined.
    pub(crate) fn forget(&self, fingerprint: &Fingerprint) {
        self.entries.lock().remove(fingerprint);
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        self.entries.lock().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_limited_and_expire() {
        let (remembered, now, time) = (Remembered::<u32>::new(10), Instant::now(), Duration::from_secs(1));
        let name = |n: u32| remembered.fingerprint(&[&n.to_le_bytes()]);
        remembered.cell(name(0), time, now).set(7).unwrap();
        assert_eq!(remembered.cell(name(0), time, now).get(), Some(&7));
        assert_eq!(remembered.cell(name(0), time, now + time).get(), None);
        (0..1000).for_each(|n| drop(remembered.cell(name(n), time, now)));
        assert_eq!(remembered.entries.lock().len(), 10);
        remembered.clear();
        assert!(remembered.entries.lock().is_empty());
    }

    #[test]
    fn parts_are_separate() {
        let remembered = Remembered::<()>::new(1);
        assert_ne!(remembered.fingerprint(&[b"ab", b"c"]), remembered.fingerprint(&[b"a", b"bc"]));
    }
}
