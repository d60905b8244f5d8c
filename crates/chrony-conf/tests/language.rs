//! Whole configurations: what they set, all their errors, and that no text can break the reader.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use chrony_conf::access::Subnet;
use chrony_conf::files::{FileFacts, Reader};
use chrony_conf::sources::AddressFamily;
use chrony_conf::{Loaded, Options, Severity};
use proptest::prelude::*;

/// Files in memory; the folder of a file is its path up to the last slash.
#[derive(Default)]
struct MemoryReader {
    files: BTreeMap<PathBuf, Vec<u8>>,
}

impl MemoryReader {
    fn with(files: &[(&str, &str)]) -> Self {
        let files = files
            .iter()
            .map(|(path, text)| (path.into(), text.as_bytes().to_vec()));
        Self {
            files: files.collect(),
        }
    }
}

impl Reader for MemoryReader {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.files
            .get(path)
            .cloned()
            .ok_or_else(|| io::Error::from_raw_os_error(2))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        let inside = self
            .files
            .keys()
            .filter(|path| path.parent() == Some(directory));
        Ok(inside
            .filter_map(|path| path.file_name())
            .map(PathBuf::from)
            .collect())
    }

    fn facts(&self, path: &Path) -> io::Result<FileFacts> {
        self.read(path).map(|_| FileFacts {
            is_regular: true,
            mode: 0o600,
            modified: None,
        })
    }

    fn resolve(&self, _: &str, _: AddressFamily) -> Option<IpAddr> {
        None
    }
}

fn load(files: &[(&str, &str)]) -> Loaded {
    let options = Options {
        config_file: Some("a.conf".into()),
        ..Options::default()
    };
    chrony_conf::load(&options, &MemoryReader::with(files))
}

#[test]
fn a_packaged_configuration() {
    let loaded = load(&[
        (
            "a.conf",
            "# Debian's\nconfdir conf.d\npool 2.debian.pool.ntp.org iburst\nsourcedir /run/chrony-dhcp\n\
             keyfile /etc/chrony/chrony.keys\ndriftfile /var/lib/chrony/chrony.drift\n\
             maxupdateskew 100.0\nrtcsync\nmakestep 1 3\nleapsectz right/UTC\nallow 192.168/16\n",
        ),
        (
            "conf.d/x.conf",
            "local stratum 8 orphan\nopencommands Tracking\n",
        ),
    ]);
    let config = loaded.into_result().expect("no error");
    assert_eq!(config.sources[0].name, "2.debian.pool.ntp.org");
    assert!(config.sources[0].options.iburst && config.rtc.sync);
    assert_eq!(
        config.source_directories,
        [[PathBuf::from("/run/chrony-dhcp")]]
    );
    assert_eq!(config.clock.max_update_skew_ppm, 100.0);
    assert_eq!(
        (
            config.clock.makestep.threshold_s,
            config.clock.makestep.limit
        ),
        (1.0, 3)
    );
    assert_eq!(config.clock.drift_file_interval_s, 3600);
    let local = config.server.local.expect("local");
    assert_eq!(
        (local.stratum, local.effective_waitunsynced_s()),
        (8, 300.0)
    );
    let network = Subnet::Ipv4 {
        address: [192, 168, 0, 0].into(),
        prefix: 16,
    };
    assert_eq!(config.server.access[0].subnet, network);
    assert!(!config.command.open_commands.opens_source_count());
    assert_eq!((config.server.port, config.command.port), (123, 323));
}

#[test]
fn later_lines_win_accumulate_or_complete() {
    let config = load(&[(
        "a.conf",
        "port 11\nport 12\nratelimit interval 1 burst 5\nratelimit leak 3\nlog tracking\nlog rtc\n\
         local stratum 5\nlocal\nclientloglimit 983040\nbindcmdaddress ::1\nbindcmdaddress 1.2.3.4\n\
         bindcmdaddress /\npidfile /\n",
    )])
    .into_result()
    .expect("no error");
    assert_eq!(config.server.port, 12);
    let limit = config.server.rate_limit;
    assert_eq!(
        (limit.interval, limit.burst, limit.leak, limit.enabled),
        (1, 5, 3, true)
    );
    assert!(config.logging.files.tracking && config.logging.files.rtc);
    assert_eq!(config.server.local.map(|local| local.stratum), Some(10));
    assert_eq!(config.server.client_log_records(), 8192);
    assert!(
        config.command.bind_addresses.ipv4.is_some()
            && config.command.bind_addresses.ipv6.is_some()
    );
    assert_eq!(
        (config.command.socket, config.process.pid_file),
        (None, None)
    );
}

#[test]
fn command_line_options_change_defaults() {
    let options = Options {
        directives: vec![
            "cmdport 5".into(),
            "makestep 1 3".into(),
            "initstepslew".into(),
        ],
        restart: true,
        client_only: true,
        ..Options::default()
    };
    let config = chrony_conf::load(&options, &MemoryReader::default())
        .into_result()
        .expect("no error");
    assert_eq!((config.server.port, config.command.port), (0, 5));
    assert_eq!(
        (config.clock.makestep.limit, config.init_step_slew),
        (0, None)
    );
    assert_eq!(
        (config.command.socket, config.process.pid_file),
        (None, None)
    );
}

