//! Programs that do not compile, with the whole messages of the compiler; and a package that has to compile.
//!
//! After an intended change, `TRYBUILD=overwrite cargo test --test compile_fail` writes the messages again.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// The compiler whose messages are in `tests/ui/*.stderr`. Other compilers word some messages differently, so with them each
/// program only has to fail to compile.
const MESSAGES_OF: &str = "rustc 1.97.";

#[test]
fn the_compiler_explains_mistakes() {
    if rustc_version().starts_with(MESSAGES_OF) {
        trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
    } else if env::var("TRYBUILD").is_ok_and(|update| update == "overwrite") {
        trybuild::TestCases::new().compile_fail(copy_of_programs().join("*.rs"));
    } else {
        // trybuild compares no messages when it writes them, and it takes that setting only from the environment.
        let status = Command::new(env::current_exe().unwrap())
            .args(["--exact", "the_compiler_explains_mistakes"])
            .env("TRYBUILD", "overwrite")
            .status()
            .unwrap();
        assert!(status.success());
    }
}

fn rustc_version() -> String {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    String::from_utf8(Command::new(rustc).arg("--version").output().unwrap().stdout).unwrap()
}

/// A directory with the programs that must not compile, in which trybuild may write the messages.
fn copy_of_programs() -> PathBuf {
    let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ui");
    let _ = fs::remove_dir_all(&copy);
    fs::create_dir_all(&copy).unwrap();
    for entry in fs::read_dir("tests/ui").unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            fs::copy(&path, copy.join(path.file_name().unwrap())).unwrap();
        }
    }
    copy
}

/// `Cargo.toml` decides the name, so this needs a package of its own.
#[test]
fn the_macros_work_when_the_dependency_is_renamed() {
    let tinyield = env!("CARGO_MANIFEST_DIR");
    let package = Path::new(env!("CARGO_TARGET_TMPDIR")).join("renamed");
    fs::create_dir_all(package.join("src")).unwrap();
    let manifest = format!(
        "[package]\nname = \"renamed\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[dependencies]\n\
         other = {{ package = \"tinyield\", path = {tinyield:?}, default-features = false }}\n\n[workspace]\n"
    );
    fs::write(package.join("Cargo.toml"), manifest).unwrap();
    fs::copy(Path::new(tinyield).join("Cargo.lock"), package.join("Cargo.lock")).unwrap();
    let program = "#![feature(coroutines)]\n#![deny(warnings)]\n\
        use other::{Coro, Loop, co, coro};\n\
        #[coro]\nfn one() -> Coro<u32> { yield; std::future::ready(1).await }\n\
        fn main() { drop(Loop::new().run(co! { (yield one()) + 1 })); }\n";
    fs::write(package.join("src/main.rs"), program).unwrap();
    let output = Command::new(env!("CARGO"))
        .args(["check", "--quiet", "--offline"])
        .current_dir(&package)
        .env("CARGO_TARGET_DIR", package.join("target"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
