//! Random filters on random sets of sockets: the rows that portscope selects, compared with those of
//! the real `ss`. Never uses the machine's own ports.
//!
//! `PORTSCOPE_FILTER_SETS` is the number of sets, `PORTSCOPE_FILTER_SEED` the seed.

use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    process::Command,
    time::{Duration, Instant},
};

use portscope::{
    domain::{
        self, Filter, ProcessTable, ServiceNames, Snapshot, Source, State,
        filter::{FilterContext, FilterRow},
    },
    host::{Host as _, OwnerDepth, linux::LinuxHost},
};
use rand::{RngExt as _, SeedableRng as _, rngs::ChaCha8Rng, seq::IndexedRandom as _};
use socket2::{Socket, Type};

use crate::{
    namespace::{in_new_namespace, set_sysctl},
    population::{bound_to, connection, listener, plain, wait_for_end},
};

const LOCAL4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const SECOND4: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
const LOCAL6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);
const ANY4: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
const ANY6: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
const ADDRESSES: [IpAddr; 5] = [LOCAL4, SECOND4, LOCAL6, ANY4, ANY6];

/// Ports that sockets are bound to, and that filters name.
const PORTS: [u16; 6] = [53, 80, 443, 20_001, 20_002, 32_770];
const FILTERS_PER_SET: usize = 50;
const SETS: u64 = 24;

/// What a run counted.
#[derive(Debug, Default)]
struct Tally {
    pairs: usize,
    /// Pairs whose filter selects some sockets, but not all.
    partial: usize,
    /// Filters that `ss` cannot express.
    without_command: usize,
}

#[test]
fn filters_select_the_rows_that_ss_lists() {
    if !has_ss() {
        return;
    }
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let sets = number("PORTSCOPE_FILTER_SETS").unwrap_or(SETS);
    let seed = number("PORTSCOPE_FILTER_SEED").unwrap_or(21);
    let mut tally = Tally::default();
    for set in 0..sets {
        let random = ChaCha8Rng::seed_from_u64(seed.wrapping_add(set));
        let compared = in_new_namespace(|| compare_set(random, set)).map(Result::unwrap);
        let Some(compared) = compared else { return };
        tally.pairs += compared.pairs;
        tally.partial += compared.partial;
        tally.without_command += compared.without_command;
    }
    eprintln!("seed {seed}: {tally:?}");
    let expected = sets as usize * FILTERS_PER_SET;
    assert!(tally.pairs * 10 >= expected * 8, "too few filters of ss: {tally:?}");
    assert!(tally.partial * 3 >= tally.pairs, "filters select nothing or all: {tally:?}");
}

/// Returns whether `ss` is installed. If not, prints that.
fn has_ss() -> bool {
    match Command::new("ss").arg("-V").output() {
        Ok(_) => true,
        Err(error) if std::env::var_os("CI").is_some() => panic!("CI needs ss: {error}"),
        Err(error) => {
            eprintln!("not tested here: no ss ({error})");
            false
        }
    }
}

fn compare_set(mut random: ChaCha8Rng, set: u64) -> io::Result<Tally> {
    set_sysctl("ip_local_port_range", "32768 33999");
    let _sockets = sockets(&mut random)?;
    let snapshot = snapshot();
    let mut tally = Tally::default();
    for _ in 0..FILTERS_PER_SET {
        let text = if random.random_bool(0.3) {
            portscope_filter(&mut random)
        } else {
            ss_filter(&mut random)
        };
        let filter = Filter::parse(&text.filter, &ServiceNames::default());
        let filter = filter.unwrap_or_else(|error| panic!("{}: {error}", text.filter));
        let Ok(command) = filter.as_ss() else {
            tally.without_command += 1;
            continue;
        };
        let selected = selected(&filter, &snapshot);
        let check = |listed: BTreeSet<u64>, command: &str| {
            let different = different(&snapshot, &selected, &listed);
            assert_eq!(selected, listed, "set {set}: {} | {command}: {different}", text.filter);
        };
        if text.is_of_ss {
            let typed = Command::new("ss").args(["-tuanHeO"]).args(text.arguments()).output()?;
            check(cookies(&typed.stdout), "as typed");
        }
        // Each process takes a while.
        if !text.is_of_ss || random.random_bool(0.3) {
            check(listed(&command), &command);
        }
        tally.pairs += 1;
        let all = snapshot.sockets.iter().filter(|socket| is_comparable(socket.state)).count();
        tally.partial += usize::from(!selected.is_empty() && selected.len() < all);
    }
    Ok(tally)
}

