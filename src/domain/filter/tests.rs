//! Tests of whole filters: parsed, printed and applied.

use std::time::Duration;

use crate::domain::{
    Age, Endpoint, Family, Interfaces, Owner, Process, ProcessTable, ServiceNames, Socket, State,
    Text, Users,
    filter::{Filter, FilterContext, FilterError, FilterRow},
};

fn parse(text: &str) -> Result<Filter, FilterError> {
    Filter::parse(text, &ServiceNames::default())
}

fn printed(text: &str) -> String {
    match parse(text) {
        Ok(filter) => filter.to_string(),
        Err(error) => format!("{}..{} {error}", error.span.start, error.span.end),
    }
}

#[test]
fn canonical_form_is_parsed_as_the_same_filter() {
    for (text, canonical) in [
        ("", ""),
        ("state time-wait dst 10.0.0.5", "state time-wait dst 10.0.0.5"),
        ("STATE Time-Wait", "state time-wait"),
        ("exclude listening exclude closed", "exclude closed exclude listening"),
        ("state connected", "exclude closed exclude listening"),
        ("excl time-wait :80", "exclude time-wait :80"),
        ("sport=80", "sport = :80"),
        ("sport :http or dport ne https", "sport = :80 or dport != :443"),
        ("sport = *", "sport >= :0"),
        ("a b | c & d", "a and b or c and d"),
        ("( a )", "a"),
        ("not ( not a )", "a"),
        ("! (a or b)", "not ( a or b )"),
        ("nginx  :8080  10.0.0.5", "nginx and :8080 and 10.0.0.5"),
        ("8080", ":8080"),
        (":8000-8090", ":8000-8090"),
        ("8000-8090", ":8000-8090"),
        (":http", ":80"),
        ("10/8", "10.0.0.0/8"),
        ("::1", "[::1]"),
        ("10.0.0.5:443", "10.0.0.5:443"),
        ("localhost:80", "127.0.0.1:80"),
        ("to 10.0.3.17:5432", "dst 10.0.3.17:5432"),
        ("pid = 812 user != app", "pid 812 and not user app"),
        ("unit nginx.service udp", "unit nginx.service and udp"),
        ("age > 90", "age > 1m30s"),
        ("age<=1h30m", "age <= 1h30m"),
        ("LISTEN", "listen"),
        ("ESTAB", "established"),
        ("listen", "listen"),
        ("time-wait or nginx", "time-wait or nginx"),
        ("state listen or nginx", "listening or nginx"),
        ("state listen state closed or nginx", "listen or nginx"),
        ("state bucket or nginx", "( state syn-recv state time-wait ) or nginx"),
        ("nginx state bucket", "nginx and ( state syn-recv state time-wait )"),
        ("( state bucket ) a", "( state syn-recv state time-wait ) and a"),
        ("state bucket a or b", "state syn-recv state time-wait a or b"),
        ("dev != lo", "not dev lo"),
        ("\"tmux: server\"", "\"tmux: server\""),
        ("tmux:\\ server", "\"tmux: server\""),
        ("\\listen \"stat\" \"a\\\\b\"", "\"listen\" and \"stat\" and \"a\\\\b\""),
        ("user \"a b\"", "user \"a b\""),
        ("unit and\\ x dev \\(", "unit \"and x\" and dev \"(\""),
        ("src inet:10.0.0.1", "src inet:10.0.0.1"),
        ("nginx!", "nginx!"),
        ("日本", "日本"),
    ] {
        assert_eq!(printed(text), canonical, "{text}");
        assert_eq!(parse(canonical), parse(text), "{text}");
    }
}

