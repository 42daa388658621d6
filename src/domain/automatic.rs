//! Which port Linux gives to a bind() to port 0: a model of its search. Binds nothing.

use crate::domain::{PortRange, Protocols};

/// TCP (and both): from a random start, the ports at odd distances from the range's first, then the
/// others (`inet_csk_find_open_port`); UDP: any that is free, by chance (`udp_lib_get_port`). None:
/// none is available, EADDRINUSE.
pub fn choose(
    protocols: Protocols,
    range: PortRange,
    random: u32,
    is_available: impl Fn(u16) -> bool,
) -> Option<u16> {
    let length = range.len();
    if protocols == Protocols::Udp {
        return draws(random, length)
            .map(|offset| range.first() + offset as u16)
            .find(|&port| is_available(port))
            .or_else(|| {
                let free: Vec<u16> = range.ports().filter(|&port| is_available(port)).collect();
                (!free.is_empty()).then(|| free[random as usize % free.len()])
            });
    }
    let walk = |parity: u32| {
        // Round the end parity must not change: the last port of an odd range is left out, as there.
        let even = if length > 1 { length & !1 } else { length };
        let start = (random % even & !1) + parity;
        let steps = if length > 1 { even / 2 } else { 1 };
        (0..steps).map(move |step| range.first() + ((start + 2 * step) % even) as u16)
    };
    walk(1).chain(walk(0)).find(|&port| is_available(port))
}

/// Numbers below `length`, as many of them: a linear congruential sequence (PCG's constants).
fn draws(random: u32, length: u32) -> impl Iterator<Item = u32> {
    let next = |&x: &u32| Some(x.wrapping_mul(747_796_405).wrapping_add(2_891_336_453));
    let below = move |x: u32| (u64::from(x) * u64::from(length) >> 32) as u32;
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
            let even = choose(Protocols::Both, range(), random, |port| port % 2 == 0).unwrap();
            assert_eq!(even % 2, 0, "{random}");
        }
        let all: std::collections::BTreeSet<u16> = (0..200)
            .filter_map(|random| choose(Protocols::Udp, range(), random, |_| true))
            .collect();
        assert_eq!(all.len(), 16);
    }

    #[test]
    fn the_last_free_port_is_found_and_nothing_where_there_is_none() {
        for last in range().ports() {
            for protocols in [Protocols::Tcp, Protocols::Udp, Protocols::Both] {
                assert_eq!(choose(protocols, range(), 5, |port| port == last), Some(last));
                assert_eq!(choose(protocols, range(), 5, |_| false), None);
            }
        }
    }

    #[test]
    fn a_range_of_one_port_gives_it() {
        let one = PortRange::new(9, 9).unwrap();
        assert_eq!(choose(Protocols::Tcp, one, 3, |_| true), Some(9));
    }
}
