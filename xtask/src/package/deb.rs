//! The Debian package: an `ar` archive of two tar archives (deb(5)).
//!
//! It is written here rather than by `dpkg-deb` or `cargo-deb`, so that it can be made on any
//! system, and byte for byte alike.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};

use super::tree::{Entry, Tree};
use super::{Package, packaging, read};

/// The files of the configuration, which an upgrade leaves as the operator changed them.
const CONFFILES: &str = "/etc/dunlin/dunlin.toml\n/etc/logrotate.d/dunlin\n";

/// Writes the package.
pub(super) fn write(path: &Path, package: &Package) -> Result<()> {
    let mut tree = package.system()?;
    let maintainer = maintainer();
    let changelog = package.gzip(changelog(package, &maintainer).as_bytes())?;
    tree.add("usr/share/doc/dunlin/changelog.gz", Entry::file(changelog));
    let size: usize = tree.files().map(|(_, content)| content.len()).sum();
    let glibc = glibc(&read(&package.binary)?).unwrap_or_else(|| "2.36".to_owned());
    let mut control = Tree::default();
    control.add("control", Entry::file(fields(package, &maintainer, &glibc, size).into_bytes()));
    control.add("conffiles", Entry::file(CONFFILES.into()));
    for script in ["postinst", "prerm", "postrm"] {
        control.add(script, Entry::program(read(&packaging(&format!("debian/{script}")))?));
    }
    let mut out = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    out.write_all(b"!<arch>\n")?;
    member(&mut out, "debian-binary", b"2.0\n", package.time)?;
    for (name, tree) in [("control", &control), ("data", &tree)] {
        let mut archive = Vec::new();
        tree.write(&mut archive, Path::new("."), package.time)?;
        member(&mut out, &format!("{name}.tar.gz"), &package.gzip(&archive)?, package.time)?;
    }
    Ok(())
}

/// Writes a file of an `ar` archive. Its length is made even.
fn member(out: &mut File, name: &str, content: &[u8], time: u64) -> Result<()> {
    writeln!(out, "{name:<16}{time:<12}{:<6}{:<6}{:<8}{:<10}`", 0, 0, 100_644, content.len())?;
    out.write_all(content)?;
    if content.len() % 2 == 1 {
        out.write_all(b"\n")?;
    }
    Ok(())
}

/// The maintainer of the package: the one who packages it, if the variables of Debian's tools say
/// who that is.
fn maintainer() -> String {
    let variable = |name, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
    // RFC 2606 §3 reserves the domain for examples. The project has none of its own.
    format!("{} <{}>", variable("DEBFULLNAME", "dunlin developers"), variable("DEBEMAIL", "dunlin@example.org"))
}

/// The changelog of the package, in Debian's form (deb-changelog(5)).
fn changelog(package: &Package, maintainer: &str) -> String {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(package.time);
    let date = httpdate::fmt_http_date(time).replace("GMT", "+0000");
    format!(
        "dunlin ({}) unstable; urgency=medium\n\n  * The changes are in CHANGELOG.md.gz.\n\n -- {maintainer}  {date}\n",
        package.version
    )
}

/// The control file.
fn fields(package: &Package, maintainer: &str, glibc: &str, size: usize) -> String {
    let Package { version, arch, .. } = package;
    format!(
        "Package: dunlin\nVersion: {version}\nArchitecture: {arch}\nMaintainer: {maintainer}\n\
         Installed-Size: {}\nDepends: libc6 (>= {glibc}), libgcc-s1, passwd\nRecommends: ca-certificates\n\
         Suggests: logrotate\nProvides: httpd\nSection: httpd\nPriority: optional\n\
         Description: fast web service from a configuration\n \
         dunlin serves static files, SQL queries as JSON, fetched pages and proxied\n \
         upstreams, compressed and cached. One file configures it.\n",
        size.div_ceil(1024)
    )
}

/// The newest version of glibc that the binary asks for.
fn glibc(binary: &[u8]) -> Option<String> {
    let name = b"GLIBC_2.";
    let minors = binary.windows(name.len()).enumerate().filter(|(_, window)| window == name).filter_map(|(at, _)| {
        let digits: String = binary
            .get(at + name.len()..)?
            .iter()
            .map_while(|byte| byte.is_ascii_digit().then(|| char::from(*byte)))
            .collect();
        digits.parse::<u32>().ok()
    });
    minors.max().map(|minor| format!("2.{minor}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_glibc_is_found() {
        assert_eq!(glibc(b"\0GLIBC_2.4\0GLIBC_2.34\0GLIBC_2.17\0GLIBC_PRIVATE\0"), Some("2.34".to_owned()));
        assert_eq!(glibc(b"GLIBC_2."), None);
    }
}
