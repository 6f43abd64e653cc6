//! [`Functions`]: the volatile functions among those that statements call.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};
use tokio_postgres::{Client, SimpleQueryMessage};

/// The interval of look-ups. A migration may change the functions.
const RECHECK: Duration = Duration::from_secs(60);

/// The functions that statements call, by name. A volatile function outside of `pg_catalog` may
/// change its session, for example with `set_config`. Its body is unknown here.
#[derive(Default)]
pub(crate) struct Functions {
    /// For each name: `true` if a function of that name is volatile, `None` if that is unknown.
    known: RwLock<HashMap<Box<str>, Option<bool>, foldhash::fast::RandomState>>,
    /// The time of the last look-up.
    looked_up: Mutex<Option<Instant>>,
}

// === impl Functions ===

impl Functions {
    /// Adds names, so that the next look-up has them.
    pub(crate) fn register(&self, names: &[Box<str>]) {
        let mut known = self.known.write();
        for name in names {
            known.entry(name.clone()).or_default();
        }
    }

    /// Returns `true` if any of the functions is volatile, and `None` if that is unknown.
    #[inline]
    pub(crate) fn is_any_volatile(&self, names: &[Box<str>]) -> Option<bool> {
        if names.is_empty() { Some(false) } else { self.is_any_known_volatile(names) }
    }

    fn is_any_known_volatile(&self, names: &[Box<str>]) -> Option<bool> {
        let known = self.known.read();
        let of = |name| known.get(name).copied().flatten();
        if names.iter().any(|name| of(name) == Some(true)) {
            return Some(true);
        }
        names.iter().all(|name| of(name).is_some()).then_some(false)
    }

    /// Returns `true` if the last look-up is too old. The caller then does the next one.
    pub(crate) fn take_due(&self, now: Instant) -> bool {
        let mut looked_up = self.looked_up.lock();
        let due = looked_up.is_some_and(|last| now.duration_since(last) >= RECHECK);
        if due {
            *looked_up = Some(now);
        }
        due
    }

    /// Asks the server about all names, with one message. If the server refuses, all functions
    /// count as volatile until the next look-up.
    pub(crate) async fn look_up(&self, client: &Client) -> Result<(), tokio_postgres::Error> {
        let names: Vec<Box<str>> = self.known.read().keys().cloned().collect();
        if names.is_empty() {
            return Ok(());
        }
        // A simple query leaves no prepared statement in a pooler's session.
        let messages = match client.simple_query(&question(&names)).await {
            Err(error) if error.as_db_error().is_some() => {
                tracing::debug!(%error, "cannot look up the functions of the database; cleaning sessions after each");
                None
            }
            messages => Some(messages?),
        };
        let volatile: Option<Vec<&str>> = messages.as_ref().map(|messages| messages.iter().filter_map(name).collect());
        let mut known = self.known.write();
        for name in names {
            let is_volatile = volatile.as_ref().is_none_or(|volatile| volatile.contains(&&*name));
            known.insert(name, Some(is_volatile));
        }
        *self.looked_up.lock() = Some(Instant::now());
        Ok(())
    }
}

/// The name in a row of the answer.
fn name(message: &SimpleQueryMessage) -> Option<&str> {
    if let SimpleQueryMessage::Row(row) = message { row.get(0) } else { None }
}

fn question(names: &[Box<str>]) -> String {
    let literals: Vec<String> =
        names.iter().map(|name| format!("E'{}'", name.replace('\\', "\\\\").replace('\'', "''"))).collect();
    format!(
        "SELECT DISTINCT proname FROM pg_catalog.pg_proc WHERE proname IN ({}) AND provolatile = 'v' \
         AND pronamespace <> 'pg_catalog'::pg_catalog.regnamespace",
        literals.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted() {
        let sql = question(&["a".into(), "it's \\".into()]);
        assert!(sql.contains(r"IN (E'a', E'it''s \\')"), "{sql}");
    }

    #[test]
    fn one_volatile_function_is_enough_and_an_unknown_one_is_not() {
        let functions = Functions::default();
        let names: [Box<str>; 2] = ["a".into(), "b".into()];
        assert_eq!(functions.is_any_volatile(&[]), Some(false));
        functions.register(&names);
        assert_eq!(functions.is_any_volatile(&names), None);
        functions.known.write().insert("a".into(), Some(false));
        assert_eq!(functions.is_any_volatile(&names), None);
        functions.known.write().insert("b".into(), Some(true));
        assert_eq!(functions.is_any_volatile(&names), Some(true));
        assert_eq!(functions.is_any_volatile(&names[..1]), Some(false));
    }
}
