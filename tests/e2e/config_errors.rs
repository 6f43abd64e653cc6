//! Errors in a `dunlin.toml` come with file, line, column and the nearest right form; nothing
//! starts.

use crate::service::{Folder, dunlin, refused};

#[track_caller]
fn check(config: &str, expect: &[&str]) {
    let folder = Folder::new(config);
    for command in ["check", "serve"] {
        let out = dunlin(&[command], &folder);
        refused(&out, expect);
    }
}

const ROUTE: &str = "[[route]]\npath = \"/\"\ntext = \"hello\"\n";

#[test]
fn unknown_keys_have_a_nearest_one() {
    check(&format!("[server]\nlissen = \"127.0.0.1:1\"\n{ROUTE}"), &["dunlin.toml:2:1", "lissen", "listen"]);
    check(&format!("{ROUTE}cach = true\n"), &["dunlin.toml:4:1", "cach", "cache"]);
    check(&format!("[sever]\n{ROUTE}"), &["dunlin.toml:1:2", "server"]);
    check(&format!("{ROUTE}cache = {{ aje = \"1h\" }}\n"), &["dunlin.toml:4:11", "age"]);
}

#[test]
fn wrong_types_and_values_say_what_was_expected() {
    check(&format!("[server]\nworkers = \"two\"\n{ROUTE}"), &["dunlin.toml:2:11", "workers"]);
    check(&format!("[server]\nkeep_alive = \"75 parsecs\"\n{ROUTE}"), &["dunlin.toml:2:14", "75s"]);
    check(&format!("[server]\nmax_body = \"1 MooB\"\n{ROUTE}"), &["dunlin.toml:2:12", "MiB"]);
    check(&format!("[server]\nevent_loop = \"per-cor\"\n{ROUTE}"), &["dunlin.toml:2:14", "per-core", "shared"]);
    check("[[route]]\npath = \"/\"\n", &["dunlin.toml:1:1", "text", "files", "query", "fetch", "proxy"]);
    check(
        "[[route]]\npath = \"/\"\ntext = \"a\"\nproxy = \"http://127.0.0.1:1\"\n",
        &["dunlin.toml:4:1", "text", "proxy"],
    );
    check("[[route]]\npath = \"nowhere\"\ntext = \"a\"\n", &["dunlin.toml:2:8", "/"]);
    check("[server\n", &["dunlin.toml:1:"]);
}

#[test]
fn two_routes_that_clash_are_both_named() {
    check(&format!("{ROUTE}{ROUTE}"), &["dunlin.toml:5", "line 2"]);
    check(
        "[[route]]\npath = \"/a/{x}\"\ntext = \"1\"\n[[route]]\npath = \"/a/{y}\"\ntext = \"2\"\n",
        &["dunlin.toml:5", "/a/{x}", "/a/{y}"],
    );
}

#[test]
fn missing_folders_and_parameters_are_found() {
    check("[[route]]\npath = \"/{*path}\"\nfiles = \"public\"\n", &["dunlin.toml:3:9", "public"]);
    check(
        "[[route]]\npath = \"/x\"\nquery = \"SELECT $1::int\"\nparams = [\"body.a\"]\nrows = \"one\"\n",
        &["dunlin.toml:4:11", "body"],
    );
    check("[[route]]\npath = \"/x\"\nquery = \"SELECT 1\"\nrows = \"some\"\n", &["dunlin.toml:4:8", "one", "many"]);
}

#[test]
fn values_with_which_nothing_would_work_are_refused() {
    for (key, value, column) in [
        ("listen", "[]", 10),
        ("handover", "\"\"", 12),
        ("max_head", "100", 12),
        ("max_fields", "0", 14),
        ("max_target", "0", 14),
        ("max_requests_per_connection", "0", 31),
        ("http2.max_streams", "0", 21),
        ("http2.max_control_rate", "0", 26),
        ("header_timeout", "\"0s\"", 18),
        ("max_connection_age", "\"0ms\"", 22),
    ] {
        let name = key.rsplit('.').next().unwrap();
        check(
            &format!("[server]\n{key} = {value}\n{ROUTE}"),
            &[&format!("dunlin.toml:2:{column}: \"{name}\" cannot be")],
        );
    }
    check("[[route]]\npath = \"/x\"\nproxy = \"http://127.0.0.1:99999/\"\n", &["dunlin.toml:3:9", "no such port"]);
    check(
        "[[route]]\npath = \"/x\"\nproxy = \"http://127.0.0.1/a?b=c\"\n",
        &["dunlin.toml:3:9", "http://127.0.0.1/a\"?"],
    );
}

