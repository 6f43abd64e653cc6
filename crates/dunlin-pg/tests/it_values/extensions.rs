//! Types of extensions, where they are installed.

use super::oracle::check;
use crate::session::Session;

/// Geometries that PostGIS writes as GeoJSON. Its cast to JSON names EPSG:4326, which
/// `ST_AsGeoJSON` does not.
const GEOMETRIES: [&str; 18] = [
    "POINT(1 2)",
    "POINT(-1.5 1e300)",
    "POINT Z (1 2 3)",
    "POINT M (1 2 3)",
    "POINT ZM (1 2 3 4)",
    "POINT EMPTY",
    "LINESTRING(0 0, 1 1.25, 2 0)",
    "LINESTRING EMPTY",
    "POLYGON((0 0, 4 0, 4 4, 0 0), (1 1, 2 1, 2 2, 1 1))",
    "POLYGON EMPTY",
    "MULTIPOINT(1 2, 3 4)",
    "MULTIPOINT EMPTY",
    "MULTILINESTRING((0 0, 1 1), (2 2, 3 3))",
    "MULTIPOLYGON(((0 0, 1 0, 1 1, 0 0)), ((5 5, 6 5, 6 6, 5 5)))",
    "GEOMETRYCOLLECTION(POINT(1 2), LINESTRING(0 0, 1 1))",
    "GEOMETRYCOLLECTION EMPTY",
    "SRID=3857;POINT(1 2)",
    "SRID=3857;GEOMETRYCOLLECTION(POINT(1 2))",
];

#[test]
fn extensions_that_are_known() {
    const EXTENSIONS: [&str; 5] = ["hstore", "citext", "ltree", "postgis", "vector"];
    let session = Session::open();
    let known = session.prepare("SELECT name FROM pg_available_extensions");
    let known: Vec<String> = session.query(&known, &[]).unwrap().iter().map(|row| row.get(0)).collect();
    for name in EXTENSIONS {
        if !known.iter().any(|known| known == name) {
            eprintln!("SKIPPED: PostgreSQL has no extension {name}; install its package to test it");
            continue;
        }
        session.run(&format!("CREATE EXTENSION {name}"));
        match name {
            "hstore" => check(&session, name, &["", "a=>1", "a=>\"q\\\"\", b=>NULL, \"c d\"=>\"\""]),
            "ltree" => check(&session, name, &["", "a.b.c"]),
            "citext" => check(&session, name, &["MiXed \"é\""]),
            "postgis" => {
                check(&session, "geometry", &GEOMETRIES);
                let points = session
                    .written("SELECT 'SRID=4326;POINT(1 2)'::geography AS v, ARRAY['POINT(3 4)'::geometry] AS a", &[]);
                let expect = r#"{"v":{"type":"Point","coordinates":[1,2]},"a":[{"type":"Point","coordinates":[3,4]}]}"#;
                assert_eq!(points, [expect]);
            }
            _ => assert_eq!(session.written("SELECT '[1,-2.5]'::vector AS v", &[]), [r#"{"v":[1,-2.5]}"#]),
        }
    }
}
