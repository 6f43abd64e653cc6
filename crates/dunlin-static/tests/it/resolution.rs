//! The file that a path names. No other file is ever read.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Component, Path};

use dunlin_static::Config;
use http::Method;
use proptest::prelude::*;

use crate::support::{SECRET, Site};

fn site() -> Site {
    let site = Site::new(
        &[
            ("index.html", "front"),
            ("a.css", "a {}"),
            ("docs/index.html", "docs"),
            ("docs/page.html", "page"),
            ("empty/x/deep.txt", "deep"),
            (".env", SECRET),
            (".git/config", SECRET),
            ("docs/.hidden", SECRET),
            (".well-known/security.txt", "contact"),
            ("ä b%.txt", "umlaut"),
            ("100%", "percent"),
        ],
        Config::default(),
    );
    symlink("../secret", site.path("out")).unwrap();
    symlink("..", site.path("up")).unwrap();
    symlink("docs", site.path("manual")).unwrap();
    symlink(site.path("../secret"), site.path("absolute")).unwrap();
    site
}

#[tokio::test]
async fn files_and_folders() {
    let site = site();
    for (target, status, body) in [
        ("/a.css", 200, "a {}"),
        ("a.css", 200, "a {}"),
        ("/a.css?v=1", 200, "a {}"),
        ("/", 200, "front"),
        ("", 200, "front"),
        ("/index.html", 200, "front"),
        ("/docs/", 200, "docs"),
        ("/docs/page.html", 200, "page"),
        ("/manual/page.html", 200, "page"),
        ("/%61.css", 200, "a {}"),
        ("/%C3%A4%20b%25.txt", 200, "umlaut"),
        ("/100%25", 200, "percent"),
        ("/.well-known/security.txt", 200, "contact"),
    ] {
        for round in 0..2 {
            let response = site.get(target).await;
            assert_eq!((response.status.as_u16(), response.text()), (status, body), "{target}, round {round}");
            response.assert_sound();
        }
    }
}

#[tokio::test]
async fn a_folder_is_redirected_to_its_slash() {
    let site = site();
    for (target, location) in [("/docs", "./docs/"), ("/docs?a=/b", "./docs/?a=/b"), ("/manual", "./manual/")] {
        let response = site.get(target).await;
        assert_eq!((response.status.as_u16(), response.field("location")), (301, location), "{target}");
    }
    // These folders have nothing to serve.
    assert_eq!(site.get("/empty").await.status, 404);
    assert_eq!(site.get("/empty/x/").await.status, 404);
    assert_eq!(site.get("/a.css/").await.status, 404);
}

#[tokio::test]
async fn a_redirect_cannot_leave_the_folder() {
    let site = Site::new(&[("javascript:x/index.html", ""), ("a b\"%/index.html", "")], Config::default());
    assert_eq!(site.get("/javascript:x").await.field("location"), "./javascript:x/");
    assert_eq!(site.get("/a%20b%22%25").await.field("location"), "./a%20b%22%25/");
    assert_eq!(site.get("//evil.example/").await.status, 404);
}

#[tokio::test]
async fn invalid_and_missing_paths_get_404() {
    let site = site();
    for target in [
        "/nothing",
        "/a.css/x",
        "/../secret",
        "/%2e%2e/secret",
        "/..%2fsecret",
        "/docs/../a.css",
        "/docs/%2e%2e/a.css",
        "/.env",
        "/.git/config",
        "/docs/.hidden",
        "/%2eenv",
        "/a.css%00",
        "/a%2ecss",
        "/docs%2fpage.html",
        "/docs\\page.html",
        "/docs%5cpage.html",
        "/%c0%ae%c0%ae/secret",
        "//a.css",
        "/docs//page.html",
        "/./a.css",
        "/%252e%252e/secret",
        "/out",
        "/up/secret",
        "/absolute",
        "/100%",
        "/%",
    ] {
        let response = site.get(target).await;
        assert_eq!(response.status, 404, "{target}");
        assert_eq!(response.field("content-type"), "application/problem+json", "{target}");
        assert!(!response.text().contains(SECRET), "{target}");
    }
}

#[tokio::test]
async fn only_files_are_served() {
    let site = site();
    make_pipe(&site.path("pipe"));
    let _socket = std::os::unix::net::UnixListener::bind(site.path("socket")).unwrap();
    for target in ["/pipe", "/socket"] {
        assert_eq!(site.get(target).await.status, 404, "{target}");
    }
}

fn make_pipe(path: &Path) {
    let made = std::process::Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success());
}

/// A simple implementation: it decodes the path, resolves it with the standard library, and checks
/// that the result is inside the root.
fn oracle(root: &Path, target: &str) -> Option<Vec<u8>> {
    let path = target.strip_prefix('/').unwrap_or(target);
    let path = percent_encoding::percent_decode_str(path).decode_utf8().ok()?.into_owned();
    let relative = Path::new(&path);
    if path.contains(['\0', '\\']) || !relative.components().all(|part| matches!(part, Component::Normal(_))) {
        return None;
    }
    let mut found = root.join(relative).canonicalize().ok()?;
    if found.is_dir() {
        found.push("index.html");
        found = found.canonicalize().ok()?;
    }
    let inside = found.starts_with(root.canonicalize().ok()?);
    inside.then(|| fs::read(found).ok()).flatten()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn never_serves_a_file_outside_the_root(target in "/?(docs|up|out|manual|empty|secret|page\\.html|a\\.css|index\\.html|\\.env|\\.|\\.\\.|/|/|%2f|%2e|%61|\\\\|%00|%c0%af){0,9}") {
        thread_local! {
            static SITE: (tokio::runtime::Runtime, Site) =
                (tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(), site());
        }
        SITE.with(|(runtime, site)| {
            let response = runtime.block_on(site.send(Method::GET, &target, &[]));
            let oracle = oracle(&site.path(""), &target);
            prop_assert!(!response.text().contains(SECRET));
            match response.status.as_u16() {
                200 => prop_assert_eq!(Some(response.body.to_vec()), oracle),
                301 => prop_assert!(oracle.is_some()),
                404 => {}
                status => prop_assert!(false, "{}", status),
            }
            Ok(())
        })?;
    }
}
