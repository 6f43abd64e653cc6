//! `cache` of a route: the responses that are stored, and the time for which they are.

use std::time::Duration;

use dunlin_cache::RoutePolicy;
use toml::de::DeValue;

use crate::reader::{Field, Group, Read, Value, show};

/// The setting `cache` of a route.
#[derive(Clone, Debug)]
pub(crate) enum Cache {
    /// Nothing is stored.
    Off,
    /// The time for which browsers may store the content, which is in memory anyway.
    Browser(Option<Duration>),
    /// The response cache is in front of the route.
    Stored(Box<RoutePolicy>),
}

const EXPECTED: &str = "true, a lifetime such as \"1h\", or a table such as { age = \"1h\" }";

// === impl Cache ===

impl Cache {
    /// The groups of the stored responses.
    pub(crate) fn groups(&self) -> &[String] {
        match self {
            Self::Stored(policy) => &policy.groups,
            Self::Off | Self::Browser(_) => &[],
        }
    }

    /// Reads it. `files`: the content is in memory anyway, so only browsers store it.
    pub(crate) fn read(value: Value<'_>, files: bool) -> Option<Self> {
        match value.raw() {
            DeValue::Boolean(false) => Some(Self::Off),
            DeValue::Boolean(true) if files => Some(Self::Browser(None)),
            DeValue::Boolean(true) => Some(Self::Stored(Box::default())),
            DeValue::String(_) if files => Duration::read(value).map(|age| Self::Browser(Some(age))),
            DeValue::String(_) => {
                let age = Some(Duration::read(value)?);
                Some(Self::Stored(Box::new(RoutePolicy { age, ..RoutePolicy::default() })))
            }
            DeValue::Table(_) if files => browser(value).map(Self::Browser),
            DeValue::Table(_) => policy(value).map(|policy| Self::Stored(Box::new(policy))),
            _ => value.wrong_type(EXPECTED),
        }
    }
}

/// Reads the one key of the table that concerns files.
fn browser(value: Value<'_>) -> Option<Option<Duration>> {
    let mut table = value.section("cache")?;
    let browser = table.read("browser");
    table.finish(|key| {
        ["age", "groups", "stale_while_revalidate", "stale_if_error", "vary", "set_cookie", "per_identity"]
            .contains(&key)
            .then(|| format!("\"{key}\" does not apply to files, which are in memory anyway; \"browser\" does"))
    });
    Some(browser)
}

fn policy(value: Value<'_>) -> Option<RoutePolicy> {
    let mut table = value.section("cache")?;
    let groups: Vec<Group> = table.or("groups", Vec::new());
    let vary: Vec<Field> = table.or("vary", Vec::new());
    let mut policy = RoutePolicy {
        groups: groups.into_iter().map(|Group(name)| name).collect(),
        vary: vary.into_iter().map(|Field(name)| name).collect(),
        ..RoutePolicy::default()
    };
    table.set("age", &mut policy.age);
    table.set("browser", &mut policy.browser);
    table.set("stale_while_revalidate", &mut policy.stale_while_revalidate);
    table.set("stale_if_error", &mut policy.stale_if_error);
    table.set("set_cookie", &mut policy.set_cookie);
    table.set("per_identity", &mut policy.per_identity);
    table.set("request_directives", &mut policy.request_directives);
    table.finish(|_| None);
    Some(policy)
}

impl std::fmt::Display for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Off => f.write_str("-"),
            Self::Browser(None) => f.write_str("memory"),
            Self::Browser(Some(browser)) => write!(f, "memory, browsers {}", show(*browser)),
            Self::Stored(policy) => {
                match policy.age {
                    Some(age) => f.write_str(&show(age))?,
                    None => f.write_str("as its header says")?,
                }
                if !policy.groups.is_empty() {
                    write!(f, ", groups {}", policy.groups.join(" "))?;
                }
                Ok(())
            }
        }
    }
}
