//! [`Browser`]: a headless Chromium, over the DevTools protocol.

use std::cell::RefCell;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use base64::Engine as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{PATIENCE, eventually};

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
    output: Receiver<Value>,
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
        let mut pipe = BufReader::new(child.stdout.take().expect("its output"));
        let (messages, output) = channel();
        std::thread::spawn(move || {
            let mut message = Vec::new();
            while pipe.read_until(0, &mut message).is_ok() && message.pop() == Some(0) {
                if messages.send(serde_json::from_slice(&message).expect("JSON")).is_err() {
                    break;
                }
                message.clear();
            }
        });
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

    /// Calls a method of the protocol, and returns its result.
    #[track_caller]
    fn call(&self, method: &str, params: &Value, session: Option<&str>) -> Value {
        self.attempt(method, params, session).unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// Calls a method of the protocol, and returns its result or its error. Events are skipped.
    fn attempt(&self, method: &str, params: &Value, session: Option<&str>) -> Result<Value, Value> {
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
            let mut answer: Value =
                wire.output.recv_timeout(PATIENCE).unwrap_or_else(|error| panic!("{method}: {error}"));
            if answer["id"] == id {
                let error = answer["error"].take();
                return if error.is_null() { Ok(answer["result"].take()) } else { Err(error) };
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
        self.leave_by(|| {
            let went = self.browser.call("Page.navigate", &json!({"url": url}), Some(&self.session));
            assert!(went["errorText"].is_null(), "{url}: {}", went["errorText"]);
        });
    }

    /// Loads the page again, and waits until it is loaded.
    #[track_caller]
    pub fn reload(&self) {
        self.leave_by(|| {
            let _ = self.browser.call("Page.reload", &json!({}), Some(&self.session));
        });
    }

    /// Runs a script that leads to another page, and waits until that one is loaded.
    ///
    /// # Panics
    /// Panics if the script fails, or if no other page is loaded within
    /// [`PATIENCE`](crate::PATIENCE).
    #[track_caller]
    pub fn leave(&self, script: &str) {
        self.leave_by(|| {
            let _ = self.evaluate(&format!("{{ {script}; null }}"));
        });
    }

    #[track_caller]
    fn leave_by(&self, action: impl FnOnce()) {
        // A global of the document that is left. The next one does not have it.
        self.run("window.isLeft = true");
        action();
        self.wait("!window.isLeft && document.readyState === 'complete'");
    }

    /// The value of a JavaScript expression. A promise is awaited.
    ///
    /// # Panics
    /// Panics if the script fails, or if the page is left meanwhile. [`wait`](Self::wait) and
    /// [`leave`](Self::leave) are for pages that change.
    #[track_caller]
    #[must_use]
    pub fn eval(&self, script: &str) -> Value {
        self.evaluate(script).unwrap_or_else(|| panic!("{script}: the page was left meanwhile"))
    }

    /// The value of an expression, or `None` if the page was left meanwhile.
    #[track_caller]
    fn evaluate(&self, script: &str) -> Option<Value> {
        let params = json!({"expression": script, "returnByValue": true, "awaitPromise": true, "userGesture": true});
        match self.browser.attempt("Runtime.evaluate", &params, Some(&self.session)) {
            Ok(mut done) => {
                assert!(done["exceptionDetails"].is_null(), "{script}: {}", done["exceptionDetails"]);
                Some(done["result"]["value"].take())
            }
            Err(error) if is_left(&error) => None,
            Err(error) => panic!("{script}: {error}"),
        }
    }

    /// Runs a script for its effect.
    ///
    /// # Panics
    /// Panics if the script fails.
    #[track_caller]
    pub fn run(&self, script: &str) {
        let _ = self.eval(&format!("{{ {script}; null }}"));
    }

    /// Waits until an expression is true, on this page or on the next one if this one is left.
    ///
    /// # Panics
    /// Panics after [`PATIENCE`](crate::PATIENCE).
    #[track_caller]
    pub fn wait(&self, script: &str) {
        eventually(script, || self.evaluate(script).is_some_and(|value| value == true));
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

/// Returns `true` for the errors of Chromium that say that the page of a script is no longer there.
fn is_left(error: &Value) -> bool {
    let message = error["message"].as_str().unwrap_or_default();
    let known = [
        "navigated or closed",
        "context was destroyed",
        "Cannot find context",
        "Cannot find default execution context",
    ];
    known.iter().any(|part| message.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Origin;

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
    #[test]
    fn a_wait_goes_on_at_the_next_page() {
        let browser = Browser::start();
        let html = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 18\r\n\r\n<title>one</title>";
        let origin = Origin::start(|_| html.to_vec());
        let page = browser.open(&origin.url());
        // The promise never settles. The page is left, so that Chromium answers with an error.
        page.wait("window.name === 'left' || (window.name = 'left', location.reload(), new Promise(() => {}))");
        page.leave("document.title = 'two'; location.reload()");
        assert_eq!(page.eval("document.title"), "one");
        page.run("document.title = 'two'");
        page.reload();
        assert_eq!(page.eval("document.title"), "one");
    }
}
