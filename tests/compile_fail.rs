//! Programs that do not compile, with the whole messages of the compiler; and a package that has to compile.
//!
//! After an intended change, `TRYBUILD=overwrite cargo test --test compile_fail` writes the messages again.

use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
fn the_compiler_explains_mistakes() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
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
