//! The time to read a large configuration grows with its size, and not faster.

use std::fmt::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::service::{Folder, executable};

/// A configuration with routes of every kind, or of one.
fn config(routes: usize, only: Option<usize>) -> String {
    let mut text = "[database]\nurl = \"postgres://user@127.0.0.1/shop\"\n\
        [upstream.app]\nservers = [\"http://127.0.0.1:9000\"]\n"
        .to_owned();
    for number in 0..routes {
        let (host, group) = (number % 50, number % 100);
        let kind = match only.unwrap_or(number % 6) {
            0 => format!("path = \"/t{number}\"\ntext = \"hello {number}\""),
            1 => format!("path = \"/f{number}/{{*path}}\"\nfiles = \"files\""),
            2 => format!(
                "path = \"/q{number}/{{id}}\"\nquery = \"SELECT id FROM t{number} WHERE id = $1\"\nparams = [\"id\"]\n\
                 cache = {{ age = \"1h\", groups = [\"g{group}\"] }}"
            ),
            3 => format!("path = \"/p{number}/{{*rest}}\"\nproxy = \"http://app/\""),
            4 => format!("path = \"/r{number}\"\nredirect = \"https://example.com/{number}\""),
            _ => format!("path = \"/x{number}\"\nfetch = \"http://127.0.0.1:9000/{number}\""),
        };
        let _ = writeln!(text, "[[route]]\nhost = \"h{host}.example.com\"\n{kind}");
    }
    text
}

/// The processor time of `dunlin check --offline`.
#[expect(clippy::zombie_processes, reason = "wait4 waits for it")]
fn time(routes: usize, only: Option<usize>) -> Duration {
    let folder = Folder::new(&config(routes, only));
    folder.write("files/a", "a");
    let mut check = Command::new(executable());
    check.args(["check", "--offline"]).current_dir(folder.path()).env_remove("DATABASE_URL");
    let child = check.stdout(Stdio::null()).spawn().expect("dunlin starts");
    let pid = i32::try_from(child.id()).expect("a process number");
    let mut status = 0;
    // SAFETY: all zeros are a value of this structure of numbers.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the child has not been waited for, and both places are writable.
    assert_eq!(unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) }, pid);
    assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0, "it is good");
    let part = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000);
    part(usage.ru_utime) + part(usage.ru_stime)
}

#[test]
fn ten_times_the_routes_take_about_ten_times_as_long() {
    // Queries have statements in a table of their own.
    for only in [None, Some(2)] {
        // The shorter one of two, because other processes disturb it.
        let [few, many] = [2_000, 20_000].map(|routes| time(routes, only).min(time(routes, only)));
        // A scan of all statements for each query makes it 17 times.
        assert!(many < few * 14, "{only:?}: {few:?} and {many:?}");
    }
}
