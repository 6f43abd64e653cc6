//! Any statement: its parameters are numbered without gaps, and its kind is found.
//!
//! Invariants:
//! - The parameters of the rewritten statement are `$1`, `$2`, … without gaps, each with its old
//!   number in the list.
//! - Nothing changes but the numbers of parameters. A second numbering changes nothing.
//! - A comment in front changes neither the effects of a statement nor what it writes.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code, unused_imports)]
#[path = "../../src/sql/mod.rs"]
mod sql;

use sql::{Effects, Token};

fuzz_target!(|text: &str| {
    let (once, old) = sql::renumber(text);
    let (twice, dense) = sql::renumber(&once);
    assert_eq!(twice, once);
    assert!(dense.iter().copied().eq(1..=old.len()), "{dense:?} in {once:?}");

    // A number behind `$` stays, or it is the new number of a parameter. The text between stays.
    let (before, after) = (numbers(text), numbers(&once));
    assert_eq!(before.len(), after.len());
    for ((text, number), (new_text, new_number)) in before.iter().zip(&after) {
        assert_eq!(text, new_text);
        let is_new = || Some(old.get(new_number.parse::<usize>().ok()?.checked_sub(1)?)? == &number.parse().ok()?);
        assert!(number == new_number || is_new() == Some(true), "${number} became ${new_number}");
    }
    let (before, after) = (sql::tokens(text), sql::tokens(&once));
    let is_same = |(one, other)| match (one, other) {
        (Token::Parameter(_), Token::Parameter(_)) => true,
        (one, other) => one == other,
    };
    assert!(before.zip(after).all(is_same), "{text:?} became {once:?}");

    let commented = format!("/* $9 /* ' */ */ -- \"\n{text}");
    assert_eq!(Effects::of(&commented), Effects::of(text));
    assert_eq!(sql::write(&commented), sql::write(text));
    assert_eq!(sql::refusal(&commented), sql::refusal(text));
    assert_eq!(sql::skips_conflicts(&commented), sql::skips_conflicts(text));
    assert_eq!(sql::foreign_placeholder(&commented), sql::foreign_placeholder(text));
});

/// The numbers behind each `$`, wherever it is, each with the text in front of it. The last number
/// is empty.
fn numbers(mut text: &str) -> Vec<(&str, &str)> {
    let mut numbers = Vec::new();
    loop {
        let at = text
            .match_indices('$')
            .map(|(at, _)| at + 1)
            .find(|at| text[*at..].starts_with(|c: char| c.is_ascii_digit()));
        let Some(at) = at else {
            numbers.push((text, ""));
            return numbers;
        };
        let (before, rest) = text.split_at(at);
        let (number, behind) = rest.split_at(rest.bytes().take_while(u8::is_ascii_digit).count());
        numbers.push((before, number));
        text = behind;
    }
}
