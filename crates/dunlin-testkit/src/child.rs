//! [`GuardedServer`]: a server process that ends with its owner.

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use crate::PATIENCE;

/// A server process under a small shell. The shell ends the server when the owner's end of a pipe
/// closes. That happens on drop, and also when the owner itself is killed.
#[derive(Debug)]
pub(crate) struct GuardedServer {
    shell: Child,
    pipe: Option<ChildStdin>,
    pid: i32,
}

// === impl GuardedServer ===

impl GuardedServer {
    /// Starts `program` with its output in `log`.
    ///
    /// It has a process group of its own, so that Ctrl-C in a terminal does not reach it. `signal`,
    /// such as `INT`, ends it. If the owner dies first, the folder `scratch` is removed as well.
    pub(crate) fn spawn(
        program: &Path,
        args: &[String],
        user: Option<(u32, u32)>,
        signal: &str,
        log: &Path,
        scratch: Option<&Path>,
    ) -> io::Result<Self> {
        let script = format!(
            r#"log=$1 scratch=$2; shift 2
"$@" >>"$log" 2>&1 </dev/null & p=$!
echo $p; exec >/dev/null
read -r word; kill -{signal} $p 2>/dev/null; wait $p
[ "$word" = keep ] || [ -z "$scratch" ] || rm -rf "$scratch""#
        );
        let mut shell = Command::new("/bin/sh");
        shell.arg("-c").arg(script).arg("sh").arg(log).arg(scratch.unwrap_or("".as_ref())).arg(program).args(args);
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0).current_dir("/");
        if let Some((uid, gid)) = user {
            shell.uid(uid).gid(gid);
        }
        let mut shell = shell.spawn()?;
        let mut line = String::new();
        if let Some(out) = shell.stdout.take() {
            io::BufRead::read_line(&mut io::BufReader::new(out), &mut line)?;
        }
        let pid = line.trim().parse().map_err(|_| io::Error::other("the server did not start"))?;
        Ok(Self { pipe: shell.stdin.take(), shell, pid })
    }

    /// Waits until the server is `ready`.
    ///
    /// # Errors
    /// Fails if it ends before, or is not ready within [`PATIENCE`]. The error has the end of its
    /// `log`.
    pub(crate) fn wait_until(&mut self, log: &Path, mut ready: impl FnMut() -> bool) -> io::Result<()> {
        let start = Instant::now();
        // `ready` alone is not enough: another server may have responded on the same port.
        while !(ready() && self.is_alive()) {
            let reason = match self.is_alive() {
                false => "ended",
                true if start.elapsed() > PATIENCE => "does not respond",
                true => {
                    std::thread::sleep(Duration::from_millis(20));
                    continue;
                }
            };
            return Err(io::Error::other(format!("it {reason}; the end of its log:\n{}", tail(log))));
        }
        Ok(())
    }

    /// Returns `true` if the server still runs.
    fn is_alive(&mut self) -> bool {
        matches!(self.shell.try_wait(), Ok(None)) && runs(self.pid)
    }

    /// Suspends or resumes the process. Its connections stay open.
    pub(crate) fn freeze(&self, frozen: bool) {
        // SAFETY: the process is a child of the shell. Its number is not used again before the
        // shell has waited for it.
        unsafe { libc::kill(self.pid, if frozen { libc::SIGSTOP } else { libc::SIGCONT }) };
    }

    /// Kills it with SIGKILL.
    pub(crate) fn kill(&mut self) {
        // SAFETY: the process is a child of the shell. Its number is not used again before the
        // shell has waited for it.
        unsafe { libc::kill(self.pid, libc::SIGKILL) };
        self.end();
    }

    /// Ends it with its signal, and waits for it.
    pub(crate) fn end(&mut self) {
        self.freeze(false);
        if let Some(mut pipe) = self.pipe.take() {
            let _ = pipe.write_all(b"keep\n");
        }
        let _ = self.shell.wait();
    }
}

impl Drop for GuardedServer {
    fn drop(&mut self) {
        self.end();
    }
}

/// Returns `true` if the process runs. An ended process still exists until its parent reads its
/// status.
fn runs(pid: i32) -> bool {
    // SAFETY: signal 0 only checks that the process exists.
    let exists = unsafe { libc::kill(pid, 0) } == 0;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name in brackets may contain any character. The state follows it.
    exists && !stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" Z"))
}

/// The last lines of a log.
fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}
