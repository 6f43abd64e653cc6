//! [`Setting`] and [`Role`]: facts about the client in its transaction, for row-level security.

use std::pin::pin;
use std::sync::Arc;

use futures_util::StreamExt;
use smallvec::SmallVec;
use tokio_postgres::GenericClient;
use tokio_postgres::types::{ToSql, Type};

use crate::error::Error;
use crate::param::Param;

use super::{QueryError, Source};

/// A setting that a request gives to the transaction of its query, as
/// `set_config(name, value, true)` does. Policies read it with `current_setting(name)`.
///
/// It ends with the transaction, so that no other request sees it.
///
/// ```
/// use dunlin_pg::{Query, Role, Setting, Source};
///
/// // CREATE POLICY own ON notes USING (owner = current_setting('app.user'))
/// let query = Query {
///     settings: vec![Setting::new("app.user", Source::named("claim.sub"))],
///     role: Some(Role::new(Source::named("claim.role"), ["reader", "editor"])),
///     ..Query::new(["SELECT id, text FROM notes"])
/// };
/// assert!(query.validate().is_ok());
/// ```
#[derive(Clone, Debug)]
pub struct Setting {
    name: Box<str>,
    source: Source,
}

/// The database role of the transaction of a query, as `SET LOCAL ROLE` sets it. The user of the
/// connection has to be a member of each role that is allowed.
#[derive(Clone, Debug)]
pub struct Role {
    source: Source,
    allowed: Vec<Box<str>>,
}

/// The settings of a declared query.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Sets all of them; `$1` is the first value.
    sql: Arc<str>,
    /// The sources of the values. The last one is the role's, if there is one.
    sources: Vec<Source>,
    /// The roles, if there is one.
    pub(crate) allowed: Option<Vec<Box<str>>>,
}

/// The values of a query's settings, as text.
pub(crate) type SettingValues = SmallVec<[String; 2]>;

// === impl Setting ===

impl Setting {
    /// A setting of this name with a value from `source`. The name has two parts or more, as in
    /// `app.user`: PostgreSQL's own settings are not for clients.
    #[must_use]
    pub fn new(name: &str, source: Source) -> Self {
        Self { name: name.into(), source }
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The source of the value.
    #[must_use]
    pub const fn source(&self) -> &Source {
        &self.source
    }
}

// === impl Role ===

impl Role {
    /// The role that `source` names, if it is one of those that are allowed; otherwise the request
    /// is 403.
    #[must_use]
    pub fn new<S: Into<Box<str>>>(source: Source, allowed: impl IntoIterator<Item = S>) -> Self {
        Self { source, allowed: allowed.into_iter().map(Into::into).collect() }
    }

    /// The source of the name.
    #[must_use]
    pub const fn source(&self) -> &Source {
        &self.source
    }
}

// === impl Settings ===

impl Settings {
    /// Makes the settings of a query, `None` if it has neither a setting nor a role.
    pub(crate) fn new(settings: &[Setting], role: Option<&Role>) -> Result<Option<Self>, QueryError> {
        let mut calls = Vec::new();
        for setting in settings {
            let name = setting.name();
            if !is_name(name) {
                return Err(QueryError::new(format!(
                    "{name:?} is no setting for clients: it needs a name of two parts, such as \"app.user\""
                )));
            }
            if settings.iter().filter(|other| other.name().eq_ignore_ascii_case(name)).count() > 1 {
                return Err(QueryError::new(format!("{name:?} is set twice")));
            }
            calls.push(format!("pg_catalog.set_config('{name}', ${}, true)", calls.len() + 1));
        }
        if let Some(role) = role {
            if role.allowed.is_empty() {
                return Err(QueryError::new("a role needs a list of those that are allowed"));
            }
            // It is the last one, so that the role needs no right to set the others. The name is a
            // parameter, so that it needs no quotes.
            calls.push(format!("pg_catalog.set_config('role', ${}, true)", calls.len() + 1));
        }
        if calls.is_empty() {
            return Ok(None);
        }
        let sources = settings.iter().map(|setting| &setting.source).chain(role.map(|role| &role.source));
        Ok(Some(Self {
            sql: format!("SELECT {}", calls.join(", ")).into(),
            sources: sources.cloned().collect(),
            allowed: role.map(|role| role.allowed.clone()),
        }))
    }

    /// The sources of the values, in the order of the statement's parameters.
    pub(crate) fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// Sets the settings in the open transaction.
    pub(crate) async fn set(&self, client: &impl GenericClient, values: &SettingValues) -> Result<(), Error> {
        let params: Vec<(&(dyn ToSql + Sync), Type)> =
            values.iter().map(|value| (value as &(dyn ToSql + Sync), Type::TEXT)).collect();
        client.query_typed(&self.sql, &params).await.map(drop).map_err(Error::settings)
    }

