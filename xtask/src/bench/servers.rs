//! The servers that are compared. Their configurations do the same work.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use dunlin_testkit::free_port;

use super::process::Server;
use super::write;

/// A server to measure.
pub(crate) enum Kind {
    /// The service, by its executable.
    Dunlin(PathBuf),
    /// The peer.
    Nginx,
}

// === impl Kind ===

impl Kind {
    /// Starts it with one worker. It serves `folder/static` and the responses of `origin`.
    pub(crate) fn start(&self, folder: &Path, origin: SocketAddr) -> Result<Server> {
        let addr = SocketAddr::from(([127, 0, 0, 1], free_port()));
        match self {
            Self::Dunlin(exe) => {
                write(folder, "dunlin.toml", dunlin_config(addr, origin))?;
                let config = folder.join("dunlin.toml").display().to_string();
                Server::start(exe, &["serve", "--config", &config], addr, "0")
            }
            Self::Nginx => {
                let folder_name = folder.display().to_string();
                write(folder, "nginx.conf", nginx_config(addr, origin, &folder_name))?;
                let config = folder.join("nginx.conf").display().to_string();
                Server::start(Path::new("nginx"), &["-p", &folder_name, "-c", &config], addr, "0")
            }
        }
    }
}

/// The number of files that are requested once.
pub(super) const FILES: usize = 400;

/// Starts the upstream: another nginx, on the generator's core. Its response has 13 KB and is fresh
/// for an hour.
pub(crate) fn origin(folder: &Path) -> Result<Server> {
    let rows: Vec<_> = (0..200)
        .map(|n| serde_json::json!({"id": n, "name": format!("User {n}"), "email": format!("user{n}@example.com"), "score": n * 7919 % 1000}))
        .collect();
    let folder = folder.join("origin");
    std::fs::create_dir_all(&folder)?;
    write(&folder, "rows", serde_json::Value::from(rows).to_string())?;
    let addr = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let name = folder.display().to_string();
    let server = format!(
        r#"  open_file_cache max=10;
  default_type application/json;
  server {{
    listen {addr};
    root {name};
    add_header Cache-Control "public, max-age=3600";
    location / {{ try_files /rows =404; }}
  }}
"#
    );
    write(&folder, "nginx.conf", nginx(&name, &server))?;
    let config = folder.join("nginx.conf").display().to_string();
    Server::start(Path::new("nginx"), &["-p", &name, "-c", &config], addr, "1")
}

/// Writes the files that are served. They have typical sizes, and real text as content.
pub(crate) fn write_files(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder.join("static/first"))?;
    let script = script()?;
    write(folder, "static/small.css", &script[..4096])?;
    write(folder, "static/medium.js", &script[..88 * 1024])?;
    let noise: Vec<u8> = (0..10_485_760_u64).map(|n| (n.wrapping_mul(6_364_136_223_846_793_005) >> 56) as u8).collect();
    write(folder, "static/big.bin", noise)?;
    for n in 0..FILES {
        write(folder, &format!("static/first/{n}.js"), &format!("/* {n} */{script}")[..88 * 1024])?;
    }
    Ok(())
}

/// More than 88 KiB of real code. Generated code would not compress like real code.
fn script() -> Result<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/dunlin-static/src");
    let mut files: Vec<_> =
        std::fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    files.retain(|path| path.is_file());
    files.sort();
    let mut script = String::new();
    for file in files {
        script.extend(std::fs::read_to_string(file)?.chars().filter(char::is_ascii));
    }
    ensure!(script.len() > 88 * 1024, "the code of dunlin-static is shorter than 88 KiB: use that of another crate");
    Ok(script)
}

/// A configuration with one text route and this number of loops.
pub(super) fn scale_config(addr: SocketAddr, workers: usize) -> String {
    let server = format!("[server]\nlisten = \"{addr}\"\nworkers = {workers}\nmax_connections_per_client = 20000\n");
    server + "[log]\naccess = false\n[[route]]\npath = \"/\"\ntext = \"Hello, World!\"\n"
}

fn dunlin_config(addr: SocketAddr, origin: SocketAddr) -> String {
    format!(
        r#"[server]
listen = "{addr}"
workers = 1
[admin]
listen = "127.0.0.1:{}"
[log]
access = false
[compression]
prefer = ["gzip"]
level = {{ gzip = 6 }}
[[route]]
path = "/"
text = "Hello, World!"
[[route]]
path = "/static/{{*path}}"
files = "static"
[[route]]
path = "/cached/{{*rest}}"
proxy = "http://{origin}"
cache = true
[[route]]
path = "/proxied/{{*rest}}"
proxy = "http://{origin}"
"#,
        free_port()
    )
}

fn nginx_config(addr: SocketAddr, origin: SocketAddr, folder: &str) -> String {
    let work = format!(
        r#"  types {{ text/css css; application/javascript js; application/octet-stream bin; }}
  open_file_cache max=1000 inactive=60s;
  gzip on; gzip_comp_level 6; gzip_min_length 256; gzip_proxied any; gzip_vary on;
  gzip_types text/css application/javascript application/json;
  proxy_cache_path {folder}/cache keys_zone=c:10m max_size=1g;
  upstream origin {{ server {origin}; keepalive 64; }}
  proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Accept-Encoding "";
  server {{
    listen {addr} backlog=4096;
    location = / {{ default_type text/plain; return 200 "Hello, World!"; }}
    location /static/ {{ alias {folder}/static/; }}
    location /cached/ {{ proxy_pass http://origin; proxy_cache c; }}
    location /proxied/ {{ proxy_pass http://origin; }}
  }}
"#
    );
    nginx(folder, &work)
}

/// A configuration of nginx with one worker. `http` is part of its `http` block, and its files are
/// in `folder`.
fn nginx(folder: &str, http: &str) -> String {
    // SAFETY: the call has no effect.
    let user = if unsafe { libc::geteuid() } == 0 { "user root;\n" } else { "" };
    format!(
        r#"{user}worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 4096; }}
http {{
  access_log off; sendfile on; tcp_nopush on; tcp_nodelay on;
  keepalive_timeout 75s; keepalive_requests 100000000;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
{http}}}
"#
    )
}
