//! chronyd

fn main() {}
