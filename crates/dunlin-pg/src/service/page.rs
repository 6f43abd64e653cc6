//! [`Paging`]: one page of a list, with the links to its neighbours (RFC 8288).

use dunlin_http::{PathParams, query};
use http::{HeaderMap, HeaderValue, Uri};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::arguments::Params;
use super::prefer;
use crate::declared::Declared;
use crate::error::Error;
use crate::param::Param;
use crate::query::{LIMIT, OFFSET, Page, Place, Source};

/// The page that a request asks for.
#[derive(Debug)]
pub(super) struct Paging {
    /// The number of rows.
    pub(super) size: u32,
    offset: u64,
    /// The target up to the parameters of the page.
    target: String,
    /// `true` if the client wants to know the number of all rows.
    pub(super) wants_count: bool,
    /// That number.
    pub(super) count: Option<u64>,
}

// === impl Paging ===

impl Paging {
    /// The page that the parameters ask for. The statement is asked for one row more, which shows
    /// that there is a next page.
    pub(super) fn of(
        page: Page,
        query: &Declared,
        params: &mut Params,
        uri: &Uri,
        path: &PathParams,
        headers: &HeaderMap,
    ) -> Result<Self, Error> {
        let at = query.params.len() - 2;
        let limit = number(&query.params[at], &params[at], 1)?;
        let offset = number(&query.params[at + 1], &params[at + 1], 0)?;
        let size = u32::try_from(limit).unwrap_or(page.max).min(page.max);
        params[at] = (i64::from(size) + 1).into();
        let wants_count = prefer::value(headers, "count").is_some_and(|value| value == "exact");
        Ok(Self { size, offset, target: target(query, uri, path), wants_count, count: None })
    }

    /// The parameters of the statement that counts the rows.
    pub(super) fn count_params(query: &Declared, params: &Params) -> Params {
        let at = query.params.len() - 2;
        params[..at].iter().chain(&params[at + 2..]).cloned().collect()
    }

    /// The links to the pages before and after this one. `more`: there are rows after it.
    pub(super) fn links(&self, more: bool) -> Option<HeaderValue> {
        let link =
            |offset: u64, rel: &str| format!("<{}{LIMIT}={}&{OFFSET}={offset}>; rel=\"{rel}\"", self.target, self.size);
        let size = u64::from(self.size);
        let next = more.then(|| link(self.offset.saturating_add(size), "next"));
        let previous = (self.offset > 0).then(|| link(self.offset.saturating_sub(size), "prev"));
        let links: Vec<String> = next.into_iter().chain(previous).collect();
        if links.is_empty() { None } else { HeaderValue::try_from(links.join(", ")).ok() }
    }
}

/// The path and the parameters that the query reads, which are those that a stored response depends
/// on.
fn target(query: &Declared, uri: &Uri, path: &PathParams) -> String {
    let is_read = |name: &str| {
        let mut urls = query.sources().iter().filter(|source| source.place() == Place::Url);
        urls.any(|source| source.key() == name) && ![LIMIT, OFFSET].contains(&name) && path.get(name).is_none()
    };
    let mut target = format!("{}?", uri.path());
    for (name, value) in query::pairs(uri.query().unwrap_or_default()).filter(|(name, _)| is_read(name)) {
        let escaped = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
        target.push_str(&format!("{}={}&", escaped(&name), escaped(&value)));
    }
    target
}

fn number(source: &Source, param: &Param, min: u64) -> Result<u64, Error> {
    let number = match param {
        Param::Text(text) => text.parse().ok(),
        _ => None,
    };
    number.filter(|number| (min..=i64::MAX as u64).contains(number)).ok_or_else(|| Error::Parameter {
        name: source.shared_name().clone(),
        reason: format!("expected an integer, {min} or more").into(),
    })
}
