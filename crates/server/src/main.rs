//! The `server` binary; everything it does is in the library.

use std::process::ExitCode;

/// Decoded images come and go by the hundred megabytes.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    server::command::main()
}
