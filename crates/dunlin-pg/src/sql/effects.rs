//! The effects of a statement on its transaction and its session, as far as its text shows them.

use super::{Token, tokens};

/// Functions that leave something in the session.
const SESSION_FUNCTIONS: [&str; 6] = [
    "PG_ADVISORY_LOCK",
    "PG_ADVISORY_LOCK_SHARED",
    "PG_TRY_ADVISORY_LOCK",
    "PG_TRY_ADVISORY_LOCK_SHARED",
    "SETSEED",
    "DBLINK_CONNECT",
];

/// Returns the reason why a declared query cannot have this statement, for example transaction
/// control: the statements of a query are one transaction, which the pool begins and ends.
pub(crate) fn refusal(sql: &str) -> Option<String> {
    let mut words = tokens(sql).filter_map(|token| token.word());
    let (first, second) = (words.next()?, words.next());
    let reason = match &*first {
        "BEGIN" | "START" | "COMMIT" | "END" | "ROLLBACK" | "ABORT" | "SAVEPOINT" | "RELEASE" => {
            "the statements of a query are one transaction already"
        }
        "PREPARE" if second.as_deref() == Some("TRANSACTION") => {
            "the statements of a query are one transaction already"
        }
        "PREPARE" | "EXECUTE" | "DEALLOCATE" => "statements are prepared by themselves",
        "DECLARE" | "FETCH" | "MOVE" | "CLOSE" => "a list of rows is streamed by itself, without a cursor",
        "LISTEN" | "UNLISTEN" => "notifications need a connection of their own",
        "COPY" => "rows are given as parameters, and answered as JSON or CSV",
        "DISCARD" => "a session is cleaned by itself",
        _ => return None,
    };
    Some(format!("{first} is not for a declared query: {reason}"))
}

/// Returns `true` if the statement leaves something in its session that outlives the transaction: a
/// setting, an advisory lock, a temporary table.
pub(crate) fn touches_session(sql: &str) -> bool {
    let tokens: Vec<Token<'_>> = tokens(sql).collect();
    let words: Vec<Option<String>> = tokens.iter().map(Token::word).collect();
    let word = |at: usize| words.get(at).and_then(Option::as_deref);
    let first = words.iter().flatten().next().map(String::as_str);
    match first {
        Some("SET") => {
            let second = words.iter().flatten().nth(1).map(String::as_str);
            if !matches!(second, Some("LOCAL" | "TRANSACTION" | "CONSTRAINTS")) {
                return true;
            }
        }
        Some("RESET" | "LOAD") => return true,
        _ => {}
    }
    (0..tokens.len()).any(|at| match word(at) {
        Some("SET_CONFIG") => !is_local(&tokens[at + 1..]),
        Some("TEMP" | "TEMPORARY") => {
            at > 0 && matches!(word(at - 1), Some("CREATE" | "INTO" | "LOCAL" | "GLOBAL" | "REPLACE"))
        }
        Some(name) => SESSION_FUNCTIONS.contains(&name) && matches!(tokens.get(at + 1), Some(Token::Symbol(b'('))),
        None => false,
    })
}

