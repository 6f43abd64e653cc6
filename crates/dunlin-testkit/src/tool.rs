//! Command-line programs as judges: encoders and decoders that are not ours.

use std::io::{ErrorKind, Write};
use std::process::{Command, Stdio};

/// What `command`, a program and its arguments parted by spaces, makes of `input`.
///
/// # Panics
/// When the program is missing, or fails. A test that asks it cannot pass without it.
#[track_caller]
pub fn tool(command: &str, input: &[u8]) -> Vec<u8> {
    let (program, args) = command.split_once(' ').unwrap_or((command, ""));
    let mut tool = Command::new(program);
    tool.args(args.split_whitespace()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match tool.spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            panic!("`{program}` is not installed, and this test is nothing without it: apt-get install {program}")
        }
        Err(error) => panic!("`{program}` does not start: {error}"),
    };
    let mut stdin = child.stdin.take().expect("it is piped");
    let output = std::thread::scope(|scope| {
        // A tool that refuses its input stops reading it: its status says so below.
        scope.spawn(move || drop(stdin.write_all(input)));
        child.wait_with_output().expect("wait for the tool")
    });
    assert!(output.status.success(), "`{command}`: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_what_the_tool_makes() {
        assert_eq!(tool("tr a b", b"banana"), b"bbnbnb");
        let much = vec![7; 1 << 20];
        assert!(tool("cat", &much) == much);
    }

    #[test]
    #[should_panic(expected = "apt-get install no-such-tool")]
    fn one_that_is_missing_fails_the_test() {
        tool("no-such-tool -d", b"");
    }

    #[test]
    #[should_panic(expected = "`false -x`")]
    fn one_that_fails_does_so_too() {
        tool("false -x", b"never read");
    }
}
