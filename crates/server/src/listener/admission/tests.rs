use super::*;

const RULES: Rules = Rules { places: 8, lobby: HEALTH_PLACES + 2 };
const PROXY: &str = "10.0.0.9";

/// Plays events and compares the decisions. An event is an address (a connection arrives, numbered from 1),
/// `begin N`, `health N`, `try N`, `end N`, `leave N`, or `+N` (milliseconds pass); `xN` after an address
/// repeats the arrival.
struct Play {
    admission: Admission,
    now: Instant,
}

impl Play {
    fn new(rules: Rules) -> Self {
        Self { admission: Admission::new(rules), now: Instant::now() }
    }

    fn event(&mut self, event: &str) -> String {
        let closes =
            |closed: Option<ConnectionId>| closed.map_or(String::new(), |id| format!(", closes {}", id.0));
        let verdict = |verdict| match verdict {
            Verdict::Serve(closed) => format!("serve{}", closes(closed)),
            Verdict::ServeAndClose => "serve and close".to_owned(),
            Verdict::Wait => "wait".to_owned(),
            Verdict::Refuse => "refuse".to_owned(),
        };
        if let Some(ms) = event.strip_prefix('+') {
            self.now += Duration::from_millis(ms.parse().unwrap());
            return String::new();
        }
        let (word, number) = event.split_once(' ').unwrap_or((event, ""));
        let id = || ConnectionId(number.parse().unwrap());
        let Self { admission, now } = self;
        match word {
            "begin" => verdict(admission.begin(id(), false, *now)),
            "health" => verdict(admission.begin(id(), true, *now)),
            "try" => admission
                .take_place(id(), *now)
                .map_or("no".to_owned(), |closed| verdict(Verdict::Serve(closed))),
            "end" => {
                admission.end(id(), *now);
                String::new()
            }
            "leave" => {
                admission.leave(id());
                String::new()
            }
            address => {
                let arrival = admission.arrive(Source::of(address.parse().ok()), *now);
                let seat = match arrival {
                    Arrival { id: None, .. } => "closed",
                    Arrival { in_lobby: true, .. } => "lobby",
                    Arrival { in_lobby: false, .. } => "place",
                };
                format!("{seat}{}", closes(arrival.closed))
            }
        }
    }

    /// Every step is an event or a repeated event with the decision, which is the same every time.
    fn check(&mut self, steps: &[(&str, &str)]) {
        for (step, (event, expected)) in steps.iter().enumerate() {
            let (event, times) = event.split_once(" x").unwrap_or((event, "1"));
            for _ in 0..times.parse().unwrap() {
                assert_eq!(self.event(event), *expected, "step {step}: {event}");
            }
        }
    }
}

#[test]
fn one_address_never_takes_the_last_quarter() {
    let mut play = Play::new(RULES);
    play.check(&[
        ("10.0.0.9 x6", "place"),
        // Fresh connections are closed last: the first request of a newcomer is read in the lobby before.
        ("10.0.0.9", "lobby"),
        ("+100", ""),
        ("10.0.0.9", "place, closes 1"),
        ("10.0.0.9", "place, closes 2"),
        // Other addresses have the last quarter, then idle places of the address with the most.
        ("10.0.0.1", "place"),
        ("10.0.0.2", "place"),
        ("10.0.0.3", "place, closes 3"),
        ("10.0.0.1", "place, closes 4"),
    ]);
    assert_eq!(play.admission.count(), 9);
}

#[test]
fn busy_connections_are_never_closed() {
    let mut play = Play::new(RULES);
    for id in 1..=6 {
        play.check(&[(PROXY, "place"), (&format!("begin {id}"), "serve")]);
    }
    play.check(&[
        ("+60000", ""),
        (PROXY, "lobby"),
        ("begin 7", "wait"),
        ("try 7", "no"),
        ("end 3", ""),
        // Idle for a moment only: the next request may be in flight.
        ("try 7", "no"),
        ("+100", ""),
        ("try 7", "serve, closes 3"),
        // A departed connection makes room as well, and a place won by waiting is kept for the next request.
        ("end 7", ""),
        ("leave 1", ""),
        (PROXY, "place"),
        ("begin 8", "serve"),
        ("begin 7", "serve"),
        ("10.0.0.1 x2", "place"),
        ("begin 9", "serve"),
        ("begin 10", "serve"),
        ("10.0.0.2", "lobby"),
        ("begin 11", "wait"),
        ("leave 9", ""),
        ("try 11", "serve"),
    ]);
}

