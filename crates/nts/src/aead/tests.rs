use aes_siv::siv::Aes128Siv;
use proptest::prelude::*;

use super::*;
use crate::testing::{hex, rows};

/// Seals and opens one vector, whose ciphertext includes the tag.
fn check(key: &AeadKey, nonce: &[u8], aad: &[u8], plaintext: &[u8], sealed: &[u8]) {
    let offset = key.algorithm().plaintext_offset();
    let mut buffer = vec![0; plaintext.len() + TAG_LENGTH];
    buffer[offset..offset + plaintext.len()].copy_from_slice(plaintext);
    key.seal(nonce, aad, &mut buffer).unwrap();
    assert_eq!(buffer, sealed);
    let at = key.open(nonce, aad, &mut buffer).unwrap();
    assert_eq!(&buffer[at], plaintext);
}

#[test]
fn golden_vectors() {
    let rows = rows("aead.tsv");
    assert!(rows.len() >= 30);
    for row in rows {
        let algorithm = Algorithm::from_number(row[1].parse().unwrap()).unwrap();
        let key = AeadKey::new(algorithm, &hex(&row[2])).unwrap();
        check(
            &key,
            &hex(&row[3]),
            &hex(&row[4]),
            &hex(&row[5]),
            &hex(&row[6]),
        );
    }
}

#[test]
fn rfc_8452_appendix_c1() {
    let rows = rows("rfc8452_c1.tsv");
    assert!(rows.len() >= 20);
    for row in rows {
        let key = AeadKey::new(Algorithm::Aes128GcmSiv, &hex(&row[0])).unwrap();
        check(
            &key,
            &hex(&row[1]),
            &hex(&row[2]),
            &hex(&row[3]),
            &hex(&row[4]),
        );
    }
}

/// RFC 5297, appendices A.1 and A.2.
#[test]
fn rfc_5297_appendix_a() {
    let ad = hex("101112131415161718191a1b1c1d1e1f2021222324252627");
    let key = hex("fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff");
    let mut data = hex("112233445566778899aabbccddee");
    let tag = SivKey::new(&key.try_into().unwrap()).seal(&[&ad], &mut data);
    assert_eq!(tag.to_vec(), hex("85632d07c6e8f37f950acd320a2ecc93"));
    assert_eq!(data, hex("40c02b9690c4dc04daef7f6afe5c"));

    let key = hex("7f7e7d7c7b7a79787776757473727170404142434445464748494a4b4c4d4e4f");
    let ad1 =
        hex("00112233445566778899aabbccddeeffdeaddadadeaddadaffeeddccbbaa99887766554433221100");
    let ad2 = hex("102030405060708090a0");
    let nonce = hex("09f911029d74e35bd84156c5635688c0");
    let plain = b"this is some plaintext to encrypt using SIV-AES".to_vec();
    let mut data = plain.clone();
    let key = SivKey::new(&key.try_into().unwrap());
    let tag = key.seal(&[&ad1, &ad2, &nonce], &mut data);
    assert_eq!(tag.to_vec(), hex("7bdb6e3b432667eb06f4d14bff2fbd0f"));
    assert_eq!(
        data,
        hex(
            "cb900f2fddbe404326601965c889bf17dba77ceb094fa663b7a3f748ba8af829ea64ad544a272e9c485b62a3fd5c0d"
        )
    );
    key.open(&[&ad1, &ad2, &nonce], &mut data, &tag).unwrap();
    assert_eq!(data, plain);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Our S2V and counter mode against the `aes-siv` crate, all lengths around the block
    /// borders included.
    #[test]
    fn same_as_the_aes_siv_crate(
        key: [u8; 32],
        nonce in prop::collection::vec(any::<u8>(), 1..40),
        aad in prop::collection::vec(any::<u8>(), 0..70),
        plain in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let ours = AeadKey::new(Algorithm::AesSivCmac256, &key).unwrap();
        let theirs = Aes128Siv::new((&key).into()).encrypt([&aad, &nonce], &plain).unwrap();
        check(&ours, &nonce, &aad, &plain, &theirs);
    }

    /// Any change of a sealed message is noticed by both algorithms.
    #[test]
    fn changes_are_noticed(
        siv: bool,
        aad in prop::collection::vec(any::<u8>(), 1..60),
        plain in prop::collection::vec(any::<u8>(), 0..100),
        place: prop::sample::Index,
        bit in 0..8u8,
    ) {
        let algorithm = if siv { Algorithm::AesSivCmac256 } else { Algorithm::Aes128GcmSiv };
        let key = AeadKey::new(algorithm, &[7; 32][..algorithm.key_length()]).unwrap();
        let nonce = &[9; 16][..algorithm.nonce_length()];
        let mut buffer = vec![0; plain.len() + TAG_LENGTH];
        let offset = algorithm.plaintext_offset();
        buffer[offset..offset + plain.len()].copy_from_slice(&plain);
        key.seal(nonce, &aad, &mut buffer).unwrap();

        let mut changed = buffer.clone();
        let at = place.index(changed.len());
        changed[at] ^= 1 << bit;
        prop_assert_eq!(key.open(nonce, &aad, &mut changed), Err(NotAuthentic));
        let mut changed_aad = aad.clone();
        let at = place.index(changed_aad.len());
        changed_aad[at] ^= 1 << bit;
        prop_assert_eq!(key.open(nonce, &changed_aad, &mut buffer.clone()), Err(NotAuthentic));
        prop_assert!(key.open(nonce, &aad, &mut buffer).is_ok());
    }
}

#[test]
fn lengths_are_checked() {
    assert!(AeadKey::new(Algorithm::AesSivCmac256, &[0; 16]).is_none());
    assert!(AeadKey::new(Algorithm::Aes128GcmSiv, &[0; 32]).is_none());
    let siv = AeadKey::new(Algorithm::AesSivCmac256, &[0; 32]).unwrap();
    let gcm = AeadKey::new(Algorithm::Aes128GcmSiv, &[0; 16]).unwrap();
    assert_eq!(siv.seal(&[0; 16], b"", &mut [0; 15]), Err(NotAuthentic));
    assert_eq!(siv.open(b"", b"", &mut [0; 16]), Err(NotAuthentic));
    assert_eq!(siv.open(&[0], b"", &mut [0; 15]), Err(NotAuthentic));
    assert_eq!(gcm.seal(&[0; 11], b"", &mut [0; 16]), Err(NotAuthentic));
    assert_eq!(gcm.open(&[0; 13], b"", &mut [0; 16]), Err(NotAuthentic));
}

#[test]
fn lists() {
    let list = AeadList::from_numbers(&[17, 15, 30, 65551, 15, 15, 30]);
    assert_eq!(list.offered().len(), 4);
    assert_eq!(
        list.offered()[..2],
        [Algorithm::AesSivCmac256, Algorithm::Aes128GcmSiv]
    );
    assert!(AeadList::from_numbers(&[]).offered().is_empty());
    assert!(!AeadList::from_numbers(&[30]).contains(Algorithm::AesSivCmac256));
}
