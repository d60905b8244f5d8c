//! Names and Network Time Security: pools, negotiated servers, certificates chosen by name,
//! replacement. The names are in a hosts file of a namespace.

mod support;

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use rcgen::KeyPair;

use support::namespace::Namespace;
use support::nts::{Daemon, Place, assert_established, certificate_for};
use support::{CHRONYD, can_unshare, wait_until};

/// Other addresses of the loopback interface, for servers and for names.
const SETUP: &str = "mount --bind \"$1/hosts\" /etc/hosts";

struct World {
    place: Place,
    namespace: Namespace,
}

impl World {
    /// `hosts`: the names. `None` where the machine cannot make namespaces.
    fn new(place: Place, hosts: &str) -> Option<Self> {
        if !can_unshare() {
            return None;
        }
        fs::write(place.path("hosts"), hosts).unwrap();
        let namespace = Namespace::new(place.folder(), SETUP);
        Some(Self { place, namespace })
    }

    fn start(&self, name: &str, lines: &[String]) -> Daemon {
        let mut command = self.namespace.command(Path::new(CHRONYD));
        command.args(["-U", "-x", "-d", "-4"]);
        self.place.start_as(command, name, lines)
    }

    /// A server on one address, with the ports of the place.
    fn server(&self, address: &str, more: &[&str]) -> Daemon {
        let mut lines = self.place.server_lines(more);
        lines.retain(|line| !line.starts_with("bindaddress"));
        lines.push(format!("bindaddress {address}"));
        self.start(&format!("server-{address}"), &lines)
    }

    fn client(&self, sources: &[String]) -> Daemon {
        let mut lines = vec![
            "port 0".to_owned(),
            "nosystemcert".to_owned(),
            self.place.trust(),
        ];
        lines.extend_from_slice(sources);
        self.start("client", &lines)
    }

    /// A source that begins with `what`, on the usual ports of the place.
    fn source(&self, what: &str) -> String {
        let (ke, ntp) = (self.place.ke_port, self.place.ntp_port);
        format!("{what} iburst minpoll 0 maxpoll 0 nts ntsport {ke} port {ntp}")
    }
}

const A: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);
const B: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 12);
const C: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 13);

/// The members of a pool have keys of their own; the name of the pool is in the certificate.
#[test]
fn pool() {
    let place = Place::new(&certificate_for(&["pool.test"]));
    let hosts = format!("{A} pool.test\n{B} pool.test\n{C} pool.test\n");
    let Some(world) = World::new(place, &hosts) else {
        return;
    };
    let servers = [A, B, C].map(|address| world.server(&address.to_string(), &[]));
    let client = world.client(&[world.source("pool pool.test maxsources 3")]);
    for (address, server) in [A, B, C].into_iter().zip(&servers) {
        let data = client.wait_for_authentication(address, "keys", |data| {
            data.key_id == 1 && data.ke_attempts == 0 && data.cookies >= 7
        });
        assert_established(&data, 30, 64);
        assert_eq!(server.statistics().nke_hits, 1);
    }
    drop(servers);
    let mut client = client;
    assert!(client.running.stop().success());
    for address in [A, B, C] {
        assert!(world.place.path(&format!("client/{address}.nts")).exists());
    }
}

/// The NTP server is on another machine and another port than the NTS-KE server, which tells
/// its name.
#[test]
fn negotiated_name_and_port() {
    let place = Place::new(&certificate_for(&["ke.test"]));
    // Negotiated names are looked up with a dot at the end, which a hosts file has to have.
    let Some(world) = World::new(place, &format!("{A} ke.test\n{B} ntp.test.\n")) else {
        return;
    };
    let ke = world.server(&A.to_string(), &["ntsntpserver ntp.test"]);
    // The keys are made by the one and used by the other.
    let directory = world.place.path(&format!("server-{A}"));
    wait_until("key file", || {
        directory.join("ntskeys").exists().then_some(())
    });
    let directory = format!("ntsdumpdir {}", directory.display());
    let mut ntp = world.server(&B.to_string(), &["ntsrotate 0", &directory]);
    ntp.running.wait_for("Loaded server NTS keys");
    // The port of the source is not the server's: it is negotiated.
    let source = format!(
        "server ke.test iburst minpoll 0 maxpoll 0 nts ntsport {} port 1",
        world.place.ke_port
    );
    let mut client = world.client(&[source]);
    let text = format!("Source {A} changed to {B} (ke.test)");
    client.running.wait_for(&text);
    client.running.wait_for(&format!("Selected source {B}"));
    assert_established(&client.authentication_of(B), 30, 64);
    assert!(ntp.statistics().ntp_auth_hits >= 1);
    assert_eq!(ke.statistics().ntp_auth_hits, 0);
}

