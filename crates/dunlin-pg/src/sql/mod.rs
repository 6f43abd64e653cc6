//! A reader for the parts of SQL that matter here: parameters, effects on a session, writes.

mod effects;
mod writes;

pub(crate) use effects::{Effects, foreign_placeholder, refusal};
pub(crate) use writes::{skips_conflicts, write};

/// Numbers the parameters of a statement without gaps, and returns their old numbers.
///
/// PostgreSQL cannot infer the type of a `$1` that a statement does not use. So that several
/// statements can share one list of parameters, each gets numbers of its own: `UPDATE t SET n = $3
/// WHERE id = $1` becomes `… n = $2 WHERE id = $1` with `[1, 3]`. A statement without gaps is
/// unchanged.
pub(crate) fn renumber(sql: &str) -> (String, Vec<usize>) {
    let places = places(sql);
    let mut used: Vec<usize> = places.iter().map(|place| place.number).collect();
    used.sort_unstable();
    used.dedup();
    if used.iter().copied().eq(1..=used.len()) {
        return (sql.to_owned(), used);
    }
    let mut out = String::with_capacity(sql.len());
    let mut copied = 0;
    for place in places {
        out.push_str(&sql[copied..place.start]);
        let new = used.iter().position(|&number| number == place.number).unwrap_or(0) + 1;
        out.push('$');
        out.push_str(itoa::Buffer::new().format(new));
        copied = place.end;
    }
    out.push_str(&sql[copied..]);
    (out, used)
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Place {
    start: usize,
    end: usize,
    number: usize,
}

/// A token of a statement (PostgreSQL §4.1). There is none for comments and white space.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Token<'s> {
    /// A key word, or a name without quotes.
    Word(&'s str),
    /// A string or a quoted name, with its quotes.
    Quoted(&'s str),
    /// `$1` with its place.
    Parameter(Place),
    /// Any other character.
    Symbol(u8),
}

impl Token<'_> {
    /// The word in upper case.
    pub(crate) fn word(&self) -> Option<String> {
        match self {
            Token::Word(word) => Some(word.to_ascii_uppercase()),
            _ => None,
        }
    }

    /// The name as in the catalogues: in lower case unless it is quoted.
    pub(crate) fn name(&self) -> Option<String> {
        match self {
            Token::Word(word) => Some(word.to_ascii_lowercase()),
            Token::Quoted(text) => Some(text.strip_prefix('"')?.strip_suffix('"')?.replace("\"\"", "\"")),
            _ => None,
        }
    }

    pub(crate) fn is_quoted_name(&self) -> bool {
        matches!(self, Token::Quoted(text) if text.starts_with('"'))
    }
}

/// Returns `true` if the columns of a statement may be NULL where those of its tables are not.
pub(crate) fn may_add_nulls(sql: &str) -> bool {
    const WORDS: [&str; 9] = ["LEFT", "RIGHT", "FULL", "UNION", "INTERSECT", "EXCEPT", "GROUPING", "ROLLUP", "CUBE"];
    tokens(sql).filter_map(|token| token.word()).any(|word| WORDS.contains(&word.as_str()))
}

/// The places of `$n` outside of strings, quoted names and comments.
fn places(sql: &str) -> Vec<Place> {
    let parameter = |token| if let Token::Parameter(place) = token { Some(place) } else { None };
    tokens(sql).filter_map(parameter).collect()
}

/// The tokens of a statement, in order.
pub(crate) fn tokens(sql: &str) -> impl Iterator<Item = Token<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < sql.len() {
            let start = at;
            let (token, end) = token_at(sql, start);
            at = end;
            if token.is_some() {
                return token;
            }
        }
        None
    })
}

/// The statement without the semicolon, the comments and the white space at its end.
pub(crate) fn without_end(sql: &str) -> &str {
    let (mut at, mut end) = (0, 0);
    while at < sql.len() {
        let (token, after) = token_at(sql, at);
        if token.is_some_and(|token| token != Token::Symbol(b';')) {
            end = after;
        }
        at = after;
    }
    sql.get(..end).unwrap_or(sql)
}

