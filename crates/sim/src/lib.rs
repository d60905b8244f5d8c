//! A deterministic network and clock simulator that runs engines against each other.
//!
//! [`World`] holds machines ([`world::Node`]), links between them ([`link`]) and one queue of
//! events in true time. A machine is a minimal server ([`server`]) or runs an engine ([`client`])
//! whose kernel is a simulated clock ([`clock`], [`driver`]). [`scenario`] builds ready-made worlds
//! from configuration text; [`optimal`] is the bound that no client can beat. The same seed
//! gives the same run, and nothing here ever waits.

pub mod accuracy;
pub mod beyond;
pub mod client;
pub mod clock;
pub mod driver;
pub mod equipment;
pub mod figure_rows;
pub mod figures;
pub mod grid;
pub mod link;
pub mod optimal;
pub mod random;
pub mod refclock;
pub mod scenario;
pub mod server;
pub mod world;

pub use world::World;
