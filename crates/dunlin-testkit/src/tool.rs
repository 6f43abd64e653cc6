//! [`tool()`]: command-line encoders and decoders, as other implementations to compare with.

mod library;

use std::io::{ErrorKind, Write};
use std::process::{Command, Stdio};

/// Returns the output of `command`, a program and its arguments with spaces between, for `input`.
///
/// A library does the work of `gzip`, `brotli` and `zstd` where the program is not installed.
///
/// # Panics
/// Panics if the program fails, or if it is missing and no library does its work.
#[track_caller]
pub fn tool(command: &str, input: &[u8]) -> Vec<u8> {
    let (program, args) = command.split_once(' ').unwrap_or((command, ""));
    let mut tool = Command::new(program);
    tool.args(args.split_whitespace()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match tool.spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let output = library::run(program, args, input);
            return output.unwrap_or_else(|| {
                panic!("`{program}` is not installed and this test needs it: apt-get install {program}")
            });
        }
        Err(error) => panic!("`{program}` cannot be started: {error}"),
    };
    let mut stdin = child.stdin.take().expect("stdin is piped");
    let output = std::thread::scope(|scope| {
        // A tool that refuses its input stops reading it. Its status is checked below.
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
    fn returns_the_output_of_the_tool() {
        assert_eq!(tool("tr a b", b"banana"), b"bbnbnb");
        let long = vec![7; 1 << 20];
        assert!(tool("cat", &long) == long);
    }

    #[test]
    #[should_panic(expected = "apt-get install no-such-tool")]
    fn a_missing_tool_fails_the_test() {
        tool("no-such-tool -d", b"");
    }

    #[test]
    #[should_panic(expected = "`false -x`")]
    fn a_failing_tool_fails_the_test() {
        tool("false -x", b"never read");
    }
}