/// Whether `ss` of iproute2 before 6.8 lists sockets in this state.
fn is_comparable(state: State) -> bool {
    state != State::Bound
}

/// Takes a snapshot when no connection is about to change its state by itself: the kernel's own
/// packets take a while.
fn snapshot() -> Snapshot {
    let host = LinuxHost::new();
    let mut snapshot = Snapshot::empty(host.machine(), Source::SockDiag);
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        host.scanner().unwrap().scan(OwnerDepth::Skip, &mut snapshot).unwrap();
        let is_closing = |socket: &domain::Socket| match socket.state {
            State::FinWait1 | State::Closing | State::LastAck => true,
            State::FinWait2 => socket.is_closed_by_process(),
            _ => false,
        };
        if !snapshot.sockets.iter().any(is_closing) {
            return snapshot;
        }
        assert!(Instant::now() < deadline, "connections are not closed");
        std::thread::yield_now();
    }
}

/// Returns the cookies of the sockets that the filter selects.
fn selected(filter: &Filter, snapshot: &Snapshot) -> BTreeSet<u64> {
    let processes = ProcessTable::default();
    let matcher = filter.matcher(FilterContext::of(snapshot, &processes));
    let sockets = snapshot.sockets.iter().filter(|socket| is_comparable(socket.state));
    let selected = sockets.filter(|socket| {
        let row = FilterRow { socket, owner: snapshot.owner(socket), age: None };
        matcher.matches(&row).expect("nothing that ss knows is unknown")
    });
    selected.map(|socket| socket.cookie.expect("sock_diag has cookies")).collect()
}

/// Describes the sockets that are in one of the sets only.
fn different(snapshot: &Snapshot, one: &BTreeSet<u64>, other: &BTreeSet<u64>) -> String {
    let is_different = |cookie: Option<u64>| {
        cookie.is_some_and(|cookie| one.contains(&cookie) != other.contains(&cookie))
    };
    let sockets = snapshot.sockets.iter().filter(|socket| is_different(socket.cookie));
    let sockets: Vec<String> = sockets.map(|socket| format!("{socket:?}")).collect();
    sockets.join(", ")
}

/// Runs a command of `ss` in a shell, as a person pastes it.
fn listed(command: &str) -> BTreeSet<u64> {
    let command = command.replacen("ss -", "ss -HeO", 1);
    let output = Command::new("sh").args(["-c", &command]).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && error.is_empty(), "{command}: {error}");
    cookies(&output.stdout)
}

/// Returns the cookies in the output of `ss -e`, without bound-inactive sockets.
fn cookies(output: &[u8]) -> BTreeSet<u64> {
    let text = String::from_utf8_lossy(output);
    let listed = text.lines().filter(|line| !(line.contains("tcp") && line.contains("UNCONN")));
    let cookie = |line: &str| {
        let word = line.split_whitespace().find_map(|word| word.strip_prefix("sk:"))?;
        u64::from_str_radix(word, 16).ok()
    };
    let cookies = listed.map(|line| cookie(line).unwrap_or_else(|| panic!("ss said {line:?}")));
    cookies.collect()
}

