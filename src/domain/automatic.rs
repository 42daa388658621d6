//! Models which port Linux chooses for a bind() to port 0. Binds nothing.

use crate::domain::{PortRange, Protocols};

/// Returns the port that the kernel chooses. `random`, any number, decides where the search starts.
/// None: no port is available (EADDRINUSE).
///
/// TCP (`inet_csk_find_open_port`): the search visits the ports of the high parity, then those of
/// the low parity, which the kernel leaves to connect() if possible. It visits an even number of
/// ports: in a range with an odd number of ports, three or more, it skips the first or the last
/// one.
///
/// UDP (`udp_lib_get_port`): every available port is equally likely. This is an approximation: the
/// kernel searches one hash chain after another, so that a free port that follows used ports of its
/// chain is more likely.
///
/// `Protocols::Both`: as UDP, because the binder lets the kernel choose the UDP port and then binds
/// TCP to the same number.
pub fn choose(
    protocols: Protocols,
    range: PortRange,
    random: u32,
    is_available: impl Fn(u16) -> bool,
) -> Option<u16> {
    let port = |distance| range.first() + distance as u16;
    if protocols == Protocols::Tcp {
        return tcp_search(range.len(), random).map(port).find(|&port| is_available(port));
    }
    let drawn = draws(random, range.len()).map(port).find(|&port| is_available(port));
    // If few ports are free, all draws may miss them.
    drawn.or_else(|| {
        let free: Vec<u16> = range.ports().filter(|&port| is_available(port)).collect();
        (!free.is_empty()).then(|| free[random as usize % free.len()])
    })
}

/// Yields distances from the first port of a range of `length` ports, in the order of the search.
fn tcp_search(length: u32, random: u32) -> impl Iterator<Item = u32> {
    let round = if length > 1 { length & !1 } else { length };
    let start = (random % round) | 1;
    [start, start - 1].into_iter().flat_map(move |start| {
        let distances = (start..start + round).step_by(2);
        distances.map(move |distance| if distance < length { distance } else { distance - round })
    })
}

/// Yields `length` random numbers below `length`, from a linear congruential generator with the
/// constants of PCG.
fn draws(random: u32, length: u32) -> impl Iterator<Item = u32> {
    let next = |&x: &u32| Some(x.wrapping_mul(747_796_405).wrapping_add(2_891_336_453));
    let below = move |x: u32| ((u64::from(x) * u64::from(length)) >> 32) as u32;
    std::iter::successors(next(&random), next).map(below).take(length as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range() -> PortRange {
        PortRange::new(32_768, 32_783).unwrap()
    }

    #[test]
    fn tcp_gets_odd_ports_before_even_ones_and_udp_gets_any() {
        for random in [0, 1, 7, 15, 16, u32::MAX] {
            let odd = choose(Protocols::Tcp, range(), random, |_| true).unwrap();
            assert_eq!(odd % 2, 1, "{random}");
            let even = choose(Protocols::Tcp, range(), random, |port| port % 2 == 0).unwrap();
            assert_eq!(even % 2, 0, "{random}");
        }
        for protocols in [Protocols::Udp, Protocols::Both] {
            let all: std::collections::BTreeSet<u16> = (0..200)
                .filter_map(|random| choose(protocols, range(), random, |_| true))
                .collect();
            assert_eq!(all.len(), 16);
        }
    }

    #[test]
    fn tcp_search_takes_the_next_free_port_of_a_parity_and_wraps() {
        let range = PortRange::new(100, 107).unwrap();
        let order: Vec<u32> = tcp_search(8, 4).collect();
        assert_eq!(order, [5, 7, 1, 3, 4, 6, 0, 2]);
        assert_eq!(choose(Protocols::Tcp, range, 4, |port| ![105, 107].contains(&port)), Some(101));
    }

    #[test]
    fn choose_finds_the_only_free_port_and_returns_none_if_all_are_in_use() {
        for last in range().ports() {
            for protocols in [Protocols::Tcp, Protocols::Udp, Protocols::Both] {
                assert_eq!(choose(protocols, range(), 5, |port| port == last), Some(last));
                assert_eq!(choose(protocols, range(), 5, |_| false), None);
            }
        }
    }

    /// Checked against the kernel in tests/kernel/strategies_linux.rs.
    #[test]
    fn tcp_skips_the_first_or_the_last_port_of_a_range_of_odd_size() {
        let looked_at = |random| {
            let mut order: Vec<u32> = tcp_search(5, random).collect();
            order.sort_unstable();
            order
        };
        assert_eq!([looked_at(0), looked_at(1)], [[0, 1, 2, 3], [0, 1, 2, 3]]);
        assert_eq!([looked_at(2), looked_at(3)], [[1, 2, 3, 4], [1, 2, 3, 4]]);
    }

    #[test]
    fn a_range_of_one_port_returns_that_port() {
        let one = PortRange::new(9, 9).unwrap();
        assert_eq!(choose(Protocols::Tcp, one, 3, |_| true), Some(9));
    }
}