#[test]
fn errors_mark_the_part_and_say_what_is_expected() {
    for (text, error) in [
        ("stat time-wait", "0..4 stat: did you mean state?"),
        ("state time-wiat", "6..15 time-wiat: did you mean time-wait?"),
        ("a sprot = :80", "2..7 sprot: did you mean sport?"),
        ("a usr app", "2..5 usr: did you mean user?"),
        ("port 80", "0..4 port: write :PORT for either end, or sport or dport"),
        ("nginx > 5", "0..5 nginx cannot be compared: expected sport, dport or age"),
        ("sport", "5..5 expected a port"),
        ("sport = ", "7..7 expected a port"),
        ("sport = 70000", "8..13 70000 is no port: expected 0 to 65535"),
        ("sport > *", "8..9 expected the number of a port"),
        ("sport = nosuch", "8..14 nosuch is no port: expected a number or the name of a service"),
        (":70000", "0..6 70000 is no port: expected 0 to 65535"),
        (":9-8", "0..4 expected FIRST-LAST, the lower port first"),
        ("dst != 10.0.0.5", "4..6 expected =: write not before src or dst"),
        ("dst db.example", "4..14 db.example is no address, and portscope looks up no host names"),
        ("10.0.0.256", "0..10 10.0.0.256 is no address"),
        ("( a or b", "0..1 there is no ) for this ("),
        ("a )", "2..3 there is no ( for this )"),
        ("( )", "2..3 expected a condition before this"),
        ("a or", "4..4 expected a condition, such as nginx or :8080"),
        ("or a", "0..2 expected a condition before this"),
        ("not", "3..3 expected a condition, such as nginx or :8080"),
        ("= 5", "0..1 nothing can be compared here: expected sport, dport or age before this"),
        ("state established exclude established", "0..37 no state is left"),
        ("pid x", "4..5 x is no pid: expected 1 to 4194303"),
        ("pid > 5", "4..5 expected = or !="),
        ("age 5m", "4..6 expected a comparison, as in age > 1m"),
        (
            "age > soon",
            "6..10 soon is no time: expected a number with s, m, h or d, such as 90s or 1h30m",
        ),
        ("age = 5", "4..5 expected <, <=, > or >=: no age is exact"),
        (
            "src inet:10/8 dst inet6:[::1]",
            "18..29 inet: and inet6: exclude each other, because each limits the whole filter",
        ),
        ("\"nginx", "0..6 the quote is not closed"),
        ("src \u{1b}[2J", "4..8 the word has a character that cannot be printed"),
    ] {
        assert_eq!(printed(text), error, "{text}");
    }
    for (text, part) in [
        ("fwmark 5", "does not know the marks"),
        ("cgroup = /x", "use unit NAME"),
        ("autobound", "use sport"),
        ("db:5432", "write db :5432 for the owner db"),
        ("state xyz", "xyz is no state: expected established, "),
    ] {
        assert!(printed(text).contains(part), "{text}: {}", printed(text));
    }
}

#[test]
fn absurd_filters_are_refused_quickly() {
    let deep = "(".repeat(100_000);
    assert!(printed(&deep).contains("too many parentheses"));
    let nots = format!("{}a", "! ".repeat(100_000));
    assert_eq!(printed(&nots), "a");
    assert!(printed(&":1 or ".repeat(10_001)).contains("too many tests"));
    assert!(printed(&"a".repeat(300_000)).contains("too long"));
    let name = "a".repeat(200_000);
    assert_eq!(printed(&name), name);
    assert!(parse(&format!("{}:1", ":1 or ".repeat(9_999))).is_ok());
    let hundred = format!("{}a or b{}", "( ".repeat(100), " )".repeat(100));
    assert_eq!(printed(&hundred), "a or b");
}

#[test]
fn messages_repeat_at_most_60_characters_of_a_word() {
    let long = "1".repeat(100_000);
    for text in
        ["pid L", "sport = L", "src L", ":L", "L", "age > L", "state xL", "xL:80", "x:L", "xL < 5"]
    {
        let message = parse(&text.replace('L', &long)).unwrap_err().to_string();
        assert!(message.chars().count() < 400, "{text}: {} characters", message.chars().count());
        assert!(message.contains('…'), "{text}: {message}");
    }
    let exact = "1".repeat(60);
    assert!(
        parse(&format!("pid {exact}")).unwrap_err().to_string().starts_with(&format!("{exact} is"))
    );
}

fn at(endpoint: &str) -> Endpoint {
    let endpoint: std::net::SocketAddr = endpoint.parse().unwrap();
    Endpoint { address: endpoint.ip(), port: endpoint.port() }
}

fn socket(state: State, local: &str, remote: Option<&str>) -> Socket {
    Socket { remote: remote.map(at), ..Socket::new(state.protocol(), state, at(local)) }
}

