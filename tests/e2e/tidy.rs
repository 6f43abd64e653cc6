//! Rules for the text of the code: prose that reads at once, and files that fit a head.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The widest comment.
const MAX_COLUMNS: usize = 100;
/// The longest file.
const MAX_LINES: usize = 400;
/// Doc blocks per hundred that may open with a question word.
const MAX_QUESTIONS: usize = 2;

/// Words that a doc comment does not open with.
const QUESTION_WORDS: [&str; 12] =
    ["what", "who", "whoever", "whose", "whom", "whether", "how", "where", "when", "whatever", "which", "so"];

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The files of the repository with this ending, and their text.
fn files(ending: &str) -> Vec<(PathBuf, String)> {
    let mut list = Command::new("git");
    list.args(["ls-files", "--cached", "--others", "--exclude-standard"]).current_dir(root());
    let names = list.output().expect("git lists the files");
    let names = String::from_utf8(names.stdout).expect("names in UTF-8");
    let named = names.lines().filter(|name| name.ends_with(ending)).map(PathBuf::from);
    let read = |name: PathBuf| Some((name.clone(), std::fs::read_to_string(root().join(&name)).ok()?));
    let files: Vec<_> = named.filter_map(read).collect();
    assert!(!files.is_empty(), "there is no file *{ending}");
    files
}

/// The text of a line that is a comment and nothing else.
fn comment(line: &str) -> Option<&str> {
    let text = line.trim_start().strip_prefix("//")?;
    Some(text.strip_prefix(['/', '!']).unwrap_or(text).trim())
}

fn is_doc(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("///") || line.starts_with("//!")
}

/// The words and phrases that GLOSSARY.md lists as retired.
fn retired() -> Vec<String> {
    let glossary = std::fs::read_to_string(root().join("GLOSSARY.md")).expect("GLOSSARY.md");
    let (_, list) = glossary.split_once("## Retired words").expect("a list of retired words");
    let words: Vec<String> = list.split('*').skip(1).step_by(2).map(|word| word.replace('\n', " ")).collect();
    assert!(words.len() > 10, "{words:?}");
    words
}

/// Returns `true` if `text` has `phrase` as whole words, in any case.
fn has_phrase(text: &str, phrase: &str) -> bool {
    let (text, phrase) = (text.to_ascii_lowercase(), phrase.to_ascii_lowercase());
    let is_word = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    text.match_indices(&phrase).any(|(start, _)| {
        let (before, after) = (start.checked_sub(1), start + phrase.len());
        !is_word(before.and_then(|at| text.as_bytes().get(at))) && !is_word(text.as_bytes().get(after))
    })
}

/// Fails with all findings at once, each with its place.
#[track_caller]
fn none(findings: &[String], rule: &str) {
    let mut text = String::new();
    findings.iter().take(50).for_each(|finding| drop(writeln!(text, "{finding}")));
    assert!(findings.is_empty(), "{rule} ({} findings):\n{text}", findings.len());
}

#[test]
fn comments_fit_a_hundred_columns() {
    let mut wide = Vec::new();
    for (name, text) in files(".rs") {
        let lines = text.lines().enumerate();
        let found = lines.filter(|(_, line)| comment(line).is_some() && line.chars().count() > MAX_COLUMNS);
        wide.extend(found.map(|(index, line)| format!("{}:{}: {}", name.display(), index + 1, line.chars().count())));
    }
    none(&wide, "comments wrap at 100 columns");
}

#[test]
fn documentation_says_what_a_thing_is() {
    let (mut blocks, mut questions) = (0, Vec::new());
    for (name, text) in files(".rs") {
        let mut inside = false;
        for (index, line) in text.lines().enumerate() {
            let opens = is_doc(line) && !inside;
            inside = is_doc(line);
            let Some(prose) = comment(line).filter(|prose| opens && !prose.is_empty()) else { continue };
            blocks += 1;
            let first: String = prose.chars().take_while(|char| char.is_ascii_alphabetic()).collect();
            if QUESTION_WORDS.contains(&&*first.to_ascii_lowercase()) {
                questions.push(format!("{}:{}: {prose}", name.display(), index + 1));
            }
        }
    }
    assert!(blocks > 1000, "{blocks} doc blocks were found");
    if questions.len() * 100 > blocks * MAX_QUESTIONS {
        none(&questions, "a doc comment opens with a noun phrase or a verb");
    }
}

#[test]
fn retired_words_stay_retired() {
    let retired = retired();
    let mut found = Vec::new();
    for (name, text) in files(".rs").into_iter().chain(files(".md")) {
        let is_code = name.extension().is_some_and(|ending| ending == "rs");
        if name.ends_with("GLOSSARY.md") {
            continue;
        }
        for (index, line) in text.lines().enumerate() {
            let prose = if is_code { comment(line) } else { Some(line) };
            let Some(prose) = prose else { continue };
            let words = retired.iter().filter(|word| has_phrase(prose, word));
            found.extend(words.map(|word| format!("{}:{}: \"{word}\": {prose}", name.display(), index + 1)));
        }
    }
    none(&found, "GLOSSARY.md retired these words");
}

#[test]
fn files_fit_a_head() {
    let long = files(".rs").into_iter().filter(|(_, text)| text.lines().count() > MAX_LINES);
    let long: Vec<String> = long.map(|(name, text)| format!("{}: {}", name.display(), text.lines().count())).collect();
    none(&long, "a file has 400 lines at most");
}

#[test]
fn rfcs_are_the_current_ones() {
    // Each of these was replaced: RFC 9110 to 9114 for HTTP, RFC 8446 for TLS, RFC 6455 stands.
    let old = ["2616", "2818", "5246", "7230", "7231", "7232", "7233", "7234", "7235", "7540", "7615", "7807"];
    let mut found = Vec::new();
    for (name, text) in files(".rs").into_iter().chain(files(".md")) {
        for (index, line) in text.lines().enumerate() {
            if name.ends_with("tidy.rs") {
                continue;
            }
            let named = old.iter().filter(|number| line.contains(&format!("RFC {number}")));
            found.extend(named.map(|number| format!("{}:{}: RFC {number}", name.display(), index + 1)));
        }
    }
    none(&found, "an RFC that was replaced");
}

#[test]
fn the_rules_find_what_they_look_for() {
    assert_eq!(comment("    /// Text. "), Some("Text."));
    assert_eq!(comment("//! Text."), Some("Text."));
    assert_eq!(comment("let a = 1; // no"), None);
    assert!(has_phrase("It is TOLD so", "is told") && !has_phrase("this told", "is told"));
    assert!(has_phrase("deaf.", "deaf") && !has_phrase("deafen", "deaf"));
}