#[test]
fn what_only_the_parts_can_tell_has_its_place_too() {
    let files = |key: &str| format!("[[route]]\npath = \"/{{*path}}\"\nfiles = \".\"\n{key} = \"\"\n");
    check(&files("index"), &["dunlin.toml:2:8", "index.html"]);
    check(&files("not_found"), &["dunlin.toml:2:8", "404.html"]);
    let tls = format!("[server.tls]\ncertificate = \"dunlin.toml\"\nkey = \"dunlin.toml\"\n{ROUTE}");
    check(&tls, &["dunlin.toml:2:15", "there is no certificate in it"]);
}

#[test]
fn no_password_is_shown() {
    for config in [
        format!("[database]\nurl = \"postgres://a:hush-hush@127.0.0.1/x?sslmod=require\"\n{ROUTE}"),
        "[[route]]\npath = \"/x\"\nproxy = \"http://a:hush-hush@127.0.0.1/\"\n".to_owned(),
    ] {
        let folder = Folder::new(&config);
        let message = String::from_utf8(dunlin(&["check"], &folder).stderr).unwrap();
        assert!(message.contains("dunlin.toml:") && !message.contains("hush"), "{message}");
    }
}

#[test]
fn secrets_are_shown_in_no_message() {
    for config in [
        "[database]\nurl = \"postgres://127.0.0.1/x\"\npasword = \"hush-hush\"\n",
        "[database]\nuri = \"postgres://a:hush-hush@127.0.0.1/x\"\n",
        "[database]\nurl = \"postgres://127.0.0.1/x\"\npassword = \"hush-hush\n",
        "[database]\nurl = \"postgres://a:hush-hush@127.0.0.1/x\"\nurl = \"postgres://a:hush-hush@127.0.0.1/x\"\n",
        "[database]\nurl = \"\"\"\npostgres://a:hush-hush@127.0.0.1/x?sslmod=require\"\"\"\n",
        "[database]\nurl = \"host=127.0.0.1 pasword=hush-hush\"\n",
        "[database]\nurl = \"postgres://127.0.0.1/x\"\npassword = [\"hush-hush\"]\n",
        "[databse]\npasswrd = \"hush-hush\n",
        "database = { url = \"postgres://a:hush-hush@127.0.0.1/x\", pool_sise = 1 }\n",
        "[cache]\nredis = \"redis://:hush-hush@127.0.0.1/0/bad\"\n",
        "[cache]\nredis = \"redis://:hush-hush@127.0.0.1/\n",
        "[cache]\nredis_url = \"redis://:hush-hush@127.0.0.1/\"\n",
        "[cache]\nredis = 'redis://:hush-hush@127.0.0.1/'\nredis = 'redis://:hush-hush@127.0.0.1/'\n",
    ] {
        let folder = Folder::new(&format!("{config}{ROUTE}"));
        for command in ["check", "serve"] {
            let out = dunlin(&[command], &folder);
            let message = String::from_utf8_lossy(&out.stderr);
            assert_eq!(out.status.code(), Some(2), "{config}: {message}");
            assert!(message.contains("dunlin.toml:") && !message.contains("hush"), "{config}: {message}");
        }
    }
}

#[test]
fn hints_lead_to_the_right_place() {
    check(&format!("[tls]\ncertificate = \"a\"\n{ROUTE}"), &["dunlin.toml:1:2", "[server.tls]"]);
    check(&format!("[server]\nh2 = true\n{ROUTE}"), &["dunlin.toml:2:1", "on with [server.tls]"]);
    check(&format!("[server]\nhttp3 = true\n{ROUTE}"), &["dunlin.toml:2:1", "there is no HTTP/3"]);
    check(&format!("[server]\nread_timeout = \"1s\"\n{ROUTE}"), &["dunlin.toml:2:1", "body_timeout", "[fetch]"]);
    check(&format!("[server]\ntimeout = \"1s\"\n{ROUTE}"), &["header_timeout", "body_timeout", "write_timeout"]);
    check(&format!("[server]\nport = 80\n{ROUTE}"), &["dunlin.toml:2:1", "listen"]);
    check(&format!("[server]\nserver_name = \"a\"\n{ROUTE}"), &["dunlin.toml:2:1", "\"host\""]);
    check(&format!("[server]\nlisten = \"80\"\n{ROUTE}"), &["dunlin.toml:2:10", "[::]:80\"?"]);
    check(&format!("[server]\nworkers = 1\nworkers = 2\n{ROUTE}"), &["dunlin.toml:3:1", "dunlin.toml:2:1: the first"]);
    check(&format!("[log]\n[server]\n[log]\n{ROUTE}"), &["dunlin.toml:3:", "dunlin.toml:1:2: the first"]);
    check("[[route]]\npath = \"/\"\ntetx = \"hi\"\n", &["dunlin.toml:3:1", "\"tetx\"", "\"text\"?"]);
    check(
        &format!("[database]\nurl = \"${{DUNLIN_ABSENT}}\"\n{ROUTE}"),
        &["dunlin.toml:2:7", "no variable DUNLIN_ABSENT", ":-"],
    );
    for url in ["http://unix:", "https://unix:/run/app.sock", "http://unix:/"] {
        check(
            &format!("[[route]]\npath = \"/x\"\nproxy = \"{url}\"\n"),
            &["dunlin.toml:3:9", "http://unix:/run/app.sock"],
        );
    }
    check("[[route]]\npath = \"/x\"\nproxy = \"http://host:/\"\n", &["dunlin.toml:3:9", "port is missing"]);
}

