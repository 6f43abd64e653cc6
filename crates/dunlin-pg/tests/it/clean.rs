//! A session is clean when the next request gets it.

use dunlin_pg::{Access, Config, Database, Pooler, Query, QueryService, Rows, TransactionOptions};

use crate::support::{Fixture, ask, config, get, named, post, postgres, text};

fn one(fixture: &Fixture, sql: &str, params: &[&str]) -> QueryService {
    fixture.service(Query { params: named(params), rows: Rows::One, ..Query::new([sql]) })
}

fn write(fixture: &Fixture, sql: &str, params: &[&str]) -> QueryService {
    let query = Query { params: named(params), rows: Rows::One, access: Access::Write, ..Query::new([sql]) };
    fixture.service(query)
}

#[tokio::test]
async fn a_setting_of_one_client_never_reaches_another() {
    let fixture = Fixture::new(config("clean_settings"));
    let set = one(&fixture, "SELECT set_config('app.client', $1, false) AS v", &["name"]);
    let seen = one(&fixture, "SELECT coalesce(current_setting('app.client', true), '') AS v", &[]);
    let written = write(&fixture, "SELECT coalesce(current_setting('app.client', true), '') AS v", &[]);
    let set_by_write = write(&fixture, "SELECT set_config('app.client', $1, false) AS v", &["name"]);
    for _ in 0..8 {
        assert_eq!(text(&ask(&set, get("/?name=bob", &[])).await), r#"{"v":"bob"}"#);
        assert_eq!(text(&ask(&set_by_write, get("/?name=bob", &[])).await), r#"{"v":"bob"}"#);
        for service in [&seen, &written] {
            assert_eq!(text(&ask(service, get("/", &[])).await), r#"{"v":""}"#);
        }
    }
}

#[tokio::test]
async fn locks_roles_and_temporary_tables_are_removed() {
    postgres().psql("CREATE ROLE clean_other");
    let fixture = Fixture::new(Config { shared: 0, ..config("clean_locks") });
    for sql in [
        "SELECT pg_advisory_lock(4711) IS NULL AS v",
        "SELECT set_config('role', 'clean_other', false) AS v",
        "SELECT set_config('search_path', 'nowhere', false) AS v",
    ] {
        let service = write(&fixture, sql, &[]);
        for _ in 0..6 {
            assert_eq!(ask(&service, get("/", &[])).await.status(), 200, "{sql}");
        }
    }
    let make = fixture.service(Query {
        access: Access::Write,
        ..Query::new(["CREATE TEMP TABLE clean_temp AS SELECT 1 AS a", "SELECT a FROM clean_temp"])
    });
    for _ in 0..6 {
        assert_eq!(text(&ask(&make, get("/", &[])).await), r#"[{"a":1}]"#);
    }
    let state = "SELECT current_user AS u, current_setting('search_path') AS p, to_regclass('clean_temp') IS NULL AS t,
        current_setting('statement_timeout') AS s, (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'
        AND objid = 4711 AND pid = pg_backend_pid()) AS n";
    for service in [one(&fixture, state, &[]), write(&fixture, state, &[])] {
        for _ in 0..6 {
            let answer = ask(&service, get("/", &[])).await;
            assert_eq!(text(&answer), r#"{"u":"postgres","p":"\"$user\", public","t":true,"s":"1min","n":0}"#);
        }
    }
    assert_eq!(postgres().psql("SELECT pg_try_advisory_lock(4711)"), "t");
}

#[tokio::test]
async fn functions_do_and_call_leave_nothing_behind() {
    postgres().psql(
        "CREATE FUNCTION clean_set(text) RETURNS text LANGUAGE sql AS 'SELECT set_config(''app.hidden'', $1, false)';
         CREATE SCHEMA clean_schema; CREATE FUNCTION clean_schema.\"clean Set\"(text) RETURNS text LANGUAGE sql AS
             'SELECT set_config(''app.hidden'', $1, false)';
         CREATE PROCEDURE clean_call(text) LANGUAGE sql AS 'SELECT set_config(''app.hidden'', $1, false)'",
    );
    let fixture = Fixture::new(config("clean_hidden"));
    let seen = "SELECT coalesce(current_setting('app.hidden', true), '') AS v";
    let seen = [one(&fixture, seen, &[]), write(&fixture, seen, &[])];
    let none = async |after: &str| {
        for service in &seen {
            for _ in 0..3 {
                assert_eq!(text(&ask(service, get("/", &[])).await), r#"{"v":""}"#, "after {after}");
            }
        }
    };
    none("nothing").await;
    for sql in [
        "SELECT clean_set($1) AS v",
        "SELECT public.\"clean_set\" ($1) AS v",
        "SELECT clean_schema.\"clean Set\"($1) AS v",
        "SELECT \"set_config\"('app.hidden', $1, false) AS v",
        "SELECT pg_catalog.\"set_config\"('app.hidden', $1, false) AS v",
    ] {
        for service in [one(&fixture, sql, &["q"]), write(&fixture, sql, &["q"])] {
            for _ in 0..4 {
                assert_eq!(text(&ask(&service, get("/?q=bob", &[])).await), r#"{"v":"bob"}"#, "{sql}");
                none(sql).await;
            }
        }
    }
    for sql in ["CALL clean_call('bob')", "DO $$ BEGIN PERFORM set_config('app.hidden', 'bob', false); END $$"] {
        let service = fixture.service(Query { access: Access::Write, ..Query::new([sql]) });
        for _ in 0..4 {
            assert_eq!(ask(&service, post("{}")).await.status(), 204, "{sql}");
            none(sql).await;
        }
    }
    let options = TransactionOptions { access: Access::Write, isolation: None };
    for _ in 0..4 {
        let mut transaction = fixture.pool.begin(options).await.unwrap();
        transaction.query("SELECT clean_set('bob')", &[]).await.unwrap();
        transaction.commit().await.unwrap();
        none("a transaction by hand").await;
    }
}

/// A function that is not volatile cannot change a setting, so its reads stay shared.
#[tokio::test]
async fn stable_functions_stay_on_shared_connections() {
    postgres().psql("CREATE FUNCTION clean_stable(text) RETURNS text LANGUAGE sql STABLE AS 'SELECT $1'");
    let fixture = Fixture::new(config("clean_stable"));
    let early = one(&fixture, "SELECT clean_stable($1) AS v, count(*) AS n", &["q"]);
    for _ in 0..4 {
        assert_eq!(text(&ask(&early, get("/?q=bob", &[])).await), r#"{"v":"bob","n":1}"#);
        // It is declared after the connections were opened.
        let late = one(&fixture, "SELECT upper(clean_stable($1)) AS v", &["q"]);
        assert_eq!(text(&ask(&late, get("/?q=bob", &[])).await), r#"{"v":"BOB"}"#);
    }
    assert_eq!(fixture.database.stats().own, 0);
}

#[tokio::test]
async fn tables_in_pg_temp_are_removed() {
    let fixture = Fixture::new(Config { shared: 0, ..config("clean_pg_temp") });
    let make = fixture.service(Query {
        access: Access::Write,
        ..Query::new(["CREATE TABLE pg_temp.clean_x AS SELECT 1 AS a", "SELECT a FROM pg_temp.clean_x"])
    });
    for _ in 0..6 {
        assert_eq!(text(&ask(&make, get("/", &[])).await), r#"[{"a":1}]"#);
    }
}

#[tokio::test]
async fn a_transaction_by_hand_leaves_a_clean_session() {
    let fixture = Fixture::new(config("clean_by_hand"));
    let options = TransactionOptions { access: Access::Write, isolation: None };
    for _ in 0..6 {
        let mut transaction = fixture.pool.begin(options).await.unwrap();
        transaction.execute("SET application_name = 'touched'", &[]).await.unwrap();
        transaction.commit().await.unwrap();
    }
    let seen = write(&fixture, "SELECT current_setting('application_name') AS v", &[]);
    for _ in 0..6 {
        assert_eq!(text(&ask(&seen, post("{}")).await), r#"{"v":"clean_by_hand"}"#);
    }
}

#[test]
fn transaction_control_is_refused_and_behind_a_pooler_settings_too() {
    let refused = |config: Config, sql: &str| {
        let database = Database::new(config).unwrap();
        database.declare(Query { access: Access::Write, ..Query::new([sql]) }).unwrap_err().to_string()
    };
    for sql in
        ["BEGIN", "commit", "ROLLBACK", "SAVEPOINT a", "LISTEN a", "COPY a TO STDOUT", "DECLARE a CURSOR FOR SELECT 1"]
    {
        assert!(refused(config("clean"), sql).contains("is not for a declared query"), "{sql}");
    }
    let pooled = Config { pooler: Pooler::Transaction, ..config("clean") };
    assert!(refused(pooled, "SET search_path = a").contains("SET LOCAL"));
}
