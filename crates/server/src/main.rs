//! The `server` binary; all functionality is in the library.

use std::process::ExitCode;

/// Global allocator, chosen for decoded images of hundreds of megabytes.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    server::command::main()
}
