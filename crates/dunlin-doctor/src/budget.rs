//! [`Budget`]: the number of requests that are left.

/// The number of requests that are left.
#[derive(Debug)]
pub(crate) struct Budget {
    left: usize,
    all: usize,
}

impl Budget {
    pub(crate) const fn new(all: usize) -> Self {
        Self { left: all, all }
    }

    /// Takes one request. Returns `false` if none is left.
    pub(crate) const fn take(&mut self) -> bool {
        let has_one = self.left > 0;
        self.left = self.left.saturating_sub(1);
        has_one
    }

    /// The number of requests that were taken.
    pub(crate) const fn used(&self) -> usize {
        self.all - self.left
    }
}
