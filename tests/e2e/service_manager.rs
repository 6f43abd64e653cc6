//! The process under a service manager: its notices, its user, and what it may do.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use dunlin_testkit::{eventually, raw};

use crate::service::{Folder, dunlin, executable, free_addr, refused};

const ROUTE: &str = "[[route]]\npath = \"/{*rest}\"\ntext = \"hello\"\n";
/// The id of Debian's user `www-data`, in the group of the same name.
const WWW_DATA: u32 = 33;

/// A service; it is killed when it is dropped.
struct Process(Child);

/// The receiver of notices.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Manager {
    fn new(folder: &Path) -> Self {
        let path = folder.join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        // Any user may write to systemd's.
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Self { socket, path }
    }

    fn next(&self) -> String {
        let mut buffer = [0; 4096];
        let count = self.socket.recv(&mut buffer).expect("a notice");
        String::from_utf8(buffer[..count].to_vec()).unwrap()
    }

    /// The next notice that is no sign of life.
    fn next_state(&self) -> String {
        std::iter::repeat_with(|| self.next()).find(|notice| notice.trim() != "WATCHDOG=1").unwrap()
    }
}

impl Process {
    fn start(folder: &Path, env: &[(&str, &Path)]) -> Self {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(folder.join("stderr")).unwrap();
        let mut command = Command::new(executable());
        command.arg("serve").current_dir(folder).env_remove("DATABASE_URL");
        command.envs(env.iter().copied()).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        Self(command.spawn().unwrap())
    }

    fn signal(&self, signal: i32) {
        // SAFETY: the child has not been waited for, so its number is its own.
        assert_eq!(unsafe { libc::kill(i32::try_from(self.0.id()).unwrap(), signal) }, 0);
    }

