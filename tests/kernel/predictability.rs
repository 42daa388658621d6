//! What the predictability meter reports for ports that were really allocated: by the kernel and by
//! each strategy.

use std::net::{TcpListener, TcpStream, UdpSocket};

use portscope::{
    Allocator,
    allocator::{Habit, Predictability, predictability::assess},
    domain::{
        PortRange, Protocols,
        port::{IANA_DYNAMIC, LINUX_DEFAULT},
    },
    host::simulated::SimulatedHost,
};

use crate::namespace::in_new_namespace;

/// Number of ports that the meter gets.
const GIVEN: usize = 20;

fn port_of(socket: &TcpStream) -> u16 {
    socket.local_addr().unwrap().port()
}

/// Assesses ports that the strategy allocates one after the other on an empty range. Each is
/// released at once.
fn given_by(strategy: &str, range: PortRange) -> Predictability {
    let host = SimulatedHost::builder().build();
    let builder = Allocator::over(range).protocols(Protocols::Udp).strategy(strategy).seed(7);
    let mut allocator = builder.build_on(&host).unwrap();
    let ports: Vec<u16> = (0..GIVEN).map(|_| allocator.allocate(|_| ()).unwrap().port()).collect();
    assess(&ports, range)
}

#[test]
fn twenty_connects_to_one_destination_show_their_even_steps() {
    let Some(assessed) = in_new_namespace(|| {
        let listener = TcpListener::bind("127.0.0.1:5000").unwrap();
        let address = listener.local_addr().unwrap();
        let sockets: Vec<_> = (0..GIVEN).map(|_| TcpStream::connect(address).unwrap()).collect();
        let ports: Vec<u16> = sockets.iter().map(port_of).collect();
        assess(&ports, LINUX_DEFAULT)
    }) else {
        return;
    };
    assert_eq!(assessed.habit, Habit::EvenSteps, "{assessed:?}");
    assert!((assessed.bits_left - 3.0).abs() < f64::EPSILON);
}

#[test]
fn twenty_binds_to_port_0_show_one_parity_on_tcp_and_nothing_on_udp() {
    let Some((tcp, udp)) = in_new_namespace(|| {
        let tcp: Vec<_> = (0..GIVEN).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let udp: Vec<_> = (0..GIVEN).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        let tcp: Vec<u16> = tcp.iter().map(|s| s.local_addr().unwrap().port()).collect();
        let udp: Vec<u16> = udp.iter().map(|s| s.local_addr().unwrap().port()).collect();
        (assess(&tcp, LINUX_DEFAULT), assess(&udp, LINUX_DEFAULT))
    }) else {
        return;
    };
    assert_eq!((tcp.habit, udp.habit), (Habit::OneParity, Habit::Uniform));
}

#[test]
fn the_habit_of_each_strategy_is_recognized() {
    let habit = |strategy| given_by(strategy, IANA_DYNAMIC).habit;
    for (strategy, expected) in [
        ("sequential", Habit::Stuck),
        ("next-fit", Habit::Counter { step: 1 }),
        ("hash", Habit::Counter { step: 1 }),
        ("double-hash", Habit::Counter { step: 1 }),
        ("linux-connect", Habit::EvenSteps),
        ("random", Habit::Uniform),
        ("random-unique", Habit::Uniform),
        ("exo-history", Habit::Uniform),
        ("simple-random", Habit::Uniform),
        ("random-retry", Habit::Uniform),
        ("banded", Habit::Uniform),
    ] {
        assert_eq!(habit(strategy), expected, "{strategy}");
    }
    let increments = habit("random-increment");
    assert!(matches!(increments, Habit::SmallSteps { most: 300..=500 }), "{increments:?}");
}

/// exo's `random_ephemeral_port` of December 2025: `return port-1 if port <= 52415 else 52414`.
#[test]
fn a_frequent_port_is_recognized_as_favourite() {
    let host = SimulatedHost::builder().build();
    let drawn = Allocator::over(IANA_DYNAMIC).protocols(Protocols::Udp).seed(7);
    let mut allocator = drawn.build_on(&host).unwrap();
    let port = |_| match allocator.allocate(|_| ()).unwrap().port() {
        port @ ..=52_415 => port - 1,
        _ => 52_414,
    };
    let assessed = assess(&(0..GIVEN).map(port).collect::<Vec<_>>(), IANA_DYNAMIC);
    assert_eq!(assessed.habit, Habit::Favourite { port: 52_414 });
    assert_eq!(assessed.guess, Some(52_414));
    assert!(assessed.bits_left < 1.0);
}
