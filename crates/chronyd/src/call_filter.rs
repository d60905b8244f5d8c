//! The system call filter, `-F` (system chapter, section 4.3).
//!
//! It is put in force last of all, when only the main thread runs; the resolver, the server
//! threads and all other helpers start when first needed and so have it from birth.

use discipline::journal::Severity;
use os_linux::process::{Filter, FilterError, Violation};

use crate::output::Output;

/// Level of the list of allowed calls.
const ALLOW_LEVEL: u32 = 1;

/// Level of the list of forbidden calls.
const DENY_LEVEL: u32 = 2;

/// Loads the filter of a level; 0 is none. The error is a fatal message.
pub fn load(level: i32, output: &mut Output) -> Result<(), String> {
    let violation = if level < 0 {
        Violation::Signal
    } else {
        Violation::Kill
    };
    let filter = match level.unsigned_abs() {
        0 => return Ok(()),
        ALLOW_LEVEL => Filter::allow_list(violation),
        DENY_LEVEL => Filter::deny_list(violation),
        _ => return Err("Unsupported filter level".to_owned()),
    };
    let said = |text: &'static str| move |_: FilterError| text.to_owned();
    let filter = filter.map_err(said("Failed to add seccomp rules"))?;
    filter
        .install_for_all_threads()
        .map_err(said("Failed to load seccomp rules"))?;
    let text = format!("Loaded seccomp filter (level {})", level.unsigned_abs());
    output.write(Severity::Info, &text);
    Ok(())
}
