//! The directives that apply to a response: those of a targeted field if there is one (RFC 9213
//! §2.2), or else those of `Cache-Control`.

use std::ops::Deref;
use std::time::Duration;

use dunlin_http::cache_control::{ResponseDirectives, Scope};
use http::{HeaderMap, HeaderName};
use sfv::{BareItem, Dictionary, ListEntry, Parser};

/// The directives that apply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Effective {
    directives: ResponseDirectives,
    /// `true` if they are a targeted field's, so that `Cache-Control` and `Expires` do not count.
    pub(crate) targeted: bool,
}

// === impl Effective ===

impl Effective {
    /// The directives of a response for a cache with these targeted fields, the first one first.
    pub(crate) fn of(headers: &HeaderMap, targets: &[HeaderName]) -> Self {
        let target = targets.iter().find_map(|name| targeted(headers, name));
        match target {
            Some(directives) => Self { directives, targeted: true },
            None => Self { directives: ResponseDirectives::of(headers), targeted: false },
        }
    }
}

impl Deref for Effective {
    type Target = ResponseDirectives;

    fn deref(&self) -> &ResponseDirectives {
        &self.directives
    }
}

/// Parses a targeted field. RFC 9213 §2.1: it is a dictionary, and it is ignored if it is invalid
/// or empty. A known directive with a value of the wrong type makes it invalid here.
fn targeted(headers: &HeaderMap, name: &HeaderName) -> Option<ResponseDirectives> {
    let lines: Vec<_> = headers.get_all(name).iter().map(|line| line.as_bytes()).collect();
    if lines.is_empty() {
        return None;
    }
    let dictionary: Dictionary = Parser::new(&lines.join(&b", "[..])).parse().ok()?;
    let mut found = ResponseDirectives::default();
    for (key, value) in &dictionary {
        let ListEntry::Item(item) = value else { return None };
        add(&mut found, key.as_str(), &item.bare_item)?;
    }
    (!dictionary.is_empty()).then_some(found)
}

/// Adds one directive. Returns `None` if its value has the wrong type.
fn add(found: &mut ResponseDirectives, key: &str, value: &BareItem) -> Option<()> {
    let seconds = || match value {
        BareItem::Integer(seconds) => u64::try_from(i64::from(*seconds)).ok().map(Duration::from_secs),
        _ => None,
    };
    let flag = || match value {
        BareItem::Boolean(flag) => Some(*flag),
        _ => None,
    };
    let scope = || match value {
        BareItem::Boolean(flag) => Some(flag.then_some(Scope::Response)),
        BareItem::String(fields) => Some(Some(Scope::parse(Some(&format!("\"{}\"", fields.as_str()))))),
        _ => None,
    };
    match key {
        "max-age" => found.max_age = Some(seconds()?),
        "s-maxage" => found.s_maxage = Some(seconds()?),
        "stale-while-revalidate" => found.stale_while_revalidate = Some(seconds()?),
        "stale-if-error" => found.stale_if_error = Some(seconds()?),
        "must-revalidate" => found.must_revalidate = flag()?,
        "proxy-revalidate" => found.proxy_revalidate = flag()?,
        "must-understand" => found.must_understand = flag()?,
        "no-store" => found.no_store = flag()?,
        "no-transform" => found.no_transform = flag()?,
        "public" => found.public = flag()?,
        "immutable" => found.immutable = flag()?,
        "no-cache" => found.no_cache = scope()?,
        "private" => found.private = scope()?,
        _ => {}
    }
    Some(())
}
