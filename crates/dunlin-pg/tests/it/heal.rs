//! What heals by itself.

use dunlin_pg::{Query, Rows};

use crate::support::{Fixture, ask, config, connections, eventually, get, named, postgres, text};

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
