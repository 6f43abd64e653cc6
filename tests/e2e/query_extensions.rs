//! Types of extensions, in rows and as parameters.

use serde_json::json;

use crate::database;
use crate::service::{Folder, Service, database_at, dunlin, problem, refused};

/// Returns `true` if the server has the extension, and installs it.
fn install(name: &str) -> bool {
    let known = database().psql(&format!("SELECT count(*) FROM pg_available_extensions WHERE name = '{name}'"));
    if known != "1" {
        eprintln!("SKIPPED: PostgreSQL has no extension {name}; install its package to test it");
        return false;
    }
    database().psql(&format!("CREATE EXTENSION IF NOT EXISTS {name}"));
    true
}

fn service(routes: &str) -> Service {
    Service::start(&(database_at(&database().url()) + routes))
}

#[test]
fn the_types_of_contrib() {
    if !["hstore", "citext", "ltree"].map(install).iter().all(|installed| *installed) {
        return;
    }
    database().psql("CREATE TABLE e_things (id int PRIMARY KEY, more hstore, name citext UNIQUE, place ltree)");
    let service = service(
        "[[route]]\npath = \"/things\"\nmethod = \"POST\"\nrows = \"one\"\n\
         query = \"INSERT INTO e_things VALUES ($1, $2, $3, $4) RETURNING more, name, place\"\n\
         params = [\"body.id\", \"body.more\", \"body.name\", \"body.place\"]\n\
         [[route]]\npath = \"/things/{name}\"\nrows = \"one\"\n\
         query = \"SELECT more -> $3 AS one, place FROM e_things WHERE name = $1 AND place <@ $2\"\n\
         params = [\"name\", \"under\", \"key\"]\n",
    );
    let thing =
        json!({"id": 1, "more": {"a \"b\\": "x", "n": 1, "t": true, "z": null}, "name": "Ada", "place": "top.sub"});
    let made = service.send("POST", "/things", &thing.to_string());
    assert_eq!(made.status, 200, "{}", made.text());
    let made: serde_json::Value = serde_json::from_slice(&made.body).unwrap();
    assert_eq!(made["more"], json!({"a \"b\\": "x", "n": "1", "t": "true", "z": null}));
    assert_eq!((&made["name"], &made["place"]), (&json!("Ada"), &json!("top.sub")));
    assert_eq!(service.json("/things/ADA?under=top&key=n"), json!({"one": "1", "place": "top.sub"}));
    for (more, place) in [(json!({"a": [1]}), "top"), (json!([1]), "top"), (json!({}), "a b")] {
        let thing = json!({"id": 2, "more": more, "name": "x", "place": place});
        let name = if place == "a b" { "body.place" } else { "body.more" };
        assert_eq!(problem(&service.send("POST", "/things", &thing.to_string()), 400)["parameter"], name, "{thing}");
    }
}

#[test]
fn geometries_are_geojson() {
    if !install("postgis") {
        return;
    }
    database().psql("CREATE TABLE e_places (id int PRIMARY KEY, at geometry(Point, 4326), area geography)");
    let service = service(
        "[[route]]\npath = \"/places\"\nquery = \"SELECT * FROM e_places ORDER BY id\"\nformat = [\"json\", \"csv\"]\n\
         [[route]]\npath = \"/places\"\nmethod = \"POST\"\nrows = \"one\"\n\
         query = \"INSERT INTO e_places VALUES ($1, $2, ST_GeomFromGeoJSON($3::jsonb)::geography) RETURNING at, area\"\n\
         params = [\"body.id\", \"body.at\", \"body.area\"]\n\
         [[route]]\npath = \"/near\"\nquery = \"SELECT id FROM e_places WHERE ST_DWithin(at, $1, $2)\"\nparams = [\"at\", \"within\"]\n",
    );
    let at = json!({"type": "Point", "coordinates": [8.55, 47.36]});
    let area = json!({"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]});
    let place = json!({"id": 1, "at": at, "area": area});
    let made = service.send("POST", "/places", &place.to_string());
    assert_eq!(made.status, 200, "{}", made.text());
    assert_eq!(service.json("/places"), json!([place]));
    let csv = service.get_with("/places", &[("Accept", "text/csv")]).text();
    assert!(csv.contains("1,\"{\"\"type\"\":\"\"Point\"\",\"\"coordinates\"\":[8.55,47.36]}\""), "{csv}");
    assert_eq!(service.json("/near?at=SRID%3D4326%3BPOINT(8.5+47.3)&within=1"), json!([{"id": 1}]));
    for at in [json!({"type": "Point"}), json!({"type": "Pont", "coordinates": [1, 2]}), json!([1, 2]), json!("POINT(")]
    {
        let place = json!({"id": 2, "at": at, "area": area});
        assert_eq!(
            problem(&service.send("POST", "/places", &place.to_string()), 400)["parameter"],
            "body.at",
            "{place}"
        );
    }
}

#[test]
fn check_names_the_cast_for_other_types() {
    let advice =
        [("'1'::xid::text::regclass", "::text"), ("cast('1' AS money)", "::numeric"), ("ROW(1, 2)", "to_json(")];
    for (value, cast) in advice {
        let folder = Folder::new(&format!(
            "{}[[route]]\npath = \"/\"\nquery = \"SELECT {value} AS v\"\n",
            database_at(&database().url())
        ));
        refused(&dunlin(&["check"], &folder), &["\"v\"", cast]);
    }
}
