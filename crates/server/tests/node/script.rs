//! `RESTART_CLUSTER.sh` with the server of the current build.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;
use testkit::Addresses;

/// A partial copy of the repository for the script, and a node with a unique name.
struct Device {
    folder: TempDir,
    node: String,
    _addresses: Addresses,
}

impl Device {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
        fs::copy(root.join("RESTART_CLUSTER.sh"), folder.path().join("RESTART_CLUSTER.sh")).unwrap();
        let release = folder.path().join("target/release");
        fs::create_dir_all(&release).unwrap();
        symlink(env!("CARGO_BIN_EXE_server"), release.join("server")).unwrap();
        let addresses = Addresses::reserve(1);
        let node = format!("n{}{}", std::process::id(), addresses.nodes()[0].ip.octets()[3]);
        fs::create_dir(folder.path().join("config")).unwrap();
        let device = Self { folder, node, _addresses: addresses };
        let [address] = device._addresses.nodes() else { unreachable!("one was asked for") };
        let config = format!(
            "nodes:\n  - {{ id: {}, ip: {}, http_port: {}, raft_port: {} }}\n",
            device.node, address.ip, address.http_port, address.raft_port
        );
        fs::write(device.folder.path().join("config/cluster.yaml"), config).unwrap();
        device
    }

    fn log(&self) -> PathBuf {
        format!("/tmp/phase1-{}.log", self.node).into()
    }

    fn restart(&self) -> Output {
        let mut command = Command::new("bash");
        command.arg("RESTART_CLUSTER.sh").arg(&self.node).args(["--no-pull", "--no-build"]);
        for name in ["CONFIG_PATH", "NODE_ID", "STEG_DATA_DIR", "STEG_LOG_FILE", "CARGO_TARGET_DIR"] {
            command.env_remove(name);
        }
        command.current_dir(self.folder.path()).output().unwrap()
    }

    fn process_id(&self) -> Option<String> {
        let file = self.folder.path().join(format!("data/{}.pid", self.node));
        Some(fs::read_to_string(file).ok()?.trim().to_owned())
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        if let Some(id) = self.process_id() {
            let _ = Command::new("kill").args(["-KILL", &id]).status();
        }
        let _ = fs::remove_file(self.log());
    }
}

#[test]
fn a_node_is_restarted_with_its_log_in_a_file_of_its_own() {
    let device = Device::new();
    let mut before = None;
    for _ in 0..2 {
        let output = device.restart();
        let said =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && said.contains("healthy: "), "{said}");
        let id = device.process_id().unwrap();
        assert_ne!(before, Some(id.clone()), "a new process");
        before = Some(id);
    }
    let found = fs::symlink_metadata(device.log()).unwrap();
    assert!(found.is_file() && found.permissions().mode() & 0o777 == 0o600, "{:o}", found.mode());
    let log = fs::read_to_string(device.log()).unwrap();
    assert_eq!(log.matches("listening on http://").count(), 2, "{log}");
    assert_eq!(log.matches("stopping signal=\"SIGTERM\"").count(), 1, "{log}");
    assert!(log.contains("Becoming LEADER anyway"), "{log}");
}

#[test]
fn a_log_that_is_not_its_own_is_refused_before_anything_is_stopped() {
    let device = Device::new();
    let victim = device.folder.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    let check = |why: &str| {
        let output = device.restart();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains(why) && error.contains("was left as it is"), "{error}");
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
        assert_eq!(device.process_id(), None);
    };
    symlink(&victim, device.log()).unwrap();
    check("is a symbolic link");
    fs::remove_file(device.log()).unwrap();
    fs::create_dir(device.log()).unwrap();
    check("is not a regular file");
    fs::remove_dir(device.log()).unwrap();
    if rustix::process::geteuid().is_root() {
        fs::write(device.log(), "").unwrap();
        std::os::unix::fs::chown(device.log(), Some(65_534), None).unwrap();
        check("belongs to another user");
    }
}
