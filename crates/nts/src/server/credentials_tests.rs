use super::*;
use crate::testing::*;

fn texts(lines: &[LogLine]) -> Vec<&str> {
    lines.iter().map(|line| line.text.as_str()).collect()
}

/// Renewal: a good pair replaces the old one, a bad one does not.
#[test]
fn renewal() {
    let ca = Authority::new("CA");
    let names = params("s", &["s.test"], &[]);
    let (first, second) = (ca.issue(&names), ca.issue(&names));
    let mut live = LiveCredentials::new();
    let key_of =
        |live: &LiveCredentials| live.in_service().unwrap().chooser.0[0].key.cert[0].to_vec();

    let mut bad = first.files();
    bad.key = Err("No such file or directory".to_owned());
    let lines = live.replace(Credentials::load(&[bad.clone()]), NOW);
    assert_eq!(
        texts(&lines),
        [
            "Could not set credentials : Error while reading file.",
            "server.key: No such file or directory",
        ]
    );
    assert!(live.in_service().is_none());

    assert_eq!(live.replace(Credentials::load(&[first.files()]), NOW), []);
    assert_eq!(key_of(&live), first.der);

    let mut mixed = second.files();
    mixed.key = Ok(first.key.clone().into_bytes());
    let lines = live.replace(Credentials::load(&[first.files(), mixed]), NOW);
    assert_eq!(lines[0].severity, Severity::Error);
    assert_eq!(
        texts(&lines),
        [
            "Could not set credentials : The certificate and the given key do not match.",
            "server.key is not the key of the certificate in server.crt (the NTS server certificates loaded before stay in service)",
        ]
    );
    assert_eq!(key_of(&live), first.der);

    // The same files again (`rekey` without a renewal) are nothing to talk about.
    assert_eq!(live.replace(Credentials::load(&[first.files()]), NOW), []);
    let lines = live.replace(Credentials::load(&[second.files()]), NOW);
    assert_eq!(texts(&lines), ["Loaded new NTS server certificates"]);
    assert_eq!(key_of(&live), second.der);
}

#[test]
fn unusable_files_are_named() {
    let ca = Authority::new("CA");
    let made = ca.issue(&params("s", &["s.test"], &[]));
    let reason = |change: &dyn Fn(&mut PairFiles)| {
        let mut files = made.files();
        change(&mut files);
        Credentials::load(&[files]).unwrap_err().hint()
    };
    assert_eq!(
        reason(&|files| files.certificate = Ok(b"hello".to_vec())),
        "server.crt: no certificate in PEM form"
    );
    assert_eq!(
        reason(&|files| files.key = Ok(made.pem.clone().into_bytes())),
        "server.key: no unencrypted private key in PEM form"
    );
    // Golden `certs.tsv` has RSA with 1024 bits; the key is refused before anything else.
    let short = crate::testing::text("test_rsa1024_key.pem");
    assert_eq!(
        reason(&|files| files.key = Ok(short.clone().into_bytes())),
        format!("server.key: {UNSUPPORTED_KEY}")
    );
    let empty = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert_eq!(
        reason(&|files| files.certificate = Ok(empty.into())),
        "server.crt: not a certificate"
    );
}

#[test]
fn warnings_before_the_end() {
    let ca = Authority::new("CA");
    let mut ending = params("s", &["s.test"], &[]);
    ending.not_after = rcgen::date_time_ymd(2026, 12, 3);
    let files = [ca.issue(&ending).files()];
    let mut live = LiveCredentials::new();
    let lines = live.replace(Credentials::load(&files), NOW);
    assert_eq!(
        texts(&lines),
        ["NTS server certificate server.crt ends in 8 days, on 2026-12-03 00:00:00 UTC: renew it"]
    );
    let after = |hours: f64| NOW.minus_s(-3600.0 * hours);
    assert!(live.expiry_warnings(after(1.0)).is_empty());
    assert!(live.expiry_warnings(after(23.9)).is_empty());
    assert_eq!(live.expiry_warnings(after(24.0)).len(), 1);
    let lines = live.expiry_warnings(after(24.0 * 20.0));
    assert_eq!(
        texts(&lines),
        ["NTS server certificate server.crt ended on 2026-12-03 00:00:00 UTC: renew it"]
    );
    // 15 days before the end there is nothing to say.
    let mut live = LiveCredentials::new();
    assert!(
        live.replace(Credentials::load(&files), NOW.minus_s(7.0 * 86400.0))
            .is_empty()
    );
}

#[test]
fn permissions_of_key_files() {
    let text = |mode| permission_warning("/etc/k", mode).map(|line| line.text);
    assert_eq!(text(0o100640), None);
    assert_eq!(text(0o100771), None);
    let readable = "World-readable permissions on /etc/k".to_owned();
    assert_eq!(text(0o644), Some(readable.clone()));
    assert_eq!(text(0o666), Some(readable));
    assert_eq!(
        text(0o602),
        Some("World-writable permissions on /etc/k".to_owned())
    );
}
