//! `dunlin init`: a first configuration for what the folder has.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use crate::failure::Failure;
use crate::reader::read_text;

/// The things that a folder can be served with.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    files: Files,
    app: Option<App>,
    /// `true` if the environment names a database.
    database: bool,
    /// Ports of this machine that are in use.
    taken: Vec<u16>,
}

/// The static files of a folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Files {
    #[default]
    None,
    /// A folder with an index.
    Site(&'static str),
    /// A folder without one, which belongs to the pages of an application.
    Assets(&'static str),
    /// An index in the folder of the configuration.
    Beside,
}

/// An application that this service can stand before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum App {
    /// One listens on this port.
    Running(u16),
    /// The folder is a project of aiohttp.
    Aiohttp,
}

/// The usual names of folders of static files, of which the first one with an index wins.
const FOLDERS: [&str; 6] = ["public", "dist", "build", "static", "www", "site"];
/// The usual names of folders with the scripts and styles of an application.
const ASSETS: [&str; 2] = ["static", "assets"];
/// The usual ports of applications.
const PORTS: [u16; 6] = [8080, 8000, 3000, 5000, 9000, 4000];
/// The ports for this service, of which the first one that is free wins.
const OWN_PORTS: [u16; 3] = [8080, 8000, 8090];
/// The port of `aiohttp.web.run_app`.
const AIOHTTP_PORT: u16 = 8080;
/// The files in which a Python project names its dependencies.
const PYTHON: [&str; 2] = ["requirements.txt", "pyproject.toml"];

/// Writes a `dunlin.toml`, unless there is one.
pub(crate) fn init(path: &Path) -> Result<(), Failure> {
    let mut file = match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let message = format!("{}: is there already; give another path with --config\n", path.display());
            return Err(Failure::Config(message));
        }
        Err(error) => return Err(Failure::Config(format!("{}: cannot be written: {error}\n", path.display()))),
    };
    let found = Found::look(path.parent().unwrap_or(Path::new("")));
    file.write_all(found.configuration().as_bytes())?;
    let name = path.display();
    super::print(&format!("{name} is written. `dunlin check` validates it, and `dunlin serve` serves it.\n"))
}

fn is_listening(port: u16) -> bool {
    TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), Duration::from_millis(200)).is_ok()
}

fn names_aiohttp(file: &Path) -> bool {
    read_text(file, 1 << 20).is_ok_and(|text| text.contains("aiohttp"))
}

// === impl Found ===

impl Found {
    /// Looks at the folder, the ports of this machine and the environment.
    fn look(dir: &Path) -> Self {
        let taken: Vec<u16> = PORTS.into_iter().filter(|port| is_listening(*port)).collect();
        let running = taken.first().copied().map(App::Running);
        let aiohttp = PYTHON.into_iter().any(|name| names_aiohttp(&dir.join(name)));
        Self {
            files: Files::look(dir),
            app: running.or(aiohttp.then_some(App::Aiohttp)),
            database: std::env::var_os("DATABASE_URL").is_some_and(|url| !url.is_empty()),
            taken,
        }
    }

    /// The port of this service, which no other program has.
    fn port(&self) -> u16 {
        let app = self.app.map(App::port);
        let is_free = |port: &u16| !self.taken.contains(port) && app != Some(*port);
        OWN_PORTS.into_iter().find(is_free).unwrap_or(8080)
    }

    /// The text of the file.
    fn configuration(&self) -> String {
        let mut text = format!(
            "# A configuration of dunlin. CONFIGURATION.md has every key.\n\n\
             [server]\nlisten = \"127.0.0.1:{}\"       # \"[::]:80\" for every address of the machine\n\n\
             # TLS and HTTP/2:\n# [server.tls]\n# certificate = \"cert.pem\"\n# key = \"key.pem\"\n\n\
             # Figures, health and a status page, for operators alone:\n# [admin]\n# listen = \"127.0.0.1:8081\"\n",
            self.port()
        );
        text += match self.database {
            true => {
                "\n# The database is the one in DATABASE_URL.\n\
                 [[route]]\npath = \"/api/time\"\nquery = \"SELECT now() AS time\"\nrows = \"one\"\n"
            }
            false => {
                "\n# A database, for queries:\n# [database]\n# url = \"${DATABASE_URL}\"\n#\n# [[route]]\n\
                 # path = \"/api/users/{id}\"\n# query = \"SELECT * FROM users WHERE id = $1\"\n# params = [\"id\"]\n\
                 # rows = \"one\"\n"
            }
        };
        text += &self.app.map_or_else(example, |app| app.route(self.files));
        text += &self.files.route();
        if self.app.is_none() && !matches!(self.files, Files::Site(_)) {
            text += "\n[[route]]\npath = \"/\"\ntext = \"Hello, World!\"\n";
        }
        text
    }
}

