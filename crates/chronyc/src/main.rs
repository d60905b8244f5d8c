//! chronyc

fn main() {}
