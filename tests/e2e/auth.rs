//! `[auth.NAME]`, `auth` and `require`.

use std::process::Command;

use dunlin_testkit::{Origin, eventually, free_port};

use crate::service::{Folder, Service, dunlin, problem, refused};

/// The credentials of `user` with `password`.
fn basic(user: &str, password: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let text = format!("{user}:{password}");
    let mut encoded = String::from("Basic ");
    for group in text.as_bytes().chunks(3) {
        let bits = group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for index in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * index) & 63) as usize] as char;
            encoded.push(if index <= group.len() { digit } else { '=' });
        }
    }
    encoded
}

/// A line of a file of users, as OpenSSL makes it.
fn user(name: &str, password: &str) -> String {
    let out = Command::new("openssl").args(["passwd", "-6", password]).output().expect("openssl starts");
    format!("{name}:{}\n", String::from_utf8_lossy(&out.stdout).trim())
}

#[test]
fn users_and_their_passwords() {
    let config = "[auth.staff]\nkind = \"basic\"\nusers = \"users\"\n\
        [[route]]\npath = \"/admin\"\ntext = \"x\"\nauth = \"staff\"\ncache = \"1h\"\n\
        response_headers = { X-User = \"{claim.sub}\" }\n\
        [[route]]\npath = \"/\"\ntext = \"x\"\n";
    let service = Service::with("", config, |folder| folder.write("users", user("ada", "secret")));
    let get = |credentials: &str| service.get_with("/admin", &[("Authorization", credentials)]);
    let refused = service.get("/admin");
    problem(&refused, 401);
    assert_eq!(refused.header("www-authenticate"), Some("Basic realm=\"staff\", charset=\"UTF-8\""));
    assert_eq!(refused.header("x-user"), None);
    assert_eq!(service.get("/").status, 200);
    for _ in 0..2 {
        let admitted = get(&basic("ada", "secret"));
        assert_eq!((admitted.status, admitted.header("x-user")), (200, Some("ada")));
    }
    assert_eq!(get(&basic("ada", "wrong")).status, 401);
    assert_eq!(get(&basic("bob", "secret")).status, 401);
    assert_eq!(service.get("/admin").status, 401, "the response for ada was not stored for others");
    eventually("the log names the user", || service.log().contains("ada"));
    // The file is read again when it changes.
    service.folder().write("users", user("bob", "secret"));
    eventually("the new user", || get(&basic("bob", "secret")).status == 200);
    assert_eq!(get(&basic("ada", "secret")).status, 401);
    // A file that cannot be used changes nothing.
    service.folder().write("users", "no colon here");
    eventually("an error line", || service.log().contains("earlier content stays in use"));
    assert_eq!(get(&basic("bob", "secret")).status, 200);
}

#[test]
fn keys_and_alternatives() {
    // printf %s abc | sha256sum
    let keys = "bot:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n";
    let config = "[auth.staff]\nkind = \"basic\"\nusers = \"users\"\n[auth.bots]\nkind = \"key\"\nkeys = \"keys.txt\"\n\
        [[route]]\npath = \"/\"\ntext = \"x\"\nauth = [\"staff\", \"bots\"]\nrequire = { sub = [\"ada\", \"bot\"] }\n";
    let service = Service::with("", config, |folder| {
        folder.write("users", user("ada", "secret") + &user("eve", "secret"));
        folder.write("keys.txt", keys);
    });
    assert_eq!(service.get_with("/", &[("X-Api-Key", "abc")]).status, 200);
    assert_eq!(service.get_with("/", &[("X-Api-Key", "abd")]).status, 401);
    assert_eq!(service.get_with("/", &[("Authorization", &basic("ada", "secret"))]).status, 200);
    problem(&service.get_with("/", &[("Authorization", &basic("eve", "secret"))]), 403);
    assert_eq!(service.get("/").status, 401);
}

#[test]
fn another_service_decides() {
    let verifier = Origin::start(|request| {
        let field = |name: &str| request.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str());
        match field("cookie") {
            Some("session=good") => {
                let uri = field("x-forwarded-uri").unwrap_or_default();
                let who = format!("ada {} {uri}", field("x-forwarded-method").unwrap_or_default());
                format!("HTTP/1.1 204 No Content\r\nRemote-User: {who}\r\n\r\n").into_bytes()
            }
            Some("session=broken") => b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n".to_vec(),
            _ => b"HTTP/1.1 302 Found\r\nLocation: https://login.example/\r\nContent-Length: 0\r\n\r\n".to_vec(),
        }
    });
    let app = Origin::start(|request| {
        let user = request.headers.iter().find(|(name, _)| name == "remote-user").map(|(_, value)| value.clone());
        let user = user.unwrap_or_default();
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{user}", user.len()).into_bytes()
    });
    let config = format!(
        "[auth.sso]\nkind = \"forward\"\nurl = \"{}/verify\"\ncopy = [\"Remote-User\"]\n\
         [[route]]\npath = \"/{{*rest}}\"\nproxy = \"{}\"\nauth = \"sso\"\nrequest_headers = {{ X-Who = \"{{claim.sub}}\" }}\n",
        verifier.url(),
        app.url()
    );
    let service = Service::start(&config);
    let get = |session: &str| service.get_with("/page?x=1", &[("Cookie", session), ("Remote-User", "root")]);
    let admitted = get("session=good");
    assert_eq!((admitted.status, admitted.text().as_str()), (200, "ada GET /page?x=1"));
    let redirected = get("session=none");
    assert_eq!((redirected.status, redirected.header("location")), (302, Some("https://login.example/")));
    let broken = get("session=broken");
    problem(&broken, 503);
    assert!(broken.header("retry-after").is_some());
    assert_eq!(app.count(), 1);
}

