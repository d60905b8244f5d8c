//! Golden certificates through whole sessions, and the rules of paths.

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa};
use rcgen::{KeyPair, KeyUsagePurpose, NameConstraints};

use super::*;
use crate::aead::AeadList;
use crate::ke::client::{ClientRequest, ClientSession};
use crate::ke::failure::{Failure, HandshakeFault, Label, Phase};
use crate::ke::server::{ServerSession, ServerSettings};
use crate::server::credentials::Credentials;
use crate::testing::*;
use crate::time::RunningTime;
use trust::TrustSettings;

const EC: &str = "nts-ec.test";
const LOCAL: &str = "127.0.0.1";

/// Everything that the golden cases need.
struct World {
    ca1: Authority,
    ca2: Authority,
    intermediate: Authority,
    directory: tempfile::TempDir,
}

fn past(mut params: CertificateParams) -> CertificateParams {
    params.not_before = rcgen::date_time_ymd(2024, 1, 1);
    params.not_after = rcgen::date_time_ymd(2025, 1, 1);
    params
}

fn future(mut params: CertificateParams) -> CertificateParams {
    params.not_before = rcgen::date_time_ymd(2027, 1, 1);
    params
}

fn ec() -> CertificateParams {
    params(EC, &[EC], &[LOCAL])
}

impl World {
    fn new() -> Self {
        let ca1 = Authority::new("CA1");
        let intermediate = Authority::with(ca_params("Intermediate"), Some(&ca1));
        Self {
            ca2: Authority::new("CA2"),
            intermediate,
            ca1,
            directory: tempfile::tempdir().unwrap(),
        }
    }

    fn write(&self, name: &str, pem: &str) -> std::path::PathBuf {
        let path = self.directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, pem).unwrap();
        path
    }

    /// The pairs of the server in a golden case, by the case's name.
    fn pairs(&self, case: &str) -> Vec<Made> {
        let other = || params("other", &["other.test"], &["127.9.9.9"]);
        let chain = || {
            self.intermediate
                .issue(&params("chain", &["nts-chain.test"], &[]))
        };
        let rsa = || {
            self.ca1
                .issue_for(&params("rsa", &["nts-rsa.test"], &[LOCAL]), &rsa_key())
        };
        vec![match case {
            "ok_rsa" => rsa(),
            "ok_ed25519" => {
                let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
                self.ca1
                    .issue_for(&params("ed", &["nts-ed.test"], &[LOCAL]), &key)
            }
            "expired" | "expired_nocerttimecheck" => self.ca1.issue(&past(ec())),
            "future" | "future_nocerttimecheck" => self.ca1.issue(&future(ec())),
            "selfsigned_untrusted" | "selfsigned_trusted" => self_signed(&ec()),
            "selfsigned_expired_trusted" => self_signed(&past(ec())),
            "leaf_pinned_of_other_ca" | "unknown_ca" => self.ca2.issue(&ec()),
            "wrong_host" | "wrong_ip" => self.ca1.issue(&other()),
            "wrong_host_expired" => self.ca1.issue(&past(other())),
            "no_ip_san" => self.ca1.issue(&params("x", &[EC], &[])),
            "dns_san_with_ip_text" => self.ca1.issue(&params("x", &[LOCAL], &[])),
            "cn_only" => self.ca1.issue(&params(EC, &[], &[])),
            "cn_matches_san_other" => self.ca1.issue(&params(EC, &["other.test"], &[])),
            "wildcard_one_level" => self.ca1.issue(&params("x", &["*.test"], &[])),
            "client_purpose_only" => {
                let mut params = ec();
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
                self.ca1.issue(&params)
            }
            "two_pairs_sni" => return vec![self.ca1.issue(&ec()), rsa()],
            "two_pairs_ip" => return vec![rsa(), self.ca1.issue(&ec())],
            "chain_sent" => {
                let mut made = chain();
                made.pem.push_str(&self.intermediate.made.pem);
                made
            }
            "chain_missing" | "intermediate_trusted" => chain(),
            _ => self.ca1.issue(&ec()),
        }]
    }

    /// The directives of a golden case.
    fn settings(&self, directives: &str, leaf: &Made) -> (TrustSettings, TimeCheck) {
        let mut settings = TrustSettings::default();
        let mut time = TimeCheck::At(NOW);
        for directive in directives.split("; ").filter(|text| !text.is_empty()) {
            let words: Vec<&str> = directive.split(' ').collect();
            let (set, path) = match words.as_slice() {
                ["nosystemcert"] => {
                    settings.no_system = true;
                    continue;
                }
                ["nocerttimecheck", n] => {
                    time = TimeCheck::after_updates(n.parse().unwrap(), 0, NOW);
                    continue;
                }
                ["ntstrustedcerts", "1", path] => (1, *path),
                ["ntstrustedcerts", path, ..] => (0, *path),
                _ => panic!("{directive}"),
            };
            let path = match path {
                "ca1.crt" => self.write("ca1.crt", &self.ca1.made.pem),
                "selfs.crt" | "selfexp.crt" | "otherca.crt" => self.write(path, &leaf.pem),
                "int1.crt" => self.write(path, &self.intermediate.made.pem),
                "hosts(not" => self.write("hosts", "127.0.0.1 localhost\n"),
                "(directory" => {
                    self.write("all/ca1.crt", &self.ca1.made.pem);
                    self.write("all/leaf.crt", &leaf.pem);
                    self.write("all/notes.txt", "no certificate");
                    self.directory.path().join("all")
                }
                "/dev/null" => "/dev/null".into(),
                _ => self.directory.path().join("nosuch.crt"),
            };
            settings.paths.push((set, path));
        }
        (settings, time)
    }
}

