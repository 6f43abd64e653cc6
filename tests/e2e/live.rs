//! `live`: the result of a query as events.

use std::time::{Duration, Instant};

use dunlin_testkit::{eventually, raw};

use crate::database;
use crate::events::Events;
use crate::service::{Folder, Service, database_at, dunlin, problem, refused};

/// Makes a table with one row, whose changes are notices on a channel of its own.
fn table(name: &str) {
    database().psql(&format!(
        "CREATE TABLE {name} (id bigint PRIMARY KEY, owner text, n text); INSERT INTO {name} VALUES (1, 'ada', '0');
         CREATE FUNCTION {name}_notify() RETURNS trigger LANGUAGE plpgsql AS $$
           BEGIN PERFORM pg_notify('{name}_channel', '{name}'); RETURN NULL; END $$;
         CREATE TRIGGER {name}_notify AFTER INSERT OR UPDATE OR DELETE ON {name} EXECUTE FUNCTION {name}_notify()"
    ));
}

/// The configuration for a table, up to its routes.
fn config(table: &str) -> String {
    format!("{}[cache]\nnotify = \"{table}_channel\"\n", database_at(&database().url()))
}

/// A route with the numbers of a table.
fn route(table: &str, keys: &str) -> String {
    format!("[[route]]\npath = \"/n\"\nquery = \"SELECT n FROM {table} ORDER BY id\"\nlive = true\n{keys}\n")
}

fn cached(table: &str) -> String {
    format!("cache = {{ age = \"1h\", groups = [\"{table}\"] }}")
}

fn set(table: &str, n: &str) {
    database().psql(&format!("UPDATE {table} SET n = '{n}' WHERE id = 1"));
}

/// A figure of the service.
fn figure(service: &Service, name: &str) -> u64 {
    let page = raw::get(service.admin, "/metrics").text();
    let line = page.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("no {name}"));
    line.trim().parse::<f64>().expect("a number") as u64
}

