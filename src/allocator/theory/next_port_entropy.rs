//! Computes how hard the next port is to guess for an observer who knows the occupancy. Does not
//! need a sample of allocated ports.

use crate::allocator::{
    Candidates, Order, PortView,
    theory::{OccupiedRun, runs_of_taken},
};

/// Returns the Shannon entropy of the next allocated port, in bits. `None` if no formula is known
/// or no port is free.
pub fn entropy_of_next(
    order: Order,
    candidates: &Candidates,
    port_view: &dyn PortView,
) -> Option<f64> {
    weights(order, candidates, port_view)
        .map(|weights| weights.iter().map(|&(weight, ports)| -ports * weight * weight.log2()).sum())
}

/// Returns the probability (0 to 1) that two allocators with this strategy choose the same port on
/// the same occupancy: the sum of the squares of the ports' probabilities. `None` as for
/// `entropy_of_next`.
pub fn collision_probability(
    order: Order,
    candidates: &Candidates,
    port_view: &dyn PortView,
) -> Option<f64> {
    weights(order, candidates, port_view)
        .map(|weights| weights.iter().map(|&(weight, ports)| ports * weight * weight).sum())
}

/// Returns the probabilities that free ports are allocated next, each with the number of ports that
/// have it. A strategy that tries consecutive ports from a uniform start allocates the port after
/// an occupied run of length L from L + 1 starts.
fn weights(
    order: Order,
    candidates: &Candidates,
    port_view: &dyn PortView,
) -> Option<Vec<(f64, f64)>> {
    let runs = runs_of_taken(candidates, port_view);
    let count = f64::from(candidates.len());
    let taken: u32 = runs.iter().map(|&(length, count)| length * count).sum();
    let free = f64::from(candidates.len() - taken);
    if free < 1.0 {
        return None;
    }
    match order {
        Order::Replacement | Order::Shuffled | Order::OnlyFree => Some(vec![(1.0 / free, free)]),
        Order::Scan => {
            let after_run =
                |&(length, runs): &OccupiedRun| (f64::from(length + 1) / count, f64::from(runs));
            let mut weights: Vec<_> = runs.iter().map(after_run).collect();
            let others = free - weights.iter().map(|&(_, ports)| ports).sum::<f64>();
            weights.push((1.0 / count, others));
            Some(weights)
        }
        Order::Fixed | Order::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{allocator::FreePorts, domain::PortRange};

    #[test]
    fn ports_after_long_runs_are_more_likely_for_a_scan() {
        let candidates = Candidates::new(PortRange::new(1, 16).unwrap(), &[]);
        let port_view = FreePorts::without(1..=12);
        let entropy = |order| entropy_of_next(order, &candidates, &port_view).unwrap();
        let collision_rate = |order| collision_probability(order, &candidates, &port_view).unwrap();
        assert!((entropy(Order::Replacement) - 2.0).abs() < 1e-12);
        assert!((collision_rate(Order::OnlyFree) - 0.25).abs() < 1e-12);
        // 13/16 for port 13, 1/16 for each of the three after it.
        let expected = -(13.0 / 16.0_f64) * (13.0 / 16.0_f64).log2() + 3.0 / 16.0 * 4.0;
        assert!((entropy(Order::Scan) - expected).abs() < 1e-12);
        assert!((collision_rate(Order::Scan) - 172.0 / 256.0).abs() < 1e-12);
    }

    #[test]
    fn entropy_is_none_for_a_full_range_and_for_a_fixed_order() {
        let candidates = Candidates::new(PortRange::new(1, 4).unwrap(), &[]);
        assert_eq!(entropy_of_next(Order::Scan, &candidates, &FreePorts::without(1..=4)), None);
        assert_eq!(collision_probability(Order::Fixed, &candidates, &FreePorts::all_free()), None);
    }
}
