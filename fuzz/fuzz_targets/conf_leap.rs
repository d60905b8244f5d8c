//! Any bytes as a leap second list and as a time zone file: no panic, every moment has an answer.
#![no_main]

use libfuzzer_sys::fuzz_target;

fn check(content: &[u8]) {
    let tables = [chrony_conf::leap_list::parse(content), chrony_conf::leap_zone::parse(content)];
    for table in tables.into_iter().flatten() {
        table.passes_check();
        for entry in &table.entries {
            for difference_s in [-86_401, -1, 0, 1] {
                table.lookup(entry.from_s.saturating_add(difference_s));
            }
        }
        table.lookup(i64::MIN);
        table.lookup(i64::MAX);
    }
}

fuzz_target!(|content: &[u8]| check(content));
