//! List of the cases.

use super::case::{At, Bound, Case, Limit, Strictness};
use super::{handover, load_kill, lost_leader, minority, quiet, repeated, rolling, stalled_disk};

const fn must(figure: &'static str, at: At, limit: f64) -> Bound {
    Bound { figure, at, limit: Limit::Fixed(limit), strictness: Strictness::Must }
}

const fn aim(figure: &'static str, at: At, limit: f64) -> Bound {
    Bound { figure, at, limit: Limit::Fixed(limit), strictness: Strictness::Aim }
}

const fn flushes(count: f64, plus_ms: f64) -> Limit {
    Limit::Flushes { count, plus_ms }
}

/// All cases, in the order of execution.
pub(super) const CASES: &[Case] = &[
    Case {
        name: "kill",
        rounds: 100,
        about: "kill -9 of the leader until both survivors name another one; first write acknowledged",
        bounds: &[
            must("new leader ms", At::Median, 25.0),
            must("new leader ms", At::Max, 200.0),
            Bound {
                figure: "new leader ms",
                at: At::Median,
                limit: flushes(3.0, 3.0),
                strictness: Strictness::Aim,
            },
            aim("new leader ms", At::P99, 50.0),
            must("first write ms", At::Median, 40.0),
            aim("first write ms", At::Median, 20.0),
        ],
        run: lost_leader::kill,
    },
    Case {
        name: "kill-busy",
        rounds: 50,
        about: "the same while embeds take all of the machine",
        bounds: &[
            must("new leader ms", At::Median, 80.0),
            must("new leader ms", At::Max, 300.0),
            aim("new leader ms", At::P99, 150.0),
        ],
        run: lost_leader::kill_busy,
    },
    Case {
        name: "hang",
        rounds: 50,
        about: "SIGSTOP of the leader until both others name another one; first write acknowledged",
        bounds: &[
            must("new leader ms", At::Median, 200.0),
            must("new leader ms", At::Max, 300.0),
            aim("new leader ms", At::Median, 170.0),
            must("first write ms", At::Median, 300.0),
        ],
        run: lost_leader::hang,
    },
    Case {
        name: "cut",
        rounds: 50,
        about: "the leader's packets dropped without a word until both others name another one; first write",
        bounds: &[
            must("new leader ms", At::Median, 200.0),
            must("new leader ms", At::Max, 300.0),
            aim("new leader ms", At::Median, 170.0),
            must("first write ms", At::Median, 300.0),
        ],
        run: lost_leader::cut,
    },
    Case {
        name: "load-kill",
        rounds: 10,
        about: "4000 embeds by 20 clients, the leader killed a third in",
        bounds: &[must("failed requests", At::Max, 0.0)],
        run: load_kill::load_kill,
    },
    Case {
        name: "timers",
        rounds: 20,
        about: "kill -9 of the leader with the detector off: the timers alone",
        bounds: &[must("new leader ms", At::Max, 3000.0)],
        run: lost_leader::timers,
    },
    Case {
        name: "handover",
        rounds: 50,
        about: "leadership handed over under load: how long a write waits",
        bounds: &[
            Bound {
                figure: "longest write ms",
                at: At::Median,
                limit: flushes(4.0, 10.0),
                strictness: Strictness::Must,
            },
            must("longest write ms", At::Max, 100.0),
            must("failed writes", At::Max, 0.0),
            must("failed requests", At::Max, 0.0),
        ],
        run: handover::handover,
    },
    Case {
        name: "flush-hung",
        rounds: 5,
        about: "the leader's disk stalls: until each other node has a write acknowledged again",
        bounds: &[must("first write ms", At::Max, 5000.0)],
        run: stalled_disk::flush_hung,
    },
    Case {
        name: "rolling-restart",
        rounds: 5,
        about: "each node stopped and started in turn under the load of 20 clients",
        bounds: &[must("failed requests", At::Max, 0.0)],
        run: rolling::rolling_restart,
    },
    Case {
        name: "no-false-elections/idle",
        rounds: 1,
        about: "nothing happens, for --minutes: no election",
        bounds: &[must("terms", At::Max, 0.0)],
        run: quiet::idle,
    },
    Case {
        name: "no-false-elections/busy",
        rounds: 1,
        about: "24 busy loops beside the nodes, for --minutes: no election",
        bounds: &[must("terms", At::Max, 0.0)],
        run: quiet::busy,
    },
    Case {
        name: "no-false-elections/loss",
        rounds: 1,
        about: "links that lose 5 % of the packets each way, for --minutes: no election",
        bounds: &[must("terms", At::Max, 0.0)],
        run: quiet::loss,
    },
    Case {
        name: "no-false-elections/gaps",
        rounds: 1,
        about: "every 5 s the leader is cut off for 100 to 250 ms, for --minutes: elections at the first gaps only",
        bounds: &[must("terms", At::Max, 2.0)],
        run: quiet::gaps,
    },
    Case {
        name: "no-false-elections/snapshot",
        rounds: 3,
        about: "a snapshot for one follower over 3 Mbit/s: no election",
        bounds: &[must("terms", At::Max, 0.0)],
        run: quiet::snapshot,
    },
    Case {
        name: "no-false-elections/false-alarms",
        rounds: 100,
        about: "one follower suspects the leader by mistake, again and again: no election",
        bounds: &[must("terms", At::Max, 0.0)],
        run: quiet::false_alarms,
    },
    Case {
        name: "no-false-elections/stall-leader",
        rounds: 20,
        about: "the leader's disk stalls for 300 ms, again and again: no election",
        bounds: &[must("terms", At::Max, 0.0)],
        run: quiet::stall_leader,
    },
    Case {
        name: "no-false-elections/stall-follower",
        rounds: 20,
        about: "a follower's disk stalls for 300 ms, again and again: no election",
        bounds: &[must("terms", At::Max, 0.0)],
        run: quiet::stall_follower,
    },
    Case {
        name: "repeated",
        rounds: 100,
        about: "kill -9 of whoever leads, again and again, under writes: nothing lost, nothing grows",
        bounds: &[
            must("terms per kill", At::Median, 2.0),
            must("two leaders in a term", At::Max, 0.0),
            must("wrong writes", At::Max, 0.0),
        ],
        run: repeated::repeated,
    },
    Case {
        name: "two-of-three",
        rounds: 5,
        about: "two nodes killed: the third goes on embedding and says that there is no quorum",
        bounds: &[must("no quorum ms", At::Max, 5000.0), must("longest embed gap ms", At::Max, 1000.0)],
        run: minority::two_of_three,
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn cases_are_found_by_name_and_by_group() {
        let names: BTreeSet<&str> = CASES.iter().map(|case| case.name).collect();
        assert_eq!(names.len(), CASES.len());
        let called = |name| CASES.iter().filter(|case| case.is_called(name)).count();
        assert_eq!((called("kill"), called("no-false-elections"), called("no-such")), (1, 8, 0));
        assert_eq!(called("no-false-elections/idle"), 1);
    }
}
