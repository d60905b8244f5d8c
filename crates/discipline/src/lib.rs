//! From samples to a steered clock.
//!
//! Two halves: `samples` and what follows from them (statistics, filters, dumps,
//! selection, combining), and the `reference` side (local clock model, reference update,
//! leap seconds, local reference, smoothing, temperature compensation, manual input).

pub mod journal;
pub mod time;

/// Clock model, reference and everything that acts on the clock.
pub mod reference;
/// Samples, statistics, filters, dumps, selection and combining.
pub mod samples;
