//! [`Browser`]: a headless Chromium, over the DevTools protocol.

use std::cell::RefCell;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use base64::Engine as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::eventually;

/// A headless Chromium. It ends on drop.
///
/// It is spoken to over a pipe, so that it needs no port.
#[derive(Debug)]
pub struct Browser {
    child: Child,
    wire: RefCell<Wire>,
    _profile: TempDir,
}

/// A page in a window of its own, which shares neither cookies nor storage with other windows.
#[derive(Debug)]
pub struct Page<'b> {
    browser: &'b Browser,
    session: String,
}

/// The pipe: JSON messages with a NUL behind each.
#[derive(Debug)]
struct Wire {
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    last: u64,
}

const PROGRAMS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

const ARGS: [&str; 10] = [
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-sandbox",
    "--no-first-run",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--window-size=1200,900",
];

// === impl Browser ===

impl Browser {
    /// Starts a browser.
    ///
    /// # Panics
    /// Panics if Chromium is not installed, or does not start.
    #[must_use]
    pub fn start() -> Self {
        let program = PROGRAMS.into_iter().find(|name| is_installed(name));
        let program = program.expect("Chromium is not installed and this test needs it: apt-get install chromium");
        let profile = tempfile::tempdir().expect("make a folder");
        // Chromium reads commands from descriptor 3, and answers on 4.
        let script = r#"exec "$@" 3<&0 4>&1 </dev/null >/dev/null 2>/dev/null"#;
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script, "sh", program]).args(ARGS).arg("about:blank");
        command.arg(format!("--user-data-dir={}", profile.path().display())).env("HOME", profile.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn().expect("Chromium starts");
        let input = child.stdin.take().expect("its input");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        let browser = Self { child, wire: RefCell::new(Wire { input, output, last: 0 }), _profile: profile };
        browser.call("Browser.getVersion", &json!({}), None);
        browser
    }

    /// Opens a page in a window of its own, and waits until it is loaded.
    #[must_use]
    pub fn open(&self, url: &str) -> Page<'_> {
        let context = self.call("Target.createBrowserContext", &json!({}), None);
        let params = json!({"url": "about:blank", "browserContextId": context["browserContextId"]});
        let target = self.call("Target.createTarget", &params, None);
        let params = json!({"targetId": target["targetId"], "flatten": true});
        let session = self.call("Target.attachToTarget", &params, None);
        let page = Page { browser: self, session: session["sessionId"].as_str().expect("a session").to_owned() };
        page.go(url);
        page
    }

    /// Calls a method of the protocol, and returns its result. Events are skipped.
    #[track_caller]
    fn call(&self, method: &str, params: &Value, session: Option<&str>) -> Value {
        let mut wire = self.wire.borrow_mut();
        wire.last += 1;
        let id = wire.last;
        let mut message = json!({"id": id, "method": method, "params": params});
        if let Some(session) = session {
            message["sessionId"] = session.into();
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        wire.input.write_all(&bytes).expect("Chromium takes commands");
        loop {
            let mut answer = Vec::new();
            wire.output.read_until(0, &mut answer).expect("Chromium answers");
            assert_eq!(answer.pop(), Some(0), "Chromium has ended");
            let mut answer: Value = serde_json::from_slice(&answer).expect("JSON");
            if answer["id"] == id {
                assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                return answer["result"].take();
            }
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

// === impl Page ===

impl Page<'_> {
    /// Goes to a URL, and waits until it is loaded.
    ///
    /// # Panics
    /// Panics if there is no such page.
    #[track_caller]
    pub fn go(&self, url: &str) {
        let went = self.browser.call("Page.navigate", &json!({"url": url}), Some(&self.session));
        assert!(went["errorText"].is_null(), "{url}: {}", went["errorText"]);
        self.wait("location.href !== 'about:blank' && document.readyState === 'complete'");
    }

    /// The value of a JavaScript expression. A promise is awaited.
    ///
    /// # Panics
    /// Panics if the script fails.
    #[track_caller]
    #[must_use]
    pub fn eval(&self, script: &str) -> Value {
        let params = json!({"expression": script, "returnByValue": true, "awaitPromise": true, "userGesture": true});
        let mut done = self.browser.call("Runtime.evaluate", &params, Some(&self.session));
        assert!(done["exceptionDetails"].is_null(), "{script}: {}", done["exceptionDetails"]);
        done["result"]["value"].take()
    }

    /// Runs a script for its effect.
    ///
    /// # Panics
    /// Panics if the script fails.
    #[track_caller]
    pub fn run(&self, script: &str) {
        let _ = self.eval(&format!("{{ {script}; null }}"));
    }

    /// Waits until an expression is true.
    ///
    /// # Panics
    /// Panics after [`PATIENCE`](crate::PATIENCE).
    #[track_caller]
    pub fn wait(&self, script: &str) {
        eventually(script, || self.eval(script).as_bool() == Some(true));
    }

    /// Clicks on the first element that a selector finds.
    ///
    /// # Panics
    /// Panics if there is none.
    #[track_caller]
    pub fn click(&self, selector: &str) {
        self.run(&format!("document.querySelector({}).click()", json!(selector)));
    }

    /// Enters text into a field, as a user does.
    ///
    /// # Panics
    /// Panics if there is no such field.
    #[track_caller]
    pub fn enter(&self, selector: &str, text: &str) {
        let selector = json!(selector);
        self.run(&format!("document.querySelector({selector}).focus(); document.querySelector({selector}).select?.()"));
        let _ = self.browser.call("Input.insertText", &json!({"text": text}), Some(&self.session));
    }

    /// The visible text of the page.
    #[must_use]
    #[track_caller]
    pub fn text(&self) -> String {
        self.eval("document.body.innerText").as_str().unwrap_or_default().to_owned()
    }

    /// Writes a picture of the page, as a PNG.
    ///
    /// # Panics
    /// Panics if the file cannot be written.
    #[track_caller]
    pub fn picture(&self, path: &Path) {
        let params = json!({"format": "png", "captureBeyondViewport": true});
        let picture = self.browser.call("Page.captureScreenshot", &params, Some(&self.session));
        let data = picture["data"].as_str().expect("a picture");
        let bytes = base64::engine::general_purpose::STANDARD.decode(data).expect("base64");
        std::fs::write(path, bytes).expect("write the picture");
    }
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_windows_share_nothing() {
        let browser = Browser::start();
        let page = "data:text/html,<input><button onclick='document.title = document.querySelector(`input`).value'>";
        let (one, two) = (browser.open(page), browser.open(page));
        one.enter("input", "hello");
        one.click("button");
        one.wait("document.title === 'hello'");
        assert_eq!(two.eval("document.title"), "");
        assert_eq!(one.eval("Promise.resolve(2)"), 2);
    }
}