/// Runs a session and gives the log line of a failure.
fn run(pairs: &[Made], request: ClientRequest) -> Result<(), String> {
    let files: Vec<_> = pairs.iter().map(Made::files).collect();
    let credentials = Credentials::load(&files).unwrap();
    let keys = Arc::new(server_keys("ntskeys_30"));
    let settings = Arc::new(ServerSettings::default());
    let start = RunningTime::ZERO;
    let mut server = ServerSession::new(settings, &credentials, keys, start).unwrap();
    let mut client = ClientSession::new(request, start).unwrap();
    let label = client.label().clone();
    let result = connect(&mut client, &mut server).unwrap();
    result.map(drop).map_err(|failure| {
        if let Failure::Handshake(HandshakeFault::Certificate(_)) = failure {
            assert!(failure.hint(&label).unwrap().contains(" rejected: "));
        }
        failure.log_line(&label).unwrap()
    })
}

#[test]
fn golden_certificates() {
    let world = World::new();
    let mut passed = 0;
    for row in rows("certs.tsv") {
        let case = row[0].as_str();
        if case == "rsa1024" {
            // The TLS library here refuses RSA keys under 2048 bits: the specification
            // leaves key sizes to the policy of the library.
            continue;
        }
        let pairs = world.pairs(case);
        let mut words = row[2].split(" certset ");
        let name = words.next().unwrap().to_owned();
        let set = words.next().map_or(0, |set| set.parse().unwrap());
        let (settings, time) = world.settings(&row[3], &pairs[0]);
        let outcome = match settings.load(set) {
            Ok(trusted) => run(
                &pairs,
                ClientRequest {
                    name,
                    address: "127.0.0.1:14465".parse().unwrap(),
                    aeads: AeadList::default(),
                    trusted: Arc::new(trusted),
                    time,
                },
            ),
            Err(error) => {
                let label = Label {
                    name,
                    address: "127.0.0.1:14465".parse().unwrap(),
                };
                let failure = Failure::from(error);
                assert_eq!(failure.phase(), Phase::NotStarted);
                assert!(failure.hint(&label).unwrap().contains("nosuch.crt: "));
                Err(failure.log_line(&label).unwrap())
            }
        };
        let expected = match row[4].as_str() {
            "failed" => Err(row[5].strip_prefix("E: ").unwrap().to_owned()),
            established => {
                assert!(established.starts_with("established"));
                Ok(())
            }
        };
        assert_eq!(outcome, expected, "{case}");
        passed += 1;
    }
    assert_eq!(passed, 41);
}

/// Checks without TLS; `None` is accepted.
fn check(leaf: &Made, others: &[&Made], trusted: &[&Made]) -> Option<CertificateFault> {
    let verifier = Verifier::new(
        trusting(trusted),
        ExpectedName::from_configured(EC),
        TimeCheck::At(NOW),
    );
    let others: Vec<&[u8]> = others.iter().map(|made| made.der.as_slice()).collect();
    match verifier.verify(&leaf.der, &others) {
        Ok(()) => None,
        Err(Error::InvalidCertificate(CertificateError::Other(OtherError(inner)))) => {
            Some(inner.downcast_ref::<CertificateFault>().unwrap().clone())
        }
        Err(error) => panic!("{error}"),
    }
}

fn accepted(leaf: &Made, others: &[&Made], trusted: &[&Made]) -> bool {
    let fault = check(leaf, others, trusted);
    assert!(
        fault
            .iter()
            .all(|fault| fault.issuer_unknown && fault.name.is_none())
    );
    fault.is_none()
}

#[test]
fn authorities_need_their_rights() {
    let root = Authority::new("Root");
    let under = |params: CertificateParams| {
        let middle = Authority::with(params, Some(&root));
        accepted(&middle.issue(&ec()), &[&middle.made], &[&root.made])
    };
    assert!(under(ca_params("Middle")));
    // A certificate that is no CA must not issue others, though its own issuer is trusted.
    assert!(!under(params("Middle", &[], &[])));
    let mut no_signing = ca_params("Middle");
    no_signing.key_usages = vec![KeyUsagePurpose::CrlSign];
    assert!(!under(no_signing));
    let mut signing = ca_params("Middle");
    signing.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    assert!(under(signing));
    // … nor if it is itself listed as trusted without being a CA.
    let plain = Authority::with(params("Plain", &[], &[]), None);
    assert!(!accepted(&plain.issue(&ec()), &[], &[&plain.made]));
}

