//! `include`, variables and files of secrets.

use std::process::{Command, Stdio};

use crate::service::{Folder, Service, dunlin, executable, refused};

#[test]
fn files_are_added_in_order() {
    let service = Service::with("", "", |folder| {
        let main = std::fs::read_to_string(folder.path().join("dunlin.toml")).unwrap();
        folder.write("dunlin.toml", format!("include = [\"sites/*.toml\", \"more.toml\"]\n{main}"));
        folder.write("sites/a.toml", "[[site]]\nhost = \"a.example\"\n[[site.route]]\npath = \"/\"\ntext = \"a\"\n");
        folder.write("sites/b.toml", "# A comment.\n[[route]]\npath = \"/b\"\ntext = \"b\"\n");
        folder.write("more.toml", "[defaults]\nresponse_headers = { X-More = \"more\" }\n");
    });
    assert_eq!(service.get_with("/", &[("Host", "a.example")]).text(), "a");
    let response = service.get("/b");
    assert_eq!((response.text().as_str(), response.header("x-more")), ("b", Some("more")));
}

#[test]
fn an_error_names_the_file_that_it_is_in() {
    #[track_caller]
    fn check(main: &str, included: &str, expect: &[&str]) {
        let folder = Folder::new(main);
        folder.write("more.toml", included);
        let out = dunlin(&["check"], &folder);
        refused(&out, expect);
    }
    let main = "include = \"more.toml\"\n[[route]]\npath = \"/\"\ntext = \"x\"\n";
    check(main, "\n[[route]]\npath = \"/a\"\ntetx = \"x\"\n", &["more.toml:4:1", "4 | tetx", "did you mean \"text\""]);
    check(main, "[[route]]\npath = \"/a\n", &["more.toml:2:"]);
    check(main, "[[route]]\npath = \"/\"\ntext = \"y\"\n", &["more.toml:2:8", "dunlin.toml:3:8"]);
    check(main, "path = \"/\"\n", &["more.toml:1:1", "outside of a table"]);
    check(main, "include = \"other.toml\"\n", &["more.toml:1:1", "outside of a table"]);
    check("include = \"mor.toml\"\n", "", &["dunlin.toml:1:11", "mor.toml cannot be read"]);
    check("include = 1\n", "", &["dunlin.toml:1:11", "a path"]);
}

#[test]
fn variables_and_their_values() {
    let folder = Folder::new(
        "[[route]]\npath = \"${PATH_OF_ROUTE}\"\ntext = \"${TEXT:-none} $$ $1\"\nresponse_headers = { X-A = \"${TEXT:-none}\" }\n",
    );
    let run = |path: Option<&str>| {
        let mut command = Command::new(executable());
        command.arg("routes").current_dir(folder.path()).env_remove("DATABASE_URL").stdin(Stdio::null());
        path.into_iter().for_each(|path| {
            command.env("PATH_OF_ROUTE", path);
        });
        let out = command.output().unwrap();
        (
            out.status.code(),
            String::from_utf8_lossy(&out.stdout).into_owned(),
            String::from_utf8_lossy(&out.stderr).into_owned(),
        )
    };
    let (status, out, error) = run(Some("/made"));
    assert_eq!(status, Some(0), "{error}");
    assert!(out.contains("/made"), "{out}");
    let (status, _, error) = run(None);
    assert_eq!(status, Some(2));
    assert!(error.contains("dunlin.toml:2:8: the environment has no variable PATH_OF_ROUTE"), "{error}");
    // The value itself stands in no message.
    let (status, _, error) = run(Some("hush hush"));
    assert_eq!(status, Some(2));
    assert!(error.contains("${PATH_OF_ROUTE}") && !error.contains("hush"), "{error}");
}

#[test]
fn secrets_from_files() {
    let folder = Folder::new("[database]\nurl = { file = \"db\" }\n[[route]]\npath = \"/\"\nquery = \"SELECT 1\"\n");
    let message = || String::from_utf8_lossy(&dunlin(&["check", "--offline"], &folder).stderr).into_owned();
    assert!(message().contains("dunlin.toml:2:7"), "{}", message());
    folder.write("db", "postgres://app:hush@127.0.0.1/app?nosuch=1\n");
    let wrong = message();
    assert!(wrong.contains("dunlin.toml:2:7") && !wrong.contains("hush"), "{wrong}");
    folder.write("db", "postgres://app:hush@127.0.0.1/app\n");
    let out = dunlin(&["check", "--offline"], &folder);
    let warned = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(0), "{warned}");
    assert!(warned.contains("every user of this machine can read"), "{warned}");
    let other = Folder::new("[database]\nurl = { path = \"db\" }\n");
    let out = dunlin(&["check", "--offline"], &other);
    assert!(String::from_utf8_lossy(&out.stderr).contains("{ file = \"path\" }"));
}
