//! The one thing that has to be known of SQL here: where its parameters stand.

/// A statement whose parameters are numbered without gaps, and what they were numbered before.
///
/// PostgreSQL cannot tell the type of a `$1` that a statement does not use. So that several statements may share one list
/// of parameters, each gets numbers of its own: `UPDATE t SET n = $3 WHERE id = $1` becomes `… n = $2 WHERE id = $1` with
/// `[1, 3]`. A statement that is dense and in order already stays as it is, to the byte.
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

struct Place {
    start: usize,
    end: usize,
    number: usize,
}

/// Where `$n` stands outside of strings, quoted names and comments (PostgreSQL §4.1).
fn places(sql: &str) -> Vec<Place> {
    let bytes = sql.as_bytes();
    let mut places = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        at = match bytes[at] {
            b'\'' => after_quoted(bytes, at, b'\'', is_escape_string(bytes, at)),
            b'"' => after_quoted(bytes, at, b'"', false),
            b'-' if bytes.get(at + 1) == Some(&b'-') => find(bytes, at, b"\n"),
            b'/' if bytes.get(at + 1) == Some(&b'*') => after_comment(bytes, at),
            b'$' if at > 0 && is_name(bytes[at - 1]) => at + 1,
            b'$' if bytes.get(at + 1).is_some_and(u8::is_ascii_digit) => {
                let end = at + 1 + bytes[at + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
                if let Ok(number) = sql[at + 1..end].parse() {
                    places.push(Place { start: at, end, number });
                }
                end
            }
            b'$' => after_dollar_quoted(bytes, at),
            _ => at + 1,
        };
    }
    places
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

/// Whether the quote at `at` opens an `E'…'` string, in which a backslash escapes.
fn is_escape_string(bytes: &[u8], at: usize) -> bool {
    at > 0 && matches!(bytes[at - 1], b'e' | b'E') && (at < 2 || !is_name(bytes[at - 2]))
}

fn after_quoted(bytes: &[u8], open: usize, quote: u8, escapes: bool) -> usize {
    let mut at = open + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if escapes => at += 2,
            // A doubled quote closes and opens again, which comes to the same.
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

/// `$tag$ … $tag$`; a lone `$` is passed over.
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
    use super::renumber;

    #[track_caller]
    fn check(sql: &str, expect: &str, used: &[usize]) {
        assert_eq!(renumber(sql), (expect.to_owned(), used.to_vec()), "{sql}");
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
