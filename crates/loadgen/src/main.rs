//! The `loadgen` binary, a call of the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    loadgen::command::main()
}
