//! [`Hub`]: the invalidations, limits and figures of all sources.

use std::fmt;
use std::sync::{Arc, Weak};

use crate::config::Config;
use crate::shared::{Invalidate, Shared};
use crate::source::Source;
use crate::stats::Stats;

/// The sources of a process, with what they share. Clones are handles to the same hub.
#[derive(Clone)]
pub struct Hub(Arc<Shared>);

// === impl Hub ===

impl Hub {
    /// Makes a hub without sources.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self(Arc::new(Shared::new(config)))
    }

    /// Makes a source whose results come from these groups. `E` is the error of its looks.
    #[must_use]
    pub fn source<E>(&self, groups: impl IntoIterator<Item = impl Into<String>>) -> Source<E>
    where
        E: Clone + fmt::Display + Send + Sync + 'static,
    {
        let source = Source::new(self.0.clone(), groups.into_iter().map(Into::into).collect());
        self.0.add(source.downgrade());
        source
    }

    /// Looks again at all watched results of these groups.
    pub fn invalidate<G: AsRef<str>>(&self, groups: &[G]) {
        self.each(|source| {
            if source.groups().iter().any(|own| groups.iter().any(|group| group.as_ref() == own)) {
                source.invalidate();
            }
        });
    }

    /// Looks again at all watched results.
    pub fn invalidate_all(&self) {
        self.each(|source| source.invalidate());
    }

    /// Sets whether invalidations may be lost at present. As long as they are, a new stream begins
    /// with a look of its own. Call [`Hub::invalidate_all`] when they are back.
    pub fn set_lost(&self, lost: bool) {
        self.0.set_lost(lost);
    }

    /// Ends every stream, and refuses new ones. Clients reconnect, to another process or later.
    pub fn close(&self) {
        self.0.set_closed();
        self.each(|source| source.close());
    }

    /// The figures so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.0.counters.read()
    }

    fn each(&self, call: impl Fn(&dyn Invalidate)) {
        self.0.sources().iter().filter_map(Weak::upgrade).for_each(|source| call(&*source));
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
