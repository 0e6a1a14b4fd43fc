//! Prints the public API that a JSON file of rustdoc describes, one item per line: `public_api <file>`.

use std::process::exit;
use std::{env, io};

use public_api::{Builder, PublicApi};

fn main() {
    let Some(path) = env::args_os().nth(1) else {
        eprintln!("usage: public_api <JSON file of rustdoc>");
        exit(2);
    };
    match Builder::from_rustdoc_json(&path).omit_blanket_impls(true).build() {
        Ok(api) => print(&api),
        Err(error) => {
            eprintln!("public_api: {}: {error}", path.display());
            exit(1);
        }
    }
}

fn print(api: &PublicApi) {
    use io::Write;
    let mut output = io::stdout().lock();
    // These two traits are unstable, so no user can rely on them. The other auto traits are part of the API.
    for item in api
        .items()
        .map(ToString::to_string)
        .filter(|item| !item.contains("::Freeze for ") && !item.contains("::UnsafeUnpin for "))
    {
        writeln!(output, "{item}").expect("standard output is open");
    }
}
