//! The response cache in front of routes with `auth`.

use dunlin_testkit::{Origin, raw};

use crate::service::Service;

/// The lines of two keys, `one` and `two`, made with `printf %s KEY | sha256sum`.
const KEYS: &str = "ada:7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed\n\
    bob:3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3\n";

#[test]
fn responses_to_verified_clients_are_shared_only_if_they_say_so() {
    let origin = Origin::start(|request| {
        let control = if request.target.starts_with("/all") { "max-age=60, public" } else { "max-age=60" };
        let fields = request.headers.iter().find(|(name, _)| name == "x-client");
        let client = fields.map_or("none", |(_, value)| value.as_str());
        format!("HTTP/1.1 200 OK\r\nCache-Control: {control}\r\nContent-Length: {}\r\n\r\n{client}", client.len())
            .into()
    });
    let route = |path: &str, cache: &str| {
        let url = origin.url();
        format!("[[route]]\npath = \"/{path}/{{*rest}}\"\nproxy = \"{url}/{path}\"\nauth = \"keys\"\ncache = {cache}\n")
            + "request_headers = { X-Client = \"{claim.sub}\" }\n"
    };
    let routes = [route("plain", "true"), route("all", "true"), route("own", "{ per_identity = true }")].concat();
    let config = format!("[auth.keys]\nkind = \"key\"\nkeys = \"keys.txt\"\n{routes}");
    let service = Service::with("", &config, |folder| folder.write("keys.txt", KEYS));
    let check = |path: &str, key: &str, expect: &str, forwarded: bool| {
        let before = origin.count();
        let response = service.get_with(path, &[("X-Api-Key", key)]);
        assert_eq!((response.status, &*response.text()), (200, expect), "{path} {key}");
        assert_eq!(origin.count() > before, forwarded, "{path} {key}: {:?}", response.header("cache-status"));
    };
    for _ in 0..2 {
        check("/plain/a", "one", "ada", true);
        check("/plain/a", "two", "bob", true);
    }
    check("/all/a", "one", "ada", true);
    check("/all/a", "two", "ada", false);
    check("/own/a", "one", "ada", true);
    check("/own/a", "two", "bob", true);
    check("/own/a", "one", "ada", false);
    check("/own/a", "two", "bob", false);
    assert_eq!(service.get("/own/a").status, 401);
    let purged = raw::request(service.admin, "POST", "/purge?prefix=/own/", &[], b"");
    assert!(purged.text().contains("\"removed\":2"), "{} {}", purged.status, purged.text());
    check("/own/a", "one", "ada", true);
    check("/all/a", "one", "ada", false);
}
