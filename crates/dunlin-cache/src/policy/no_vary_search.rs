//! The field `No-Vary-Search`: the parts of the query that a response does not depend on.

use dunlin_http::query;
use http::{HeaderMap, HeaderName};
use sfv::{BareItem, Dictionary, Item, ListEntry, Parser};

/// A rule that says which parts of the query distinguish responses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NoVarySearch {
    /// `true` if the order of different parameters does not count.
    key_order: bool,
    params: Params,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Params {
    /// All but these.
    Except(Vec<String>),
    /// Only these.
    Only(Vec<String>),
}

const NAME: HeaderName = HeaderName::from_static("no-vary-search");

// === impl NoVarySearch ===

impl NoVarySearch {
    /// Parses the field. Returns `None` if the whole query counts, as it does where the field is
    /// not a dictionary of the known form.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        if !headers.contains_key(&NAME) {
            return None;
        }
        let lines: Vec<_> = headers.get_all(&NAME).iter().map(|line| line.as_bytes()).collect();
        let dictionary: Dictionary = Parser::new(&lines.join(&b", "[..])).parse().ok()?;
        let key_order = match dictionary.get("key-order") {
            None => false,
            Some(value) => flag(value)?,
        };
        let except = dictionary.get("except").map(names).unwrap_or(Some(Vec::new()))?;
        let params = match dictionary.get("params") {
            None if dictionary.contains_key("except") => return None,
            None => Params::Except(Vec::new()),
            Some(value) => match flag(value) {
                Some(true) => Params::Only(except),
                Some(false) => Params::Except(Vec::new()),
                None if dictionary.contains_key("except") => return None,
                None => Params::Except(names(value)?),
            },
        };
        let read = Self { key_order, params };
        (read != Self::default()).then_some(read)
    }

    /// The canonical form of a query: equal for queries with the same response.
    pub(crate) fn canonical(&self, query: &str) -> String {
        let counts = |name: &str| match &self.params {
            Params::Except(names) => !names.iter().any(|other| other == name),
            Params::Only(names) => names.iter().any(|other| other == name),
        };
        let mut pairs: Vec<_> = query::pairs(query).filter(|(name, _)| counts(name)).collect();
        if self.key_order {
            // The sort is stable, because the order of the values of one name counts.
            pairs.sort_by(|a, b| a.0.cmp(&b.0));
        }
        let mut out = String::with_capacity(query.len());
        for (name, value) in pairs {
            super::key::push_pair(&mut out, &name, &value);
        }
        out
    }
}

impl Default for Params {
    fn default() -> Self {
        Self::Except(Vec::new())
    }
}

fn flag(value: &ListEntry) -> Option<bool> {
    match value {
        ListEntry::Item(Item { bare_item: BareItem::Boolean(flag), .. }) => Some(*flag),
        _ => None,
    }
}

fn names(value: &ListEntry) -> Option<Vec<String>> {
    let ListEntry::InnerList(list) = value else { return None };
    let name = |item: &Item| match &item.bare_item {
        // A name is percent-encoded, as in a query.
        BareItem::String(name) => query::pairs(name.as_str()).next().map(|(name, _)| name.into_owned()),
        _ => None,
    };
    list.items.iter().map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(field: &'static str, one: &str, other: &str, same: bool) {
        let headers = HeaderMap::from_iter([(NAME, http::HeaderValue::from_static(field))]);
        let rule = NoVarySearch::of(&headers).unwrap_or_default();
        assert_eq!(rule.canonical(one) == rule.canonical(other), same, "{field}: {one} {other}");
    }

    #[test]
    fn queries_with_the_same_response() {
        check("key-order", "a=1&b=2", "b=2&a=1", true);
        check("key-order", "a=1&a=2", "a=2&a=1", false);
        check("params", "a=1", "b=2", true);
        check("params=(\"utm\")", "a=1&utm=2", "a=1", true);
        check("params=(\"utm\")", "a=1&utm=2", "a=2&utm=2", false);
        check("params, except=(\"id\")", "id=1&x=2", "id=1&y", true);
        check("params, except=(\"id\")", "id=1", "id=2", false);
        check("params=?0", "a", "b", false);
        check("except=(\"id\")", "a", "b", false);
        check("params=(utm)", "a&utm=1", "a", false);
        check("params=(\"a%20b\")", "a+b=1", "", true);
    }
}
