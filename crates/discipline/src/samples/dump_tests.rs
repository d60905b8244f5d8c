//! Dumps: files of the reference byte for byte, every condition of loading, any text.

use proptest::prelude::*;

use super::*;

const GOOD: &str = "SRC0\nntp.example.net\n1 377 8 2 1\n2 -15\n\
    1795532457.861632792 2.223050e-06 -2.160000e-07 7.877000e-06 5.695953e-08 7.877000e-06 5.695953e-08\n\
    1795532458.378740541 2.454417e-06 1.670000e-07 8.177000e-06 5.689522e-08 8.177000e-06 5.689522e-08\n";

fn parse(text: &str) -> Result<SourceDump, DumpError> {
    SourceDump::parse(text, CookedTime::from_parts(1_800_000_000, 0), 0)
}

#[test]
fn a_good_dump() {
    let dump = parse(GOOD).expect("good");
    assert_eq!(dump.name, "ntp.example.net");
    assert!(dump.authenticated);
    assert_eq!(
        (dump.reachability.register(), dump.reachability.updates()),
        (0o377, 8)
    );
    assert_eq!(
        (dump.stratum, dump.leap, dump.asymmetry_run),
        (2, LeapIndicator::InsertSecond, -15)
    );
    assert_eq!(dump.samples[0].time.as_ns(), 1_795_532_457_861_632_792);
    assert_eq!(dump.samples[1].measured_offset_s, 1.67e-7);
    assert_eq!(dump.to_text(), GOOD);
}

#[test]
fn files_of_the_reference_are_reproduced() {
    let folder = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/data/discipline/dumps"
    );
    let mut count = 0;
    for entry in std::fs::read_dir(folder).expect("test data") {
        let path = entry.expect("entry").path();
        let text = std::fs::read_to_string(&path).expect("text");
        let dump = SourceDump::parse(&text, CookedTime::from_parts(1_900_000_000, 0), 0)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(dump.to_text(), text, "{}", path.display());
        count += 1;
    }
    assert_eq!(count, 36);
}

#[test]
fn every_condition_of_loading() {
    let changed = |from: &str, to: &str| {
        assert!(GOOD.contains(from), "{from}");
        parse(&GOOD.replacen(from, to, 1)).map(|_| ())
    };
    let long = "x".repeat(256);
    for (from, to, error) in [
        ("SRC0", "SRC1", DumpError::Identifier),
        ("ntp.example.net", "two words", DumpError::Name),
        ("ntp.example.net", "", DumpError::Name),
        ("ntp.example.net", long.as_str(), DumpError::Name),
        ("1 377 8 2 1", "1 377 8 2", DumpError::Status),
        ("1 377 8 2 1", "1 378 8 2 1", DumpError::Status),
        ("1 377 8 2 1", "1 377 8 16 1", DumpError::Status),
        ("1 377 8 2 1", "1 377 8 -1 1", DumpError::Status),
        ("1 377 8 2 1", "1 377 8 2 3", DumpError::Status),
        ("2 -15", "0 -15", DumpError::Count),
        ("2 -15", "65 -15", DumpError::Count),
        ("2 -15", "2 x", DumpError::Count),
        ("2 -15", "3 -15", DumpError::Sample(2)),
        ("2.223050e-06", "nan", DumpError::Sample(0)),
        ("2.223050e-06", "5e9", DumpError::Sample(0)),
        ("7.877000e-06", "1e6", DumpError::Sample(0)),
        ("1795532457.861632792", "1810000000.0", DumpError::Sample(0)),
        (
            "1795532457.861632792",
            "1795532458.378740541",
            DumpError::Sample(1),
        ),
        ("1795532457.861632792", "-1", DumpError::Sample(0)),
    ] {
        assert_eq!(changed(from, to), Err(error), "{from} -> {to}");
    }
    // Times in another notation.
    assert_eq!(changed("1795532457.861632792", "1.7955e9"), Ok(()));
}

#[test]
fn a_dump_belongs_to_its_source() {
    let mut dump = parse(GOOD).expect("good");
    assert_eq!(dump.check_source(Some("ntp.example.net"), true), Ok(()));
    assert_eq!(dump.check_source(None, true), Ok(()));
    assert_eq!(
        dump.check_source(Some("other"), true),
        Err(DumpError::OtherSource)
    );
    dump.authenticated = false;
    assert_eq!(
        dump.check_source(None, true),
        Err(DumpError::NotAuthenticated)
    );
    assert_eq!(dump.check_source(None, false), Ok(()));
}

#[test]
fn names_of_files() {
    let address: IpAddr = "2001:db8::1".parse().expect("an address");
    assert_eq!(file_name_of_address(address), "2001:db8::1.dat");
    assert_eq!(file_name_of_reference_id(0x5050_5330), "refid:50505330.dat");
    for (name, is_dump) in [
        ("192.0.2.1.dat", true),
        ("2001:db8::1.dat", true),
        ("refid:50505330.dat", true),
        ("refid:x.dat", true),
        ("192.0.2.1", false),
        ("notes.dat", false),
        ("192.0.2.1.dat.old", false),
    ] {
        assert_eq!(is_dump_file_name(name), is_dump, "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn any_text_is_refused_or_understood(text in "\\PC{0,200}") {
        let _ = parse(&text);
        let _ = parse(&format!("SRC0\n{text}"));
    }

    #[test]
    fn a_damaged_dump_never_panics(position in 0..GOOD.len(), replacement in "[ -~\n]") {
        let mut bytes = GOOD.as_bytes().to_vec();
        bytes[position] = replacement.as_bytes()[0];
        let text = String::from_utf8(bytes).expect("ASCII");
        if let Ok(dump) = parse(&text) {
            prop_assert!(parse(&dump.to_text()).is_ok());
        }
    }
}
