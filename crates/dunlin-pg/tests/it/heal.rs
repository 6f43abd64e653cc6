//! What heals by itself.

use std::time::Duration;

use dunlin_pg::{Access, Config, Query, Rows};
use dunlin_testkit::Postgres;

use crate::support::{Fixture, ask, config, connections, eventually, get, named, post, postgres, text};

#[tokio::test]
async fn a_migration_that_changes_the_type_is_not_noticed() {
    postgres().psql("CREATE TABLE h_plan (id int PRIMARY KEY, n int); INSERT INTO h_plan VALUES (1, 1)");
    let fixture = Fixture::new(config("h_plan"));
    let one = fixture.service(Query {
        params: named(&["id"]),
        rows: Rows::One,
        ..Query::new(["SELECT * FROM h_plan WHERE id = $1"])
    });
    assert_eq!(text(&ask(&one, get("/?id=1", &[])).await), r#"{"id":1,"n":1}"#);
    postgres().psql("ALTER TABLE h_plan ADD COLUMN more text DEFAULT 'x', ALTER COLUMN n TYPE text");
    assert_eq!(text(&ask(&one, get("/?id=1", &[])).await), r#"{"id":1,"n":"1","more":"x"}"#);
    postgres().psql("ALTER TABLE h_plan ALTER COLUMN id TYPE bigint");
    assert_eq!(text(&ask(&one, get("/?id=1", &[])).await), r#"{"id":1,"n":"1","more":"x"}"#);
}

#[tokio::test]
async fn terminated_connections_are_replaced_and_none_leaks() {
    let fixture = Fixture::new(config("h_terminate"));
    let one = fixture.service(Query { rows: Rows::One, ..Query::new(["SELECT 1 AS one"]) });
    for _ in 0..20 {
        assert_eq!(text(&ask(&one, get("/", &[])).await), r#"{"one":1}"#);
        postgres()
            .psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'h_terminate'");
    }
    eventually("both shared connections are back", async || fixture.database.stats().shared == 2).await;
    assert!(connections(postgres(), "h_terminate") <= 4);
    drop((fixture, one));
    eventually("no connection is left", async || connections(postgres(), "h_terminate") == 0).await;
}

#[tokio::test]
async fn connections_live_their_time_and_no_answer_is_lost_when_it_ends() {
    let lifetime = Duration::from_millis(200);
    let fixture = Fixture::new(Config { max_lifetime: lifetime, ..config("h_lifetime") });
    let pid = fixture.service(Query { rows: Rows::One, ..Query::new(["SELECT pg_backend_pid() AS pid"]) });
    let mut pids = std::collections::BTreeSet::new();
    eventually("several have served", async || {
        let answer = ask(&pid, get("/", &[])).await;
        assert_eq!(answer.status(), 200, "{}", text(&answer));
        pids.insert(text(&answer).to_owned());
        pids.len() > 4
    })
    .await;
    assert!(connections(postgres(), "h_lifetime") <= 4);
}

#[tokio::test]
async fn what_has_idled_is_asked_whether_it_lives() {
    let fixture = Fixture::new(Config { validate_after: Duration::from_millis(1), ..config("h_idle") });
    let write = fixture.service(Query { access: Access::Write, ..Query::new(["SELECT 1 AS one"]) });
    assert_eq!(ask(&write, post("")).await.status(), 200);
    postgres().psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'h_idle'");
    // A write is never sent twice, so the connection has to be found dead before it is used.
    assert_eq!(ask(&write, post("")).await.status(), 200);
}

#[tokio::test]
async fn reads_go_to_the_replica_and_writes_do_not() {
    let replica = Postgres::start();
    for (server, name) in [(postgres(), "primary"), (&replica, "replica")] {
        server.psql(&format!("CREATE TABLE h_where (name text); INSERT INTO h_where VALUES ('{name}')"));
    }
    let fixture = Fixture::new(Config { read_url: Some(replica.url()), ..config("h_replica") });
    let query = Query { rows: Rows::One, ..Query::new(["SELECT name FROM h_where"]) };
    let read = fixture.service(query.clone());
    let write = fixture.service(Query { access: Access::Write, ..query });
    assert_eq!(text(&ask(&read, get("/", &[])).await), r#"{"name":"replica"}"#);
    assert_eq!(text(&ask(&write, post("")).await), r#"{"name":"primary"}"#);
}
