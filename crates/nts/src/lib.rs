//! Network Time Security.
