//! [`Tree`]: the patterns, and the search for the one that matches a path.

use std::collections::HashMap;

use super::RouteError;
use super::pattern::Pattern;

/// Patterns by number. A tree of matchit cannot have `{*rest}` and `{name}` in one place, so a
/// second tree has the `{*rest}` of such a place. Most routers do not need it.
#[derive(Clone, Debug, Default)]
pub(super) struct Tree {
    first: matchit::Router<usize>,
    beside: Option<matchit::Router<usize>>,
    patterns: Vec<Pattern>,
    /// The numbers of the patterns by their shapes.
    shapes: HashMap<String, usize>,
    /// The numbers of the patterns by the forms in the trees; the first pattern has precedence.
    forms: HashMap<String, usize>,
}

// === impl Tree ===

impl Tree {
    /// Returns the number of the pattern that matches the same paths as `pattern`.
    pub(super) fn position(&self, pattern: &Pattern) -> Option<usize> {
        self.shapes.get(&pattern.shape()).copied()
    }

    /// Adds a pattern with the next number. No earlier one matches the same paths.
    pub(super) fn insert(&mut self, pattern: Pattern) -> Result<(), RouteError> {
        let index = self.patterns.len();
        if self.first.at(pattern.as_str()).is_ok_and(|found| self.patterns[*found.value].is_rest_of(&pattern)) {
            // Until now, the path was the empty rest of another pattern.
            self.first.remove(pattern.as_str());
        }
        while let Err(error) = self.first.insert(pattern.as_str(), index) {
            match error {
                matchit::InsertError::Conflict { with } => self.make_room(&pattern, index, &with)?,
                other => return Err(RouteError::malformed(pattern.as_str(), &other)),
            }
            if pattern.without_rest().is_some() {
                break;
            }
        }
        if let Some(bare) = pattern.without_rest() {
            // A route of the path without a rest has precedence.
            let _ = self.first.insert(bare, index);
        }
        self.shapes.insert(pattern.shape(), index);
        for form in pattern.forms() {
            self.forms.entry(form.to_owned()).or_insert(index);
        }
        self.patterns.push(pattern);
        Ok(())
    }

    /// Resolves a conflict of `pattern` with the form `with` in the first tree: the pattern of the
    /// two that has a rest goes into the second tree.
    fn make_room(&mut self, pattern: &Pattern, index: usize, with: &str) -> Result<(), RouteError> {
        let other = self.forms.get(with).copied();
        let clash = || {
            let other = other.map_or(with, |other| self.patterns[other].as_str());
            RouteError::clash(None, pattern.as_str(), other)
        };
        let (moved, index) = match (pattern.without_rest(), other) {
            (Some(_), _) => (pattern, index),
            (None, Some(other)) if self.patterns[other].as_str() == with && with.ends_with('}') => {
                (&self.patterns[other], other)
            }
            (None, _) => return Err(clash()),
        };
        if moved.without_rest().is_none() || self.beside.get_or_insert_default().insert(moved.as_str(), index).is_err()
        {
            return Err(clash());
        }
        if with == moved.as_str() {
            self.first.remove(with);
        }
        Ok(())
    }

    /// Returns the number of the pattern that matches `path`, and its parameters.
    #[inline]
    pub(super) fn at<'p>(&self, path: &'p str) -> Option<(usize, matchit::Params<'_, 'p>)> {
        let first = self.first.at(path).ok().map(|found| (*found.value, found.params));
        match &self.beside {
            None => first,
            Some(beside) => self.outrank(first, beside.at(path).ok().map(|found| (*found.value, found.params))),
        }
    }

    /// Returns the number of the pattern that matches `path`.
    #[inline]
    pub(super) fn find(&self, path: &str) -> Option<usize> {
        match &self.beside {
            None => self.first.at(path).ok().map(|found| *found.value),
            Some(_) => self.at(path).map(|(index, _)| index),
        }
    }

    /// Returns the match of higher rank. Each is the best of its tree.
    fn outrank<P>(&self, first: Option<(usize, P)>, beside: Option<(usize, P)>) -> Option<(usize, P)> {
        match (first, beside) {
            (Some(first), Some(beside)) => {
                let outranked = self.patterns[beside.0].ranks().gt(self.patterns[first.0].ranks());
                Some(if outranked { beside } else { first })
            }
            (first, beside) => first.or(beside),
        }
    }
}