fn rows(n: &str) -> String {
    format!(r#"[{{"n":"{n}"}}]"#)
}

/// Waits until the service follows the notices.
fn follows(service: &Service) {
    eventually("notices are followed", || service.log().contains("following the notices"));
}

#[test]
fn a_stream_goes_on_through_reloads() {
    table("lv_reload");
    let tables = config("lv_reload") + &route("lv_reload", &cached("lv_reload"));
    let service = Service::start(&tables);
    follows(&service);
    let mut events = Events::open(service.addr, "/n", &[]);
    assert_eq!(events.next().unwrap().data, rows("0"));
    // The route stays, then it changes, then it is gone; the stream was opened before.
    for (n, routes) in [
        ("1", format!("{tables}[[route]]\npath = \"/more\"\ntext = \"more\"\n")),
        ("2", format!("{tables}compress = false\n")),
        ("3", config("lv_reload") + "[[route]]\npath = \"/n\"\ntext = \"gone\"\n"),
    ] {
        crate::reload::take(&service, &routes);
        // Without a route that has groups, only this service's own writes are changes.
        if n != "3" {
            set("lv_reload", n);
            assert_eq!(events.next().unwrap().data, rows(n));
        }
    }
    assert_eq!(service.get("/n").text(), "gone");
}

#[test]
fn all_watchers_see_a_change_for_one_query() {
    table("lv_rows");
    let service = Service::start(&(config("lv_rows") + &route("lv_rows", &cached("lv_rows"))));
    follows(&service);
    let mut watchers: Vec<Events> = (0..20).map(|_| Events::open(service.addr, "/n", &[])).collect();
    let mut last = None;
    for watcher in &mut watchers {
        let event = watcher.next().expect("an event");
        assert_eq!(event.data, rows("0"));
        last = Some(event);
    }
    assert_eq!(figure(&service, "dunlin_live_looks_total "), 1);
    set("lv_rows", "1");
    for watcher in &mut watchers {
        assert_eq!(watcher.data(), rows("1"));
    }
    assert_eq!(figure(&service, "dunlin_live_looks_total "), 2);
    // A change that leaves the result as it was is no event.
    set("lv_rows", "1");
    eventually("it looks", || figure(&service, "dunlin_live_unchanged_total ") == 1);
    set("lv_rows", "2");
    assert_eq!(watchers[0].data(), rows("2"));
    assert_eq!(figure(&service, "dunlin_live_watchers "), 20);
    assert_eq!(figure(&service, "dunlin_live_topics "), 1);

    // A client that comes back gets what it has not seen.
    let event = watchers[1].next().expect("an event");
    let mut back = Events::open(service.addr, "/n", &[("Last-Event-ID", &event.id)]);
    let mut late = Events::open(service.addr, "/n", &[("Last-Event-ID", &last.expect("an event").id)]);
    assert_eq!(late.data(), rows("2"));
    set("lv_rows", "3");
    assert_eq!(back.data(), rows("3"));

    // Without the field, the route is as it was.
    for accept in ["*/*", "application/json", "text/html, */*;q=0.8"] {
        let plain = service.get_with("/n", &[("Accept", accept)]);
        assert_eq!((plain.status, plain.text()), (200, rows("3")));
        assert_eq!(plain.header("content-type"), Some("application/json"));
        assert!(plain.header("vary").is_some_and(|vary| vary.contains("accept")), "{plain:?}");
    }
    let hit = service.get_with("/n", &[("Accept-Encoding", "gzip")]);
    assert!(hit.header("cache-status").is_some_and(|status| status.contains("hit")), "{hit:?}");

    drop((watchers, back, late));
    eventually("they have left", || figure(&service, "dunlin_live_watchers ") == 0);
    assert_eq!(figure(&service, "dunlin_live_topics "), 0);
    let status: serde_json::Value =
        serde_json::from_slice(&raw::get(service.admin, "/status.json").body).expect("JSON");
    assert_eq!(status["live"]["watchers"], 0);
    assert!(status["live"]["events"].as_u64() > Some(40), "{status}");
}

#[test]
fn each_identity_and_each_parameter_has_rows_of_its_own() {
    table("lv_own");
    database().psql("INSERT INTO lv_own VALUES (2, 'eve', 'e')");
    let keys = "path = \"/own\"\nauth = \"clients\"\nlive = { groups = [\"lv_own\"] }\n";
    let config = config("lv_own")
        + "[auth.clients]\nkind = \"key\"\nkeys = \"keys\"\n"
        + &format!("[[route]]\n{keys}query = \"SELECT n FROM lv_own WHERE owner = $1\"\nparams = [\"claim.sub\"]\n")
        + "[[route]]\npath = \"/one/{id}\"\nquery = \"SELECT n FROM lv_own WHERE id = $1\"\nparams = [\"id\"]\n\
           rows = \"one\"\nlive = { groups = [\"lv_own\"] }\n";
    let service = Service::with("", &config, |folder| folder.write("keys", crate::query_claims::keys()));
    follows(&service);
    let mut ada = Events::open(service.addr, "/own", &[("X-Api-Key", "ada")]);
    let mut eve = Events::open(service.addr, "/own", &[("X-Api-Key", "eve")]);
    assert_eq!((ada.data(), eve.data()), (rows("0"), rows("e")));
    let mut one = Events::open(service.addr, "/one/2", &[]);
    assert_eq!(one.data(), r#"{"n":"e"}"#);
    assert_eq!(figure(&service, "dunlin_live_topics "), 3);
    database().psql("UPDATE lv_own SET n = 'f' WHERE id = 2");
    assert_eq!((eve.data(), one.data()), (rows("f"), r#"{"n":"f"}"#.to_owned()));
    set("lv_own", "1");
    assert_eq!(ada.data(), rows("1"));
    database().psql("DELETE FROM lv_own WHERE id = 2");
    assert_eq!((eve.data(), one.data()), ("[]".to_owned(), "null".to_owned()));

    problem(&Events::refused(service.addr, "/own", &[]), 401);
    problem(&Events::refused(service.addr, "/one/2", &[]), 404);
    problem(&Events::refused(service.addr, "/one/x", &[]), 400);
}

#[test]
fn a_stream_survives_the_loss_of_the_notices() {
    table("lv_gap");
    let service = Service::start(&(config("lv_gap") + &route("lv_gap", &cached("lv_gap"))));
    follows(&service);
    let mut watcher = Events::open(service.addr, "/n", &[]);
    assert_eq!(watcher.data(), rows("0"));
    for n in 1..=5 {
        // The change is committed while nothing listens.
        database().psql(&format!(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
               WHERE query LIKE '%LISTEN \"lv_gap_channel\"%' AND pid <> pg_backend_pid();
             UPDATE lv_gap SET n = '{n}' WHERE id = 1"
        ));
        watcher.until(&rows(&n.to_string()));
    }
    // The table is gone for a time: the stream is not.
    database().psql("ALTER TABLE lv_gap RENAME TO lv_away; SELECT pg_notify('lv_gap_channel', 'lv_gap')");
    eventually("a look fails", || figure(&service, "dunlin_live_failed_total ") > 0);
    database().psql("ALTER TABLE lv_away RENAME TO lv_gap; UPDATE lv_gap SET n = '6'");
    watcher.until(&rows("6"));
}

#[test]
fn a_write_through_the_service_is_an_event_without_notices() {
    table("lv_write");
    let config = database_at(&database().url())
        + "[cache]\nnotify = \"\"\n"
        + &route("lv_write", &cached("w"))
        + "[[route]]\npath = \"/n\"\nmethod = \"POST\"\nquery = \"UPDATE lv_write SET n = $1\"\n\
           params = [\"body.n\"]\ninvalidates = [\"w\"]\n";
    let service = Service::start(&config);
    let mut watcher = Events::open(service.addr, "/n", &[]);
    assert_eq!(watcher.data(), rows("0"));
    assert_eq!(service.send("POST", "/n", r#"{"n":"x"}"#).status, 204);
    assert_eq!(watcher.data(), rows("x"));
}

#[test]
fn a_stop_ends_the_streams_in_order() {
    table("lv_stop");
    let mut service = Service::start(&(config("lv_stop") + &route("lv_stop", &cached("lv_stop"))));
    let mut watcher = Events::open(service.addr, "/n", &[]);
    assert_eq!(watcher.data(), rows("0"));
    let start = Instant::now();
    service.signal(libc::SIGTERM);
    assert_eq!(watcher.next(), None);
    assert_eq!(service.exit_code(), Some(0));
    assert!(service.log().contains("every request was answered"));
    assert!(start.elapsed() < Duration::from_secs(9), "it does not wait for the streams");
}

#[test]
fn a_client_that_does_not_read_is_ended() {
    table("lv_slow");
    database().psql("INSERT INTO lv_slow SELECT id, '', repeat('x', 1000) FROM generate_series(2, 801) id");
    let server = "write_timeout = \"1s\"";
    let config = config("lv_slow") + &route("lv_slow", &cached("lv_slow"));
    let service = Service::with(server, &config, |_| ());
    follows(&service);
    let mut quick = Events::open(service.addr, "/n", &[]);
    quick.data();
    let slow = Events::open(service.addr, "/n", &[]);
    eventually("both watch", || figure(&service, "dunlin_live_watchers ") == 2);
    let mut n = 0;
    eventually("the slow one is ended", || {
        n += 1;
        set("lv_slow", &n.to_string());
        quick.data();
        figure(&service, "dunlin_live_watchers ") == 1
    });
    drop(slow);
}

#[test]
fn live_routes_that_cannot_work_are_refused() {
    #[track_caller]
    fn check(keys: &str, expect: &[&str]) {
        let folder = Folder::new(&format!(
            "[database]\nurl = \"postgres://a@127.0.0.1/a\"\n[[route]]\npath = \"/\"\nquery = \"SELECT 1\"\n{keys}\n"
        ));
        refused(&dunlin(&["check", "--offline"], &folder), expect);
    }
    check("live = true", &["dunlin.toml:6:1", "needs the groups", "live = { groups ="]);
    check("cache = \"1h\"\nlive = true", &["dunlin.toml:7:1", "needs the groups"]);
    check("live = { groups = [] }", &["needs the groups"]);
    check("live = { group = [\"a\"] }", &["unknown key \"group\"", "groups"]);
    check("live = 1", &["live = 1", "true, false"]);
    check("page = { size = 2 }\nlive = { groups = [\"a\"] }", &["\"page\" do not go together"]);
    check("method = \"POST\"\nlive = { groups = [\"a\"] }", &["answers GET alone"]);
    check("method = [\"GET\", \"POST\"]\nlive = { groups = [\"a\"] }", &["answers GET alone"]);
}

#[test]
#[cfg(target_os = "linux")]
fn a_watcher_takes_little_memory() {
    const COUNT: u64 = 2000;
    table("lv_many");
    let service = Service::start(&(config("lv_many") + &route("lv_many", &cached("lv_many"))));
    follows(&service);
    // What the first ones need does not count.
    let mut watchers: Vec<Events> = (0..50).map(|_| Events::open(service.addr, "/n", &[])).collect();
    let before = service.memory("VmRSS:");
    watchers.extend((0..COUNT).map(|_| Events::open(service.addr, "/n", &[])));
    for n in ["1", "2"] {
        set("lv_many", n);
        watchers.iter_mut().for_each(|watcher| watcher.until(&rows(n)));
    }
    let each = service.memory("VmRSS:").saturating_sub(before) / COUNT;
    println!("{each} bytes for each watcher");
    assert!(each <= 6 * 1024, "{each} bytes for each watcher");
    assert_eq!(figure(&service, "dunlin_live_looks_total "), 3);
}
