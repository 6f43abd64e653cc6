//! SQL for triggers that notify when a table changes.
//!
//! There is one notification for each statement, not for each row. PostgreSQL sends it when the
//! transaction commits, and sends identical ones of a transaction once. `TRUNCATE` notifies too.
//!
//! ```
//! let sql = dunlin_pg::triggers::install("dunlin_cache", "public.users", &["users", "people"])?;
//! assert!(sql.contains("pg_notify('dunlin_cache', 'users people')"));
//! assert!(sql.contains("AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON \"public\".\"users\""));
//! # Ok::<(), dunlin_pg::triggers::Error>(())
//! ```

use std::fmt;

/// The reason why there is no such trigger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(String);

/// The limit of a payload in bytes (PostgreSQL, NOTIFY).
const MAX_PAYLOAD: usize = 7999;

/// Writes a script that makes `table` notify `channel` after each statement that changes it. The
/// payload is `groups`, separated by spaces. The script may run again, and replaces its earlier
/// triggers. `table` may have a schema: `public.users`, `"Odd".name`.
///
/// # Errors
/// A name that is empty or too long, or a group with a space.
pub fn install(channel: &str, table: &str, groups: &[&str]) -> Result<String, Error> {
    let names = Names::new(channel, table)?;
    let bad = groups.iter().find(|group| group.is_empty() || group.contains(char::is_whitespace));
    if let Some(group) = bad {
        return Err(Error(format!("group {group:?} is empty or has a space in it")));
    }
    let payload = groups.join(" ");
    if payload.is_empty() || payload.len() > MAX_PAYLOAD {
        return Err(Error(format!("the groups take {} bytes, and 1 to {MAX_PAYLOAD} fit a notice", payload.len())));
    }
    let Names { function, trigger, table } = names;
    let (channel, payload) = (literal(channel), literal(&payload));
    Ok(format!(
        "BEGIN;
CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS $dunlin$
BEGIN
  PERFORM pg_notify({channel}, {payload});
  RETURN NULL;
END
$dunlin$;
DROP TRIGGER IF EXISTS {trigger} ON {table};
CREATE TRIGGER {trigger}
  AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON {table}
  FOR EACH STATEMENT EXECUTE FUNCTION {function}();
COMMIT;
"
    ))
}

/// Writes a script that removes the trigger of [`install`].
///
/// # Errors
/// As [`install`], for the names.
pub fn remove(channel: &str, table: &str) -> Result<String, Error> {
    let Names { function, trigger, table } = Names::new(channel, table)?;
    Ok(format!(
        "BEGIN;\nDROP TRIGGER IF EXISTS {trigger} ON {table};\nDROP FUNCTION IF EXISTS {function}();\nCOMMIT;\n"
    ))
}

struct Names {
    function: String,
    trigger: String,
    table: String,
}

impl Names {
    fn new(channel: &str, table: &str) -> Result<Self, Error> {
        let parts = split(table)?;
        // PostgreSQL cuts longer names, so that two channels could become one.
        if channel.is_empty() || channel.len() > 63 {
            return Err(Error(format!("channel {channel:?} has to have 1 to 63 bytes")));
        }
        let trigger = identifier(&cut(&format!("{channel}_notify")));
        // The function is in the schema of the table, so that two schemas do not share it.
        let mut function: Vec<_> = parts.iter().map(|part| identifier(part)).collect();
        if let Some(last) = function.last_mut() {
            let name = parts.last().map_or("", String::as_str);
            *last = identifier(&cut(&format!("{channel}_notify_{name}")));
        }
        let table: Vec<_> = parts.iter().map(|part| identifier(part)).collect();
        Ok(Self { function: function.join("."), trigger, table: table.join(".") })
    }
}

/// Cuts a name to 63 bytes, and keeps it different from others with the same start.
fn cut(name: &str) -> String {
    if name.len() <= 63 {
        return name.to_owned();
    }
    // FNV-1a. Any hash that never changes is good.
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    let end = (0..=46).rev().find(|&end| name.is_char_boundary(end)).unwrap_or(0);
    format!("{}_{hash:016x}", &name[..end])
}

/// The parts of a name as PostgreSQL reads it: in lower case unless it is quoted.
fn split(table: &str) -> Result<Vec<String>, Error> {
    let fail = || Error(format!("{table:?} is no name of a table"));
    let mut parts = vec![];
    let mut rest = table;
    loop {
        let part;
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut name = String::new();
            let mut chars = quoted.char_indices().peekable();
            let end = loop {
                match chars.next() {
                    Some((_, '"')) if chars.peek().is_some_and(|next| next.1 == '"') => {
                        chars.next();
                        name.push('"');
                    }
                    Some((at, '"')) => break at + 1,
                    Some((_, char)) => name.push(char),
                    None => return Err(fail()),
                }
            };
            part = name;
            rest = &quoted[end..];
        } else {
            let end = rest.find('.').unwrap_or(rest.len());
            part = rest[..end].to_lowercase();
            if !part.chars().all(|char| char.is_alphanumeric() || matches!(char, '_' | '$')) {
                return Err(fail());
            }
            rest = &rest[end..];
        }
        if part.is_empty() || part.len() > 63 || part.contains('\0') {
            return Err(fail());
        }
        parts.push(part);
        match rest.strip_prefix('.') {
            Some(next) if parts.len() < 2 => rest = next,
            None if rest.is_empty() => return Ok(parts),
            _ => return Err(fail()),
        }
    }
}

fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Writes a literal without `$`, so that it cannot end the function's body.
fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if text.contains(['\\', '$']) {
        return format!("E'{}'", quoted.replace('\\', "\\\\").replace('$', "\\044"));
    }
    format!("'{quoted}'")
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(table: &str, expect: Option<&[&str]>) {
        let got = split(table).ok();
        let got: Option<Vec<&str>> = got.as_ref().map(|parts| parts.iter().map(String::as_str).collect());
        assert_eq!(got.as_deref(), expect, "{table}");
    }

    #[test]
    fn names_are_read_as_postgresql_reads_them() {
        check("Users", Some(&["users"]));
        check("public.users", Some(&["public", "users"]));
        check("\"Odd\".\"a\"\"b.c\"", Some(&["Odd", "a\"b.c"]));
        for bad in ["", ".", "a.", "a.b.c", "a b", "a; DROP TABLE b", "\"a", "\"a\"b", "\"\""] {
            check(bad, None);
        }
    }

    proptest::proptest! {
        #[test]
        fn a_name_that_is_read_names_the_same_again(table in "[aB\"._ $\u{e9}\u{0}]{0,12}") {
            if let Ok(parts) = split(&table) {
                let quoted: Vec<_> = parts.iter().map(|part| identifier(part)).collect();
                proptest::prop_assert_eq!(split(&quoted.join(".")), Ok(parts));
            }
        }
    }

    #[test]
    fn nothing_gets_out_of_its_quotes() {
        assert_eq!(literal("a'b"), "'a''b'");
        assert_eq!(literal("a\\b$dunlin$"), "E'a\\\\b\\044dunlin\\044'");
        assert!(install("c", "t", &["a b"]).is_err());
        assert!(install("c", "t", &[]).is_err());
        assert!(install("", "t", &["a"]).is_err());
        assert_eq!(cut(&"x".repeat(70)).len(), 63);
    }
}
