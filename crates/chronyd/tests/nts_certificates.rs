//! Certificates of NTS-KE servers that are bad, unreadable, or renewed in service: the
//! message, its remedy, and what goes on all the same.

mod support;

use std::fs;
use std::net::Ipv4Addr;
use std::process::Command;

use control_wire::Request;
use rcgen::CertificateParams;

use support::nts::{Place, certificate};
use support::{CHRONYD, messages, wait_until};

#[test]
fn rejected_certificates_are_named() {
    let mut past = certificate();
    past.not_before = rcgen::date_time_ymd(2020, 1, 1);
    past.not_after = rcgen::date_time_ymd(2021, 1, 1);
    let mut future = certificate();
    future.not_before = rcgen::date_time_ymd(2119, 1, 1);
    let other = CertificateParams::new(["other.test".to_owned()]).unwrap();
    for (params, trusted, sentence) in [
        (
            past,
            true,
            "The certificate chain uses expired certificate.",
        ),
        (
            future,
            true,
            "The certificate chain uses not yet valid certificate.",
        ),
        (
            other,
            true,
            "The name in the certificate does not match the expected.",
        ),
        (certificate(), false, "The certificate issuer is unknown."),
    ] {
        let place = Place::new(&params);
        let _server = place.server(None, &[]);
        let lines = match trusted {
            true => place.source("localhost"),
            false => place.untrusting("localhost", ""),
        };
        let mut client = place.start(None, "client", &lines);
        let line = client.running.wait_for("TLS handshake with");
        let prefix = format!(
            "TLS handshake with 127.0.0.1:{} (localhost) failed : ",
            place.ke_port
        );
        let rest = line
            .strip_prefix(&prefix)
            .unwrap_or_else(|| panic!("{line}"));
        assert!(
            rest.starts_with(
                "Error in the certificate verification. The certificate is NOT trusted. "
            ),
            "{line}"
        );
        assert!(rest.contains(sentence), "{line}");
    }
}

/// Until the clock was updated as often as configured, dates are not looked at.
#[test]
fn dates_are_not_checked_before_the_first_update() {
    let mut past = certificate();
    past.not_after = rcgen::date_time_ymd(2021, 1, 1);
    let place = Place::new(&past);
    let _server = place.server(None, &[]);
    let mut lines = place.source("localhost");
    lines.push("nocerttimecheck 1".to_owned());
    let mut client = place.start(None, "client", &lines);
    client.running.wait_for("Selected source 127.0.0.1");
}

/// A renewed certificate is taken into use while the server runs; a half renewed pair is not.
#[test]
fn certificates_are_renewed_in_service() {
    let place = Place::new(&certificate());
    let mut server = place.server(None, &[]);
    let old = fs::read(place.path("cert.pem")).unwrap();
    let key = place.write_certificate(&certificate());
    server.ask(&Request::Rekey);
    let line = server.running.wait_for("stay in service");
    assert!(
        line.contains("is not the key of the certificate in"),
        "{line}"
    );
    let messages = server.running.messages();
    let text = "Could not set credentials : The certificate and the given key do not match.";
    assert!(messages.iter().any(|line| line == text), "{messages:?}");
    // Clients that trust the old certificate are served.
    let new = fs::read(place.path("cert.pem")).unwrap();
    fs::write(place.path("cert.pem"), &old).unwrap();
    let mut client = place.start(None, "old", &place.source("localhost"));
    client.running.wait_for("Selected source 127.0.0.1");
    // The renewal is completed.
    fs::write(place.path("cert.pem"), &new).unwrap();
    fs::write(place.path("key.pem"), key.serialize_pem()).unwrap();
    server.ask(&Request::Rekey);
    server
        .running
        .wait_for("Loaded new NTS server certificates");
    let mut client = place.start(None, "new", &place.source("localhost"));
    client.running.wait_for("Selected source 127.0.0.1");
}

