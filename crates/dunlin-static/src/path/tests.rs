use std::path::{Component, Path};

use proptest::prelude::*;

use super::*;

#[track_caller]
fn check(raw: &str, expect: Option<&str>) {
    assert_eq!(parse(raw).as_deref(), expect, "{raw:?}");
}

#[test]
fn plain_paths() {
    check("", Some(""));
    check("a.css", Some("a.css"));
    check("a/b/", Some("a/b/"));
    check("a%20b%25", Some("a b%"));
    check("%C3%A4/ä", Some("ä/ä"));
    check("a+b", Some("a+b"));
    check(".well-known/security.txt", Some(".well-known/security.txt"));
    check("a...b..", Some("a...b.."));
    check("%252e%252e/x", Some("%2e%2e/x"));
}

#[test]
fn invalid_paths() {
    for raw in ["..", "../a", "a/../b", "a/..", ".", "./a", "a/.", "..a", "...", "/", "/a", "a//b", "a//", "//"] {
        check(raw, None);
    }
    for raw in [".git/config", "a/.env", ".well-known2", "a/.well-known/x", ".htaccess", "%2egit/config"] {
        check(raw, None);
    }
    for raw in ["%2e%2e/a", "%2E./a", "a%2e", "..%2fa", "a%2Fb", "a%5cb", "..\\a", "a\\b", "a%00", "a\0b", "a%0a"] {
        check(raw, None);
    }
    for raw in ["%", "%4", "%zz", "a%4", "%+41", "%c0%ae%c0%ae/a", "%c0%af", "%e0%80%af", "%ff", "%ed%a0%80", "%7f"] {
        check(raw, None);
    }
    check(&"a".repeat(256), None);
    check(&"a/".repeat(2500), None);
}

#[test]
fn targets_are_split_into_path_and_query() {
    assert_eq!(split("/a/b?c=/d?"), ("a/b", "?c=/d?"));
    assert_eq!(split("a"), ("a", ""));
    assert_eq!(split("//a"), ("/a", ""));
    assert_eq!(split("/"), ("", ""));
}

/// Another implementation: another crate decodes, and the standard library splits.
fn oracle(raw: &str) -> Option<String> {
    let lower = raw.to_ascii_lowercase();
    if ["%2e", "%2f", "%5c"].iter().any(|escape| lower.contains(escape)) {
        return None;
    }
    let escapes = raw.split('%').skip(1);
    if !escapes.clone().all(|rest| rest.len() >= 2 && rest.as_bytes()[..2].iter().all(u8::is_ascii_hexdigit)) {
        return None;
    }
    let path = percent_encoding::percent_decode_str(raw).decode_utf8().ok()?.into_owned();
    if path.contains(|c: char| c == '\\' || c.is_ascii_control()) {
        return None;
    }
    let mut names = Vec::new();
    for component in Path::new(&path).components() {
        let Component::Normal(name) = component else { return None };
        names.push(name.to_str()?);
    }
    let hidden = |(at, name): (usize, &&str)| name.starts_with('.') && !(at == 0 && *name == ".well-known");
    let slash = if path.ends_with('/') { "/" } else { "" };
    let again = names.join("/") + slash;
    (again == path && !names.iter().enumerate().any(hidden)).then_some(path)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn agrees_with_a_naive_reading(raw in "([a/.%\\\\ ]|%2[eEfF0]|%5c|%00|%c0%a[ef]|\\.\\.|\\.well-known|%61|ä){0,12}") {
        prop_assert_eq!(parse(&raw).as_deref().map(str::to_owned), oracle(&raw));
    }

    #[test]
    fn never_panics(raw in "\\PC{0,60}") {
        let _ = parse(&raw);
    }
}