#[test]
fn health_calls_have_places_of_their_own() {
    let mut play = Play::new(RULES);
    for id in 1..=6 {
        play.check(&[(PROXY, "place"), (&format!("begin {id}"), "serve")]);
    }
    // Two requests may wait; more are refused at once, while health calls are still served.
    for id in 7..=8 {
        play.check(&[(PROXY, "lobby"), (&format!("begin {id}"), "wait")]);
    }
    for id in 9..=23 {
        play.check(&[(PROXY, "lobby"), (&format!("health {id}"), "serve and close")]);
    }
    play.check(&[(PROXY, "lobby"), ("begin 24", "refuse"), ("leave 24", "")]);
    // Connections without a request make room, the oldest first; with a request in flight on each, none does.
    play.check(&[
        (PROXY, "lobby"),
        (PROXY, "lobby, closes 25"),
        ("health 26", "serve and close"),
        (PROXY, "closed"),
    ]);
    play.check(&[("leave 9", ""), (PROXY, "lobby"), ("health 27", "serve and close")]);
}

#[test]
fn a_flood_of_idle_connections_displaces_itself() {
    let mut play = Play::new(RULES);
    play.check(&[("10.0.0.1", "place"), ("10.0.0.9 x6", "place"), ("10.0.0.9 x18", "lobby")]);
    // The flood fills the lobby: its own oldest connection is closed, never another address's.
    for id in 2..=200 {
        let (closed, begun) = if id <= 7 { (id, id) } else { (id + 18, id + 18) };
        play.check(&[(PROXY, &format!("place, closes {closed}"))]);
        assert!(play.admission.connections.len() == 25, "{begun}");
    }
    // A call from the same address succeeds.
    play.check(&[(PROXY, "place, closes 219"), ("health 225", "serve"), ("begin 1", "serve")]);
}

#[test]
fn networks_count_as_one_address_in_ipv6() {
    let mut play = Play::new(RULES);
    play.check(&[("2001:db8::1 x3", "place"), ("2001:db8::2 x3", "place"), ("2001:db8::3", "lobby")]);
    play.check(&[("2001:db8:0:1::1", "place"), ("10.0.0.1", "place"), ("::ffff:10.0.0.1", "lobby")]);
}

#[test]
fn a_shortage_of_descriptors_closes_an_idle_one() {
    let mut play = Play::new(RULES);
    play.check(&[("10.0.0.1", "place"), ("begin 1", "serve"), ("10.0.0.9 x3", "place")]);
    let mut relieved = || play.admission.relieve().map(|id| id.0);
    assert_eq!([relieved(), relieved(), relieved(), relieved()], [Some(2), Some(3), Some(4), None]);
}

#[test]
fn whatever_happens_the_books_agree() {
    // A small generator of events, to check that the sums stay consistent.
    let mut state = 7_u64;
    let mut random = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut play = Play::new(RULES);
    for _ in 0..20_000 {
        let id = ConnectionId(play.admission.next.saturating_sub(random(40)));
        play.now += Duration::from_millis(random(30));
        let now = play.now;
        let admission = &mut play.admission;
        match random(6) {
            0 | 1 => drop(admission.arrive(Source::of(format!("10.0.0.{}", random(4)).parse().ok()), now)),
            2 => drop(admission.begin(id, random(2) == 0, now)),
            3 => admission.end(id, now),
            4 => drop(admission.relieve().filter(|_| random(4) == 0)),
            _ => admission.leave(id),
        }
        let held: usize = admission.accounts.values().map(|account| account.held).sum();
        assert_eq!(held, admission.taken);
        assert_eq!(held + admission.in_lobby, admission.connections.len());
        assert!(admission.taken <= RULES.places && admission.in_lobby <= RULES.lobby);
        assert!(admission.accounts.values().all(|account| account.held <= RULES.per_address()));
        assert_eq!(admission.by_held.len(), admission.accounts.len());
    }
}
