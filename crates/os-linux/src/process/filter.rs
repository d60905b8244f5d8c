//! The system call filter (system chapter, section 4.3).
//!
//! Level 1 allows a list of calls and kills the process at any other; level 2 allows all
//! but a short list. A filter holds for the thread that installs it and for the threads
//! it starts afterwards, or for all threads at once.

use std::collections::BTreeMap;
use std::fmt;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

/// What happens at a call that the filter forbids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// The process ends with SIGSYS that cannot be handled (positive levels).
    Kill,
    /// SIGSYS is delivered to the thread (negative levels).
    Signal,
    /// The call fails with this error number. For tests of a daemon on a kernel that
    /// refuses calls.
    Fail(u32),
}

impl Violation {
    fn action(self) -> SeccompAction {
        match self {
            Self::Kill => SeccompAction::KillProcess,
            Self::Signal => SeccompAction::Trap,
            Self::Fail(number) => SeccompAction::Errno(number),
        }
    }
}

/// A filter that could not be made or installed.
#[derive(Debug)]
pub struct FilterError(String);

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for FilterError {}

/// A compiled filter: one or more programs, all of which are asked about each call.
#[derive(Clone, Debug)]
pub struct Filter(Vec<BpfProgram>);

type Rules = BTreeMap<libc::c_long, Vec<SeccompRule>>;

impl Filter {
    /// Level 1: what the daemon needs after its start, and nothing else.
    ///
    /// # Errors
    ///
    /// On a machine for which no filter can be made.
    pub fn allow_list(violation: Violation) -> Result<Self, FilterError> {
        let mut rules = Rules::new();
        for &number in allow::ALWAYS.iter().chain(allow::ALWAYS_OF_MACHINE) {
            rules.insert(number, Vec::new());
        }
        // An argument that must have one of some values: one rule for each.
        for &(number, argument, values) in allow::BY_ARGUMENT {
            let each = values.iter().map(|&value| rule(&[(argument, value)]));
            rules.insert(number, each.collect::<Result<_, _>>()?);
        }
        let options = allow::SOCKET_OPTIONS;
        let each = options
            .iter()
            .map(|&(level, name)| rule(&[(1, level as u32), (2, name as u32)]));
        rules.insert(libc::SYS_setsockopt, each.collect::<Result<_, _>>()?);
        let list = Self::compile(rules, violation.action(), SeccompAction::Allow)?;
        // The flags of clone3 are in memory, where a filter cannot see whether a thread
        // or a process is made. Without it the C library makes threads by clone.
        let no_clone3 = Self::deny(&[libc::SYS_clone3], Violation::Fail(libc::ENOSYS as u32))?;
        Ok(Self([no_clone3.0, list.0].concat()))
    }

    /// Level 2: everything but executing programs, making processes and tracing.
    ///
    /// # Errors
    ///
    /// On a machine for which no filter can be made.
    pub fn deny_list(violation: Violation) -> Result<Self, FilterError> {
        Self::deny(allow::DENIED, violation)
    }

    /// A filter that forbids the system calls with these numbers (`libc::SYS_*`).
    ///
    /// # Errors
    ///
    /// On a machine for which no filter can be made.
    pub fn deny(numbers: &[libc::c_long], violation: Violation) -> Result<Self, FilterError> {
        let rules = numbers.iter().map(|&number| (number, Vec::new())).collect();
        Self::compile(rules, SeccompAction::Allow, violation.action())
    }

    /// Puts the filter in force for this thread and those it starts from now on. It
    /// cannot be taken off. Sets `no_new_privs`.
    ///
    /// # Errors
    ///
    /// When the kernel has no filters.
    pub fn install(&self) -> Result<(), FilterError> {
        self.0
            .iter()
            .try_for_each(|program| seccompiler::apply_filter(program).map_err(describe))
    }

    /// Puts the filter in force for all threads of the process.
    ///
    /// # Errors
    ///
    /// When the kernel has no filters, or a thread has another one.
    pub fn install_for_all_threads(&self) -> Result<(), FilterError> {
        let apply = |program| seccompiler::apply_filter_all_threads(program).map_err(describe);
        self.0.iter().try_for_each(|program| apply(program))
    }

    fn compile(
        rules: Rules,
        otherwise: SeccompAction,
        at_match: SeccompAction,
    ) -> Result<Self, FilterError> {
        let machine = std::env::consts::ARCH.try_into().map_err(describe)?;
        let filter = SeccompFilter::new(rules, otherwise, at_match, machine).map_err(describe)?;
        Ok(Self(vec![filter.try_into().map_err(describe)?]))
    }
}

/// A rule that holds when all the arguments have the values.
fn rule(arguments: &[(u8, u32)]) -> Result<SeccompRule, FilterError> {
    let conditions = arguments.iter().map(|&(index, value)| {
        // 32 bits: the kernel ignores the rest of an int.
        SeccompCondition::new(
            index,
            SeccompCmpArgLen::Dword,
            SeccompCmpOp::Eq,
            value.into(),
        )
        .map_err(describe)
    });
    SeccompRule::new(conditions.collect::<Result<_, _>>()?).map_err(describe)
}

fn describe(error: impl fmt::Display) -> FilterError {
    FilterError(error.to_string())
}

#[path = "filter_lists.rs"]
mod allow;

#[cfg(test)]
#[path = "filter_tests.rs"]
mod tests;
