//! A server process that does not outlive its owner.

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use crate::PATIENCE;

/// A server under a small shell that ends it when the owner's end of a pipe closes: on drop, and
/// also when the owner itself is killed.
#[derive(Debug)]
pub(crate) struct Guarded {
    shell: Child,
    leash: Option<ChildStdin>,
    pid: i32,
}

// === impl Guarded ===

impl Guarded {
    /// Starts `command`, whose output goes to `log`, in a process group of its own, so that a
    /// terminal's Ctrl-C is not for it. `signal` (`INT`, `QUIT`, …) is what ends it. When the owner
    /// dies before it has ended the server, the folder `scratch` goes too.
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
        Ok(Self { leash: shell.stdin.take(), shell, pid })
    }

    /// Waits until the server is `ready`.
    ///
    /// # Errors
    /// When it ends before, or is not ready within [`PATIENCE`], with the end of its `log`.
    pub(crate) fn wait_until(&mut self, log: &Path, mut ready: impl FnMut() -> bool) -> io::Result<()> {
        let begun = Instant::now();
        // It is to live beyond the answer: another one may have answered, on the port that this one
        // did not get.
        while !(ready() && self.alive()) {
            let why = match self.alive() {
                false => "ended",
                true if begun.elapsed() > PATIENCE => "does not answer",
                true => {
                    std::thread::sleep(Duration::from_millis(20));
                    continue;
                }
            };
            return Err(io::Error::other(format!("it {why}:\n{}", tail(log))));
        }
        Ok(())
    }

    /// Whether the server still runs.
    fn alive(&mut self) -> bool {
        matches!(self.shell.try_wait(), Ok(None)) && runs(self.pid)
    }

    /// Stops it where it is, or has it go on: what comes meanwhile waits.
    pub(crate) fn freeze(&self, frozen: bool) {
        // SAFETY: the process is ours; its number cannot be another's before the shell has waited
        // for it.
        unsafe { libc::kill(self.pid, if frozen { libc::SIGSTOP } else { libc::SIGCONT }) };
    }

    /// SIGKILL: no word of farewell.
    pub(crate) fn kill(&mut self) {
        // SAFETY: the process is ours; its number cannot be another's before the shell has waited
        // for it.
        unsafe { libc::kill(self.pid, libc::SIGKILL) };
        self.end();
    }

    /// Ends it by its signal and waits.
    pub(crate) fn end(&mut self) {
        self.freeze(false);
        if let Some(mut leash) = self.leash.take() {
            let _ = leash.write_all(b"keep\n");
        }
        let _ = self.shell.wait();
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.end();
    }
}

/// Whether the process exists and has not ended; one that has exists until its parent has asked for
/// its status.
fn runs(pid: i32) -> bool {
    // SAFETY: signal 0 only asks whether the process exists.
    let exists = unsafe { libc::kill(pid, 0) } == 0;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name may hold anything; the state comes after it.
    exists && !stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" Z"))
}

/// The last lines of a log.
fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}
