//! The configuration language of chrony: text in, typed [`Config`] and diagnostics out.
//!
//! # The way of a line
//!
//! [`load()`] reads arguments or a file. Each line is cut into words ([`lexer`]), the first
//! word is looked up in the one [`table`] of directives, the entry's parser reads the rest
//! through a cursor ([`arguments`], with the number grammar of [`numbers`]) and stores typed
//! values in [`Config`]. A parser refuses a line with a [`diagnostics::Fault`]: reason, place
//! and what would have been valid there; the loader makes a [`Diagnostic`] of it, whose text
//! is the reference's line. [`render`] shows it to a person.
//!
//! ```
//! use chrony_conf::files::SystemReader;
//! use chrony_conf::{Options, load};
//!
//! let directives = ["pool pool.example.net iburst", "makestep 1 3", "maxdistence 2"];
//! let options = Options {
//!     directives: directives.map(Into::into).to_vec(),
//!     ..Options::default()
//! };
//! let loaded = load(&options, &SystemReader::new(|_name, _family| None));
//! let error = &loaded.diagnostics[0];
//! assert_eq!(error.text, "Invalid directive maxdistence at line 3");
//! assert_eq!(error.suggestion, Some("maxdistance"));
//! assert_eq!(loaded.config.clock.makestep.limit, 3);
//! ```
//!
//! # Other files
//!
//! Files that directives name have rooms of their own: [`source_files`] (`*.sources`),
//! [`keys`], [`leap_list`] and [`leap_zone`], [`drift`], [`rtc_files`], [`temperature`].
//! [`start`] has the checks that are made at start, not while parsing.
//!
//! # Limits
//!
//! The crate makes no system call but reading the files it was given; name resolution is
//! the caller's ([`Reader::resolve`]). Text is not assumed to be UTF-8, see [`text`].

pub mod access;
pub mod arguments;
pub mod clock;
pub mod config;
pub mod diagnostics;
pub mod drift;
pub mod files;
pub mod glob;
pub mod hwtimestamp;
pub mod keys;
pub mod leap;
pub mod leap_list;
pub mod leap_table;
pub mod leap_zone;
pub mod lexer;
pub mod limits;
pub mod load;
pub mod local;
pub mod logging;
pub mod nts;
pub mod numbers;
pub mod options;
pub mod print;
pub mod refclock;
pub mod render;
pub mod rtc_files;
pub mod source_files;
pub mod sources;
pub mod start;
pub mod suggest;
pub mod table;
pub mod temperature;
pub mod text;

pub use config::Config;
pub use diagnostics::{Diagnostic, Diagnostics, Message, Severity};
pub use files::{Reader, SystemReader};
pub use load::{Loaded, load};
pub use options::{BuildDefaults, Options};
pub use print::print;
pub use sources::{SourceKind, SourceOptions, SourceSpec};
