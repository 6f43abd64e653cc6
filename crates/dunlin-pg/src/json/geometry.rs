//! Geometries of PostGIS: from EWKB, which the server sends, to GeoJSON (RFC 7946).
//!
//! The members are those of `ST_AsGeoJSON`: there is a `crs` only for a reference system that is
//! not EPSG:4326, and there are up to three coordinates, of which the third is the height. A
//! measure is left out. A coordinate has the shortest digits that read back. GeoJSON has no curves,
//! so a curve is not readable.

use super::number;
use super::reader::{Malformed, Reader};

/// The limit of collections within collections.
const MAX_DEPTH: usize = 64;

const HAS_Z: u32 = 0x8000_0000;
const HAS_M: u32 = 0x4000_0000;
const HAS_SRID: u32 = 0x2000_0000;

/// The reference system of GeoJSON (RFC 7946 §4), and none.
const WGS_84: [u32; 2] = [4326, 0];

const POINT: u32 = 1;
const LINE: u32 = 2;
const POLYGON: u32 = 3;
const MULTI_POINT: u32 = 4;
const MULTI_LINE: u32 = 5;
const MULTI_POLYGON: u32 = 6;
const COLLECTION: u32 = 7;
const POLYHEDRAL_SURFACE: u32 = 15;
const TIN: u32 = 16;
const TRIANGLE: u32 = 17;

/// The head of a geometry.
struct Head {
    is_little: bool,
    kind: u32,
    has_z: bool,
    has_m: bool,
    srid: Option<u32>,
}

/// Writes a geometry as an object.
pub(crate) fn geometry(raw: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    let mut raw = Reader(raw);
    object(&mut raw, out, 0)?;
    raw.end()
}

fn object(raw: &mut Reader<'_>, out: &mut Vec<u8>, depth: usize) -> Result<(), Malformed> {
    let head = Head::read(raw)?;
    out.extend_from_slice(b"{\"type\":\"");
    out.extend_from_slice(head.name()?.as_bytes());
    out.push(b'"');
    if let Some(srid) = head.srid.filter(|srid| !WGS_84.contains(srid)) {
        out.extend_from_slice(b",\"crs\":{\"type\":\"name\",\"properties\":{\"name\":\"EPSG:");
        number::integer(srid, out);
        out.extend_from_slice(b"\"}}");
    }
    if head.kind == COLLECTION {
        out.extend_from_slice(b",\"geometries\":");
        if depth == MAX_DEPTH {
            return Err(Malformed);
        }
        list(raw, head.is_little, out, |raw, out| object(raw, out, depth + 1))?;
    } else {
        out.extend_from_slice(b",\"coordinates\":");
        coordinates(&head, raw, out)?;
    }
    out.push(b'}');
    Ok(())
}

/// Writes the coordinates of a geometry that is no collection.
fn coordinates(head: &Head, raw: &mut Reader<'_>, out: &mut Vec<u8>) -> Result<(), Malformed> {
    let part = match head.kind {
        POINT => return position(head, raw, out),
        LINE => return list(raw, head.is_little, out, |raw, out| position(head, raw, out)),
        POLYGON | TRIANGLE => {
            return list(raw, head.is_little, out, |raw, out| {
                list(raw, head.is_little, out, |raw, out| position(head, raw, out))
            });
        }
        MULTI_POINT => POINT,
        MULTI_LINE => LINE,
        MULTI_POLYGON | POLYHEDRAL_SURFACE => POLYGON,
        TIN => TRIANGLE,
        _ => return Err(Malformed),
    };
    list(raw, head.is_little, out, |raw, out| {
        let inner = Head::read(raw)?;
        // It has one level more at most, because a part has no parts.
        if inner.kind == part { coordinates(&inner, raw, out) } else { Err(Malformed) }
    })
}

