//! [`PathParams`]: the parameters of a matched path.

use std::sync::Arc;

use smallvec::SmallVec;

/// The parameters of a matched path, percent-decoded, in the order of the pattern.
///
/// A router puts them into the [`Context`](crate::Context), or into the request's extensions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PathParams(SmallVec<[(Arc<str>, String); 2]>);

// === impl PathParams ===

impl PathParams {
    /// The value of the parameter `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| &**key == name).map(|(_, value)| value.as_str())
    }

    /// Appends a parameter.
    pub fn push(&mut self, name: Arc<str>, value: String) {
        self.0.push((name, value));
    }

    /// The names and values, in the order of the pattern.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, value.as_str()))
    }
}