    /// The values of a key in `/proc/PID/task/TID/status`, of each thread.
    fn threads(&self, key: &str) -> Vec<String> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.0.id())).unwrap();
        let value = |path: PathBuf| {
            let status = std::fs::read_to_string(path.join("status")).ok()?;
            status.lines().find_map(|line| line.strip_prefix(key)).map(|rest| rest.replace('\t', " ").trim().to_owned())
        };
        tasks.filter_map(|task| value(task.unwrap().path())).collect()
    }

    #[track_caller]
    fn ended(mut self) {
        eventually("it ends", || self.0.try_wait().unwrap().is_some());
        assert_eq!(self.0.wait().unwrap().code(), Some(0));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn is_root() -> bool {
    // SAFETY: it only reads an id.
    let is_root = unsafe { libc::geteuid() } == 0;
    if !is_root {
        eprintln!("not tested: only root can change the user");
    }
    is_root
}

#[test]
fn the_manager_hears_of_the_start_of_life_and_of_the_end() {
    let folder = Folder::new(&format!("[server]\nlisten = \"{}\"\nworkers = 2\n{ROUTE}", free_addr()));
    let manager = Manager::new(folder.path());
    let limit = Path::new("200000");
    let process = Process::start(folder.path(), &[("NOTIFY_SOCKET", &manager.path), ("WATCHDOG_USEC", limit)]);
    let ready = manager.next_state();
    assert!(ready.contains(&format!("MAINPID={}\n", process.0.id())), "{ready}");
    assert!(ready.contains("READY=1\n") && ready.contains("STATUS=serving 1 route\n"), "{ready}");
    for _ in 0..5 {
        assert_eq!(manager.next().trim(), "WATCHDOG=1");
    }
    process.signal(libc::SIGTERM);
    let stopping = manager.next_state();
    assert!(stopping.contains("STOPPING=1\n") && stopping.contains("STATUS=stopping"), "{stopping}");
    process.ended();
}

#[test]
fn the_manager_hears_of_a_reload() {
    let config = format!("[server]\nlisten = \"{}\"\nworkers = 2\n{ROUTE}", free_addr());
    let folder = Folder::new(&config);
    let manager = Manager::new(folder.path());
    let process = Process::start(folder.path(), &[("NOTIFY_SOCKET", &manager.path)]);
    assert!(manager.next_state().contains("READY=1\n"));
    for (routes, expect) in
        [(2, "STATUS=serving 2 routes\n"), (0, "STATUS=not reloaded: dunlin.toml: there is no route")]
    {
        let more = "[[route]]\npath = \"/more\"\ntext = \"more\"\n";
        folder.write("dunlin.toml", if routes == 2 { config.clone() + more } else { "[log]\n".to_owned() });
        process.signal(libc::SIGHUP);
        let reloading = manager.next_state();
        assert!(reloading.contains("RELOADING=1\n"), "{reloading}");
        let time = reloading.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC=")).expect("a time");
        assert!(time.parse::<u64>().unwrap() > 0, "{reloading}");
        let ready = manager.next_state();
        assert!(ready.contains("READY=1\n") && ready.contains(expect), "{ready}");
        // A repeat within a second would count once.
        std::thread::sleep(Duration::from_millis(1100));
    }
    process.signal(libc::SIGTERM);
    process.ended();
}

#[test]
fn a_handover_makes_the_successor_the_main_process() {
    let server = format!("listen = \"{}\"\nhandover = \"handover\"", free_addr());
    let folder = Folder::new(&format!("[server]\nworkers = 1\n{server}\n{ROUTE}"));
    let manager = Manager::new(folder.path());
    let old = Process::start(folder.path(), &[("NOTIFY_SOCKET", &manager.path)]);
    assert!(manager.next_state().contains(&format!("MAINPID={}\n", old.0.id())));
    let new = Process::start(folder.path(), &[("NOTIFY_SOCKET", &manager.path)]);
    let ready = manager.next_state();
    assert!(ready.contains(&format!("MAINPID={}\n", new.0.id())) && ready.contains("READY=1\n"), "{ready}");
    old.ended();
    new.signal(libc::SIGTERM);
    // The old one has not told the manager that the service stops.
    assert!(manager.next_state().contains("STOPPING=1\n"));
    new.ended();
    manager.socket.set_nonblocking(true).unwrap();
    assert!(manager.socket.recv(&mut [0; 64]).is_err(), "there is no other notice");
}

#[test]
fn root_becomes_the_user_of_the_configuration() {
    if !is_root() {
        return;
    }
    let addr = free_addr();
    let server = format!("listen = \"{addr}\"\nhandover = \"run/handover\"\nuser = \"www-data\"\ngroup = \"www-data\"");
    let folder = Folder::new(&format!("[server]\nworkers = 2\n{server}\n[log]\nfile = \"run/log\"\n{ROUTE}"));
    folder.write("run/.keep", "");
    for path in [folder.path().to_owned(), folder.path().join("run")] {
        chown(path, Some(WWW_DATA), Some(WWW_DATA)).unwrap();
    }
    let manager = Manager::new(folder.path());
    let log = folder.path().join("run/log");
    let old = Process::start(folder.path(), &[]);
    eventually("it answers", || std::net::TcpStream::connect(addr).is_ok());
    assert_eq!(raw::get(addr, "/").text(), "hello");
    let ids = format!("{WWW_DATA} {WWW_DATA} {WWW_DATA} {WWW_DATA}");
    for key in ["Uid:", "Gid:"] {
        let threads = old.threads(key);
        assert!(threads.len() >= 3 && threads.iter().all(|thread| *thread == ids), "{key} {threads:?}");
    }
    assert!(old.threads("Groups:").iter().all(|groups| *groups == WWW_DATA.to_string()));
    assert!(old.threads("CapEff:").iter().all(|rights| rights.chars().all(|digit| digit == '0')));
    assert_eq!(std::fs::metadata(&log).unwrap().uid(), WWW_DATA);
    std::fs::rename(&log, folder.path().join("run/log.1")).unwrap();
    old.signal(libc::SIGUSR1);
    eventually("the user opens the log again", || std::fs::read_to_string(&log).is_ok_and(|log| log.contains("again")));
    // Root starts the successor, which takes the sockets over from a process of that user.
    let new = Process::start(folder.path(), &[("NOTIFY_SOCKET", &manager.path)]);
    assert!(manager.next_state().contains("READY=1\n"));
    old.ended();
    assert_eq!(raw::get(addr, "/").text(), "hello");
    drop(new);
}

#[test]
fn a_user_that_does_not_exist_is_an_error_with_its_place() {
    let folder = Folder::new(&format!("[server]\nuser = \"no-user\"\n{ROUTE}"));
    let out = dunlin(&["check", "--offline"], &folder);
    refused(&out, &["dunlin.toml:2:8:", "there is no user \"no-user\" on this machine"]);
    let folder = Folder::new(&format!("[server]\nuser = \"root\"\ngroup = \"no-group\"\n{ROUTE}"));
    refused(&dunlin(&["check"], &folder), &["dunlin.toml:3:9:", "there is no group \"no-group\" on this machine"]);
    let folder = Folder::new(&format!("[server]\ngroup = \"root\"\n{ROUTE}"));
    refused(&dunlin(&["check"], &folder), &["dunlin.toml:2:1:", "\"group\" is there without \"user\""]);
}

/// The service may write only to the folders of its configuration, even as root.
#[cfg(target_os = "linux")]
#[test]
fn the_process_restricts_itself() {
    let start = |restrict: bool| {
        let addr = free_addr();
        let server = format!("listen = \"{addr}\"\nworkers = 1\nrestrict = {restrict}");
        let config = format!("[server]\n{server}\n[log]\nfile = \"logs/log\"\nlevel = \"debug\"\n{ROUTE}");
        let folder = Folder::new(&config);
        folder.write("logs/log", "");
        folder.write("elsewhere/.keep", "");
        let process = Process::start(folder.path(), &[]);
        eventually("it answers", || std::net::TcpStream::connect(addr).is_ok());
        // Another folder is at the place of the one that was there at the start.
        let path = |name: &str| folder.path().join(name);
        std::fs::rename(path("logs"), path("moved")).unwrap();
        std::os::unix::fs::symlink("elsewhere", path("logs")).unwrap();
        process.signal(libc::SIGUSR1);
        (process, folder)
    };
    let read = |folder: &Folder, name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap_or_default();

    let (process, folder) = start(false);
    assert!(process.threads("NoNewPrivs:").iter().all(|flag| flag == "0"));
    eventually("it writes elsewhere", || read(&folder, "elsewhere/log").contains("opened again"));

    let (process, folder) = start(true);
    assert!(process.threads("NoNewPrivs:").iter().all(|flag| flag == "1"));
    eventually("it has answered the signal", || {
        read(&folder, "moved/log").contains("Permission denied") || read(&folder, "elsewhere/log").contains("again")
    });
    if read(&folder, "moved/log").contains("has no Landlock") {
        eprintln!("not tested: this kernel has no Landlock");
        return;
    }
    assert_eq!(read(&folder, "elsewhere/log"), "");
    assert!(read(&folder, "moved/log").contains("lines still go to the file that was opened before"));
}
