//! The packages for operators: unpacked, checked, and served from.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use dunlin_testkit::{eventually, raw};
use tempfile::TempDir;

use crate::service::{Folder, dunlin, free_addr};

/// A process; it is killed when it is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The Debian package of a debug build.
fn deb() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let mut xtask = Command::new(env!("CARGO"));
        xtask.args(["run", "--quiet", "--package", "xtask", "--", "package", "--dev"]);
        // These variables of this test's own package would make build scripts run again.
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
                xtask.env_remove(name);
            }
        }
        let out = xtask.stdin(Stdio::null()).output().expect("cargo starts");
        let message = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{message}");
        let path =
            message.split_whitespace().find_map(|word| word.strip_suffix(".deb:")).expect("the path of a package");
        PathBuf::from(format!("{path}.deb"))
    })
}

fn has(tool: &str) -> bool {
    let is_there = Command::new(tool).arg("--version").stdout(Stdio::null()).status().is_ok_and(|code| code.success());
    if !is_there {
        eprintln!("not tested: there is no {tool}");
    }
    is_there
}

#[track_caller]
fn output(command: &mut Command) -> String {
    let out = command.stdin(Stdio::null()).output().expect("it starts");
    let text = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "{command:?}: {text}");
    text
}

/// The package, unpacked in a folder of its own.
fn unpacked() -> TempDir {
    let root = tempfile::tempdir().unwrap();
    output(Command::new("dpkg").arg("-x").arg(deb()).arg(root.path()));
    root
}