/// Creates sockets at random: listeners, connections in several states, UDP with and without a
/// peer, IPv6, IPv4-mapped, bound to a device.
fn sockets(random: &mut ChaCha8Rng) -> io::Result<Vec<Socket>> {
    let mut sockets = Vec::new();
    for _ in 0..random.random_range(3..10) {
        let address = *ADDRESSES.choose(random).unwrap();
        let port = *PORTS.choose(random).unwrap();
        let kind = if random.random() { Type::STREAM } else { Type::DGRAM };
        let on_device = random.random_bool(0.2);
        let is_v6_only = random.random();
        let set = |socket: &Socket| {
            socket.set_reuse_address(true)?;
            if address.is_ipv6() {
                socket.set_only_v6(is_v6_only)?;
            }
            if on_device { socket.bind_device(Some(b"lo")) } else { Ok(()) }
        };
        // The port may be in use.
        let Ok(socket) = bound_to(kind, SocketAddr::new(address, port), set) else { continue };
        if kind == Type::DGRAM || random.random_bool(0.2) || socket.listen(8).is_ok() {
            sockets.push(socket);
        }
    }
    for _ in 0..random.random_range(2..6) {
        connections(random, &mut sockets)?;
    }
    for _ in 0..random.random_range(0..4) {
        let address = *[LOCAL4, SECOND4, LOCAL6].choose(random).unwrap();
        let peer = bound_to(Type::DGRAM, SocketAddr::new(address, 0), plain)?;
        let socket = bound_to(Type::DGRAM, SocketAddr::new(address, 0), plain)?;
        socket.connect(&peer.local_addr()?)?;
        sockets.extend([peer, socket]);
    }
    Ok(sockets)
}

/// Creates a listener and connections to it, some of which are closed by one end or both.
fn connections(random: &mut ChaCha8Rng, sockets: &mut Vec<Socket>) -> io::Result<()> {
    let (on, to) =
        *[(LOCAL4, LOCAL4), (LOCAL6, LOCAL6), (ANY6, LOCAL4), (ANY6, LOCAL6), (ANY4, SECOND4)]
            .choose(random)
            .unwrap();
    let dual = |socket: &Socket| if on.is_ipv6() { socket.set_only_v6(false) } else { Ok(()) };
    let listening = listener(on, dual)?;
    for _ in 0..random.random_range(1..4) {
        let (client, accepted) = connection(&listening, to)?;
        match random.random_range(0..4) {
            0 => {
                drop(client);
                wait_for_end(&accepted)?;
            }
            1 => {
                drop(accepted);
                wait_for_end(&client)?;
            }
            2 => {
                client.shutdown(std::net::Shutdown::Write)?;
                wait_for_end(&accepted)?;
                sockets.extend([client, accepted]);
            }
            _ => sockets.extend([client, accepted]),
        }
    }
    sockets.push(listening);
    Ok(())
}

/// A random filter.
struct RandomFilter {
    /// The words, each an argument of `ss` if `is_of_ss`.
    states: Vec<String>,
    filter: String,
    /// Whether it is in the language of `ss`, without words that only portscope knows.
    is_of_ss: bool,
}

impl RandomFilter {
    /// Returns the arguments for `ss`: it takes states one by one.
    fn arguments(&self) -> Vec<String> {
        let expression = self.filter.get(self.states.join(" ").len()..).unwrap_or_default();
        let expression = Some(expression.to_owned()).filter(|text| !text.trim().is_empty());
        self.states.iter().cloned().chain(expression).collect()
    }
}

/// Generates a filter that `ss` understands word for word.
fn ss_filter(random: &mut ChaCha8Rng) -> RandomFilter {
    let states = states(random);
    let expression = if states.is_empty() || random.random_bool(0.8) {
        expression(random, 2, ss_test)
    } else {
        String::new()
    };
    let filter = format!("{} {expression}", states.join(" "));
    RandomFilter { filter, states, is_of_ss: true }
}

/// Generates a filter with bare words for which there is an `ss` command, mostly.
fn portscope_filter(random: &mut ChaCha8Rng) -> RandomFilter {
    let limits = ["", "", "udp ", "tcp ", "listen ", "not udp ", "time-wait and ", "not closed "];
    let limit = limits.choose(random).unwrap();
    let filter = format!("{limit}( {} )", expression(random, 2, bare_test));
    RandomFilter { filter, states: Vec::new(), is_of_ss: false }
}

