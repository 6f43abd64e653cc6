//! Patterns of paths.

use std::fmt;

use http::Method;

/// A pattern of paths.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    text: String,
    /// The length of the text before `{*rest}`, if there is one.
    rest: Option<usize>,
}

/// An error of a route: its pattern is malformed, or clashes with another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteError(String);

// === impl Pattern ===

impl Pattern {
    pub(super) fn parse(text: &str) -> Result<Self, RouteError> {
        if !text.starts_with('/') {
            return Err(RouteError::malformed(text, &"it must begin with `/`"));
        }
        let rest = text.ends_with('}').then(|| text.rfind("{*")).flatten();
        if rest.is_some_and(|at| !text[..at].ends_with('/')) {
            return Err(RouteError::malformed(text, &"`{*rest}` must be a whole segment"));
        }
        let pattern = Self { text: text.to_owned(), rest };
        let names: Vec<_> = pattern.names().collect();
        if let Some(name) = names.iter().enumerate().find_map(|(at, name)| names[..at].contains(name).then_some(name)) {
            return Err(RouteError::malformed(text, &format_args!("it has `{name}` twice")));
        }
        Ok(pattern)
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// The path in front of `{*rest}`. The tree's catch-all does not match an empty rest.
    pub(super) fn without_rest(&self) -> Option<&str> {
        self.rest.map(|at| &self.text[..at])
    }

    /// The patterns to insert into the tree.
    pub(super) fn forms(&self) -> impl Iterator<Item = &str> {
        [Some(self.as_str()), self.without_rest()].into_iter().flatten()
    }

    /// Returns `true` if `bare` is this pattern without its rest.
    pub(super) fn is_rest_of(&self, bare: &Self) -> bool {
        self.without_rest() == Some(bare.as_str())
    }

    /// The rank of each segment where several patterns match: a literal has the highest, `{*rest}`
    /// the lowest.
    pub(super) fn ranks(&self) -> impl Iterator<Item = u8> {
        self.text.split('/').map(|segment| {
            let segment = segment.replace("{{", "_").replace("}}", "_");
            match segment.find('{') {
                None => 3,
                Some(0) if segment.starts_with("{*") => 0,
                Some(0) if segment.ends_with('}') => 1,
                Some(_) => 2,
            }
        })
    }

    /// The names of the parameters, in order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        // `{{` and `}}` are literal braces.
        let mut left = self.text.as_str();
        std::iter::from_fn(move || {
            loop {
                let at = left.find('{')?;
                left = &left[at + 1..];
                if let Some(after) = left.strip_prefix('{') {
                    left = after;
                    continue;
                }
                let end = left.find('}')?;
                let name = &left[..end];
                left = &left[end + 1..];
                return Some(name.strip_prefix('*').unwrap_or(name));
            }
        })
    }

    /// The pattern without its names: equal for all patterns that match the same paths.
    pub(super) fn shape(&self) -> String {
        let mut shape = self.text.clone();
        for name in self.names() {
            shape = shape.replacen(&format!("{{{name}}}"), "{}", 1).replacen(&format!("{{*{name}}}"), "{*}", 1);
        }
        shape
    }
}

// === impl RouteError ===

impl RouteError {
    pub(super) fn malformed(pattern: &str, why: &dyn fmt::Display) -> Self {
        Self(format!("{pattern:?} is not a pattern: {why}"))
    }

    pub(super) fn clash(method: Option<&Method>, pattern: &str, other: &str) -> Self {
        let method = method.map(|method| format!("{method} ")).unwrap_or_default();
        Self(format!("{method}{pattern} clashes with {method}{other}"))
    }
}

impl fmt::Display for RouteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for RouteError {}