/// Writes an array of as many values as the next number says.
fn list(
    raw: &mut Reader<'_>,
    is_little: bool,
    out: &mut Vec<u8>,
    mut one: impl FnMut(&mut Reader<'_>, &mut Vec<u8>) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    out.push(b'[');
    for i in 0..u32(raw, is_little)? {
        if i > 0 {
            out.push(b',');
        }
        one(raw, out)?;
    }
    out.push(b']');
    Ok(())
}

/// Writes a position. A point without coordinates has NaN for each.
fn position(head: &Head, raw: &mut Reader<'_>, out: &mut Vec<u8>) -> Result<(), Malformed> {
    let mut numbers = [0.0; 3];
    let count = 2 + usize::from(head.has_z);
    for number in &mut numbers[..count] {
        *number = f64(raw, head.is_little)?;
    }
    if head.has_m {
        f64(raw, head.is_little)?;
    }
    out.push(b'[');
    if !(head.kind == POINT && numbers[..count].iter().all(|number| number.is_nan())) {
        for (i, number) in numbers[..count].iter().enumerate() {
            if !number.is_finite() {
                return Err(Malformed);
            }
            if i > 0 {
                out.push(b',');
            }
            number::float8(*number, out);
        }
    }
    out.push(b']');
    Ok(())
}

fn u32(raw: &mut Reader<'_>, is_little: bool) -> Result<u32, Malformed> {
    raw.u32().map(|number| if is_little { number.swap_bytes() } else { number })
}

fn f64(raw: &mut Reader<'_>, is_little: bool) -> Result<f64, Malformed> {
    raw.u64().map(|bits| f64::from_bits(if is_little { bits.swap_bytes() } else { bits }))
}

// === impl Head ===

impl Head {
    fn read(raw: &mut Reader<'_>) -> Result<Self, Malformed> {
        let is_little = match raw.u8()? {
            0 => false,
            1 => true,
            _ => return Err(Malformed),
        };
        let word = u32(raw, is_little)?;
        let srid = if word & HAS_SRID == 0 { None } else { Some(u32(raw, is_little)?) };
        // ISO WKB has the dimensions in the thousands.
        let (kind, iso) = ((word & 0xFFFF) % 1000, (word & 0xFFFF) / 1000);
        if iso > 3 {
            return Err(Malformed);
        }
        let (has_z, has_m) = (word & HAS_Z != 0 || iso & 1 == 1, word & HAS_M != 0 || iso & 2 == 2);
        Ok(Self { is_little, kind, has_z, has_m, srid })
    }

    /// The name of the type (RFC 7946 §1.4).
    fn name(&self) -> Result<&'static str, Malformed> {
        Ok(match self.kind {
            POINT => "Point",
            LINE => "LineString",
            POLYGON | TRIANGLE => "Polygon",
            MULTI_POINT => "MultiPoint",
            MULTI_LINE => "MultiLineString",
            MULTI_POLYGON | POLYHEDRAL_SURFACE | TIN => "MultiPolygon",
            COLLECTION => "GeometryCollection",
            _ => return Err(Malformed),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap()).collect()
    }

    fn json(raw: &[u8]) -> Result<String, Malformed> {
        let mut out = Vec::new();
        geometry(raw, &mut out).map(|()| String::from_utf8(out).unwrap())
    }

    #[test]
    fn geometries() {
        #[track_caller]
        fn check(raw: &str, expect: &str) {
            assert_eq!(json(&hex(raw)).as_deref(), Ok(expect));
        }
        // SELECT ST_AsEWKB('POINT(1 2)'), and the same with the other byte order.
        check("0101000000000000000000f03f0000000000000040", r#"{"type":"Point","coordinates":[1,2]}"#);
        check("00000000013ff00000000000004000000000000000", r#"{"type":"Point","coordinates":[1,2]}"#);
        check("0101000000000000000000f87f000000000000f87f", r#"{"type":"Point","coordinates":[]}"#);
        // 'SRID=4326;POINT ZM (1 2 3 4)'
        check(
            "01010000e0e6100000000000000000f03f000000000000004000000000000008400000000000001040",
            r#"{"type":"Point","coordinates":[1,2,3]}"#,
        );
        // 'SRID=3857;LINESTRING EMPTY'
        check(
            "0102000020110f000000000000",
            r#"{"type":"LineString","crs":{"type":"name","properties":{"name":"EPSG:3857"}},"coordinates":[]}"#,
        );
        // 'GEOMETRYCOLLECTION(MULTIPOINT(1 2))'
        check(
            "0107000000010000000104000000010000000101000000000000000000f03f0000000000000040",
            r#"{"type":"GeometryCollection","geometries":[{"type":"MultiPoint","coordinates":[[1,2]]}]}"#,
        );
    }

    #[test]
    fn what_geojson_has_not() {
        for raw in [
            "",
            "02",
            "0108000000",
            "0101000000000000000000f03f",
            "0101000000000000000000f03f000000000000004000",
            "0101000000000000000000f03f000000000000f87f",
            "0101000000000000000000f07f0000000000000040",
            "0102000000ffffffff",
            "01040000000100000001020000000000000000",
        ] {
            assert!(json(&hex(raw)).is_err(), "{raw}");
        }
        let nested = [&[1, 7, 0, 0, 0, 1, 0, 0, 0][..]; 100].concat();
        assert!(json(&nested).is_err());
    }

    proptest! {
        #[test]
        fn whatever_comes_is_json_or_an_error(
            raw in prop::collection::vec(prop_oneof![Just(0u8), 0u8..8, any::<u8>()], 0..80),
            kind in 0u8..20,
        ) {
            let raw = [&[1, kind, 0, 0, 0][..], &raw].concat();
            if let Ok(text) = json(&raw) {
                let value: serde_json::Value = serde_json::from_str(&text).unwrap();
                prop_assert!(value["type"].is_string());
            }
        }

        #[test]
        fn points_read_back(x in any::<f64>(), y in any::<f64>(), is_little: bool) {
            prop_assume!(x.is_finite() && y.is_finite());
            let mut raw = vec![u8::from(is_little)];
            raw.extend(if is_little { 1u32.to_le_bytes() } else { 1u32.to_be_bytes() });
            for number in [x, y] {
                raw.extend(if is_little { number.to_le_bytes() } else { number.to_be_bytes() });
            }
            let text = json(&raw).unwrap();
            let (_, numbers) = text.trim_end_matches("]}").split_once('[').unwrap();
            let numbers: Vec<f64> = numbers.split(',').map(|number| number.parse().unwrap()).collect();
            prop_assert_eq!(numbers, [x, y]);
        }
    }
}
