//! A server process that does not outlive its owner.

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};

/// A server under a small shell that ends it when the owner's end of a pipe closes: on drop, and also when the owner
/// itself is killed.
#[derive(Debug)]
pub(crate) struct Guarded {
    shell: Child,
    leash: Option<ChildStdin>,
    pid: i32,
}

// === impl Guarded ===

impl Guarded {
    /// Starts `command`, whose output goes to `log`, in a process group of its own, so that a terminal's Ctrl-C is not
    /// for it. `signal` (`INT`, `QUIT`, …) is what ends it. When the owner dies before it has ended the server, the
    /// folder `scratch` goes too.
    pub(crate) fn spawn(
        program: &std::path::Path,
        args: &[String],
        user: Option<(u32, u32)>,
        signal: &str,
        log: &std::path::Path,
        scratch: Option<&std::path::Path>,
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

    /// Whether the server still runs.
    pub(crate) fn alive(&mut self) -> bool {
        // SAFETY: signal 0 only asks whether the process exists.
        matches!(self.shell.try_wait(), Ok(None)) && unsafe { libc::kill(self.pid, 0) } == 0
    }

    /// SIGKILL: no word of farewell.
    pub(crate) fn kill(&mut self) {
        // SAFETY: the process is ours; its number cannot be another's before the shell has waited for it.
        unsafe { libc::kill(self.pid, libc::SIGKILL) };
        self.end();
    }

    /// Ends it by its signal and waits.
    pub(crate) fn end(&mut self) {
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
