use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;

use super::*;

struct Tree {
    _folder: tempfile::TempDir,
    root: PathBuf,
}

/// A folder `root` with files and links, and a secret beside it.
fn tree() -> Tree {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("secret"), "secret").unwrap();
    let root = folder.path().join("root");
    fs::create_dir_all(root.join("a/b")).unwrap();
    fs::write(root.join("a/b/file"), "inside").unwrap();
    fs::write(root.join("top"), "inside").unwrap();
    for (link, target) in [
        ("down", "a/b/file"),
        ("a/up", "../top"),
        ("a/b/twice", "../up"),
        ("folder", "a"),
        ("a/self", ".."),
        ("out", "../secret"),
        ("a/out", "../../secret"),
        ("folder_out", ".."),
        ("dangling", "nothing"),
        ("loop", "loop"),
        ("winding", "a/../../root/top"),
    ] {
        symlink(target, root.join(link)).unwrap();
    }
    symlink(folder.path().join("secret"), root.join("absolute")).unwrap();
    symlink(root.join("top"), root.join("absolute_inside")).unwrap();
    Tree { _folder: folder, root }
}

fn read(root: &Root, path: &str) -> Option<String> {
    let mut file = root.open(path, Wait::Yes).map_err(|error| assert!(is_missing(&error), "{path}: {error}")).ok()?;
    let mut text = String::new();
    file.read_to_string(&mut text).map(|_| text).ok()
}

#[test]
fn openat2_and_the_walk_open_the_same_files() {
    let tree = tree();
    let kernel = Root::new(&tree.root).unwrap();
    let walk = Root::new(&tree.root).unwrap().without_beneath();
    for (path, opens) in [
        ("top", true),
        ("a/b/file", true),
        ("down", true),
        ("a/up", true),
        ("a/b/twice", true),
        ("folder/b/file", true),
        ("a/self/top", true),
        ("a/self/a/self/a/up", true),
        ("out", false),
        ("a/out", false),
        ("folder/out", false),
        ("folder_out/secret", false),
        ("absolute", false),
        ("absolute_inside", false),
        ("winding", false),
        ("dangling", false),
        ("loop", false),
        ("top/x", false),
        ("nothing", false),
    ] {
        let expect = opens.then(|| "inside".to_owned());
        assert_eq!(read(&kernel, path), expect, "{path} by the kernel");
        assert_eq!(read(&walk, path), expect, "{path} component by component");
    }
    for root in [&kernel, &walk] {
        for path in ["", "a", "a/", "folder", "a/self"] {
            assert!(root.open(path, Wait::Yes).unwrap().metadata().unwrap().is_dir(), "{path}");
        }
    }
}

#[test]
fn a_pipe_does_not_block() {
    let tree = tree();
    rustix::fs::mknodat(rustix::fs::CWD, tree.root.join("pipe"), rustix::fs::FileType::Fifo, Mode::RWXU, 0).unwrap();
    for root in [Root::new(&tree.root).unwrap(), Root::new(&tree.root).unwrap().without_beneath()] {
        assert!(!root.open("pipe", Wait::Yes).unwrap().metadata().unwrap().is_file());
    }
}

#[test]
fn refresh_switches_to_a_new_folder() {
    let tree = tree();
    let link = tree.root.join("../current");
    symlink("root/a", &link).unwrap();
    let root = Root::new(&link).unwrap();
    assert_eq!(read(&root, "b/file").as_deref(), Some("inside"));
    fs::remove_file(&link).unwrap();
    root.refresh(Wait::Yes).unwrap_err();
    assert_eq!(read(&root, "b/file").as_deref(), Some("inside"));
    symlink("root", &link).unwrap();
    root.refresh(Wait::Yes).unwrap();
    assert_eq!(read(&root, "top").as_deref(), Some("inside"));
}
