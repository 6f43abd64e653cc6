//! The demo's page, in a browser.

use std::path::{Path, PathBuf};

use dunlin_testkit::{Browser, Postgres};

use crate::service::{Folder, Service, free_addr};

/// A folder of the repository with a configuration.
pub(crate) fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../apps/dunlin").join(name)
}

/// The files of a folder, as a folder of their own, with `edit`s of its `dunlin.toml`.
pub(crate) fn copy(name: &str, edits: &[(&str, &str)]) -> Folder {
    let from = folder(name);
    let mut config = std::fs::read_to_string(from.join("dunlin.toml")).expect("a configuration");
    for (old, new) in edits {
        assert!(config.contains(old), "{old} is not in the configuration");
        config = config.replace(old, new);
    }
    let folder = Folder::new(&config);
    let mut folders = vec![from.clone()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.strip_prefix(&from).expect("a relative path").display().to_string();
            if path.is_dir() {
                folders.push(path);
            } else if name != "dunlin.toml" {
                folder.write(&name, std::fs::read(&path).expect("a file"));
            }
        }
    }
    folder
}

#[test]
fn one_browser_edits_and_the_other_sees_it() {
    let postgres = Postgres::start();
    postgres.psql(&std::fs::read_to_string(folder("demo/schema.sql")).expect("the schema"));
    let (addr, admin) = (free_addr(), free_addr());
    let edits = [
        ("127.0.0.1:8080", &*addr.to_string()),
        ("127.0.0.1:8081", &admin.to_string()),
        ("postgres://postgres@127.0.0.1/demo", &postgres.url()),
    ];
    let service = Service::of(copy("demo", &edits), addr, admin);
    let browser = Browser::start();
    let url = format!("http://{}/", service.addr);
    let (one, two) = (browser.open(&url), browser.open(&url));
    for page in [&one, &two] {
        page.wait("document.querySelector('#row').textContent === 'Alan Curlew'");
    }
    one.enter("#rename input", "Grace Knot");
    one.click("#rename button");
    for page in [&one, &two] {
        page.wait("document.querySelector('#row').textContent === 'Grace Knot'");
    }
    postgres.psql("UPDATE users SET name = 'Ada Ruff' WHERE id = 1");
    for page in [&one, &two] {
        page.wait("document.querySelector('#row').textContent === 'Ada Ruff'");
    }
    // The other sections work, too.
    one.click("button[data-path='/users/1']");
    one.wait("document.body.innerText.includes('200 OK')");
    if let Some(path) = std::env::var_os("PICTURES") {
        one.picture(&Path::new(&path).join("demo.png"));
    }
}
