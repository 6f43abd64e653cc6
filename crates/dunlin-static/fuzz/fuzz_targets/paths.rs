//! Any path gets a response: no panic, and never a byte from outside the root or from a hidden
//! file. A served file is the one that the standard library finds at the decoded path.

#![no_main]

use std::cell::LazyCell;
use std::path::{Path, PathBuf};

use dunlin_static::{Config, Files};
use http::{HeaderMap, Method};
use libfuzzer_sys::fuzz_target;

const SECRET: &[u8] = b"this is never served";

struct Site {
    _folder: tempfile::TempDir,
    root: PathBuf,
    files: Files,
    runtime: tokio::runtime::Runtime,
}

fn site() -> Site {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    let write = |path: PathBuf, content: &[u8]| {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    };
    write(folder.path().join("secret"), SECRET);
    write(root.join(".env"), SECRET);
    write(root.join("a/.b"), SECRET);
    for name in ["index.html", "a/index.html", "a/b", "a/a/a", "b", "ä", "%41", ".well-known/a"] {
        write(root.join(name), name.as_bytes());
    }
    for (link, target) in [("out", "../secret"), ("up", ".."), ("in", "a"), ("a/self", "..")] {
        std::os::unix::fs::symlink(target, root.join(link)).unwrap();
    }
    let config = Config { precompressed: false, ..Config::default() };
    let files = Files::new(&root, config).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    Site { _folder: folder, root, files, runtime }
}

thread_local! {
    static SITE: LazyCell<Site> = LazyCell::new(site);
}

fn decode(text: &str) -> Option<String> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte == b'%' {
            let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
            out.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &rest[2..];
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

fn oracle(root: &Path, target: &str) -> Option<Vec<u8>> {
    let path = target.split('?').next()?;
    let path = decode(path.strip_prefix('/').unwrap_or(path))?;
    let mut found = root.join(path).canonicalize().ok()?;
    if found.is_dir() {
        found = found.join("index.html").canonicalize().ok()?;
    }
    found.starts_with(root.canonicalize().ok()?).then(|| std::fs::read(found).ok()).flatten()
}

fuzz_target!(|target: &str| {
    SITE.with(|site| {
        let response = site.files.respond(&Method::GET, &HeaderMap::new(), target);
        let response = site.runtime.block_on(response);
        let body = response.body().as_bytes().unwrap_or_default();
        assert!(!body.windows(SECRET.len()).any(|bytes| bytes == SECRET), "{target:?}");
        match response.status().as_u16() {
            200 => assert_eq!(Some(body.to_vec()), oracle(&site.root, target), "{target:?}"),
            301 => assert!(!target.split('?').next().unwrap_or_default().ends_with('/'), "{target:?}"),
            status => assert_eq!(status, 404, "{target:?}"),
        }
    });
});
