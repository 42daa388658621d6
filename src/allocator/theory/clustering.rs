//! Computes the mean attempts of linear probing in a range whose occupied ports were allocated by
//! linear probing, which forms clusters.

/// Returns the mean attempts of linear probing from a uniform start, if `occupied` (K) of
/// `candidates` (N) ports were allocated in the same way and none was released: (1 + Q1) / 2, where
/// Q1 is the sum over k from 0 to K of (k+1) K(K-1)...(K-k+1) / N^k (Knuth, The Art of Computer
/// Programming 3, section 6.4, theorem K). `None` if no port is free.
pub fn scan_on_built(occupied: u32, candidates: u32) -> Option<f64> {
    if occupied >= candidates {
        return None;
    }
    let (mut sum, mut term) = (0.0, 1.0);
    for k in 0..=occupied {
        sum += f64::from(k + 1) * term;
        term *= f64::from(occupied - k) / f64::from(candidates);
    }
    Some(f64::midpoint(1.0, sum))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_of_linear_probing_match_the_verified_values() {
        for (occupied, mean) in
            [(8_192, 2.4993), (14_746, 49.723), (15_565, 188.10), (16_220, 2228.8)]
        {
            let computed = scan_on_built(occupied, 16_384).unwrap();
            assert!((computed / mean - 1.0).abs() < 1e-4, "{occupied}: {computed}");
        }
        assert_eq!((scan_on_built(0, 9), scan_on_built(9, 9)), (Some(1.0), None));
    }
}