/// Waits until the page of the package is served, and ends the service.
#[track_caller]
fn serves(command: &mut Command, addr: SocketAddr) {
    command.env_remove("DATABASE_URL").stdin(Stdio::null()).stdout(Stdio::null());
    let mut running = Running(command.spawn().unwrap());
    eventually("it answers", || {
        assert!(running.0.try_wait().unwrap().is_none(), "it ended");
        std::net::TcpStream::connect(addr).is_ok()
    });
    let response = raw::get(addr, "/");
    assert_eq!((response.status, response.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(response.text().contains("dunlin serves this page"), "{}", response.text());
}

#[test]
fn a_site_is_served_from_the_unpacked_package() {
    if !has("dpkg") {
        return;
    }
    let root = unpacked();
    let at = |path: &str| root.path().join(path);
    for path in [
        "usr/share/man/man1/dunlin.1.gz",
        "usr/share/bash-completion/completions/dunlin",
        "usr/share/zsh/vendor-completions/_dunlin",
        "usr/share/fish/vendor_completions.d/dunlin.fish",
        "usr/share/doc/dunlin/copyright",
        "usr/share/doc/dunlin/changelog.gz",
        "usr/share/doc/dunlin/CHANGELOG.md.gz",
        "usr/lib/systemd/system/dunlin.socket",
        "etc/logrotate.d/dunlin",
    ] {
        assert!(std::fs::metadata(at(path)).is_ok_and(|file| file.len() > 0), "{path}");
    }
    let info = output(Command::new("dpkg-deb").arg("--info").arg(deb()));
    assert!(info.contains("Package: dunlin\n") && info.contains("Depends: libc6 (>= 2."), "{info}");
    let conffiles = output(Command::new("dpkg-deb").args(["--info"]).arg(deb()).arg("conffiles"));
    assert_eq!(conffiles, "/etc/dunlin/dunlin.toml\n/etc/logrotate.d/dunlin\n");
    for script in ["postinst", "prerm", "postrm"] {
        let text = output(Command::new("dpkg-deb").arg("--info").arg(deb()).arg(script));
        output(Command::new("sh").args(["-n", "-c", &text]));
    }
    // The paths of the configuration are those of an installed package.
    let config = std::fs::read_to_string(at("etc/dunlin/dunlin.toml")).unwrap();
    let config = config.replace("/usr/share", &at("usr/share").display().to_string());
    let config = config.replace("127.0.0.1:8081", &free_addr().to_string());
    std::fs::write(at("etc/dunlin/dunlin.toml"), config).unwrap();
    let program = at("usr/bin/dunlin");
    let config = at("etc/dunlin/dunlin.toml");
    output(Command::new(&program).args(["check", "--offline", "--config"]).arg(&config));
    let addr = free_addr();
    serves(Command::new(&program).args(["serve", "--config"]).arg(&config).args(["--listen", &addr.to_string()]), addr);
}

#[test]
fn debians_checker_finds_no_error() {
    if !has("lintian") {
        return;
    }
    // A debug build keeps its symbols, and nothing in its package is compressed.
    let suppressed = "unstripped-binary-or-object,changelog-not-compressed-with-max-compression,\
                      poor-compression-in-manual-page";
    output(Command::new("lintian").args(["--fail-on", "error,warning", "--suppress-tags", suppressed]).arg(deb()));
}

#[test]
fn it_is_installed_upgraded_removed_and_purged() {
    // SAFETY: it only reads an id.
    if unsafe { libc::geteuid() } != 0 || !has("dpkg") || !has("unshare") {
        eprintln!("not tested: only root can install packages");
        return;
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/e2e/package_install.sh");
    let mut install = Command::new("unshare");
    install.args(["--mount", "sh", script]).arg(deb()).arg(free_addr().to_string());
    let out = install.stdin(Stdio::null()).output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    match out.status.code() {
        Some(77) => eprintln!("not tested: this system allows no copy of itself: {text}"),
        code => assert!(code == Some(0) && text.contains("\ndone\n"), "{text}"),
    }
}

/// Kubernetes' example, the image and the root of a container have one number for the user.
#[test]
fn containers_have_one_number_for_the_user() {
    let numbers = |text: &str, keys: &[&str]| {
        for key in keys {
            assert!(text.contains(&format!("{key}900")), "{key}");
        }
    };
    numbers(include_str!("../../apps/dunlin/packaging/kubernetes.yaml"), &["runAsUser: ", "runAsGroup: "]);
    numbers(include_str!("../../apps/dunlin/packaging/Dockerfile"), &["--uid ", "--gid ", "USER 900:"]);
    numbers(include_str!("../../apps/dunlin/packaging/rootfs.sh"), &["dunlin:x:900:", "dunlin:x:"]);
}

/// The root of a container, in which there is nothing but the package and what it needs.
#[test]
fn a_site_is_served_from_the_root_of_a_container() {
    // SAFETY: it only reads an id.
    if unsafe { libc::geteuid() } != 0 || !has("dpkg") || !has("chroot") {
        eprintln!("not tested: only root can change the root folder");
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../apps/dunlin/packaging/rootfs.sh");
    output(Command::new("sh").arg(script).arg(deb()).arg(root.path()));
    let config = root.path().join("etc/dunlin/dunlin.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let text =
        text.replace("[server]\n", "[server]\nuser = \"dunlin\"\n").replace("127.0.0.1:8081", &free_addr().to_string());
    std::fs::write(&config, text).unwrap();
    let addr = free_addr();
    let mut chroot = Command::new("chroot");
    chroot.arg(root.path()).args(["/usr/bin/dunlin", "serve", "--config", "/etc/dunlin/dunlin.toml", "--listen"]);
    serves(chroot.arg(addr.to_string()), addr);
}

#[test]
fn the_units_are_valid_and_hardened() {
    if !has("dpkg") || !has("systemd-analyze") {
        return;
    }
    let root = unpacked();
    let units = root.path().join("usr/lib/systemd/system");
    let (service, socket) = (units.join("dunlin.service"), units.join("dunlin.socket"));
    // The program is not installed here.
    let text = std::fs::read_to_string(&service).unwrap();
    let program = root.path().join("usr/bin/dunlin");
    std::fs::write(&service, text.replace("=/usr/bin/dunlin", &format!("={}", program.display()))).unwrap();
    let verified = output(Command::new("systemd-analyze").args(["verify", "--man=no"]).args([&service, &socket]));
    assert!(!verified.contains("dunlin."), "{verified}");
    let mut security = Command::new("systemd-analyze");
    security.args(["security", "--offline=true", "--no-pager", "--threshold=20"]).arg(&service);
    output(&mut security);
}

#[test]
fn the_example_for_kubernetes_has_a_good_configuration() {
    let yaml = include_str!("../../apps/dunlin/packaging/kubernetes.yaml");
    let (_, config) = yaml.split_once("dunlin.toml: |\n").unwrap();
    let (config, _) = config.split_once("---\n").unwrap();
    let config: String = config.lines().map(|line| format!("{}\n", line.trim_start())).collect();
    assert!(config.contains("/usr/share/dunlin/www"));
    let folder = Folder::new(&config.replace("/usr/share/dunlin/www", "www"));
    folder.write("www/index.html", "x");
    let out = dunlin(&["check", "--offline"], &folder);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}
