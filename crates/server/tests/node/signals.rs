//! Effects of signals on a node.

use std::fs::File;

use testkit::{NodeBuilder, Signal, wait_for};

#[test]
fn a_node_outlives_signals_that_mean_nothing() {
    let node = NodeBuilder::new().start();
    let ignored = [
        ("SIGHUP", Signal::HUP),
        ("SIGUSR1", Signal::USR1),
        ("SIGUSR2", Signal::USR2),
        ("SIGALRM", Signal::ALARM),
        ("SIGVTALRM", Signal::VTALARM),
        ("SIGPROF", Signal::PROF),
        ("SIGXCPU", Signal::XCPU),
        ("SIGXFSZ", Signal::XFSZ),
        ("SIGIO", Signal::IO),
        ("SIGPIPE", Signal::PIPE),
    ];
    for (name, signal) in ignored {
        node.signal(signal);
        wait_for(name, || {
            assert_eq!(node.exited(), None, "{name}: {}", node.log());
            node.log().contains(&format!("signal=\"{name}\"")).then_some(())
        });
    }
    // One that no table of names has.
    let number = if cfg!(target_os = "linux") { "RTMIN+3" } else { "USR1" };
    let kill =
        std::process::Command::new("kill").args(["-s", number, &node.process_id().to_string()]).status();
    assert!(kill.unwrap().success());
    node.signal(Signal::USR1);
    assert_eq!(node.status("/livez"), Some(200));
    assert_eq!(node.exited(), None, "{}", node.log());
}

#[test]
fn signals_that_stop_do_so_in_order() {
    for (name, signal) in [("SIGTERM", Signal::TERM), ("SIGINT", Signal::INT), ("SIGQUIT", Signal::QUIT)] {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let node = NodeBuilder::new()
            .flags(["--log-file", log.to_str().unwrap()])
            .standard_error(File::create("/dev/null").unwrap())
            .start();
        node.signal(signal);
        assert!(node.wait().success(), "{name}");
        let log = std::fs::read_to_string(&log).unwrap();
        assert!(log.contains(&format!("stopping signal=\"{name}\"")), "{log}");
        // The very last line, so the log was written to its end.
        assert!(log.lines().last().is_some_and(|line| line.ends_with("stopped")), "{log}");
    }
}
