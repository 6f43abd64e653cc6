//! The line as a JSON object, with the fields of other lines of the log first.

use std::io::Write as _;

use super::Entry;
use crate::log::time::Timestamp;
use crate::log::value::Value;

pub(super) fn write(out: &mut Vec<u8>, entry: &Entry<'_>) {
    let now = Timestamp::new(entry.now);
    // Writing to memory does not fail.
    let _ = write!(out, "{{\"timestamp\":\"{}\",\"level\":\"INFO\",\"target\":\"access\"", now.iso());
    entry.fields(&mut |name, value| {
        let _ = write!(out, ",\"{name}\":");
        match value {
            Value::Text(text) => quoted(out, &text),
            Value::Lines(text) => {
                out.push(b'[');
                quoted(out, &text);
                out.push(b']');
            }
            Value::Count(count) => drop(write!(out, "{count}")),
            Value::Seconds(time) => drop(write!(out, "{}", time.as_micros() as f64 / 1e6)),
        }
    });
    out.extend_from_slice(b"}\n");
}

fn quoted(out: &mut Vec<u8>, text: &str) {
    let _ = serde_json::to_writer(out, text);
}
