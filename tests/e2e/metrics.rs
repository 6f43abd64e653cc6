//! `/metrics`: each series once, and each one documented.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use dunlin_testkit::{Origin, Redis, raw};

use crate::service::{Folder, Service, database_at, free_addr};

/// A family of metrics on the page.
#[derive(Debug, Default)]
struct Family {
    help: String,
    kind: String,
    labels: BTreeSet<String>,
}

/// Reads a page, and checks that no series and no family is there twice.
#[track_caller]
fn families(page: &str) -> BTreeMap<String, Family> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut series = BTreeSet::new();
    let mut current = String::new();
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("a help text");
            let family = Family { help: help.to_owned(), ..Family::default() };
            assert!(families.insert(name.to_owned(), family).is_none(), "{name} is there twice");
            name.clone_into(&mut current);
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a type");
            assert_eq!(name, current);
            families.get_mut(name).expect("its help").kind = kind.to_owned();
        } else {
            let (key, value) = line.rsplit_once(' ').expect("a value");
            assert!(value.parse::<f64>().is_ok(), "{line}");
            assert!(series.insert(key.to_owned()), "{key} is there twice");
            let (name, labels) = key.split_once('{').unwrap_or((key, ""));
            assert!(name.starts_with(&current), "{name} is not below {current}");
            let names = labels.trim_end_matches('}').split("\",").filter_map(|label| label.split_once('='));
            let names = names.map(|(name, _)| name.to_owned()).filter(|name| name != "le");
            families.get_mut(&current).expect("its family").labels.extend(names);
        }
    }
    families
}

#[test]
fn routes_of_one_path_are_series_of_their_own() {
    let service = Service::start(
        "[[route]]\npath = \"/users\"\ntext = \"list\"\n[[route]]\npath = \"/users\"\nmethod = \"POST\"\ntext = \"new\"\n",
    );
    service.get("/users");
    for _ in 0..6 {
        service.send("POST", "/users", "{}");
    }
    let page = raw::get(service.admin, "/metrics").text();
    families(&page);
    for (method, count) in [("GET", 1), ("POST", 6)] {
        let line = format!("dunlin_requests_total{{route=\"/users\",method=\"{method}\",status=\"2xx\"}} {count}");
        assert!(page.lines().any(|have| have == line), "{line} is not in\n{page}");
    }
}

/// `UPDATE_DOCS=1 cargo test -p dunlin-tests` writes the document.
#[test]
fn each_metric_is_documented() {
    let (origin, redis) =
        (Origin::start(|_| b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nup".to_vec()), Redis::start());
    let config = format!(
        "[cache]\nredis = \"{0}\"\n{1}[upstream.app]\nservers = \"{2}\"\n[[route]]\npath = \"/app\"\n\
         proxy = \"http://app/\"\n[[route]]\npath = \"/files/{{*path}}\"\nfiles = \".\"\n\
         [[route]]\npath = \"/up\"\nproxy = \"{2}\"\ncache = true\n[[route]]\npath = \"/one\"\nquery = \"SELECT 1\"\n\
         rate_limit = {{ requests = 1000 }}\nlive = {{ groups = [\"one\"] }}\n[[route]]\npath = \"/staff\"\ntext = \"x\"\nauth = \"staff\"\n\
         [auth.staff]\nkind = \"basic\"\nusers = \"users\"\n",
        redis.url(),
        database_at(&crate::database().url()),
        origin.url(),
    );
    let (addr, tls, admin) = (free_addr(), free_addr(), free_addr());
    let folder = Folder::new(&format!(
        "[server]\nlisten = [\"{addr}\", {{ address = \"{tls}\", tls = true }}]\nworkers = 2\n\
         [server.tls]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\n\
         [server.tls.acme]\ndomains = [\"a.test\"]\ndirectory = \"https://127.0.0.1:1/\"\nstorage = \"acme\"\n\
         [admin]\nlisten = \"{admin}\"\n{config}"
    ));
    let pair = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    folder.write("users", "");
    folder.write("cert.pem", pair.cert.pem());
    folder.write("key.pem", pair.signing_key.serialize_pem());
    let service = Service::of(folder, addr, admin);
    for target in ["/up", "/app", "/one", "/files/dunlin.toml", "/nothing"] {
        service.get(target);
    }
    let families = families(&raw::get(service.admin, "/metrics").text());
    let mut document = "# Metrics\n\nThe figures of `/metrics` on the admin listener, in the text format of \
        Prometheus. A test writes this table.\n\n| name | type | labels | meaning |\n|---|---|---|---|\n"
        .to_owned();
    for (name, Family { help, kind, labels }) in &families {
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        let _ = writeln!(document, "| `{name}` | {kind} | {} | {help} |", labels.join(", "));
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, document).expect("write the document");
    } else {
        let have = std::fs::read_to_string(path).expect("read the document");
        assert_eq!(have, document, "update it with UPDATE_DOCS=1");
    }
}