/// Returns `true` if the last argument of a call of `set_config` is the constant `true`.
fn is_local(call: &[Token<'_>]) -> bool {
    let (mut depth, mut last) = (0_usize, None);
    for token in call {
        match token {
            Token::Symbol(b'(') => depth += 1,
            Token::Symbol(b')') if depth <= 1 => break,
            Token::Symbol(b')') => depth -= 1,
            _ if depth == 1 => last = Some(*token),
            _ => {}
        }
    }
    match last {
        Some(Token::Word(word)) => word.eq_ignore_ascii_case("true"),
        Some(Token::Quoted(text)) => {
            ["'true'", "'t'", "'on'", "'yes'", "'1'"].iter().any(|truth| text.eq_ignore_ascii_case(truth))
        }
        _ => false,
    }
}

/// The placeholder of another language that a statement has, `?` or `:name`, where PostgreSQL has
/// `$1`.
pub(crate) fn foreign_placeholder(sql: &str) -> Option<String> {
    let tokens: Vec<Token<'_>> = tokens(sql).collect();
    (0..tokens.len()).find_map(|at| {
        let before = at.checked_sub(1).map(|before| tokens[before]);
        match (before, tokens[at], tokens.get(at + 1)) {
            (Some(Token::Symbol(b'=' | b'(' | b',' | b'<' | b'>')), Token::Symbol(b'?'), _) => Some("?".to_owned()),
            (Some(Token::Symbol(b'=' | b'(' | b',' | b'<' | b'>')), Token::Symbol(b':'), Some(Token::Word(name))) => {
                Some(format!(":{name}"))
            }
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transaction_control_is_refused() {
        for sql in [
            "BEGIN",
            " /* x */ commit",
            "START TRANSACTION",
            "end;",
            "ROLLBACK TO a",
            "SAVEPOINT a",
            "release a",
            "abort",
            "PREPARE TRANSACTION 'x'",
            "prepare s as select 1",
            "DEALLOCATE ALL",
            "DECLARE c CURSOR FOR SELECT 1",
            "LISTEN x",
            "COPY t TO STDOUT",
            "DISCARD ALL",
            "-- begin\nCOMMIT AND CHAIN",
        ] {
            assert!(refusal(sql).is_some(), "{sql}");
        }
        for sql in [
            "SELECT 1",
            "SELECT 'BEGIN'",
            "-- COMMIT\nSELECT 1",
            "UPDATE t SET begin = 1",
            "WITH a AS (SELECT 1) SELECT 1",
            "",
            "LOCK TABLE t",
            "CALL p()",
            "NOTIFY x",
            "SET LOCAL role = x",
        ] {
            assert_eq!(refusal(sql), None, "{sql}");
        }
    }

    #[test]
    fn what_outlives_a_transaction_is_found() {
        for sql in [
            "SET search_path = a",
            "set session x.y = 1",
            "SET ROLE bob",
            "RESET ALL",
            "SELECT set_config('a.b', $1, false)",
            "SELECT pg_catalog.set_config('a.b', $1, $2)",
            "SELECT 1 FROM t, set_config('a', coalesce($1, 'true'), (true and false))",
            "SELECT pg_advisory_lock(1)",
            "SELECT PG_TRY_ADVISORY_LOCK (1, 2)",
            "CREATE TEMP TABLE x (a int)",
            "CREATE LOCAL TEMPORARY TABLE x (a int)",
            "SELECT 1 AS a INTO TEMP x",
            "CREATE OR REPLACE TEMP VIEW v AS SELECT 1",
        ] {
            assert!(touches_session(sql), "{sql}");
        }
        for sql in [
            "SET LOCAL search_path = a",
            "SET TRANSACTION READ ONLY",
            "SET CONSTRAINTS ALL DEFERRED",
            "SELECT set_config('a.b', $1, true)",
            "SELECT set_config('a.b', x, 't')",
            "UPDATE t SET a = 1",
            "SELECT pg_advisory_xact_lock(1)",
            "SELECT 'set_config(1)'",
            "SELECT temp FROM weather",
            "SELECT pg_advisory_lock FROM t",
            "CREATE TABLE x (temp int)",
        ] {
            assert!(!touches_session(sql), "{sql}");
        }
    }

    #[test]
    fn placeholders_of_other_languages() {
        let check = |sql: &str, expect: Option<&str>| assert_eq!(foreign_placeholder(sql).as_deref(), expect, "{sql}");
        check("SELECT * FROM t WHERE id = ?", Some("?"));
        check("SELECT f(?, 1)", Some("?"));
        check("SELECT * FROM t WHERE id = :id", Some(":id"));
        check("SELECT a ? 'b' FROM t", None);
        check("SELECT a::int, $1::text, b[1:n]", None);
        check("SELECT ':id'", None);
    }

    proptest::proptest! {
        #[test]
        fn never_panics(sql in "\\PC{0,60}") {
            let _ = (refusal(&sql), touches_session(&sql), foreign_placeholder(&sql));
        }
    }
}
