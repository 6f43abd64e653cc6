//! The effects of a statement on its transaction and its session, as far as the text shows them.

use super::{Token, tokens};

/// Functions of PostgreSQL that leave something in the session, or that run SQL from a text.
const SESSION_FUNCTIONS: [&str; 9] = [
    "pg_advisory_lock",
    "pg_advisory_lock_shared",
    "pg_try_advisory_lock",
    "pg_try_advisory_lock_shared",
    "setseed",
    "dblink_connect",
    "query_to_xml",
    "query_to_xmlschema",
    "query_to_xml_and_xmlschema",
];

/// Key words before a parenthesis, which are no functions.
const KEY_WORDS: [&str; 24] = [
    "all", "and", "any", "array", "as", "by", "case", "coalesce", "else", "exists", "filter", "from", "in", "join",
    "not", "on", "or", "over", "select", "then", "using", "values", "when", "where",
];

/// The effects of a statement on its session.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Effects {
    /// `true` if it leaves something in the session that outlives the transaction: a setting, an
    /// advisory lock, a temporary table.
    pub(crate) touches: bool,
    /// `true` if it may do so in code that is not in the text, such as DO and CALL.
    pub(crate) hides: bool,
    /// The names of the functions that it calls.
    pub(crate) calls: Vec<Box<str>>,
}

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

// === impl Effects ===

impl Effects {
    /// Reads the effects of a statement.
    pub(crate) fn of(sql: &str) -> Self {
        let tokens: Vec<Token<'_>> = tokens(sql).collect();
        let mut effects = Self::default();
        effects.read_command(&tokens);
        for at in 0..tokens.len() {
            effects.read_token(&tokens, at);
        }
        effects.calls.sort_unstable();
        effects.calls.dedup();
        effects
    }

    /// Returns `true` if the session has to be cleaned, whatever the functions are.
    pub(crate) const fn is_dirty(&self) -> bool {
        self.touches || self.hides
    }

    /// Adds the effects of another statement.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.touches |= other.touches;
        self.hides |= other.hides;
        self.calls.extend(other.calls);
        self.calls.sort_unstable();
        self.calls.dedup();
        self
    }

    fn read_command(&mut self, tokens: &[Token<'_>]) {
        let mut words = tokens.iter().filter_map(Token::word);
        match (words.next().as_deref(), words.next().as_deref()) {
            (Some("SET"), Some("LOCAL" | "TRANSACTION" | "CONSTRAINTS")) => {}
            (Some("SET" | "RESET" | "LOAD"), _) => self.touches = true,
            (Some("DO" | "CALL"), _) => self.hides = true,
            _ => {}
        }
    }

    fn read_token(&mut self, tokens: &[Token<'_>], at: usize) {
        let next = tokens.get(at + 1);
        if at > 0 && matches!(tokens[at].word().as_deref(), Some("TEMP" | "TEMPORARY")) {
            let before = tokens[at - 1].word();
            self.touches |= matches!(before.as_deref(), Some("CREATE" | "INTO" | "LOCAL" | "GLOBAL" | "REPLACE"));
        }
        // A name with Unicode escapes may be any name.
        if matches!(tokens[at], Token::Word("U" | "u"))
            && matches!(next, Some(Token::Symbol(b'&')))
            && tokens.get(at + 2).is_some_and(Token::is_quoted_name)
        {
            self.hides = true;
        }
        let Some(name) = tokens[at].name() else { return };
        match next {
            // Objects in this schema are temporary. The statement that creates one is dirty, and so
            // are the others in its transaction.
            Some(Token::Symbol(b'.')) => self.touches |= name == "pg_temp",
            Some(Token::Symbol(b'(')) => {
                self.touches |=
                    SESSION_FUNCTIONS.contains(&&*name) || (name == "set_config" && !is_local(&tokens[at + 1..]));
                if !KEY_WORDS.contains(&&*name) {
                    self.calls.push(name.into());
                }
            }
            _ => {}
        }
    }
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

/// The placeholder of another language in a statement, `?` or `:name`. PostgreSQL has `$1`.
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
            "SELECT \"set_config\"('a.b', $1, false)",
            "SELECT pg_catalog.\"set_config\"('a.b', $1, false)",
            "SELECT \"pg_advisory_lock\"(1)",
            "SELECT pg_catalog . pg_advisory_lock /* x */ (1)",
            "CREATE TABLE pg_temp.x (a int)",
            "CREATE TABLE \"pg_temp\".x (a int)",
            "SELECT 1 AS a INTO pg_temp.x",
            "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "SELECT query_to_xml('SELECT set_config(''a'', ''b'', false)', true, true, '')",
        ] {
            assert!(Effects::of(sql).touches, "{sql}");
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
            "SELECT \"SET_CONFIG\"('a.b', $1, false)",
            "SELECT '\"set_config\"(1)'",
            "SELECT pg_temp FROM t",
        ] {
            assert!(!Effects::of(sql).touches, "{sql}");
        }
    }

    #[test]
    fn bodies_that_cannot_be_seen_are_found() {
        for sql in
            ["DO $$ BEGIN END $$", "call p(1)", "/* x */ DO 'x'", "SELECT U&\"set\\005fconfig\"('a', 'b', false)"]
        {
            assert!(Effects::of(sql).hides, "{sql}");
        }
        for sql in ["INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING", "SELECT do FROM t", "SELECT a & \"b\""] {
            assert!(!Effects::of(sql).hides, "{sql}");
        }
        let calls = |sql: &str| Effects::of(sql).calls.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(calls("SELECT My_F(1), \"My \"\"F\"\"\" (2), s.g(h(x)), 'no(1)'"), ["My \"F\"", "g", "h", "my_f"]);
        assert_eq!(calls("SELECT a FROM t WHERE b = $1"), [""; 0]);
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
            let _ = (refusal(&sql), Effects::of(&sql), foreign_placeholder(&sql));
        }
    }
}