/// Tests one socket. The processes are `nginx` with pid 1 and unit `nginx.service`, and
/// `payments-api-se` with pid 2; uid 33 is `www`.
fn matches(text: &str, socket: &Socket, owner: Owner<'_>, age: Option<Age>) -> Option<bool> {
    let nginx = Process {
        unit: Some(Text::scrub("nginx.service")),
        ..Process::new(1, Text::scrub("nginx"))
    };
    let processes: ProcessTable =
        [nginx, Process::new(2, Text::scrub("payments-api-se"))].into_iter().collect();
    let users: Users = [(33, Text::scrub("www"))].into_iter().collect();
    let interfaces: Interfaces = [(7, Text::scrub("eth0"))].into_iter().collect();
    let context = FilterContext {
        interfaces: &interfaces,
        processes: &processes,
        users: &users,
        sockets: &[],
    };
    parse(text).unwrap().matcher(context).matches(&FilterRow { socket, owner, age })
}

#[test]
fn connection_that_waits_for_accept_has_the_user_of_its_listener() {
    let listener = |local: &str, uid| Socket {
        uid: Some(uid),
        inode: Some(7),
        ..socket(State::Listen, local, None)
    };
    let sockets = [
        listener("0.0.0.0:80", 33),
        listener("10.0.0.1:80", 0),
        listener("10.0.0.1:81", 33),
        listener("10.0.0.1:81", 34),
    ];
    let users: Users = [(33, Text::scrub("www"))].into_iter().collect();
    let context = FilterContext {
        interfaces: &Interfaces::default(),
        processes: &ProcessTable::default(),
        users: &users,
        sockets: &sockets,
    };
    let matcher = parse("user www").unwrap().matcher(context);
    for (local, state, expected) in [
        ("10.0.0.2:80", State::Established, Some(true)),
        ("10.0.0.2:80", State::SynReceived, Some(true)),
        ("10.0.0.2:80", State::CloseWait, Some(true)),
        ("10.0.0.1:80", State::Established, Some(false)),
        ("10.0.0.2:80", State::FinWait1, Some(false)),
        ("10.0.0.1:81", State::Established, None),
        ("10.0.0.2:82", State::Established, None),
    ] {
        let waiting = socket(state, local, Some("10.0.0.9:4000"));
        let row = FilterRow { socket: &waiting, owner: Owner::Nobody, age: None };
        assert_eq!(matcher.matches(&row), expected, "{local} {state}");
    }
}

#[test]
fn tests_of_endpoints_states_and_protocols() {
    let connected = socket(State::Established, "10.0.0.7:40101", Some("10.0.3.17:443"));
    for (text, expected) in [
        ("", true),
        ("state established", true),
        ("exclude established", false),
        ("connected", false),
        ("dst 10.0.3.17", true),
        ("to 10.0.3.17:443", true),
        ("src 10.0.3.17", false),
        ("10.0.3.0/24", true),
        (":443", true),
        (":40101", true),
        (":40000-40100", false),
        ("sport > 40000 and sport < 40101", false),
        ("dport >= :443", true),
        ("tcp", true),
        ("udp or :443", true),
        ("udp and :1 or :443", true),
        (":443 or udp and udp", false),
        ("not udp", true),
        ("listen", false),
        ("src inet6:*", false),
        ("dev 0", true),
    ] {
        let found = matches(text, &connected, Owner::Nobody, None);
        assert_eq!(found, Some(expected), "{text}");
    }
    let listener = Socket { family: Family::Dual, ..socket(State::Listen, "[::]:80", None) };
    for (text, expected) in [
        ("listen", true),
        ("state listening", true),
        ("state closed", false),
        ("dport = :0", true),
        ("dst [::]", true),
        ("dst 0.0.0.0", false),
        ("src inet:*", false),
        ("src inet6:*", true),
    ] {
        let found = matches(text, &listener, Owner::Nobody, None);
        assert_eq!(found, Some(expected), "{text}");
    }
    let mapped = socket(State::Established, "[::ffff:10.0.0.7]:80", Some("[::ffff:10.0.3.1]:9"));
    let bound = Socket { interface: Some(7), ..mapped };
    for (text, expected) in [
        ("src 10/8", true),
        ("dst 10.0.3.1:9", true),
        ("src [::ffff:10.0.0.7]", true),
        ("src inet:*", false),
        ("dev eth0", true),
        ("dev 7", true),
        ("dev if7", true),
        ("dev 0", false),
        ("dev lo", false),
        ("dev != lo", true),
    ] {
        assert_eq!(matches(text, &bound, Owner::Nobody, None), Some(expected), "{text}");
    }
}

