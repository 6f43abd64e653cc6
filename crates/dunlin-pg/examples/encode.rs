//! Measures the time from a row to JSON: `cargo run --release --example encode`.
//!
//! The rows are made here in the server's format, so that only the encoder is measured.

use std::hint::black_box;
use std::time::Instant;

use dunlin_pg::json::{Column, Error, Format};
use tokio_postgres::types::Type;

const ROUNDS: u32 = 20;
const ROWS: u32 = 50_000;

fn main() -> Result<(), Error> {
    let micros = 848_570_400_123_456i64.to_be_bytes();
    let id = 4711i64.to_be_bytes();
    let price = 1234.5678f64.to_be_bytes();
    // 123456.78: two digits of base 10,000 before the point, and one after it.
    let amount = [0, 3, 0, 1, 0, 0, 0, 2, 0, 12, 0x0d, 0x80, 0x1e, 0x78];
    let note = "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor. ".repeat(8);

    let user: &[(&str, Type, &[u8])] = &[
        ("id", Type::INT8, &id),
        ("name", Type::TEXT, b"Ada Lovelace"),
        ("email", Type::TEXT, b"ada.lovelace@example.com"),
        ("active", Type::BOOL, &[1]),
        ("created_at", Type::TIMESTAMPTZ, &micros),
    ];
    measure("a user: bigint, two texts, boolean, timestamptz", user)?;
    measure("bigint", &[("v", Type::INT8, &id)])?;
    measure("timestamptz", &[("v", Type::TIMESTAMPTZ, &micros)])?;
    measure("numeric", &[("v", Type::NUMERIC, &amount)])?;
    measure("double precision", &[("v", Type::FLOAT8, &price)])?;
    measure("text of 12 bytes", &[("v", Type::TEXT, b"Ada Lovelace")])?;
    measure("text of 640 bytes", &[("v", Type::TEXT, note.as_bytes())])?;
    measure("uuid", &[("v", Type::UUID, &[0xa5; 16])])
}

/// Prints the time of a row in the fastest of some rounds.
fn measure(what: &str, row: &[(&str, Type, &[u8])]) -> Result<(), Error> {
    let columns = row.iter().map(|(name, ty, _)| Column::new(name, ty)).collect::<Result<Vec<_>, _>>()?;
    let mut out = Vec::new();
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        out.clear();
        let begun = Instant::now();
        for i in 0..ROWS {
            Format::Json.values(&columns, black_box(row).iter().map(|(_, _, raw)| Some(*raw)), i == 0, &mut out)?;
        }
        best = best.min(begun.elapsed().as_secs_f64());
    }
    let rows = f64::from(ROWS);
    let bytes = out.len() as f64 / rows;
    println!("{what}: {:.0} ns, {bytes:.0} bytes, {:.2} GB/s", best / rows * 1e9, bytes * rows / best / 1e9);
    Ok(())
}
