//! The whole accuracy grid: which cells it has, the reference's figures, and running it on
//! every core.

use std::sync::atomic::{AtomicUsize, Ordering};

use discipline::samples::EstimatorKind;

use crate::accuracy::{Accuracy, Cell};

/// Means of the exponential jitter, seconds: the rows of the grid.
pub const JITTERS_S: [f64; 5] = [1e-6, 1e-5, 1e-4, 1e-3, 1e-2];

/// Wanders, s/s a second: the columns of the grid.
pub const WANDERS: [f64; 4] = [1e-10, 1e-9, 1e-8, 1e-7];

/// Fixed polling intervals of the second part of the grid, log2 seconds.
pub const FIXED_POLLS: [i8; 4] = [0, 4, 6, 10];

/// Root mean square of the reference's time error with default polling over 20 seeds,
/// seconds, by jitter and wander.
const REFERENCE_S: [[f64; 4]; 5] = [
    [2.24e-06, 3.95e-06, 1.11e-05, 1.11e-04],
    [1.20e-05, 2.88e-05, 4.10e-05, 1.12e-04],
    [5.32e-05, 1.20e-04, 2.34e-04, 1.91e-04],
    [2.19e-04, 5.45e-04, 1.07e-03, 1.12e-03],
    [1.68e-03, 1.89e-03, 5.44e-03, 7.48e-03],
];

/// One cell and what its runs gave.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The situation.
    pub cell: Cell,
    /// One result for each seed.
    pub runs: Vec<Accuracy>,
}

impl Outcome {
    /// The mean over the seeds.
    pub fn mean(&self) -> Accuracy {
        Accuracy::mean(&self.runs)
    }

    /// Time error relative to the reference's, where that is known.
    pub fn reference_ratio(&self) -> Option<f64> {
        reference_s(&self.cell).map(|reference| self.mean().time_error_s() / reference)
    }

    /// Time error relative to the optimal estimator's at the same mean interval.
    pub fn bound_ratio(&self) -> f64 {
        let mean = self.mean();
        mean.time_error_s() / self.cell.bound_s(mean.interval_s)
    }

    /// Relative standard error of the root mean square over the seeds.
    pub fn relative_error(&self) -> f64 {
        let (count, mean) = (self.runs.len() as f64, self.mean().time_square);
        let squares = self.runs.iter().map(|run| (run.time_square - mean).powi(2));
        let variance = squares.sum::<f64>() / (count - 1.0).max(1.0);
        (variance / count).sqrt() / mean / 2.0
    }
}

/// The reference's time error in a cell with default polling, seconds.
pub fn reference_s(cell: &Cell) -> Option<f64> {
    if cell.poll.is_some() {
        return None;
    }
    let row = JITTERS_S
        .iter()
        .position(|jitter| *jitter == cell.jitter_s)?;
    let column = WANDERS.iter().position(|wander| *wander == cell.wander)?;
    Some(*REFERENCE_S.get(row)?.get(column)?)
}

/// The cells of one polling setting.
pub fn cells(poll: Option<i8>, estimator: EstimatorKind) -> Vec<Cell> {
    let each = |jitter_s| {
        WANDERS.map(|wander| Cell {
            jitter_s,
            wander,
            poll,
            estimator,
        })
    };
    JITTERS_S.into_iter().flat_map(each).collect()
}

/// Calls `job` with 0 … `count` − 1 on every core; results in that order.
pub fn on_every_core<R: Send>(count: usize, job: impl Fn(usize) -> R + Sync) -> Vec<R> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                return done;
            }
            done.push((index, job(index)));
        }
    };
    let mut all: Vec<(usize, R)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        let joined = workers.into_iter().map(|worker| match worker.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        joined.flatten().collect()
    });
    all.sort_by_key(|(index, _)| *index);
    all.into_iter().map(|(_, result)| result).collect()
}

/// Runs every cell with seeds 1 … `seeds`.
///
/// # Errors
///
/// The first error of a run: a wrong configuration.
pub fn run(cells: &[Cell], seeds: u64) -> Result<Vec<Outcome>, String> {
    let per_cell = usize::try_from(seeds).unwrap_or(usize::MAX).max(1);
    let results = on_every_core(cells.len() * per_cell, |index| {
        let seed = (index % per_cell) as u64 + 1;
        cells
            .get(index / per_cell)
            .map_or_else(|| Err("no such cell".to_owned()), |cell| cell.run(seed))
    });
    let results: Vec<Accuracy> = results.into_iter().collect::<Result<_, _>>()?;
    let chunks = results.chunks(per_cell).map(<[_]>::to_vec);
    Ok(cells
        .iter()
        .zip(chunks)
        .map(|(cell, runs)| Outcome { cell: *cell, runs })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_and_their_reference() {
        let default = cells(None, EstimatorKind::Regression);
        assert_eq!(default.len(), 20);
        assert_eq!(default.last().and_then(reference_s), Some(7.48e-3));
        assert_eq!(default.first().and_then(reference_s), Some(2.24e-6));
        let fixed = cells(Some(4), EstimatorKind::Regression);
        assert!(fixed.iter().all(|cell| reference_s(cell).is_none()));
    }

    #[test]
    fn results_come_in_order() {
        let squares = on_every_core(100, |index| index * index);
        assert!(
            squares
                .iter()
                .enumerate()
                .all(|(index, square)| *square == index * index)
        );
    }
}