fn states(random: &mut ChaCha8Rng) -> Vec<String> {
    const NAMES: [&str; 12] = [
        "established",
        "time-wait",
        "listening",
        "closed",
        "unconnected",
        "close-wait",
        "FIN-WAIT-2",
        "connected",
        "synchronized",
        "bucket",
        "big",
        "all",
    ];
    if random.random_bool(0.5) {
        return Vec::new();
    }
    let mut words = vec!["state".to_owned(), (*NAMES.choose(random).unwrap()).to_owned()];
    if random.random_bool(0.3) {
        words.extend(["state".to_owned(), "syn-sent".to_owned()]);
    } else if random.random_bool(0.4) {
        words = vec!["exclude".to_owned(), "established".to_owned()];
        words.extend(["exclude".to_owned(), (*NAMES[..7].choose(random).unwrap()).to_owned()]);
    }
    words
}

fn expression(random: &mut ChaCha8Rng, depth: u32, test: fn(&mut ChaCha8Rng) -> String) -> String {
    let mut terms = String::new();
    for number in 0..random.random_range(1..4) {
        if number > 0 {
            terms.push_str([" and ", " or ", " ", " | ", " && "].choose(random).unwrap());
        }
        for _ in 0..random.random_range(0..8_u32).saturating_sub(5) {
            terms.push_str(["not ", "! "].choose(random).unwrap());
        }
        if depth > 0 && random.random_bool(0.25) {
            let inner = expression(random, depth - 1, test);
            terms.extend(["( ", &inner, " )"]);
        } else {
            terms.push_str(&test(random));
        }
    }
    terms
}

fn ss_test(random: &mut ChaCha8Rng) -> String {
    let port = port(random);
    match random.random_range(0..10) {
        0..4 => {
            let name = ["sport", "dport"].choose(random).unwrap();
            let operators =
                ["", "= ", "== ", "!= ", "> ", ">= ", "< ", "<= ", "ge ", "lt ", "neq "];
            let operator = operators.choose(random).unwrap();
            format!("{name} {operator}:{port}")
        }
        4..9 => {
            let name = ["src", "dst"].choose(random).unwrap();
            let equal = ["", "= "].choose(random).unwrap();
            format!("{name} {equal}{}", host(random))
        }
        _ => (*["dev lo", "dev = lo", "dev != lo", "dev 0", "dev 1"].choose(random).unwrap())
            .to_owned(),
    }
}

fn bare_test(random: &mut ChaCha8Rng) -> String {
    let port = port(random);
    match random.random_range(0..6) {
        0 => format!(":{port}"),
        1 => format!(":{}-{}", port.min(300), port.max(300)),
        // `any` alone is a name.
        2 => host(random).replace("any", "*"),
        3 => format!("to {}", host(random)),
        _ => ss_test(random),
    }
}

fn port(random: &mut ChaCha8Rng) -> u16 {
    if random.random_bool(0.6) {
        *PORTS.choose(random).unwrap()
    } else if random.random_bool(0.9) {
        random.random_range(32_768..34_000)
    } else {
        0
    }
}

fn host(random: &mut ChaCha8Rng) -> String {
    let port = port(random);
    let hosts = [
        "127.0.0.1",
        "127.0.0.2",
        "127.0.0.0/31",
        "127/8",
        "10.0.0.0/8",
        "0.0.0.0",
        "0/0",
        "127.0.0.1/255.0.0.0",
        "[::1]",
        "::1/128",
        "[::]",
        "::/0",
        "[::/96]",
        "[::ffff:127.0.0.1]",
        "::ffff:0:0/96",
        "2001:db8::/32",
        "*",
        "any",
    ];
    let host = hosts.choose(random).unwrap();
    if random.random_bool(0.3) { format!("{host}:{port}") } else { (*host).to_owned() }
}
