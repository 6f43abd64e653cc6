//! [`Server`]: a server under measurement.

use std::io::{Read, Seek, SeekFrom};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use dunlin_testkit::PATIENCE;

/// A server process, pinned to cores. It and its children end on drop.
pub(crate) struct Server {
    child: Child,
    addr: SocketAddr,
}

/// The resident memory of a process, in bytes.
pub(crate) struct Memory {
    pub(crate) now: u64,
    pub(crate) peak: u64,
}

// === impl Server ===

impl Server {
    /// Starts it and waits until it listens.
    pub(crate) fn start(program: &Path, args: &[&str], addr: SocketAddr, cores: &str) -> Result<Self> {
        let mut log = tempfile::tempfile().context("cannot make a file for the server's log")?;
        let mut command = Command::new("taskset");
        command.args(["-c", cores]).arg(program).args(args).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log.try_clone()?);
        let child = command.spawn().with_context(|| format!("{} did not start", program.display()))?;
        let mut server = Self { child, addr };
        let start = Instant::now();
        let reason = loop {
            // A connection alone is not enough: another server may listen there.
            let ended = server.child.try_wait()?;
            match (ended, TcpStream::connect(addr)) {
                (Some(status), _) => break format!("ended ({status})"),
                (None, Ok(_)) => return Ok(server),
                (None, Err(_)) if start.elapsed() > PATIENCE => break format!("does not listen on {addr}"),
                (None, Err(_)) => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        let mut text = String::new();
        log.seek(SeekFrom::Start(0))?;
        log.read_to_string(&mut text)?;
        bail!("{} {reason}: {}", program.display(), text.trim());
    }

    pub(crate) const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The memory of the server's own process.
    pub(crate) fn memory(&self) -> Result<Memory> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let bytes = |name: &str| -> Option<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
        };
        let memory = bytes("VmRSS").zip(bytes("VmHWM")).map(|(now, peak)| Memory { now, peak });
        memory.context("/proc has no memory figures of the process")
    }

    /// The number of waits so far, of all living threads of the process and its descendants.
    pub(crate) fn sleeps(&self) -> Result<u64> {
        let mut sleeps = 0;
        for pid in self.tree() {
            for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
                let status = std::fs::read_to_string(task?.path().join("status")).unwrap_or_default();
                let count =
                    status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")?.trim().parse().ok());
                sleeps += count.unwrap_or(0_u64);
            }
        }
        Ok(sleeps)
    }

    /// The process and its descendants.
    fn tree(&self) -> Vec<u32> {
        let mut tree = vec![self.child.id()];
        let mut at = 0;
        while let Some(&pid) = tree.get(at) {
            let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
            tree.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
            at += 1;
        }
        tree
    }

    /// The user and system time of the process and its descendants so far.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let mut ticks = 0;
        for pid in self.tree() {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
            // The name may contain spaces and brackets. The figures follow it.
            let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
            let number = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
            ticks += number(11) + number(12);
        }
        // SAFETY: the call has no effect.
        let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
        Ok(Duration::from_secs_f64(ticks as f64 / per_second as f64))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        let group = i32::try_from(self.child.id()).unwrap_or_default();
        // SAFETY: the child leads the group and has not been waited for, so that its number is not
        // used again.
        unsafe { libc::kill(-group, libc::SIGTERM) };
        let _ = self.child.wait();
    }
}
