//! `listen`: the addresses of a listener, each by itself or with its properties.

use std::path::Path;

use dunlin_server::{Addr, Listen};
use toml::de::DeValue;

use crate::reader::{Document, Read, Value};

const MODE: &str = "a mode in octal digits such as \"0660\"";

/// Reads the addresses of `[server]`.
pub(super) fn listeners(value: Value<'_>, document: &Document<'_>) -> Option<Vec<Listen>> {
    value.list(|value| match value.raw() {
        DeValue::Table(_) => table(value, document),
        _ => address(value, document.dir).map(Into::into),
    })
}

/// Reads one address or several.
pub(super) fn addresses(value: Value<'_>, dir: &Path) -> Option<Vec<Addr>> {
    value.list(|value| address(value, dir))
}

/// The addresses of `[admin]`.
pub(super) fn admin(value: Option<Value<'_>>, dir: &Path) -> Vec<Addr> {
    let listen = value.and_then(|value| addresses(value, dir));
    listen.unwrap_or_else(|| vec![Addr::Tcp(([127, 0, 0, 1], 8081).into())])
}

/// Reads an address. A Unix socket is relative to the configuration, as all paths are.
fn address(value: Value<'_>, dir: &Path) -> Option<Addr> {
    Some(match Addr::read(value)? {
        Addr::Unix(path) => Addr::Unix(dir.join(path)),
        addr => addr,
    })
}

fn table(value: Value<'_>, document: &Document<'_>) -> Option<Listen> {
    let mut table = value.section("this listener")?;
    table.require::<Addr>("address");
    let addr = table.get("address").and_then(|value| address(value, document.dir));
    let tls: Option<bool> = table.read("tls");
    let mode = table.get("mode").map_or(Some(None), |value| mode(value).map(Some));
    let (user, group) = (table.read("user"), table.read("group"));
    table.finish(|_| None);
    let listen = Listen { addr: addr?, tls, mode: mode?, user, group };
    match listen.check() {
        Ok(()) => Some(listen),
        Err(what) => {
            value.error(crate::reader::Diagnostic::new(value.span(), what));
            None
        }
    }
}

fn mode(value: Value<'_>) -> Option<u32> {
    let text = value.str(MODE)?;
    let digits = !text.is_empty() && text.len() <= 4 && text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    let mode = digits.then(|| u32::from_str_radix(text, 8).ok()).flatten();
    mode.or_else(|| value.wrong(format_args!("\"{text}\""), MODE, None))
}
