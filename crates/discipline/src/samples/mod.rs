//! Samples, statistics, filters, dumps, selection and combining.
//!
//! A measurement's way: a driver makes a [`Sample`]; an optional [`SampleFilter`] reduces
//! several to one; [`SourceStatistics`] stores it and fits a line; the [`Selector`] looks
//! at the statistics of all sources, chooses one, combines others with it and says what
//! the reference is to be updated with ([`ReferenceUpdate`]). Each change of the clock
//! that follows comes back to every store as a [`ClockChange`].
//!
//! Nothing here reads a clock, logs or draws random numbers by itself: times, a
//! [`Journal`](crate::journal::Journal) and randomness are passed in. No finite sample
//! makes a result infinite or NaN: values are cut to ±2³² s when they enter, and a fit
//! that is not finite counts as none.

mod asymmetry;
mod delay_history;
pub mod dump;
pub mod estimator;
pub mod filter;
pub mod hardware_clock;
pub mod kalman;
pub mod quantile;
mod quantile_tables;
pub mod reachability;
pub mod regression;
pub mod robust_line;
pub(crate) mod runs_test;
pub mod sample;
pub mod selection;
pub mod statistics;
pub mod store;
pub(crate) mod text;

#[cfg(test)]
mod closed_loop_tests;
#[cfg(test)]
mod reference_tests;
#[cfg(test)]
pub(crate) mod testing;

pub use dump::{DumpError, SourceDump};
pub use estimator::{Estimate, Estimator, EstimatorKind, StatisticsSettings};
pub use filter::{FilterSettings, SampleFilter};
pub use hardware_clock::{DeviceTime, HardwareClock, HardwareSample, Reading, ReadingQuality};
pub use quantile::QuantileEstimator;
pub use reachability::Reachability;
pub use robust_line::RobustLine;
pub use sample::{ClockChange, Sample, StoredSample, is_sane};
pub use selection::{
    AuthSelectMode, Outcome, ReferenceUpdate, SelectOptions, Selection, SelectionReport,
    SelectionSettings, Selector, SourceKind, SourceState, SourceView,
};
pub use statistics::{
    DelayTestData, LastSampleReport, SelectionData, SourceStatistics, StatisticsReport,
    TrackingData,
};
pub use store::SampleStore;
pub use text::padded_exponent;
