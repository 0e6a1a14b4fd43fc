//! A test in a process of its own, for limits that hold for the whole process.

use std::process::Command;

const IS_CHILD: &str = "TINYIELD_TEST_CHILD";

/// Runs `test`, the body of the test with this name, in a process of its own. Returns the output of that process.
#[track_caller]
pub fn in_child(name: &str, test: impl FnOnce()) -> String {
    if std::env::var_os(IS_CHILD).is_some() {
        test();
        return String::new();
    }
    let executable = std::env::current_exe().unwrap();
    let output = Command::new(executable).args(["--exact", name, "--nocapture"]).env(IS_CHILD, "1").output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && printed.contains("1 passed"), "{printed}");
    printed.into_owned()
}