#[test]
fn path_lengths() {
    let mut limited = ca_params("Root");
    limited.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let root = Authority::with(limited, None);
    let middle = Authority::with(ca_params("Middle"), Some(&root));
    assert!(accepted(&root.issue(&ec()), &[], &[&root.made]));
    assert!(!accepted(
        &middle.issue(&ec()),
        &[&middle.made],
        &[&root.made]
    ));
    // A chain longer than any sensible one is not followed.
    let root = Authority::new("R");
    let mut chain = vec![Authority::with(ca_params("0"), Some(&root))];
    for depth in 1..12 {
        let next = Authority::with(ca_params(&depth.to_string()), chain.last());
        chain.push(next);
    }
    let others: Vec<&Made> = chain.iter().map(|authority| &authority.made).collect();
    assert!(accepted(&chain[7].issue(&ec()), &others, &[&root.made]));
    assert!(!accepted(&chain[11].issue(&ec()), &others, &[&root.made]));
}

#[test]
fn a_forged_issuer_is_not_enough() {
    let real = Authority::new("CA");
    let forged = Authority::new("CA");
    assert!(!accepted(
        &forged.issue(&ec()),
        &[&forged.made],
        &[&real.made]
    ));
    // Two authorities of the same name, both listed: the right one is found.
    assert!(accepted(
        &forged.issue(&ec()),
        &[],
        &[&real.made, &forged.made]
    ));
}

#[test]
fn name_constraints() {
    let constrained = |permitted: Vec<GeneralSubtree>, excluded: Vec<GeneralSubtree>| {
        let mut params = ca_params("Root");
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: permitted,
            excluded_subtrees: excluded,
        });
        let root = Authority::with(params, None);
        accepted(&root.issue(&ec()), &[], &[&root.made])
    };
    let dns = |name: &str| vec![GeneralSubtree::DnsName(name.to_owned())];
    let net = |octets| {
        vec![GeneralSubtree::IpAddress(
            rcgen::CidrSubnet::from_v4_prefix(octets, 8),
        )]
    };
    assert!(constrained(dns("test"), vec![]));
    assert!(!constrained(dns("example"), vec![]));
    assert!(!constrained(vec![], dns(EC)));
    assert!(constrained(vec![], dns("example")));
    assert!(constrained(net([127, 0, 0, 0]), vec![]));
    assert!(!constrained(net([10, 0, 0, 0]), vec![]));
}

#[test]
fn unknown_critical_extensions() {
    let root = Authority::new("Root");
    let mut leaf = ec();
    let mut extension =
        rcgen::CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99999], vec![5, 0]);
    leaf.custom_extensions = vec![extension.clone()];
    assert!(accepted(&root.issue(&leaf), &[], &[&root.made]));
    extension.set_criticality(true);
    leaf.custom_extensions = vec![extension];
    assert!(!accepted(&root.issue(&leaf), &[], &[&root.made]));
}

/// Dates of every certificate of the path count, the trusted one included; a path of valid
/// certificates is found beside one with an expired authority.
#[test]
fn dates_of_authorities() {
    let old = Authority::with(past(ca_params("CA")), None);
    let leaf = old.issue(&ec());
    let fault = check(&leaf, &[], &[&old.made]).unwrap();
    assert!(fault.expired.is_some() && !fault.issuer_unknown);
    assert!(
        fault
            .hint()
            .contains("not valid after 2025-01-01 00:00:00 UTC")
    );

    let root = Authority::new("Root");
    let expired = Authority::with(past(ca_params("Middle")), Some(&root));
    let leaf = expired.issue(&ec());
    assert!(
        check(&leaf, &[&expired.made], &[&root.made])
            .unwrap()
            .expired
            .is_some()
    );
}

#[test]
fn a_ca_certificate_as_server_certificate() {
    let mut own = ec();
    own.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let made = self_signed(&own);
    assert!(accepted(&made, &[], &[&made]));
    assert!(!accepted(&made, &[], &[]));
}

#[test]
fn garbage_is_no_certificate() {
    let verifier = Verifier::new(
        trusting(&[]),
        ExpectedName::from_configured(EC),
        TimeCheck::Disabled,
    );
    for garbage in [&b""[..], b"\x30", b"\x30\x84\xff\xff\xff\xff", &[0x30; 100]] {
        assert_eq!(
            verifier.verify(garbage, &[garbage]),
            Err(CertificateError::BadEncoding.into())
        );
    }
}

#[test]
fn time_check_counts_all_updates() {
    assert_eq!(TimeCheck::after_updates(0, 0, NOW), TimeCheck::At(NOW));
    assert_eq!(TimeCheck::after_updates(2, 1, NOW), TimeCheck::Disabled);
    assert_eq!(TimeCheck::after_updates(2, 2, NOW), TimeCheck::At(NOW));
}
