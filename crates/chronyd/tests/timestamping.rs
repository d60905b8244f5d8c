//! Timestamps of kernel and network cards on machines without such cards (system chapter,
//! sections 6.4 and 6.5): what is refused, and what works on virtual links.

mod support;

use std::path::Path;
use std::process::Command;

use support::{Running, able, can_unshare, finish, is_root, run, wait_until};

const ALONE: &[&str] = &["port 0", "cmdport 0", "bindcmdaddress /", "pidfile /"];

#[test]
fn an_interface_without_timestamping_is_fatal_when_named() {
    for name in ["lo", "no-such-if"] {
        let directive = format!("hwtimestamp {name}");
        let ended = run([&["-U", "-x", "-d", "-t", "0", &directive][..], ALONE].concat());
        let expected = format!("Fatal error : Could not enable HW timestamping on {name}");
        assert_eq!(ended.messages().last(), Some(&expected));
        assert_eq!(ended.status, Some(1));
    }
    let ended = run([&["-U", "-x", "-d", "-t", "0", "hwtimestamp *"][..], ALONE].concat());
    let refused = ended.messages().iter().any(|line| line.contains("Fatal"));
    assert!(!refused, "{ended:?}");
}

/// Two network namespaces with a link between them, removed at the end.
struct Link {
    names: [String; 2],
}

impl Link {
    fn new() -> Self {
        let id = std::process::id();
        let names = ["a", "b"].map(|side| format!("isochrony-link-{side}-{id}"));
        let [a, b] = &names;
        let ip = |arguments: &str| {
            let ended = finish(Command::new("ip").args(arguments.split(' ')));
            assert_eq!(ended.status, Some(0), "ip {arguments}: {}", ended.stderr);
        };
        for name in &names {
            ip(&format!("netns add {name}"));
            ip(&format!("-n {name} link set lo up"));
        }
        ip(&format!(
            "link add link0 netns {a} type veth peer name link0 netns {b}"
        ));
        for (name, address) in [(a, "10.97.0.1"), (b, "10.97.0.2")] {
            ip(&format!("-n {name} addr add {address}/24 dev link0"));
            ip(&format!("-n {name} link set link0 up"));
        }
        Self { names }
    }

    fn chronyd(&self, side: usize, folder: &Path, name: &str, lines: &[String]) -> Running {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.names[side], support::CHRONYD]);
        command.args(["-U", "-x", "-d"]).args(lines);
        Running::start(&mut command, folder, name)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        for name in &self.names {
            // One that was not made cannot be removed.
            let _ = Command::new("ip").args(["netns", "del", name]).status();
        }
    }
}

/// The last line of the measurement log once it has `count` measurements.
fn measured(folder: &Path, count: usize) -> String {
    wait_until("measurements", || {
        let text = std::fs::read_to_string(folder.join("measurements.log")).ok()?;
        let lines: Vec<&str> = text.lines().filter(|line| line.starts_with('2')).collect();
        (lines.len() >= count).then(|| lines.last().map(|line| (*line).to_owned()))?
    })
}

#[test]
fn kernel_timestamps_of_both_directions_are_used_on_a_link() {
    let tools = Command::new("ip").arg("-V").output().is_ok();
    if !can_unshare() || !able(is_root() && tools, "root and the program ip") {
        return;
    }
    let link = Link::new();
    let folders = [0, 1].map(|_| tempfile::tempdir().expect("folder"));
    let line = |text: &str| text.to_owned();
    let common = ["cmdport 0", "bindcmdaddress /", "pidfile /"].map(line);
    let server = [
        &common[..],
        &["port 11123", "local stratum 2", "allow"].map(line),
    ]
    .concat();
    let _server = link.chronyd(0, folders[0].path(), "server", &server);
    for more in [
        "",
        "maxtxbuffers 20",
        "acquisitionport 11124",
        "hwtimestamp *",
    ] {
        let folder = tempfile::tempdir().expect("folder");
        let client = [
            line("port 0"),
            format!("logdir {}", folder.path().display()),
            line("log measurements"),
            line("server 10.97.0.1 port 11123 minpoll -3 maxpoll -3 xleave"),
        ];
        let more = [more].map(line);
        let more: &[String] = if more[0].is_empty() { &[] } else { &more };
        let mut client = link.chronyd(
            1,
            folder.path(),
            "client",
            &[&common, &client[..], more].concat(),
        );
        let last = measured(folder.path(), 6);
        // Interleaved: also the server knew when its response left.
        assert!(last.ends_with(" 4I K K"), "{more:?} {last}");
        assert_eq!(client.stop().code(), Some(0));
        assert!(
            !client.log().contains("maxtxbuffers too small"),
            "{}",
            client.log()
        );
    }
}
