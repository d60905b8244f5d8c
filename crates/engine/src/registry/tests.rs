use super::*;
use crate::association::{AssociationConfig, AssociationMode, NoAuthentication};
use crate::names::{Family, Purpose, ResolvedAddress};
use discipline::samples::{SelectOptions, StatisticsSettings};

fn spec(kind: SpecKind, name: &str) -> SourceSpec {
    SourceSpec {
        kind,
        name: name.to_owned(),
        port: 123,
        family: None,
        association: AssociationConfig::new(AssociationMode::Client),
        statistics: StatisticsSettings::default(),
        select: SelectOptions::default(),
        max_unreach: 100_000,
        max_sources: 2,
        nts: None,
    }
}

fn add(registry: &mut Registry, spec: &SourceSpec) -> Result<Vec<SourceId>, AddError> {
    let mut none = |_: &SourceSpec| SourceAuthenticator::None(NoAuthentication);
    registry.add(spec, Origin::Configuration, &mut none)
}

fn found(addresses: &[&str]) -> Vec<ResolvedAddress> {
    let parse = |text: &&str| ResolvedAddress {
        address: text.parse().unwrap(),
        connectable: true,
    };
    addresses.iter().map(parse).collect()
}

#[test]
fn addresses_are_unique_and_names_are_checked() {
    let mut registry = Registry::default();
    let server = spec(SpecKind::Server, "192.0.2.1");
    let id = add(&mut registry, &server).unwrap()[0];
    assert_eq!(add(&mut registry, &server), Err(AddError::AlreadyInUse));
    let source = registry.get(id).unwrap();
    assert!(!source.named && !source.is_replaceable());
    assert_eq!(source.display_name(), "192.0.2.1");
    assert_eq!(
        add(&mut registry, &spec(SpecKind::Server, "a b")),
        Err(AddError::InvalidName)
    );
    let v6 = SourceSpec {
        family: Some(Family::V6),
        ..spec(SpecKind::Server, "192.0.2.9")
    };
    assert_eq!(add(&mut registry, &v6), Err(AddError::InvalidFamily));
}

#[test]
fn a_pool_gets_placeholders_and_addresses() {
    let mut registry = Registry::default();
    add(&mut registry, &spec(SpecKind::Server, "192.0.2.1")).unwrap();
    let members = add(&mut registry, &spec(SpecKind::Pool, "pool.test")).unwrap();
    assert_eq!(members.len(), 4);
    let pool = registry.get(members[0]).unwrap().pool.unwrap();
    assert_eq!(registry.unresolved().len(), 1);
    assert_eq!(registry.unresolved()[0].purpose, Purpose::Pool(pool));
    assert_eq!(
        registry.get(members[0]).unwrap().display_name(),
        "ID#0000000001 (pool.test)"
    );
    let mut addresses = found(&["192.0.2.1", "192.0.2.2", "192.0.2.2", "2001:db8::1"]);
    addresses[3].connectable = false;
    let given = registry.pool_addresses(pool, &addresses);
    assert_eq!(given, [(members[0], "192.0.2.2".parse().unwrap())]);
}

#[test]
fn a_pool_sheds_tentative_sources_once_it_has_enough() {
    let mut registry = Registry::default();
    let members = add(&mut registry, &spec(SpecKind::Pool, "pool.test")).unwrap();
    let pool = registry.get(members[0]).unwrap().pool.unwrap();
    registry.get_mut(members[1]).unwrap().tentative = false;
    assert!(registry.superfluous(pool).is_empty());
    registry.get_mut(members[3]).unwrap().tentative = false;
    assert_eq!(registry.superfluous(pool), [members[0], members[2]]);
    for (index, id) in members.iter().enumerate() {
        let (_, name) = registry.remove(*id).unwrap();
        assert_eq!(name.is_some(), index == 3);
    }
    assert!(registry.remove(members[0]).is_none());
}

#[test]
fn replacements_spread_and_never_reuse() {
    let mut registry = Registry::default();
    let id = add(&mut registry, &spec(SpecKind::Server, "ntp.test")).unwrap()[0];
    let addresses = found(&["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
    assert_eq!(
        registry.first_address(id, &addresses),
        Some(addresses[0].address)
    );
    assert_eq!(
        registry.replacement(id, &addresses, 2),
        Some(addresses[2].address)
    );
    add(&mut registry, &spec(SpecKind::Server, "192.0.2.3")).unwrap();
    assert_eq!(
        registry.replacement(id, &addresses, 2),
        Some(addresses[0].address)
    );
    assert_eq!(registry.replacement(id, &[], 0), None);
}

proptest::proptest! {
    /// Sources come, go and change their addresses: what is found by address is what a search
    /// of all sources finds.
    #[test]
    fn sources_are_found_by_address(steps in proptest::collection::vec((0u8..3, 0u8..12, 0u8..12), 1..60)) {
        let mut registry = Registry::default();
        let address = |number: u8| IpAddr::from([192, 0, 2, number]);
        for (step, a, b) in steps {
            let id = registry.by_address(address(a));
            match (step, id) {
                (0, _) => {
                    let added = add(&mut registry, &spec(SpecKind::Server, &address(a).to_string()));
                    assert_eq!(added.is_ok(), id.is_none());
                }
                (1, Some(id)) => assert!(registry.remove(id).is_some()),
                (2, Some(id)) if registry.by_address(address(b)).is_none() => {
                    let source = registry.get_mut(id).unwrap();
                    let spec = source.spec.clone();
                    let remote = SocketAddr::new(address(b), spec.port);
                    let none = SourceAuthenticator::None(crate::association::NoAuthentication);
                    *source = Source::new(id, spec, Origin::Command, Ok(remote), none);
                    registry.follow_address(id, Some(address(a)));
                }
                _ => {}
            }
            for number in 0..12 {
                let searched = registry
                    .iter()
                    .find(|source| source.address() == Some(address(number)))
                    .map(|source| source.id);
                assert_eq!(registry.by_address(address(number)), searched);
            }
        }
    }
}