/// Certificate and key are read again when they changed: the next connection but one second
/// gets the new one, without anybody saying so.
#[test]
fn changed_files_are_noticed() {
    let place = Place::new(&certificate());
    let mut server = place.server(None, &[]);
    let key = place.write_certificate(&certificate());
    fs::write(place.path("key.pem"), key.serialize_pem()).unwrap();
    wait_until("new certificate", || {
        // A connection is what makes the server look.
        let _ = std::net::TcpStream::connect(place.ke_server());
        let loaded = |line: &String| line.contains("Loaded new NTS server certificates");
        server.running.messages().iter().any(loaded).then_some(())
    });
    let mut client = place.start(None, "client", &place.source("localhost"));
    client.running.wait_for("Selected source 127.0.0.1");
    // Soon over: said at once.
    let mut soon = certificate();
    soon.not_after = rcgen::date_time_ymd(2021, 1, 1);
    let key = place.write_certificate(&soon);
    fs::write(place.path("key.pem"), key.serialize_pem()).unwrap();
    server.ask(&Request::Rekey);
    let path = place.path("cert.pem").display().to_string();
    let line = format!("NTS server certificate {path} ended on 2021-01-01 00:00:00 UTC: renew it");
    assert_eq!(server.running.wait_for("renew it"), line);
}

/// A server whose files are unusable says so and closes connections until they are usable;
/// NTP goes on.
#[test]
fn unusable_files_of_the_server() {
    let missing = "No such file or directory";
    let no_certificate = "no certificate in PEM form";
    for (file, contents, remedy) in [
        ("key.pem", None, missing),
        ("cert.pem", None, missing),
        ("cert.pem", Some("nothing\n"), no_certificate),
    ] {
        let place = Place::new(&certificate());
        let good = fs::read(place.path(file)).unwrap();
        match contents {
            Some(text) => fs::write(place.path(file), text).unwrap(),
            None => fs::remove_file(place.path(file)).unwrap(),
        }
        // What chrony does not say at the start goes into log files, not to standard error.
        let log = place.path("server.log");
        let mut command = Command::new(CHRONYD);
        command.args(["-U", "-x", "-d", "-4", "-l"]).arg(&log);
        let server = place.start_as(command, "server", &place.server_lines(&[]));
        let remedy = format!("{}: {remedy}", place.path(file).display());
        let lines = wait_until("remedy", || {
            let lines = messages(&fs::read_to_string(&log).ok()?);
            lines.contains(&remedy).then_some(lines)
        });
        let line = "Could not set credentials : Error while reading file.";
        assert!(lines.contains(&line.to_owned()), "{lines:?}");
        fs::write(place.path(file), good).unwrap();
        server.ask(&Request::Rekey);
        let mut client = place.start(None, "client", &place.source("localhost"));
        client.running.wait_for("Selected source 127.0.0.1");
    }
}

/// With `ntsprocesses 0` the service does not begin then: the port is closed, and a client that
/// has cookies is told that they are of no use.
#[test]
fn unusable_files_without_helpers() {
    let place = Place::new(&certificate());
    let mut server = place.server(None, &[]);
    let mut client = place.start(None, "client", &place.source("localhost"));
    client.running.wait_for("Selected source 127.0.0.1");
    assert!(server.running.stop().success());
    fs::write(place.path("key.pem"), "nothing\n").unwrap();
    let lines = place.server_lines(&["ntsprocesses 0"]);
    let mut server = place.start(None, "server", &lines);
    server.running.wait_for("Could not set credentials");
    let text = format!(
        "Could not connect to 127.0.0.1:{} (localhost) : Connection refused",
        place.ke_port
    );
    assert_eq!(client.running.wait_for("Could not connect"), text);
    let data = client.authentication();
    assert_eq!((data.key_id, data.cookies, data.nak), (1, 0, 1), "{data:?}");
    assert_eq!(server.statistics().ntp_auth_hits, 0);
}

/// A trusted file that cannot be read makes its set unusable, and is named; another set is
/// not touched.
#[test]
fn unreadable_trusted_certificates() {
    let place = Place::new(&certificate());
    let _server = place.server(None, &[]);
    let mut lines = place.source("127.0.0.1");
    let missing = place.path("missing.pem").display().to_string();
    lines.push(format!("ntstrustedcerts 3 {missing}"));
    lines.push(format!(
        "server 127.0.0.2 iburst nts certset 3 ntsport {}",
        place.ke_port
    ));
    let mut client = place.start(None, "client", &lines);
    let line = "Could not set credentials : Error while reading file.";
    assert_eq!(client.running.wait_for("Could not set"), line);
    let remedy = client.running.wait_for("missing.pem");
    assert_eq!(
        remedy,
        format!("{missing}: No such file or directory (ntstrustedcerts)")
    );
    client.running.wait_for("Selected source 127.0.0.1");
    let data = client.authentication_of(Ipv4Addr::new(127, 0, 0, 2));
    assert_eq!((data.key_id, data.key_type), (0, 0));
}