/// The token at `at`, if one begins there, and the index of the byte behind it.
fn token_at(sql: &str, at: usize) -> (Option<Token<'_>>, usize) {
    let bytes = sql.as_bytes();
    let quoted = |start: usize, end: usize| (sql.get(start..end).map(Token::Quoted), end);
    match bytes[at] {
        b'\'' => quoted(at, after_quoted(bytes, at, b'\'', false)),
        b'e' | b'E' if bytes.get(at + 1) == Some(&b'\'') => quoted(at, after_quoted(bytes, at + 1, b'\'', true)),
        b'"' => quoted(at, after_quoted(bytes, at, b'"', false)),
        b'-' if bytes.get(at + 1) == Some(&b'-') => (None, find(bytes, at, b"\n")),
        b'/' if bytes.get(at + 1) == Some(&b'*') => (None, after_comment(bytes, at)),
        b'$' if bytes.get(at + 1).is_some_and(u8::is_ascii_digit) => {
            let end = at + 1 + bytes[at + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            let number = sql[at + 1..end].parse().ok();
            (number.map(|number| Token::Parameter(Place { start: at, end, number })), end)
        }
        b'$' => match after_dollar_quoted(bytes, at) {
            end if end > at + 1 => quoted(at, end),
            end => (Some(Token::Symbol(b'$')), end),
        },
        byte if is_name(byte) => {
            let end = at + bytes[at..].iter().take_while(|byte| is_name(**byte)).count();
            (sql.get(at..end).map(Token::Word), end)
        }
        byte if byte.is_ascii_whitespace() => (None, at + 1),
        byte => (Some(Token::Symbol(byte)), at + 1),
    }
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

fn after_quoted(bytes: &[u8], open: usize, quote: u8, escapes: bool) -> usize {
    let mut at = open + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if escapes => at += 2,
            byte if byte == quote && bytes.get(at + 1) == Some(&quote) => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// Comments nest.
fn after_comment(bytes: &[u8], open: usize) -> usize {
    let mut depth = 0;
    let mut at = open;
    while at < bytes.len() {
        match &bytes[at..bytes.len().min(at + 2)] {
            b"/*" => (depth, at) = (depth + 1, at + 2),
            b"*/" if depth == 1 => return at + 2,
            b"*/" => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The end of `$tag$ … $tag$`. A single `$` is skipped.
fn after_dollar_quoted(bytes: &[u8], open: usize) -> usize {
    let tag = bytes[open + 1..].iter().take_while(|&&byte| is_name(byte) && byte != b'$').count();
    let end = open + 1 + tag;
    if bytes.get(end) != Some(&b'$') {
        return open + 1;
    }
    let delimiter = &bytes[open..=end];
    let close = find(bytes, end + 1, delimiter);
    bytes.len().min(close + delimiter.len())
}

fn find(bytes: &[u8], from: usize, needle: &[u8]) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    rest.windows(needle.len()).position(|window| window == needle).map_or(bytes.len(), |at| from + at)
}

#[cfg(test)]
mod tests {
    use super::{renumber, without_end};

    #[track_caller]
    fn check(sql: &str, expect: &str, used: &[usize]) {
        assert_eq!(renumber(sql), (expect.to_owned(), used.to_vec()), "{sql}");
    }

    #[test]
    fn the_end_of_a_statement() {
        for (sql, expect) in [
            ("SELECT 1", "SELECT 1"),
            ("SELECT 1 ; \n", "SELECT 1"),
            ("SELECT ';' -- a; b\n; /* c */ -- d", "SELECT ';'"),
            ("SELECT $$;$$;;", "SELECT $$;$$"),
            ("SELECT \"a;\"", "SELECT \"a;\""),
            ("-- a", ""),
        ] {
            assert_eq!(without_end(sql), expect);
        }
    }

    #[test]
    fn parameters_are_renumbered_without_gaps() {
        check("SELECT 1", "SELECT 1", &[]);
        check("SELECT $1, $2, $1", "SELECT $1, $2, $1", &[1, 2]);
        check("UPDATE t SET n = n - $3 WHERE id = $1", "UPDATE t SET n = n - $2 WHERE id = $1", &[1, 3]);
        check("SELECT $10::int", "SELECT $1::int", &[10]);
    }

    #[test]
    fn what_is_quoted_is_left_alone() {
        for sql in [
            "SELECT '$2 ''$3'",
            "SELECT E'\\'$2'",
            "SELECT 'back\\', 'x $2'",
            "SELECT \"$2\" FROM t",
            "SELECT 1 -- $2\n",
            "SELECT 1 /* $2 /* $3 */ $4 */",
            "SELECT $$ $2 $$, $tag$ $3 $$ $4 $tag$",
            "SELECT price$2 FROM t",
            "SELECT '$2",
            "SELECT $a",
        ] {
            check(sql, sql, &[]);
        }
        check("SELECT '$2', $3 -- $4", "SELECT '$2', $1 -- $4", &[3]);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_and_numbering_twice_is_numbering_once(sql in "[a$0-9'\"/*\\-E\\\\ \n\u{e9}]{0,40}") {
            let (once, used) = renumber(&sql);
            let (twice, dense) = renumber(&once);
            proptest::prop_assert_eq!(&once, &twice);
            proptest::prop_assert_eq!(dense, (1..=used.len()).collect::<Vec<_>>());
        }
    }
}
