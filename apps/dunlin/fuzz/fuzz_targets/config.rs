//! Any configuration file, with a secret in it.
//!
//! Invariants:
//! - Reading ends with a configuration, or with errors at places within the file. It does not
//!   panic.
//! - No error and no warning shows the value of a secret key, whatever is wrong around it.

#![no_main]
#![allow(dead_code, unused_imports, reason = "the modules of the program, of which the target uses a part")]

use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

#[path = "../../src/admin/mod.rs"]
mod admin;
#[path = "../../src/admit/mod.rs"]
mod admit;
#[path = "../../src/certificates.rs"]
mod certificates;
#[path = "../../src/config/mod.rs"]
mod config;
#[path = "../../src/failure.rs"]
mod failure;
#[path = "../../src/fields/mod.rs"]
mod fields;
#[path = "../../src/finish/mod.rs"]
mod finish;
#[path = "../../src/hosts/mod.rs"]
mod hosts;
#[path = "../../src/log/mod.rs"]
mod log;
#[path = "../../src/notices.rs"]
mod notices;
#[path = "../../src/openapi/mod.rs"]
mod openapi;
#[path = "../../src/process/mod.rs"]
mod process;
#[path = "../../src/reader/mod.rs"]
mod reader;
#[path = "../../src/reload/mod.rs"]
mod reload;
#[path = "../../src/routes/mod.rs"]
mod routes;
#[path = "../../src/service/mod.rs"]
mod service;
#[path = "../../src/telemetry/mod.rs"]
mod telemetry;

const SECRET: &str = "kestrel-4711";

/// Lines with the secret, each with the table that it belongs to. Some are wrong in themselves.
const LINES: &[&str] = &[
    "[database]\npassword = \"kestrel-4711\"",
    "[database]\nurl = \"postgres://user:kestrel-4711@db.example/shop\"",
    "[database]\nurl = \"mysql://user:kestrel-4711@db.example/shop\"",
    "[database]\npassword = kestrel-4711",
    "[cache]\nredis = \"redis://:kestrel-4711@cache.example\"",
    "[admin]\nlisten = \"127.0.0.1:0\"\ntoken = \"kestrel-4711\"",
    "[auth.users]\nsecret = \"kestrel-4711\"",
];

/// The file, which is written anew for each input.
static FILE: LazyLock<PathBuf> = LazyLock::new(|| tempfile::tempdir().expect("a folder").keep().join("dunlin.toml"));

fuzz_target!(|input: (u8, &[u8], &[u8])| {
    let (line, before, behind) = input;
    let line = LINES[usize::from(line) % LINES.len()];
    let bytes = [before, b"\n", line.as_bytes(), b"\n", behind].concat();
    // A value may name a file, and devices have no end.
    let is_apart = |part: &[u8]| !bytes.windows(part.len()).any(|window| window == part);
    if !is_apart(b"/dev") || !is_apart(b"/proc") || !is_apart(b"/sys") || !is_apart(b"..") || !is_apart(b"**") {
        return;
    }
    std::fs::write(&*FILE, &bytes).expect("the file is written");
    let rendered = match config::Config::load(&FILE, None) {
        Ok(config) => config.warnings(false) + &config.warning_lines().collect::<Vec<_>>().join("\n"),
        Err(error) => {
            let rendered = error.render(false);
            assert!(!rendered.is_empty(), "there is no configuration and no error");
            rendered
        }
    };
    assert!(!rendered.contains(SECRET), "{rendered}");
    let text = String::from_utf8_lossy(&bytes);
    let start = format!("{}:", FILE.display());
    for place in rendered.lines().filter_map(|line| line.strip_prefix(&start)) {
        let mut numbers = place.split(':').map(str::parse::<usize>);
        let (Some(Ok(line)), Some(Ok(column))) = (numbers.next(), numbers.next()) else {
            panic!("a message without a place: {place}");
        };
        // The end of the file is a place, too, also behind its last line break.
        let length =
            text.split('\n').nth(line.checked_sub(1).expect("lines count from one")).map(|line| line.chars().count());
        assert!(length.is_some_and(|length| (1..=length + 1).contains(&column)), "{line}:{column} is outside the file");
    }
});
