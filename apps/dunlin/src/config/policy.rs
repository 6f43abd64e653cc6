//! `cache` of a route: what is kept of its answers, and for how long.

use std::time::Duration;

use dunlin_cache::RoutePolicy;
use http::HeaderName;
use toml::de::DeValue;

use super::kind::Which;
use super::section::{Read, Value};
use super::units::show;

/// What `cache` of a route comes to.
#[derive(Clone, Debug)]
pub(crate) enum Cache {
    /// Nothing is kept: it did not ask.
    Off,
    /// Browsers may keep files for so long; the files are in memory anyway.
    Files(Option<Duration>),
    /// The response cache stands before the route.
    Kept(Box<RoutePolicy>),
}

const EXPECTED: &str = "true, a lifetime such as \"1h\", or a table such as { age = \"1h\" }";

/// The name of a group of answers.
pub(super) struct Group(pub(super) String);

/// The name of a request field.
pub(super) struct Field(pub(super) HeaderName);

impl Read for Group {
    const EXPECTED: &'static str = "the name of a group, without spaces, quotes and commas";

    fn read(value: Value<'_>) -> Option<Self> {
        let text = value.str(Self::EXPECTED)?;
        // RFC 9875 §2: a member of Cache-Groups is a String (RFC 9651 §3.3.3). A notice has several, separated by spaces.
        let fits = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\\' | ',');
        if !text.is_empty() && text.chars().all(fits) {
            return Some(Self(text.to_owned()));
        }
        value.wrong(format_args!("\"{text}\""), Self::EXPECTED, None)
    }
}

impl Read for Field {
    const EXPECTED: &'static str = "the name of a header field";

    fn read(value: Value<'_>) -> Option<Self> {
        let text = value.str(Self::EXPECTED)?;
        match HeaderName::from_bytes(text.as_bytes()) {
            Ok(name) => Some(Self(name)),
            Err(_) => value.wrong(format_args!("\"{text}\""), Self::EXPECTED, None),
        }
    }
}

// === impl Cache ===

impl Cache {
    /// The groups that the kept answers belong to.
    pub(crate) fn groups(&self) -> &[String] {
        match self {
            Self::Kept(policy) => &policy.groups,
            Self::Off | Self::Files(_) => &[],
        }
    }

    pub(super) fn read(value: Value<'_>, which: Option<Which>) -> Option<Self> {
        let files = which == Some(Which::Files);
        match value.raw() {
            DeValue::Boolean(false) => Some(Self::Off),
            DeValue::Boolean(true) if files => Some(Self::Files(None)),
            DeValue::Boolean(true) => Some(Self::Kept(Box::default())),
            DeValue::String(_) if files => Duration::read(value).map(|age| Self::Files(Some(age))),
            DeValue::String(_) => {
                let age = Some(Duration::read(value)?);
                Some(Self::Kept(Box::new(RoutePolicy { age, ..RoutePolicy::default() })))
            }
            DeValue::Table(_) if files => browser(value).map(Self::Files),
            DeValue::Table(_) => policy(value).map(|policy| Self::Kept(Box::new(policy))),
            _ => value.wrong_type(EXPECTED),
        }
    }
}

/// The one key of a table that says something of files.
fn browser(value: Value<'_>) -> Option<Option<Duration>> {
    let mut table = value.section("cache")?;
    let browser = table.read("browser");
    table.finish(|key| {
        ["age", "groups", "stale_while_revalidate", "stale_if_error", "vary", "set_cookie"]
            .contains(&key)
            .then(|| format!("\"{key}\" says nothing of files, which are in memory anyway; \"browser\" does"))
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
    table.set("request_directives", &mut policy.request_directives);
    table.finish(|_| None);
    Some(policy)
}

impl std::fmt::Display for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Off => f.write_str("-"),
            Self::Files(None) => f.write_str("memory"),
            Self::Files(Some(browser)) => write!(f, "memory, browsers {}", show(*browser)),
            Self::Kept(policy) => {
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