// === impl Files ===

impl Files {
    fn look(dir: &Path) -> Self {
        if let Some(name) = FOLDERS.into_iter().find(|name| dir.join(name).join("index.html").is_file()) {
            return Self::Site(name);
        }
        if let Some(name) = ASSETS.into_iter().find(|name| dir.join(name).is_dir()) {
            return Self::Assets(name);
        }
        if dir.join("index.html").is_file() { Self::Beside } else { Self::None }
    }

    fn route(self) -> String {
        match self {
            Self::None => String::new(),
            Self::Site(folder) => format!("\n[[route]]\npath = \"/{{*path}}\"\nfiles = \"{folder}\"\n"),
            Self::Assets(folder) => format!("\n[[route]]\npath = \"/{folder}/{{*path}}\"\nfiles = \"{folder}\"\n"),
            Self::Beside => "\n# index.html is beside this file. A route for this folder would serve everything in it, this file\n\
                 # included. Move the pages to a folder of their own:\n# [[route]]\n# path = \"/{*path}\"\n# files = \"public\"\n"
                .to_owned(),
        }
    }
}

// === impl App ===

impl App {
    const fn port(self) -> u16 {
        match self {
            Self::Running(port) => port,
            Self::Aiohttp => AIOHTTP_PORT,
        }
    }

    /// The route of the application, which leaves room for a site.
    fn route(self, files: Files) -> String {
        let port = self.port();
        let path = if matches!(files, Files::Site(_)) { "/app/{*rest}" } else { "/{*rest}" };
        let reason = match self {
            Self::Running(_) => format!("An application listens on port {port}."),
            Self::Aiohttp => format!("The application of this folder uses aiohttp, whose port is {port}."),
        };
        format!("\n# {reason}\n[[route]]\npath = \"{path}\"\nproxy = \"http://127.0.0.1:{port}\"\n")
    }
}

/// An example of a route to an application.
fn example() -> String {
    "\n# An application behind this service:\n# [[route]]\n# path = \"/app/{*rest}\"\n# proxy = \"http://127.0.0.1:9000\"\n"
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_finding_is_a_route() {
        #[track_caller]
        fn check(found: &Found, port: u16, expect: &[&str]) {
            let text = found.configuration();
            let active: Vec<&str> = text.lines().filter(|line| line.starts_with("path = ")).collect();
            let expect: Vec<String> = expect.iter().map(|path| format!("path = \"{path}\"")).collect();
            assert_eq!(active, expect, "{text}");
            assert!(text.contains(&format!("listen = \"127.0.0.1:{port}\"")), "{text}");
        }
        check(&Found::default(), 8080, &["/"]);
        check(&Found { files: Files::Site("public"), ..Found::default() }, 8080, &["/{*path}"]);
        check(&Found { files: Files::Assets("static"), ..Found::default() }, 8080, &["/static/{*path}", "/"]);
        check(&Found { files: Files::Beside, ..Found::default() }, 8080, &["/"]);
        let running = |port| Found { app: Some(App::Running(port)), taken: vec![port], ..Found::default() };
        check(&running(8000), 8080, &["/{*rest}"]);
        check(&running(8080), 8000, &["/{*rest}"]);
        check(&Found { taken: vec![8000, 8080], ..running(8080) }, 8090, &["/{*rest}"]);
        let project = Found { files: Files::Assets("static"), app: Some(App::Aiohttp), ..Found::default() };
        check(&project, 8000, &["/{*rest}", "/static/{*path}"]);
        let all = Found { files: Files::Site("dist"), database: true, ..running(3000) };
        check(&all, 8080, &["/api/time", "/app/{*rest}", "/{*path}"]);
    }

    #[test]
    fn a_folder_is_looked_at() {
        #[track_caller]
        fn check(files: &[&str], expect: Files) {
            let dir = tempfile::tempdir().unwrap();
            for file in files {
                let path = dir.path().join(file);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, "aiohttp==3.9\n").unwrap();
            }
            assert_eq!(Files::look(dir.path()), expect, "{files:?}");
        }
        check(&[], Files::None);
        check(&["public/a.html", "dist/index.html", "static/a.js"], Files::Site("dist"));
        check(&["static/a.js", "index.html"], Files::Assets("static"));
        check(&["index.html"], Files::Beside);
    }
}
