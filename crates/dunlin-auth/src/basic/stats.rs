//! [`BasicStats`]: the counters of password verification.

use dunlin_http::Metric;

/// The work of a [`Basic`](crate::Basic) so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BasicStats {
    /// Passwords that were verified. Remembered results do not count.
    pub verified: u64,
    /// Passwords that were refused with 503, because too many waited.
    pub overloaded: u64,
}

// === impl BasicStats ===

impl BasicStats {
    /// The figures as metrics.
    #[must_use]
    pub fn metrics(&self) -> Vec<Metric> {
        let Self { verified, overloaded } = *self;
        vec![
            Metric::counter(
                "dunlin_auth_passwords_verified_total",
                "Passwords that were hashed and compared.",
                verified,
            ),
            Metric::counter(
                "dunlin_auth_passwords_overloaded_total",
                "Requests with a password that got 503, because too many passwords waited.",
                overloaded,
            ),
        ]
    }
}
