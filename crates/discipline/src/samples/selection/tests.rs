//! Scenarios of source selection.