#[test]
fn a_file_beside_the_configuration_is_suggested() {
    let folder = Folder::new("[[route]]\npath = \"/{*path}\"\nfiles = \"pubic\"\n");
    folder.write("public/index.html", "hello");
    for name in ["dunlin.toml", "./dunlin.toml"] {
        let out = dunlin(&["check", "--config", name], &folder);
        let message = String::from_utf8_lossy(&out.stderr);
        assert!(message.contains("did you mean \"public\"?"), "{name}: {message}");
    }
}

#[test]
fn a_configuration_without_routes_is_an_error() {
    for config in ["", "# nothing\n", "[log]\nlevel = \"info\"\n"] {
        check(config, &["dunlin.toml: there is no route", "[[route]]"]);
    }
}

#[test]
fn a_wrong_key_file_has_its_place() {
    let pair = || rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let (one, other) = (pair(), pair());
    let folder = Folder::new(&format!("[server.tls]\ncertificate = \"a.pem\"\nkey = \"a.key\"\n{ROUTE}"));
    folder.write("a.pem", one.cert.pem());
    for (key, expect) in [
        (other.signing_key.serialize_pem(), "a.key is not the key of a.pem"),
        (String::new(), "there is no private key in a.key"),
        (one.cert.pem(), "there is no private key in a.key"),
    ] {
        folder.write("a.key", key);
        let out = dunlin(&["check"], &folder);
        let message = String::from_utf8_lossy(&out.stderr);
        assert!(message.contains("dunlin.toml:3:7: ") && message.contains(expect), "{message}");
    }
}

#[test]
fn what_is_used_by_nothing_is_a_warning() {
    let url = crate::database().url();
    let config = format!(
        "[database]\nurl = \"{url}\"\n[[route]]\npath = \"/a/{{slug}}\"\nquery = \"SELECT $1::text\"\nparams = [\"slgu\"]\n\
         [[route]]\npath = \"/y/{{id}}\"\nproxy = \"http://127.0.0.1:9/item/\"\n"
    );
    let out = dunlin(&["check"], &Folder::new(&config));
    let message = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{message}");
    for part in ["dunlin.toml:4:8: warning: {slug}", "\"slgu\"?", "dunlin.toml:8:8: warning: {id}", "keep_path"] {
        assert!(message.contains(part), "{part:?} is not in:\n{message}");
    }
}

#[test]
fn a_folder_with_the_configuration_is_a_warning() {
    for (files, warns) in [(".", true), ("public", false)] {
        let folder = Folder::new(&format!("[[route]]\npath = \"/{{*path}}\"\nfiles = \"{files}\"\n"));
        folder.write("public/index.html", "x");
        let out = dunlin(&["check"], &folder);
        let message = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{message}");
        assert_eq!(message.contains("dunlin.toml:3:9: warning: everyone can read"), warns, "{message}");
    }
}

#[test]
fn a_named_file_is_read_up_to_a_limit() {
    let big = tempfile::NamedTempFile::new().unwrap();
    big.as_file().set_len(17 << 20).unwrap();
    let big = big.path().display();
    let query = "[[route]]\npath = \"/q\"\nquery = \"SELECT 1\"\n";
    let database = |options: &str| {
        format!(
            "[database]\nurl = \"postgres://u@127.0.0.1:1/d?{}\"\n{query}",
            options.replace("BIG", &big.to_string())
        )
    };
    for config in [
        format!("[fetch]\nca_file = \"{big}\"\n{ROUTE}[[route]]\npath = \"/f\"\nfetch = \"https://a.test\"\n"),
        format!("[cache]\nredis = \"rediss://127.0.0.1:1\"\nredis_ca_file = \"{big}\"\n{ROUTE}cache = true\n"),
        format!("[server.tls]\ncertificate = \"{big}\"\nkey = \"{big}\"\n{ROUTE}"),
        database("passfile=BIG"),
        database("sslmode=verify-full&sslrootcert=BIG"),
        database("sslmode=require&sslcert=BIG&sslkey=BIG"),
    ] {
        let out = dunlin(&["check"], &Folder::new(&config));
        let message = String::from_utf8_lossy(&out.stderr);
        assert!(!out.status.success(), "{config}{message}");
        assert!(message.contains(&big.to_string()) && message.contains("it has more than "), "{config}{message}");
    }
}
