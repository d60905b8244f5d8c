//! Commands act, and say so as recorded.
