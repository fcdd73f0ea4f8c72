//! Memory and open files of a process, on systems with procfs.

use std::fs;

/// Returns the resident set of a process in bytes (proc(5), `VmRSS`); `None` without procfs.
pub fn resident_bytes(id: u32) -> Option<u64> {
    memory_bytes(id, "VmRSS:")
}

/// Returns the peak resident set of a process in bytes (proc(5), `VmHWM`); `None` without procfs.
pub fn peak_resident_bytes(id: u32) -> Option<u64> {
    memory_bytes(id, "VmHWM:")
}

fn memory_bytes(id: u32, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()? * 1024)
}

/// Returns the number of open file descriptors of a process; `None` without procfs.
pub fn open_files(id: u32) -> Option<usize> {
    Some(fs::read_dir(format!("/proc/{id}/fd")).ok()?.count())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn what_a_process_uses_is_told() {
        let me = std::process::id();
        let before = open_files(me).unwrap();
        let files: Vec<File> = (0..20).map(|_| File::open("/dev/null").unwrap()).collect();
        assert!(open_files(me).unwrap() >= before + 10, "other tests may have closed some meanwhile");
        drop(files);
        assert!(resident_bytes(me).unwrap() > 1 << 20);
        assert!(peak_resident_bytes(me).unwrap() > 1 << 20);
        assert_eq!((resident_bytes(u32::MAX), open_files(u32::MAX)), (None, None));
    }
}