/// Two sources cannot end at the same NTP server.
#[test]
fn negotiated_address_of_another_source() {
    let place = Place::new(&certificate_for(&["a.test", "b.test"]));
    let Some(world) = World::new(place, &format!("{A} a.test\n{B} b.test\n")) else {
        return;
    };
    let _first = world.server(&A.to_string(), &[]);
    let _second = world.server(&B.to_string(), &[&format!("ntsntpserver {A}")]);
    let sources = ["server a.test", "server b.test"].map(|what| world.source(what));
    let mut client = world.client(&sources);
    let text = format!("Could not change {B} to negotiated address {A}");
    assert_eq!(client.running.wait_for(&text), text);
    client.running.wait_for(&format!("Selected source {A}"));
    let data = client.authentication_of(B);
    assert_eq!(data.cookies, 0, "{data:?}");
}

/// What does not resolve is said, and other sources go on.
#[test]
fn negotiated_name_that_does_not_exist() {
    let place = Place::new(&certificate_for(&["a.test", "b.test"]));
    let Some(world) = World::new(place, &format!("{A} a.test\n{B} b.test\n")) else {
        return;
    };
    let _first = world.server(&A.to_string(), &[]);
    let _second = world.server(&B.to_string(), &["ntsntpserver none.invalid"]);
    let sources = ["server a.test", "server b.test"].map(|what| world.source(what));
    let mut client = world.client(&sources);
    let text = "Could not resolve NTP server none.invalid. from b.test";
    assert_eq!(client.running.wait_for(text), text);
    client.running.wait_for(&format!("Selected source {A}"));
}

/// An RSA and an ECDSA pair, each with a name of its own: the client's server name chooses.
#[test]
fn pairs_are_chosen_by_name() {
    let place = Place::new(&certificate_for(&["ec.test"]));
    let rsa_key = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/data/nts/test_rsa2048_key.pem"
    );
    let text = fs::read_to_string(rsa_key).unwrap();
    let key = KeyPair::from_pem(&text).unwrap();
    let certificate = certificate_for(&["rsa.test"]).self_signed(&key).unwrap();
    fs::write(place.path("rsa.pem"), certificate.pem()).unwrap();
    fs::write(place.path("rsakey.pem"), text).unwrap();
    let Some(world) = World::new(place, &format!("{A} ec.test\n{B} rsa.test\n")) else {
        return;
    };
    let path = |name: &str| world.place.path(name).display().to_string();
    let pair = [
        format!("ntsservercert {}", path("rsa.pem")),
        format!("ntsserverkey {}", path("rsakey.pem")),
    ];
    let more: Vec<&str> = pair.iter().map(String::as_str).collect();
    let _servers = [A, B].map(|address| world.server(&address.to_string(), &more));
    // Each name has a set of trusted certificates with its own certificate only.
    let sources = [
        world.source("server ec.test"),
        world.source("server rsa.test certset 7"),
        format!("ntstrustedcerts 7 {}", path("rsa.pem")),
    ];
    let client = world.client(&sources);
    for address in [A, B] {
        client.wait_for_authentication(address, "keys", |data| {
            data.key_id == 1 && data.ke_attempts == 0
        });
    }
}

/// A server that is gone is replaced, with keys from the new one.
#[test]
fn replacement() {
    let place = Place::new(&certificate_for(&["pool.test"]));
    let hosts = format!("{A} pool.test\n{B} pool.test\n");
    let Some(world) = World::new(place, &hosts) else {
        return;
    };
    let only = world.server(&A.to_string(), &[]);
    let _other = world.server(&B.to_string(), &[]);
    let mut client = world.client(&[world.source("server pool.test")]);
    client.running.wait_for(&format!("Selected source {A}"));
    drop(only);
    let hosts = format!("{B} pool.test\n");
    fs::write(world.place.path("hosts"), hosts).unwrap();
    client
        .running
        .wait_for(&format!("Source {A} replaced with {B} (pool.test)"));
    client.running.wait_for(&format!("Selected source {B}"));
    assert_established(&client.authentication_of(B), 30, 64);
}
