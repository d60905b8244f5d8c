//! Tests that cannot run everywhere.

/// Whether the test can run. Where it cannot, it says so on standard error, or fails if
/// the variable `ISOCHRONY_NO_SKIP` is 1.
pub(crate) fn able(condition: bool, what: &str) -> bool {
    if !condition {
        assert!(
            std::env::var_os("ISOCHRONY_NO_SKIP").is_none_or(|value| value != "1"),
            "this test needs {what}"
        );
        eprintln!("SKIPPED: this test needs {what}");
    }
    condition
}
