//! `dunlin init`: a first configuration for what the folder has.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use crate::failure::Failure;

/// The things that a folder can be served with.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    /// A folder of static files.
    files: Option<&'static str>,
    /// The port of an application that listens on this machine.
    port: Option<u16>,
    /// `true` if the environment names a database.
    database: bool,
}

/// The usual names of folders of static files, of which the first one with an index wins.
const FOLDERS: [&str; 6] = ["public", "dist", "build", "static", "www", "site"];
/// The usual ports of applications.
const PORTS: [u16; 5] = [8000, 3000, 5000, 9000, 4000];

/// Writes a `dunlin.toml`, unless there is one.
pub(crate) fn init(path: &Path) -> Result<(), Failure> {
    let dir = path.parent().unwrap_or(Path::new(""));
    let found = Found {
        files: FOLDERS.into_iter().find(|name| dir.join(name).join("index.html").is_file()),
        port: PORTS.into_iter().find(|port| is_listening(*port)),
        database: std::env::var_os("DATABASE_URL").is_some_and(|url| !url.is_empty()),
    };
    let mut file = match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let message = format!("{}: is there already; give another path with --config\n", path.display());
            return Err(Failure::Config(message));
        }
        Err(error) => return Err(Failure::Config(format!("{}: cannot be written: {error}\n", path.display()))),
    };
    file.write_all(configuration(&found).as_bytes())?;
    let name = path.display();
    super::print(&format!("{name} is written. `dunlin check` validates it, and `dunlin serve` serves it.\n"))
}

fn is_listening(port: u16) -> bool {
    TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), Duration::from_millis(200)).is_ok()
}

/// The text of the file.
fn configuration(found: &Found) -> String {
    let mut text = String::from(
        "# A configuration of dunlin. CONFIGURATION.md has every key.\n\n\
         [server]\nlisten = \"127.0.0.1:8080\"       # \"[::]:80\" for every address of the machine\n\n\
         # TLS and HTTP/2:\n# [server.tls]\n# certificate = \"cert.pem\"\n# key = \"key.pem\"\n\n\
         # Figures, health and a status page, for operators alone:\n# [admin]\n# listen = \"127.0.0.1:8081\"\n",
    );
    if found.database {
        text += "\n# The database is the one in DATABASE_URL.\n\
            [[route]]\npath = \"/api/time\"\nquery = \"SELECT now() AS time\"\nrows = \"one\"\n";
    } else {
        text += "\n# A database, for queries:\n# [database]\n# url = \"${DATABASE_URL}\"\n#\n# [[route]]\n\
            # path = \"/api/users/{id}\"\n# query = \"SELECT * FROM users WHERE id = $1\"\n# params = [\"id\"]\n# rows = \"one\"\n";
    }
    if let Some(port) = found.port {
        let path = if found.files.is_some() { "/app/{*rest}" } else { "/{*rest}" };
        text += &format!(
            "\n# An application listens on port {port}.\n\
             [[route]]\npath = \"{path}\"\nproxy = \"http://127.0.0.1:{port}\"\n"
        );
    } else {
        text += "\n# An application behind this service:\n# [[route]]\n# path = \"/app/{*rest}\"\n\
            # proxy = \"http://127.0.0.1:8000\"\n";
    }
    match found.files {
        Some(folder) => text += &format!("\n[[route]]\npath = \"/{{*path}}\"\nfiles = \"{folder}\"\n"),
        None if found.port.is_none() => text += "\n[[route]]\npath = \"/\"\ntext = \"Hello, World!\"\n",
        None => {}
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_finding_is_a_route() {
        #[track_caller]
        fn check(found: &Found, expect: &[&str]) {
            let text = configuration(found);
            let active: Vec<&str> = text.lines().filter(|line| line.starts_with("path = ")).collect();
            let expect: Vec<String> = expect.iter().map(|path| format!("path = \"{path}\"")).collect();
            assert_eq!(active, expect, "{text}");
        }
        check(&Found::default(), &["/"]);
        check(&Found { files: Some("public"), ..Found::default() }, &["/{*path}"]);
        check(&Found { port: Some(8000), ..Found::default() }, &["/{*rest}"]);
        let all = Found { files: Some("dist"), port: Some(3000), database: true };
        check(&all, &["/api/time", "/app/{*rest}", "/{*path}"]);
    }
}
