//! The form of comments: their width, their first words, and the words that the glossary retired.

use std::path::{Path, PathBuf};

/// The columns of a comment line, its indent included. Links may be longer.
const WIDTH: usize = 100;

/// Words that open a question. A doc comment opens with a noun phrase or a verb.
const QUESTIONS: [&str; 10] = ["what", "who", "whom", "whose", "whether", "how", "where", "which", "when", "why"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The source files of the workspace.
fn sources() -> Vec<PathBuf> {
    let mut folders = vec![root()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !name.starts_with('.') && name != "target" {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files
}

/// Runs `wrong` on each line with its number, and fails with the places where it says something.
#[track_caller]
fn check(wrong: impl Fn(&[&str], usize) -> Option<String>) {
    let mut found = Vec::new();
    for path in sources() {
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for index in 0..lines.len() {
            if let Some(what) = wrong(&lines, index) {
                found.push(format!("{}:{}: {what}", path.display(), index + 1));
            }
        }
    }
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

/// The mark and the text of a comment line.
fn comment(line: &str) -> Option<(&str, &str)> {
    let line = line.trim_start();
    let mark = ["///", "//!", "//"].into_iter().find(|mark| line.starts_with(mark))?;
    Some((mark, line[mark.len()..].trim()))
}

#[test]
fn comments_wrap_at_100_columns() {
    check(|lines, index| {
        let (_, text) = comment(lines[index])?;
        let may_be_long = text.contains("http") || text.starts_with('|');
        let width = lines[index].chars().count();
        (width > WIDTH && !may_be_long).then(|| format!("{width} columns"))
    });
}

#[test]
fn doc_comments_open_with_a_noun_or_a_verb() {
    check(|lines, index| {
        let (mark, text) = comment(lines[index]).filter(|(mark, _)| *mark != "//")?;
        let before = index.checked_sub(1).and_then(|before| comment(lines[before]));
        let first = text.split(|c: char| !c.is_alphabetic()).next()?.to_lowercase();
        let opens = before.is_none_or(|(other, _)| other != mark) && QUESTIONS.contains(&&*first);
        opens.then(|| format!("opens with {first:?}"))
    });
}

#[test]
fn retired_words_are_gone() {
    let glossary = std::fs::read_to_string(root().join("GLOSSARY.md")).unwrap();
    let (_, section) = glossary.split_once("## Retired words").unwrap();
    let words: Vec<&str> = section.split('*').skip(1).step_by(2).collect();
    assert!(words.len() > 10, "{words:?}");
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    check(|lines, index| {
        let line = lines[index];
        // PostgreSQL may run as the Unix user of that name.
        let is_user = |word: &str| word.starts_with("nob") && line.contains("postgres");
        words.iter().filter(|word| !is_user(word)).find_map(|word| {
            let at = line
                .match_indices(word)
                .find(|(at, _)| !line[..*at].ends_with(is_word) && !line[at + word.len()..].starts_with(is_word))?;
            Some(format!("{:?} is retired: {}", word, line[at.0..].chars().take(40).collect::<String>()))
        })
    });
}
