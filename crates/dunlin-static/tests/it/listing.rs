//! Lists of the files in a folder.

use std::os::unix::fs::symlink;

use dunlin_static::Config;
use http::Method;

use crate::support::{SECRET, Site};

const NASTY: &str = "<script>alert('x')<&\"?#% ä.txt";

fn site() -> Site {
    let config = Config { listing: true, ..Config::default() };
    let site = Site::new(
        &[
            ("b.txt", "bb"),
            ("A.txt", "a"),
            (NASTY, "nasty"),
            (".env", SECRET),
            ("sub/x.txt", ""),
            ("page/index.html", "i"),
        ],
        config,
    );
    symlink("../secret", site.path("out")).unwrap();
    symlink("b.txt", site.path("link")).unwrap();
    symlink("nowhere", site.path("dangling")).unwrap();
    site
}

#[tokio::test]
async fn as_html() {
    let site = site();
    let response = site.get("/").await;
    assert_eq!((response.status.as_u16(), response.field("content-type")), (200, "text/html; charset=utf-8"));
    assert_eq!((response.field("vary"), response.field("cache-control")), ("accept", "no-cache"));
    assert!(response.field("content-security-policy").starts_with("default-src 'none'"));
    response.assert_sound();
    let page = response.text();
    assert!(!page.contains("<script") && !page.contains(".env") && !page.contains("out") && !page.contains("dangling"));
    assert!(!page.contains("href=\"../\""), "there is nothing above the root");
    let at = |name: &str| page.find(name).unwrap_or_else(|| panic!("{name}: {page}"));
    assert!(at("href=\"./sub/\"") < at("href=\"./A.txt\"") && at("href=\"./A.txt\"") < at("href=\"./b.txt\""));
    assert!(site.get("/sub/").await.text().contains("href=\"../\""));
    // Each link works.
    for link in page.split("href=\"./").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert_eq!(site.get(link).await.status, 200, "{link}");
    }
}

#[tokio::test]
async fn as_json() {
    let site = site();
    let response = site.send(Method::GET, "/", &[("accept", "application/json")]).await;
    assert_eq!(response.field("content-type"), "application/json");
    let list: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
    let names: Vec<_> = list["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["page", "sub", NASTY, "A.txt", "b.txt", "link"]);
    assert_eq!((&list["items"][1]["type"], &list["items"][4]["size"]), (&"folder".into(), &2.into()));
    for (accept, json) in [
        ("application/json;q=0.5, text/html", false),
        ("text/html;q=0.5, application/json", true),
        ("*/*", false),
        ("text/html,application/xhtml+xml", false),
    ] {
        let response = site.send(Method::GET, "/", &[("accept", accept)]).await;
        assert_eq!(response.field("content-type") == "application/json", json, "{accept}");
    }
}

#[tokio::test]
async fn only_without_an_index_and_if_configured() {
    let site = site();
    assert_eq!(site.get("/page/").await.text(), "i");
    assert_eq!(site.get("/sub").await.field("location"), "./sub/");
    let tag = site.get("/").await.field("etag").to_owned();
    assert_eq!(site.send(Method::GET, "/", &[("if-none-match", &tag)]).await.status, 304);
    assert_eq!(site.send(Method::HEAD, "/", &[]).await.body.len(), 0);
    let off = Site::new(&[("sub/x.txt", "")], Config::default());
    assert_eq!(off.get("/sub/").await.status, 404);
}