#[test]
fn literal_hosts_of_the_other_family_are_refused_by_initstepslew_only() {
    let options = Options {
        directives: vec!["initstepslew 30 ::1 127.0.0.1".into(), "allow ::1".into()],
        family: AddressFamily::Ipv4,
        ..Options::default()
    };
    let loaded = chrony_conf::load(&options, &MemoryReader::default());
    assert_eq!(loaded.messages.len(), 1);
    assert_eq!(loaded.messages[0].severity, Severity::Warning);
    assert_eq!(
        loaded.messages[0].text,
        "Could not resolve address of initstepslew server ::1"
    );
    let config = loaded.into_result().expect("no error");
    assert_eq!(
        config.init_step_slew.map(|slew| slew.addresses.len()),
        Some(1)
    );
    assert_eq!(config.server.access.len(), 1);
}

#[test]
fn all_errors_are_collected_the_first_one_ends_printing() {
    let loaded = load(&[
        (
            "a.conf",
            "port 1\nportt 2\ninclude b.conf\nserver a ibrust\ninclude none\ncommandkey 1\nallow 1.2.3.256\nallow host\n",
        ),
        ("b.conf", "\n  makestep 1.0\n"),
    ]);
    assert_eq!(chrony_conf::print(&loaded), b"port 1\nportt 2\n");
    assert!(loaded.messages.is_empty());
    let found: Vec<_> = loaded
        .diagnostics
        .iter()
        .map(|error| {
            (
                error.text.as_str(),
                error.column(),
                error.word(),
                error.suggestion,
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            (
                "Invalid directive portt at line 2 in file a.conf",
                1,
                "portt",
                Some("port")
            ),
            (
                "Missing arguments for makestep directive at line 2 in file b.conf",
                3,
                "makestep",
                None
            ),
            (
                "Invalid option in server directive at line 4 in file a.conf",
                10,
                "ibrust",
                Some("iburst")
            ),
            (
                "Could not open none : No such file or directory",
                9,
                "none",
                None
            ),
            (
                "Could not parse allow directive at line 7 in file a.conf",
                7,
                "1.2.3.256",
                None
            ),
        ]
    );
}

#[test]
fn nested_files_end() {
    let loaded = load(&[("a.conf", "include a.conf\ninclude a.conf\ninclude a.conf\n")]);
    assert_eq!(loaded.diagnostics.len(), 1);
    assert_eq!(loaded.diagnostics[0].text, "Maximum include level reached");
    let missing = load(&[]);
    assert_eq!(
        missing.diagnostics[0].text,
        "Could not open a.conf : No such file or directory"
    );
    assert_eq!(missing.diagnostics[0].location, None);
}

/// Words near to the language, so that random lines get far.
fn word() -> impl Strategy<Value = String> {
    let names: Vec<&str> = chrony_conf::table::names();
    prop_oneof![
        proptest::sample::select(names).prop_map(str::to_owned),
        "[0-9]{1,11}[a-z]{0,3}",
        "[+-]?[0-9]*[.]?[0-9]*(e[+-]?[0-9]*)?",
        "[1-9./:]{1,12}",
        proptest::sample::select(vec![
            "iburst", "minpoll", "key", "SHM", "refid", "all", "*", "rxfilter", "interval",
            "stratum"
        ])
        .prop_map(str::to_owned),
        "\\PC{0,8}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_lines_are_read(lines in proptest::collection::vec(proptest::collection::vec(word(), 0..7), 0..6)) {
        let text = lines.iter().map(|words| words.join(" ")).collect::<Vec<_>>().join("\n");
        let loaded = load(&[("a.conf", &text)]);
        for error in &loaded.diagnostics {
            chrony_conf::render::render(error, true);
            prop_assert!(error.source.is_char_boundary(error.start));
            prop_assert!(error.start + error.length <= error.source.len());
        }
    }

    #[test]
    fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let files = [(PathBuf::from("a.conf"), bytes)].into_iter().collect();
        let options = Options { config_file: Some("a.conf".into()), ..Options::default() };
        let loaded = chrony_conf::load(&options, &MemoryReader { files });
        chrony_conf::render::render_all(&loaded.diagnostics, false);
    }

    /// What `-p` prints is the same configuration.
    #[test]
    fn printed_lines_read_the_same(lines in proptest::collection::vec(proptest::collection::vec(word(), 1..5), 0..6)) {
        let text = lines.iter().map(|words| words.join(" \t")).collect::<Vec<_>>().join("\n");
        let first = load(&[("a.conf", &text)]);
        prop_assume!(first.diagnostics.is_empty());
        let printed = String::from_utf8(chrony_conf::print(&first)).expect("text");
        let second = load(&[("a.conf", &printed)]);
        prop_assert_eq!(&first.lines, &second.lines);
        prop_assert_eq!(format!("{:?}", first.config), format!("{:?}", second.config));
    }
}
