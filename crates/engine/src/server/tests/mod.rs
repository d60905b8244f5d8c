//! Tests of the whole server: reference captures and properties.

mod golden;
mod harness;
mod nts;
mod properties;
mod rules;
mod threads;
