//! The lines of a configuration that may contain a secret, and that no message shows.
//!
//! The decision is made from the text, because the file may be broken or its keys misspelt. In
//! doubt, a line is not shown: the message still has its place.

/// The parts of names of keys whose values are secrets, in any table.
const SECRET_PARTS: &[&str] = &["pass", "secret", "token", "redis", "credential", "api_key", "dsn"];

/// The tables with secrets, and their keys that are none.
const SECRET_TABLES: &[(&str, &[&str])] = &[
    (
        "database",
        &[
            "passfile",
            "pool_size",
            "shared",
            "connect_timeout",
            "acquire_timeout",
            "statement_timeout",
            "idle_transaction_timeout",
            "validate_after",
            "max_lifetime",
            "application_name",
            "pooler",
            "retries",
        ],
    ),
    (
        "cache",
        &[
            "memory",
            "max_entry",
            "max_variants",
            "lock_timeout",
            "disconnected",
            "targets",
            "name",
            "tell_key",
            "notify",
            "redis_prefix",
            "redis_ca_file",
        ],
    ),
];

/// Returns `true` if the line with the byte `at` may contain a secret.
pub(super) fn is_secret(text: &str, at: usize) -> bool {
    let at = text.floor_char_boundary(at.min(text.len()));
    let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let line = text[start..].lines().next().unwrap_or("");
    if line.contains("://") && line.contains('@') {
        return true;
    }
    let table = text[..start].lines().rev().find_map(header).unwrap_or_default();
    if header(line).is_some() {
        return false;
    }
    let Some((key, value)) = line.split_once('=') else {
        // The continuation of a value, or a key without one.
        return SECRET_TABLES.iter().any(|(name, _)| *name == table) && !line.trim().is_empty();
    };
    let key = key.trim().trim_matches(['"', '\'']);
    let (outer, last) = key.rsplit_once('.').unwrap_or((&table, key));
    let is_inline = value.trim_start().starts_with('{');
    let shown = SECRET_TABLES.iter().find(|(name, _)| *name == outer).map(|(_, shown)| *shown);
    match shown {
        Some(shown) => is_inline || !shown.contains(&last),
        None => {
            let names_table = SECRET_TABLES.iter().any(|(name, _)| is_like(last, name));
            let names_secret = SECRET_PARTS.iter().any(|part| last.contains(part)) || is_like(last, "password");
            (is_inline && names_table && table.is_empty()) || names_secret
        }
    }
}

/// Returns `true` if `word` is `known`, with at most two slips.
fn is_like(word: &str, known: &str) -> bool {
    strsim::damerau_levenshtein(word, known) <= 2
}

/// The name in the header of a table; `None` for other lines.
fn header(line: &str) -> Option<String> {
    let inner = line.trim().strip_prefix('[')?;
    let name = inner.trim_start_matches('[').split([']', '#']).next().unwrap_or_default().trim();
    Some(name.trim_matches(['"', '\'']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_with_secrets() {
        #[track_caller]
        fn check(text: &str, part: &str, expect: bool) {
            let at = text.find(part).unwrap();
            assert_eq!(is_secret(text, at), expect, "{part:?} in\n{text}");
        }
        let database = "[server]\nworkers = 1\n[database]\nurl = \"x\"\npasword = \"hush\npool_size = 1\nuri = \"y\"\n";
        check(database, "workers", false);
        check(database, "[database]", false);
        check(database, "url", true);
        check(database, "pasword", true);
        check(database, "pool_size", false);
        check(database, "uri", true);
        check("[cache]\nredis = \"redis://:hush@h/\"\nmemory = \"1\"\n", "redis =", true);
        check("[cache]\nredis = \"redis://:hush@h/\"\nmemory = \"1\"\n", "memory", false);
        check("[cache]\nredis_url = \"hush\"\n", "redis_url", true);
        check("[databse]\npassword = \"hush\n", "password", true);
        check("[databse]\npasswrd = \"hush\n", "passwrd", true);
        check("[databse]\nurl = \"postgres://a:hush@b/c\n", "url", true);
        check("database.url = \"hush\"\n", "database", true);
        check("database = { url = \"hush\", pool_size = 1 }\n", "pool_size", true);
        check("[database]\nurl = \"\"\"\nhush\n\"\"\"\n", "hush", true);
        check("[[route]]\npath = \"/\"\ntext = \"a\"\n", "path", false);
        check("[[route]]\npath = \"/\"\nproxy = \"http://a:hush@b/\"\n", "proxy", true);
        check("[[route]]\npath = \"/{*rest}\"\nfiles = \"public\"\ncache = { age = \"1h\" }\n", "cache", false);
        check("[[route]]\npath = \"/\"\ntake = 100\n", "take", false);
        check("[server]\nlisten = 1\n", "listen", false);
        check("", "", false);
    }
}
