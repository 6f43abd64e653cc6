//! The example of a multi-user application, in a browser, by two users.

use std::path::Path;

use dunlin_testkit::{Browser, Page, Postgres, raw};
use serde_json::{Value, json};

use crate::demo::{copy, folder};
use crate::service::{Service, free_addr};

const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef";

fn service(postgres: &Postgres) -> Service {
    let schema = std::fs::read_to_string(folder("examples/todo/schema.sql")).expect("the schema");
    postgres.psql(&schema.replace(":'secret'", &format!("'{SECRET}'")));
    let (addr, admin) = (free_addr(), free_addr());
    let edits = [
        ("127.0.0.1:8080", &*addr.to_string()),
        ("127.0.0.1:8081", &admin.to_string()),
        ("${DATABASE_URL:-postgres://postgres@127.0.0.1/todo}", &postgres.url()),
    ];
    let files = copy("examples/todo", &edits);
    files.write("secret", SECRET);
    Service::of(files, addr, admin)
}

fn enter(page: &Page<'_>, name: &str) {
    page.wait("!document.querySelector('#enter').hidden");
    page.enter("#enter [name=name]", name);
    page.enter("#enter [name=password]", "correct horse");
    page.click("#enter [name=signup]");
    page.wait("document.querySelector('#state').textContent === 'live'");
}

fn add(page: &Page<'_>, title: &str) {
    page.enter("#add input", title);
    page.click("#add button");
}

/// Waits until the list has these titles.
#[track_caller]
fn has(page: &Page<'_>, titles: &[&str]) {
    let list = "JSON.stringify([...document.querySelectorAll('#list span')].map(span => span.textContent))";
    page.wait(&format!("{list} === {}", Value::from(json!(titles).to_string())));
}

#[test]
fn two_users_see_their_own_rows_and_each_others_shared_ones_live() {
    let postgres = Postgres::start();
    let service = service(&postgres);
    let browser = Browser::start();
    let url = format!("http://{}/", service.addr);
    let (ada, eve) = (browser.open(&url), browser.open(&url));
    enter(&ada, "Ada");
    enter(&eve, "Eve");
    add(&ada, "Write to Eve");
    has(&ada, &["Write to Eve"]);
    add(&eve, "A secret of Eve");
    has(&eve, &["A secret of Eve"]);
    has(&ada, &["Write to Eve"]);

    // Ada shares a row: Eve sees it at once, and cannot change it.
    ada.click("#list .share");
    has(&eve, &["Write to Eve", "A secret of Eve"]);
    assert_eq!(eve.eval("document.querySelector('#list li small').textContent"), "by Ada");
    assert_eq!(eve.eval("document.querySelector('#list li input').disabled"), true);
    ada.click("#list input");
    eve.wait("document.querySelector('#list li').className === 'done'");
    if let Some(path) = std::env::var_os("PICTURES") {
        ada.picture(&Path::new(&path).join("todo-ada.png"));
        eve.picture(&Path::new(&path).join("todo-eve.png"));
    }
    ada.wait("document.querySelector('#list .share').textContent === 'Shared'");
    ada.click("#list .share");
    has(&eve, &["A secret of Eve"]);
    ada.click("#list .remove");
    has(&ada, &[]);

    // A second window of Eve has the same list.
    let token = eve.eval("sessionStorage.getItem('token')");
    let again = browser.open(&url);
    again.run(&format!("sessionStorage.setItem('token', {token})"));
    again.reload();
    has(&again, &["A secret of Eve"]);
    add(&again, "<b>Not markup</b>");
    has(&eve, &["A secret of Eve", "<b>Not markup</b>"]);
    has(&ada, &[]);
}

#[test]
fn a_client_cannot_go_beyond_its_own_rows() {
    let postgres = Postgres::start();
    let service = service(&postgres);
    let send = |method: &str, target: &str, token: &str, body: Value| {
        let bearer = format!("Bearer {token}");
        let fields = [("Content-Type", "application/json"), ("Authorization", &*bearer)];
        let fields = if token.is_empty() { &fields[..1] } else { &fields };
        let body = if body.is_null() { String::new() } else { body.to_string() };
        raw::request(service.addr, method, target, fields, body.as_bytes())
    };
    let json = |response: &raw::Response| serde_json::from_slice::<Value>(&response.body).expect("JSON");
    let person = |name: &str| json!({"name": name, "password": "correct horse"});
    let signup = |name: &str| {
        let response = send("POST", "/signup", "", person(name));
        assert_eq!(response.status, 201, "{}", response.text());
        json(&response)["token"].as_str().expect("a token").to_owned()
    };
    let (ada, eve) = (signup("Ada"), signup("Eve"));
    assert_eq!(send("POST", "/login", "", person("Ada")).status, 200);
    for (target, body, status) in [
        ("/signup", person("Ada"), 409),
        ("/signup", json!({"name": "Bob", "password": "short"}), 422),
        ("/login", json!({"name": "Ada", "password": "wrong horse"}), 401),
        ("/login", person("Nobody' OR true --"), 401),
        ("/login", json!({"name": "Ada"}), 400),
    ] {
        assert_eq!(send("POST", target, "", body).status, status, "{target}");
    }
    let made = send("POST", "/todos", &ada, json!({"title": "mine"}));
    assert_eq!(made.status, 201, "{}", made.text());
    let target = format!("/todos/{}", json(&made)["id"]);
    assert_eq!(json(&send("GET", "/todos", &eve, Value::Null)), json!([]));
    for (method, body) in
        [("PATCH", json!({"done": true})), ("PATCH", json!({"shared": true})), ("DELETE", Value::Null)]
    {
        assert_eq!(send(method, &target, &eve, body).status, 404, "{method}");
    }
    assert_eq!(send("POST", "/todos", &eve, json!({"title": "x", "owner": 1})).status, 201);
    assert_eq!(json(&send("GET", "/todos", &ada, Value::Null)).as_array().map(Vec::len), Some(1));
    assert_eq!(send("PATCH", &target, &ada, json!({"title": ""})).status, 422);
    assert_eq!(send("GET", "/todos", "", Value::Null).status, 401);
    let forged = format!("{}x", eve);
    assert_eq!(send("GET", "/todos", &forged, Value::Null).status, 401);
    let document = json(&send("GET", "/openapi.json", "", Value::Null));
    assert_eq!(document["components"]["securitySchemes"]["users"]["scheme"], "bearer");
}