#[test]
fn names_match_a_part_and_may_be_unknown() {
    let open = Socket { uid: Some(33), ..socket(State::Listen, "0.0.0.0:80", None) };
    for (owner, text, expected) in [
        (Owner::Process(&[1]), "NGIN", Some(true)),
        (Owner::Process(&[1]), "redis", Some(false)),
        (Owner::Process(&[1, 2]), "payments", Some(true)),
        (Owner::Process(&[2]), "payments-api-server", Some(true)),
        (Owner::Departed(&[1]), "nginx", Some(true)),
        (Owner::Process(&[1]), "unit nginx", Some(true)),
        (Owner::Process(&[2]), "unit nginx", Some(false)),
        (Owner::Process(&[1]), "pid 1", Some(true)),
        (Owner::Process(&[9]), "pid 1", Some(false)),
        (Owner::Process(&[9]), "pid 1 or pid 9 or pid 3", Some(true)),
        (Owner::Process(&[8]), ":80 and pid 9 or pid 3 or pid 8", Some(true)),
        (Owner::Process(&[9]), ":81 and pid 9 or pid 3", Some(false)),
        (Owner::Process(&[8]), "pid 9 or nginx or pid 8", Some(true)),
        (Owner::Process(&[9]), "nginx", None),
        (Owner::Process(&[9, 1]), "nginx", Some(true)),
        (Owner::Hidden, "nginx", None),
        (Owner::Hidden, "not nginx", None),
        (Owner::Hidden, "nginx and :81", Some(false)),
        (Owner::Hidden, "nginx or :80", Some(true)),
        (Owner::Hidden, ":80 and nginx", None),
        (Owner::Hidden, "( nginx or redis ) and :81", Some(false)),
        (Owner::NotAsked, "pid 1", None),
        (Owner::Nobody, "nginx", Some(false)),
        (Owner::Kernel, "nginx", Some(false)),
        (Owner::Kernel, "kernel", Some(true)),
        (Owner::Hidden, "user www", Some(true)),
        (Owner::Hidden, "user 33", Some(true)),
        (Owner::Hidden, "user root", Some(false)),
    ] {
        assert_eq!(matches(text, &open, owner, None), expected, "{owner:?} {text}");
    }
    let waits = socket(State::TimeWait, "10.0.0.7:1", Some("10.0.0.8:2"));
    assert_eq!(matches("user www", &waits, Owner::Kernel, None), Some(false));
    let unaccepted = socket(State::Established, "10.0.0.7:1", Some("10.0.0.8:2"));
    assert_eq!(matches("user www", &unaccepted, Owner::Backlog(&[1]), None), None);
}

#[test]
fn age_that_is_a_lower_bound_decides_only_beyond_the_limit() {
    let open = socket(State::Listen, "0.0.0.0:80", None);
    let minutes = |n: u64| Duration::from_secs(n * 60);
    for (age, text, expected) in [
        (Some(Age::Exactly(minutes(2))), "age > 1m", Some(true)),
        (Some(Age::Exactly(minutes(2))), "age < 1m", Some(false)),
        (Some(Age::AtLeast(minutes(2))), "age > 1m", Some(true)),
        (Some(Age::AtLeast(minutes(2))), "age <= 1m", Some(false)),
        (Some(Age::AtLeast(minutes(2))), "age > 5m", None),
        (Some(Age::AtLeast(minutes(2))), "age < 5m", None),
        (Some(Age::AtLeast(minutes(2))), "not age < 5m", None),
        (Some(Age::AtLeast(minutes(2))), "age >= 2m", Some(true)),
        (Some(Age::AtLeast(minutes(2))), "age < 2m", Some(false)),
        (None, "age > 1m", None),
    ] {
        assert_eq!(matches(text, &open, Owner::Nobody, age), expected, "{age:?} {text}");
    }
}

#[test]
fn filters_say_what_they_need() {
    let filter = |text| parse(text).unwrap();
    assert!(filter("").is_empty() && !filter("udp").is_empty());
    assert!(filter("udp or not ( a or :80 )").needs_owners());
    assert!(!filter("user root and :80").needs_owners());
    assert!(filter("not age > 1m").needs_ages() && !filter("pid 1").needs_ages());
    assert!(filter("a or b c").is_mixed() && filter("a ( b or c d )").is_mixed());
    assert!(!filter("a or ( b and c )").is_mixed());
}