    /// The statement that sets them; `$1` is the first value, and each is a text.
    pub(crate) fn sql(&self) -> &str {
        &self.sql
    }

    /// Sets the settings with the statement of [`Settings::sql`], prepared.
    pub(crate) async fn set_prepared(
        client: &impl GenericClient,
        statement: &tokio_postgres::Statement,
        values: &SettingValues,
    ) -> Result<(), Error> {
        let set = async {
            let mut rows = pin!(client.query_raw(statement, values).await?);
            while rows.next().await.transpose()?.is_some() {}
            Ok(())
        };
        set.await.map_err(Error::settings)
    }

    /// The values as text. `params` are those of the settings alone.
    pub(crate) fn values(&self, params: &[Param]) -> Result<SettingValues, Error> {
        let mut values = SettingValues::new();
        for (source, param) in self.sources.iter().zip(params) {
            values.push(text(param).ok_or_else(|| refused(source, "it has to be one text"))?);
        }
        if let (Some(allowed), Some(role), Some(source)) = (&self.allowed, values.last(), self.sources.last())
            && allowed.iter().all(|name| **name != **role)
        {
            let reason = "this role is not allowed".into();
            return Err(Error::Identity { name: source.shared_name().clone(), reason });
        }
        Ok(values)
    }
}

/// The text of a value. PostgreSQL has no text with a NUL.
fn text(param: &Param) -> Option<String> {
    let text = match param {
        Param::Text(text) => text.clone(),
        Param::Json(json) => match serde_json::from_str::<serde_json::Value>(json.as_str()).ok()? {
            serde_json::Value::Null => return None,
            serde_json::Value::String(text) => text,
            _ => json.as_str().to_owned(),
        },
        Param::Content(content) => content.text()?.to_owned(),
        Param::Null | Param::Many(_) => return None,
    };
    (!text.contains('\0')).then_some(text)
}

fn refused(source: &Source, reason: &str) -> Error {
    Error::Parameter { name: source.shared_name().clone(), reason: reason.into() }
}

/// Returns `true` for the name of a custom setting (PostgreSQL §20.16): identifiers with dots
/// between them.
fn is_name(name: &str) -> bool {
    let is_part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$')
    };
    name.contains('.') && name.len() < 64 && name.split('.').all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::Query;

    fn settings(query: &Query) -> Result<Option<Settings>, QueryError> {
        Settings::new(&query.settings, query.role.as_ref())
    }

    #[test]
    fn names_have_parts_and_nothing_else() {
        for name in ["app.user", "request.jwt.claims", "_a.b$1"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["role", "app", "app.", ".user", "app.us er", "app.'x", "app.1", "app..x", "", "é.x"] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn one_statement_sets_all_and_the_role_is_last() {
        let query = Query {
            settings: vec![
                Setting::new("app.user", Source::named("claim.sub")),
                Setting::new("app.tenant", Source::named("tenant")),
            ],
            role: Some(Role::new(Source::named("claim.role"), ["a", "b"])),
            ..Query::new(["SELECT 1"])
        };
        let all = settings(&query).unwrap().unwrap();
        assert_eq!(
            &*all.sql,
            "SELECT pg_catalog.set_config('app.user', $1, true), pg_catalog.set_config('app.tenant', $2, true), \
             pg_catalog.set_config('role', $3, true)"
        );
        let values = |role: &str| all.values(&["ada".into(), "t".into(), role.into()]);
        assert_eq!(values("b").unwrap().to_vec(), ["ada", "t", "b"]);
        for role in ["c", "none", "A", "a\"", ""] {
            assert!(matches!(values(role), Err(Error::Identity { .. })), "{role}");
        }
        assert!(all.values(&[Param::Null, "t".into(), "a".into()]).is_err());
        assert!(all.values(&["a\0b".into(), "t".into(), "a".into()]).is_err());
    }

    #[test]
    fn what_cannot_work_is_refused() {
        let with = |names: &[&str], role| Query {
            settings: names.iter().map(|name| Setting::new(name, Source::named("x"))).collect(),
            role,
            ..Query::new(["SELECT 1"])
        };
        assert!(settings(&with(&[], None)).unwrap().is_none());
        for query in [
            with(&["search_path"], None),
            with(&["app.a", "APP.A"], None),
            with(&[], Some(Role::new(Source::named("x"), [""; 0]))),
        ] {
            assert!(settings(&query).is_err(), "{query:?}");
        }
    }
}
