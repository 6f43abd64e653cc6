//! The stage that accepts or refuses a request, before anything expensive happens.
//!
//! Its keys are read here. [`Admission`] is what a route says; [`Admit`] is what an event loop
//! decides with. A route without any of the keys pays one branch.

pub(crate) mod auth;
mod cors;
mod networks;
mod rate_limit;
mod stage;
mod watched_files;

use std::sync::Arc;

use dunlin_auth::{AnyOf, Authenticate, Require};
use toml::de::DeValue;

use crate::fields::{FieldEdits, Message};
use crate::reader::{Diagnostic, Document, Section, Value, nearest};
pub(crate) use cors::{Cors, is_preflight};
use networks::Networks;
use rate_limit::RateLimit;
pub(crate) use stage::{Admit, Admitted, Verifying};
pub(crate) use watched_files::WatchedFiles;

/// The conditions of a route, as they were read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Admission {
    networks: Networks,
    limit: Option<RateLimit>,
    pub(crate) cors: Option<Cors>,
    /// The names of `[auth.NAME]`, of which one must verify the client.
    pub(crate) auth: Vec<String>,
    /// The claims that a client must have, each with the values that do.
    require: Vec<(String, Vec<String>)>,
    /// The edits of requests on their way to the handler.
    pub(crate) request_fields: FieldEdits,
}

// === impl Admission ===

impl Admission {
    /// Reads the keys of a route. `names` are the names in its path.
    pub(crate) fn read(table: &mut Section<'_>, names: &[&str], document: &Document<'_>) -> Option<Self> {
        let networks = Networks::read(table);
        let limit = table.get("rate_limit").map_or(Some(None), |value| RateLimit::read(value).map(Some));
        let cors = table.get("cors").map_or(Some(None), Cors::read);
        let auth = table.get("auth").map_or(Some(Vec::new()), |value| auth_names(value, document));
        let span = table.value_span("require");
        let required = table.get("require");
        let require = required.map_or(Some(Vec::new()), require);
        let fields = FieldEdits::read(table.all("request_headers"), Message::Request, Some(names));
        let auth = auth?;
        if let Some(value) = required.filter(|_| auth.is_empty()) {
            let what = "\"require\" needs verified claims, and this route has no \"auth\"";
            value.error(Diagnostic::new(span, what).expected("auth = \"NAME\" beside it, with an [auth.NAME]"));
        }
        Some(Self { networks, limit: limit?, cors: cors?, auth, require: require?, request_fields: fields? })
    }

    /// Returns `true` if a condition reads fields of the request, or passes them on.
    pub(crate) fn reads_fields(&self) -> bool {
        !self.auth.is_empty() || self.limit.as_ref().is_some_and(RateLimit::reads_fields)
    }

    /// Goes on with the counts of a route that has the same limit.
    pub(crate) fn take_over_counts(&mut self, before: &Self) {
        if let (Some(limit), Some(before)) = (&mut self.limit, &before.limit) {
            limit.limiter = before.limiter().clone();
        }
    }

    pub(crate) fn limit(&self) -> Option<&RateLimit> {
        self.limit.as_ref()
    }

    /// The stage of one event loop; `None` if every request is admitted.
    ///
    /// `max_body` is the limit of a request body, if it is not the server's. `authenticators` are
    /// those of [`Admission::auth`], in the same order.
    pub(crate) fn build(&self, max_body: Option<u64>, authenticators: Vec<Arc<dyn Authenticate>>) -> Option<Admit> {
        let auth: Option<Arc<dyn Authenticate>> = match &authenticators[..] {
            [] => None,
            [one] => Some(one.clone()),
            _ => Some(Arc::new(AnyOf::new(authenticators))),
        };
        let auth = match auth {
            Some(auth) if !self.require.is_empty() => {
                Some(Arc::new(Require::new(auth, self.require.clone())) as Arc<dyn Authenticate>)
            }
            auth => auth,
        };
        let is_needed = max_body.is_some()
            || !self.networks.is_empty()
            || self.limit.is_some()
            || self.cors.is_some()
            || auth.is_some();
        let networks = (!self.networks.is_empty()).then(|| self.networks.clone());
        is_needed.then(|| Admit { max_body, networks, limit: self.limit.clone(), cors: self.cors.clone(), auth })
    }
}

/// Reads one name of an `[auth.NAME]`, or several.
fn auth_names(value: Value<'_>, document: &Document<'_>) -> Option<Vec<String>> {
    if matches!(value.raw(), DeValue::Boolean(false)) {
        return Some(Vec::new());
    }
    value.list(|value| {
        let name = value.str("the name of an [auth.NAME], a list of names, or false")?;
        if !document.auth.contains(name) {
            let unknown = Diagnostic::new(value.span(), format!("there is no [auth.{name}]"));
            value.error(match nearest(name, document.auth.as_slice()) {
                Some(meant) => unknown.meant(Some(meant)),
                None => unknown.expected("the name of an [auth.NAME] in this file"),
            });
        }
        Some(name.to_owned())
    })
}

/// Reads claims and their values.
fn require(value: Value<'_>) -> Option<Vec<(String, Vec<String>)>> {
    const EXPECTED: &str = "a table such as { role = \"admin\" } or { role = [\"admin\", \"editor\"] }";
    let DeValue::Table(claims) = value.raw() else { return value.wrong_type(EXPECTED) };
    let claims = claims.iter().map(|(name, raw)| {
        let values = value.at("require", raw).list(|value| match value.raw() {
            DeValue::String(text) => Some(text.to_string()),
            DeValue::Boolean(flag) => Some(flag.to_string()),
            DeValue::Integer(number) => Some(number.to_string()),
            _ => value.wrong_type(EXPECTED),
        })?;
        Some((name.get_ref().to_string(), values))
    });
    let claims: Vec<Option<(String, Vec<String>)>> = claims.collect();
    claims.into_iter().collect()
}
