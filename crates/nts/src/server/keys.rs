//! The server's cookie keys: four of them, rotated, shared between threads as an immutable
//! snapshot (NTS chapter, section 8.1).

use std::sync::Arc;

use zeroize::Zeroizing;

use crate::aead::{AeadKey, Algorithm, MAX_KEY_LENGTH};
use crate::random::Random;

/// Keys held: two previous ones, the current one and the next one.
pub const KEY_COUNT: usize = 4;
/// Algorithm of new keys. It gives the shorter cookies and does not depend on `ntsaeads`.
pub const NEW_KEY_ALGORITHM: Algorithm = Algorithm::Aes128GcmSiv;

/// A key that encrypts cookies.
#[derive(Debug)]
pub struct ServerKey {
    id: u32,
    bytes: Zeroizing<Vec<u8>>,
    cipher: AeadKey,
}

impl ServerKey {
    /// A key with an ID; `None` unless the key has the length of its algorithm.
    pub fn new(id: u32, algorithm: Algorithm, key: &[u8]) -> Option<Self> {
        Some(Self {
            id,
            bytes: Zeroizing::new(key.to_vec()),
            cipher: AeadKey::new(algorithm, key)?,
        })
    }

    /// A random key; the two lowest bits of its ID are `index`.
    fn generate(index: usize, random: &mut dyn Random) -> Self {
        let mut id = [0; 4];
        random.fill(&mut id);
        let id = u32::from_be_bytes(id) & !(KEY_COUNT as u32 - 1) | index as u32;
        let mut key = Zeroizing::new([0; MAX_KEY_LENGTH]);
        let key = &mut key[..NEW_KEY_ALGORITHM.key_length()];
        random.fill(key);
        match Self::new(id, NEW_KEY_ALGORITHM, key) {
            Some(key) => key,
            None => unreachable!("the length is that of the algorithm"),
        }
    }

    /// Identifier at the start of each cookie.
    pub const fn id(&self) -> u32 {
        self.id
    }

    /// Its algorithm.
    pub const fn algorithm(&self) -> Algorithm {
        self.cipher.algorithm()
    }

    /// The key itself, for the key file.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The expanded key.
    pub const fn cipher(&self) -> &AeadKey {
        &self.cipher
    }

    /// Position of the key in the ring: ID modulo 4.
    pub const fn index(&self) -> usize {
        self.id as usize % KEY_COUNT
    }
}

/// An immutable set of four keys. Cloning shares them; a rotation makes a new set.
#[derive(Clone, Debug)]
pub struct ServerKeys {
    keys: [Arc<ServerKey>; KEY_COUNT],
    current: usize,
}

impl ServerKeys {
    /// Four new keys: index 3 is current, 0 next, 1 and 2 previous.
    pub fn generate(random: &mut dyn Random) -> Self {
        Self {
            keys: std::array::from_fn(|index| Arc::new(ServerKey::generate(index, random))),
            current: 3,
        }
    }

    /// From the keys in the order of the file: oldest, previous, current, next. `None`
    /// unless their IDs are consecutive modulo 4.
    pub fn from_oldest_to_next(keys: [ServerKey; KEY_COUNT]) -> Option<Self> {
        let first = keys[0].index();
        let consecutive =
            (0..KEY_COUNT).all(|place| keys[place].index() == (first + place) % KEY_COUNT);
        if !consecutive {
            return None;
        }
        let mut keys = keys.map(Arc::new);
        keys.rotate_right(first);
        Some(Self {
            keys,
            current: (first + 2) % KEY_COUNT,
        })
    }

    /// The key that encrypts new cookies.
    pub fn current(&self) -> &ServerKey {
        &self.keys[self.current]
    }

    /// The key with exactly this ID, whichever of the four it is.
    pub fn by_id(&self, id: u32) -> Option<&ServerKey> {
        let key = &self.keys[id as usize % KEY_COUNT];
        (key.id == id).then_some(key)
    }

    /// The keys in the order of the file: oldest, previous, current, next.
    pub fn oldest_to_next(&self) -> impl Iterator<Item = &ServerKey> {
        let current = self.current;
        (0..KEY_COUNT).map(move |place| &*self.keys[(current + 2 + place) % KEY_COUNT])
    }

    /// The set after a rotation: the next key becomes current and a new key replaces the
    /// oldest one.
    #[must_use]
    pub fn rotated(&self, random: &mut dyn Random) -> Self {
        let current = (self.current + 1) % KEY_COUNT;
        let next = (current + 1) % KEY_COUNT;
        let mut keys = self.keys.clone();
        keys[next] = Arc::new(ServerKey::generate(next, random));
        Self { keys, current }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::counting;

    #[test]
    fn rotation_keeps_three_keys() {
        let mut random = counting(1);
        let mut keys = ServerKeys::generate(&mut random);
        assert_eq!(keys.current().index(), 3);
        for _ in 0..9 {
            let before: Vec<u32> = keys.oldest_to_next().map(ServerKey::id).collect();
            let after = keys.rotated(&mut random);
            let ids: Vec<u32> = after.oldest_to_next().map(ServerKey::id).collect();
            assert_eq!(ids[..3], before[1..]);
            assert!(!before.contains(&ids[3]));
            assert_eq!(after.current().id(), before[3]);
            assert!(after.by_id(before[0]).is_none());
            for id in ids {
                assert_eq!(after.by_id(id).unwrap().id(), id);
            }
            keys = after;
        }
    }

    /// The snapshot can be used by all threads at once.
    #[test]
    fn threads_share_keys() {
        fn shared<T: Send + Sync>(_: &T) {}
        let keys = ServerKeys::generate(&mut counting(1));
        shared(&keys);
        let id = keys.current().id();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| assert_eq!(keys.current().id(), id));
            }
        });
    }

    #[test]
    fn order_of_ids_matters() {
        let key = |id| ServerKey::new(id, Algorithm::Aes128GcmSiv, &[1; 16]).unwrap();
        let keys = ServerKeys::from_oldest_to_next([key(2), key(7), key(0), key(0x11)]).unwrap();
        assert_eq!(keys.current().id(), 0);
        assert_eq!(
            keys.oldest_to_next().map(ServerKey::id).collect::<Vec<_>>(),
            [2, 7, 0, 0x11]
        );
        assert!(ServerKeys::from_oldest_to_next([key(2), key(3), key(1), key(0)]).is_none());
    }
}
