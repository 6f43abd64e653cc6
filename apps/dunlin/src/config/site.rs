//! `[[site]]`, and the lists of routes in sites and at the top level.

use toml::de::{DeTable, DeValue};

use super::route::{self, Route};
use crate::hosts::HostPattern;
use crate::reader::{Diagnostic, Document, Read as _, Value};

/// The reader of all routes.
pub(super) struct RouteReader<'d, 'r> {
    /// `[defaults]`.
    pub(super) defaults: Option<&'d DeTable<'d>>,
    pub(super) document: &'r Document<'r>,
    pub(super) routes: Vec<Route>,
}

// === impl RouteReader ===

impl<'d> RouteReader<'d, '_> {
    /// Reads each `[[site]]`.
    pub(super) fn sites(&mut self, value: Value<'d>) {
        for value in tables(value, "[[site]]") {
            self.site(value);
        }
    }

    /// Reads each `[[route]]`.
    pub(super) fn routes(&mut self, value: Value<'d>) {
        let defaults: Vec<&DeTable<'_>> = self.defaults.into_iter().collect();
        for value in tables(value, "[[route]]") {
            self.routes.extend(Route::read(value, &defaults, &[], self.document));
        }
    }

    fn site(&mut self, value: Value<'d>) {
        let Some(mut table) = value.section("this site") else { return };
        table.require::<Vec<HostPattern>>("host");
        let hosts = table.get("host").and_then(|value| {
            let hosts = value.list(HostPattern::read)?;
            if hosts.is_empty() { value.wrong("an empty list", HostPattern::EXPECTED, None) } else { Some(hosts) }
        });
        let defaults = table.get("defaults").and_then(|value| match value.raw() {
            DeValue::Table(table) => Some(table),
            _ => value.wrong_type("a table with keys of routes"),
        });
        if let Some(defaults) = defaults {
            route::check_defaults(defaults, self.document);
        }
        let routes = table.get("route");
        table.finish(|key| {
            let is_key = route::COMMON.iter().any(|known| known.name == key);
            is_key.then(|| format!("\"{key}\" belongs to [site.defaults] or to a [[site.route]]"))
        });
        let Some(routes) = routes else {
            let what = "this site has no [[site.route]]";
            return value.error(Diagnostic::new(value.span(), what).expected("at least one [[site.route]]"));
        };
        // A stand-in for wrong hosts, so that the errors of the routes show, too.
        let hosts = hosts.unwrap_or_else(|| vec![HostPattern::unknown(value.span().start)]);
        let defaults: Vec<&DeTable<'_>> = defaults.into_iter().chain(self.defaults).collect();
        for value in tables(routes, "[[site.route]]") {
            self.routes.extend(Route::read(value, &defaults, &hosts, self.document));
        }
    }
}

/// The tables of a list, with `form` as its right form in messages.
fn tables<'d>(value: Value<'d>, form: &'static str) -> Vec<Value<'d>> {
    if let DeValue::Array(_) = value.raw() {
        return value.elements();
    }
    let what = format!("this is not a list of {form}");
    let meant = Some(form).filter(|_| matches!(value.raw(), DeValue::Table(_)));
    value.error(Diagnostic::new(value.span(), what).expected(format!("{form}, once for each")).meant(meant));
    Vec::new()
}
