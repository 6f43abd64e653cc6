//! Statements that write, as far as the text shows it.

use super::{Token, tokens};

/// Commands that a read-only transaction refuses.
const COMMANDS: [&str; 14] = [
    "INSERT", "UPDATE", "DELETE", "MERGE", "TRUNCATE", "CREATE", "ALTER", "DROP", "GRANT", "REVOKE", "COMMENT",
    "SECURITY", "REFRESH", "REASSIGN",
];

/// Returns the part of a statement that a read-only transaction refuses, for example `INSERT` or
/// `FOR UPDATE`.
pub(crate) fn write(sql: &str) -> Option<&'static str> {
    let tokens: Vec<Token<'_>> = tokens(sql).collect();
    let words: Vec<Option<String>> = tokens.iter().map(Token::word).collect();
    let word = |at: usize| words.get(at).and_then(Option::as_deref).unwrap_or_default();
    let first = words.iter().position(Option::is_some)?;
    if let Some(command) = COMMANDS.iter().find(|command| **command == word(first)) {
        return Some(command);
    }
    if !matches!(word(first), "SELECT" | "WITH" | "VALUES" | "TABLE") {
        return None;
    }
    // For each open parenthesis, the word before it.
    let mut open: Vec<&str> = Vec::new();
    for at in first..tokens.len() {
        match tokens[at] {
            Token::Symbol(b'(') => open.push(at.checked_sub(1).map(word).unwrap_or_default()),
            Token::Symbol(b')') => drop(open.pop()),
            _ => {}
        }
        let after_parenthesis = match at.checked_sub(1).map(|before| tokens[before]) {
            Some(Token::Symbol(b'(')) => true,
            Some(Token::Symbol(b')')) => open.is_empty() && word(first) == "WITH",
            _ => false,
        };
        let found = match word(at) {
            "INSERT" if after_parenthesis && word(at + 1) == "INTO" => Some("INSERT"),
            "MERGE" if after_parenthesis && word(at + 1) == "INTO" => Some("MERGE"),
            "DELETE" if after_parenthesis && word(at + 1) == "FROM" => Some("DELETE"),
            "UPDATE" if after_parenthesis && tokens.get(at + 1).is_some_and(|token| token.name().is_some()) => {
                Some("UPDATE")
            }
            "INTO" => Some("SELECT INTO"),
            "FOR" if !matches!(open.last(), Some(&("SUBSTRING" | "OVERLAY"))) => locks(word(at + 1), word(at + 2)),
            _ => call(&tokens, at),
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

/// The lock that the words after FOR request.
fn locks(first: &str, second: &str) -> Option<&'static str> {
    match (first, second) {
        ("UPDATE", _) => Some("FOR UPDATE"),
        ("SHARE", _) => Some("FOR SHARE"),
        ("NO", "KEY") => Some("FOR NO KEY UPDATE"),
        ("KEY", "SHARE") => Some("FOR KEY SHARE"),
        _ => None,
    }
}

/// A call of a function that writes.
fn call(tokens: &[Token<'_>], at: usize) -> Option<&'static str> {
    if !matches!(tokens.get(at + 1), Some(Token::Symbol(b'('))) {
        return None;
    }
    let name = tokens[at].name()?;
    ["nextval", "setval"].into_iter().find(|known| *known == name)
}

/// Returns `true` for an INSERT that returns no row if the row exists already.
pub(crate) fn skips_conflicts(sql: &str) -> bool {
    let words: Vec<String> = tokens(sql).filter_map(|token| token.word()).collect();
    let has = |pair: [&str; 2]| words.windows(2).any(|words| words[0] == pair[0] && words[1] == pair[1]);
    words.iter().any(|word| word == "INSERT") && has(["ON", "CONFLICT"]) && has(["DO", "NOTHING"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_that_write_are_found() {
        let check = |sql: &str, expect: Option<&str>| assert_eq!(write(sql), expect, "{sql}");
        check("INSERT INTO t VALUES (1)", Some("INSERT"));
        check("/* x */ update t SET a = 1", Some("UPDATE"));
        check("CREATE TABLE t (a int)", Some("CREATE"));
        check("WITH a AS (DELETE FROM t RETURNING *) SELECT * FROM a", Some("DELETE"));
        check("WITH a AS MATERIALIZED (UPDATE \"t\" SET a = 1 RETURNING *) SELECT * FROM a", Some("UPDATE"));
        check("WITH a AS (SELECT 1) INSERT INTO t SELECT * FROM a", Some("INSERT"));
        check("WITH a AS (SELECT 1) MERGE INTO t USING a ON true WHEN MATCHED THEN DELETE", Some("MERGE"));
        check("SELECT 1 AS a INTO t", Some("SELECT INTO"));
        check("SELECT nextval('s')", Some("nextval"));
        check("SELECT pg_catalog.\"setval\" ('s', 1)", Some("setval"));
        check("SELECT * FROM t FOR UPDATE SKIP LOCKED", Some("FOR UPDATE"));
        check("SELECT * FROM t FOR NO KEY UPDATE", Some("FOR NO KEY UPDATE"));
        check("SELECT * FROM (SELECT * FROM t FOR SHARE) a", Some("FOR SHARE"));
        check("SELECT * FROM t FOR KEY SHARE OF t", Some("FOR KEY SHARE"));
        for sql in [
            "SELECT 1",
            "",
            "SELECT 'INSERT INTO t'",
            "SELECT substring(a FROM 1 FOR 2), substring(a FOR share) FROM t",
            "SELECT update, delete FROM t WHERE f(update) = 1",
            "SELECT nextval FROM t",
            "EXPLAIN INSERT INTO t VALUES (1)",
            "WITH a AS (SELECT 1) SELECT * FROM a",
            "SELECT \"into\" FROM t",
            "TABLE t",
            "VALUES (1)",
            "SHOW all",
        ] {
            check(sql, None);
        }
    }

    #[test]
    fn inserts_that_skip_conflicts_are_found() {
        assert!(skips_conflicts("INSERT INTO t VALUES ($1) ON CONFLICT (id) DO NOTHING RETURNING id"));
        assert!(skips_conflicts("with a as (select 1) insert into t select * from a on conflict do nothing"));
        assert!(!skips_conflicts("INSERT INTO t VALUES ($1) ON CONFLICT (id) DO UPDATE SET a = 1 RETURNING id"));
        assert!(!skips_conflicts("INSERT INTO t VALUES ('ON CONFLICT DO NOTHING') RETURNING id"));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(sql in "\\PC{0,60}") {
            let _ = (write(&sql), skips_conflicts(&sql));
        }
    }
}
