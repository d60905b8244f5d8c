//! Distributions over the engine's random source.

use engine::random::RandomSource;

/// Standard normal (Box-Muller; the second number of the pair is not kept, so that the
/// sequence depends on nothing but the generator).
pub fn normal(random: &mut dyn RandomSource) -> f64 {
    let radius = (-2.0 * (1.0 - random.uniform()).ln()).sqrt();
    radius * (std::f64::consts::TAU * random.uniform()).cos()
}

/// Exponential with mean 1.
pub fn exponential(random: &mut dyn RandomSource) -> f64 {
    -(1.0 - random.uniform()).ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::random::SeededRandom;

    #[test]
    fn moments() {
        let mut random = SeededRandom::new(3);
        let count = 100_000;
        let (mut sum, mut squares, mut waiting) = (0.0, 0.0, 0.0);
        for _ in 0..count {
            let x = normal(&mut random);
            sum += x;
            squares += x * x;
            waiting += exponential(&mut random);
        }
        let count = f64::from(count);
        assert!((sum / count).abs() < 0.01);
        assert!((squares / count - 1.0).abs() < 0.02);
        assert!((waiting / count - 1.0).abs() < 0.02);
    }
}
