//! From samples to a steered clock.
//!
//! Two halves: `samples` and what follows from them (statistics, filters, dumps,
//! selection, combining), and the `reference` side (local clock model, reference update,
//! leap seconds, local reference, smoothing, temperature compensation, manual input).

pub mod journal;
pub mod time;

pub mod reference;
pub mod samples;