#[test]
fn the_deciding_service_gets_no_forged_fields() {
    let verifier = Origin::start(|request| {
        let forged = request.headers.iter().any(|(_, value)| value == "203.0.113.9");
        let status = if forged { "403 Forbidden" } else { "200 OK" };
        format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").into_bytes()
    });
    let config = format!(
        "[auth.sso]\nkind = \"forward\"\nurl = \"{}\"\n[[route]]\npath = \"/\"\ntext = \"x\"\nauth = \"sso\"\n",
        verifier.url()
    );
    let service = Service::start(&config);
    for name in ["X-Real-IP", "X-Forwarded-For", "X_Forwarded_For", "Forwarded", "True-Client-IP"] {
        assert_eq!(service.get_with("/", &[(name, "203.0.113.9")]).status, 200, "{name}");
    }
}

#[test]
fn signed_tokens() {
    // The token's payload is {"sub":"ada","role":"admin","exp":4102444800,"iss":"dunlin"}, signed
    // by HS256 with the secret below.
    let secret = "0123456789abcdef0123456789abcdef";
    let sign = |payload: &str| {
        let script = "import sys,hmac,hashlib,base64\n\
            e=lambda b: base64.urlsafe_b64encode(b).rstrip(b'=')\n\
            h=e(b'{\"alg\":\"HS256\",\"typ\":\"JWT\"}')+b'.'+e(sys.argv[1].encode())\n\
            print((h+b'.'+e(hmac.new(sys.argv[2].encode(),h,hashlib.sha256).digest())).decode())";
        let out = Command::new("python3").args(["-c", script, payload, secret]).output().expect("python3 starts");
        format!("Bearer {}", String::from_utf8_lossy(&out.stdout).trim())
    };
    let config = "[auth.api]\nkind = \"jwt\"\nsecret_file = \"secret\"\nissuer = \"dunlin\"\n\
        [[route]]\npath = \"/\"\ntext = \"x\"\nauth = \"api\"\nrequire = { role = \"admin\" }\n\
        rate_limit = { requests = 1, per = \"1h\", burst = 3, key = \"claim.sub\" }\n";
    let service = Service::with("", config, |folder| folder.write("secret", format!("{secret}\n")));
    let get = |credentials: &str| service.get_with("/", &[("Authorization", credentials)]);
    let good = sign(r#"{"sub":"ada","role":"admin","exp":4102444800,"iss":"dunlin"}"#);
    assert_eq!(get(&good).status, 200);
    assert_eq!(get(&sign(r#"{"sub":"ada","role":"user","exp":4102444800,"iss":"dunlin"}"#)).status, 403);
    let old = get(&sign(r#"{"sub":"ada","role":"admin","exp":1,"iss":"dunlin"}"#));
    problem(&old, 401);
    assert!(old.header("www-authenticate").unwrap().contains("invalid_token"));
    assert_eq!(get(&sign(r#"{"sub":"ada","role":"admin","exp":4102444800,"iss":"other"}"#)).status, 401);
    assert_eq!(get(&format!("{good}x")).status, 401);
    assert_eq!(service.get("/").status, 401);
    // The limit counts verified subjects.
    assert_eq!([get(&good).status, get(&good).status, get(&good).status], [200, 200, 429]);
    let eve = sign(r#"{"sub":"eve","role":"admin","exp":4102444800,"iss":"dunlin"}"#);
    assert_eq!(get(&eve).status, 200);
}

#[test]
fn keys_that_cannot_be_fetched_are_503() {
    let config = format!(
        "[auth.api]\nkind = \"jwt\"\njwks = \"http://127.0.0.1:{}/jwks.json\"\n\
         [[route]]\npath = \"/\"\ntext = \"x\"\nauth = \"api\"\n",
        free_port()
    );
    let service = Service::start(&config);
    // The head and the payload of a token, with any signature.
    let token = "Bearer eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhZGEiLCJleHAiOjQxMDI0NDQ4MDB9.AAAA";
    let away = service.get_with("/", &[("Authorization", token)]);
    problem(&away, 503);
    assert!(away.header("retry-after").is_some());
    // Without a token there is nothing to verify.
    assert_eq!(service.get("/").status, 401);
}

#[test]
fn wrong_tables_are_found_before_the_start() {
    #[track_caller]
    fn check(table: &str, expect: &[&str]) {
        let folder = Folder::new(&format!("[[route]]\npath = \"/\"\ntext = \"x\"\nauth = \"a\"\n[auth.a]\n{table}\n"));
        folder.write("users", "ada");
        let out = dunlin(&["check"], &folder);
        refused(&out, expect);
    }
    check("", &["dunlin.toml:5:1", "\"kind\" is missing"]);
    check("kind = \"basics\"", &["dunlin.toml:6:8", "did you mean \"basic\""]);
    check("kind = \"basic\"", &["dunlin.toml:5:1", "\"users\" is missing"]);
    check("kind = \"basic\"\nusers = \"users\"", &["dunlin.toml:7:9", "line 1"]);
    check("kind = \"basic\"\nusers = \"user\"", &["dunlin.toml:7:9", "did you mean \"users\""]);
    check("kind = \"jwt\"", &["dunlin.toml:5:1", "jwks, key_file, secret_file"]);
    check("kind = \"jwt\"\njwks = \"http://a/\"\nkey_file = \"users\"", &["jwks", "key_file"]);
    check("kind = \"jwt\"\nkey_file = \"users\"", &["dunlin.toml:7:12", "not a usable key"]);
    check("kind = \"forward\"\nurl = \"a\"", &["dunlin.toml:7:7", "http"]);
    check("kind = \"key\"\nkey = \"users\"\nkeys = \"dunlin.toml\"", &["dunlin.toml:8:8", "line 1"]);
}
