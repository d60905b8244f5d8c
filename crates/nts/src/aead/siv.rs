//! AEAD_AES_SIV_CMAC_256 (RFC 5297) with two S2V components: associated data and nonce.
//!
//! Written on the AES block function instead of the `aes-siv` crate, because that crate
//! expands the encryption key and recomputes the CMAC subkeys in every call and needs
//! `&mut self`, whereas a server key here is expanded once and used by all threads. The
//! tests compare the two on random input.

use std::sync::OnceLock;

use aes::Aes128Enc;
use aes::cipher::consts::U16;
use aes::cipher::{Block, BlockBackend, BlockClosure, BlockEncrypt, BlockSizeUser, KeyInit};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use super::{NotAuthentic, TAG_LENGTH};

/// Octets in an AES block.
const BLOCK: usize = 16;
/// Blocks of key stream made at once: what AES instructions keep in flight.
const PARALLEL: usize = 8;

/// An expanded key: 16 octets for S2V, 16 for counter mode (RFC 5297, section 2.1).
#[derive(Clone)]
pub(crate) struct SivKey {
    mac: Aes128Enc,
    /// Expanded when it is first used: requests mostly have nothing encrypted, and their
    /// keys are used once.
    counter: OnceLock<Aes128Enc>,
    counter_key: [u8; BLOCK],
    /// CMAC subkeys K1 and K2 (RFC 4493, section 2.3).
    subkeys: [Value; 2],
    /// CMAC(zero block): the part of S2V that depends on the key alone.
    start: Value,
}

/// A block as a number in the machine's order of octets, which makes `^` one instruction
/// without reordering on the way in and out of the cipher.
type Value = u128;

/// Multiplication by x in GF(2^128) (RFC 5297, section 2.3).
const fn double(value: Value) -> Value {
    let value = u128::from_be_bytes(value.to_ne_bytes());
    let reduction = 0x87 * (value >> 127);
    Value::from_ne_bytes(((value << 1) ^ reduction).to_be_bytes())
}

/// Up to 16 octets as the front of a block, padded with 10* when short (RFC 4493).
fn padded(bytes: &[u8]) -> Value {
    let mut block = [0; BLOCK];
    if let Some(front) = block.get_mut(..bytes.len()) {
        front.copy_from_slice(bytes);
    }
    if let Some(next) = block.get_mut(bytes.len()) {
        *next = 0x80;
    }
    Value::from_ne_bytes(block)
}

/// The cipher under a key while it runs inside of [`BlockClosure::call`]: one look for the
/// processor's AES instructions and one load of the round keys for a whole message.
struct Cipher<'b, B>(&'b mut B);

impl<B: BlockBackend<BlockSize = U16>> Cipher<'_, B> {
    #[inline(always)]
    fn encrypt(&mut self, value: Value) -> Value {
        let mut block: Block<B> = value.to_ne_bytes().into();
        self.0.proc_block((&mut block).into());
        Value::from_ne_bytes(block.into())
    }

    /// CBC-MAC over whole blocks.
    #[inline(always)]
    fn chain(&mut self, mut state: Value, blocks: &[u8]) -> Value {
        for octets in blocks.as_chunks::<BLOCK>().0 {
            state = self.encrypt(state ^ Value::from_ne_bytes(*octets));
        }
        state
    }

    /// The last step of CMAC; `last` has at most 16 octets.
    #[inline(always)]
    fn finish(&mut self, subkeys: &[Value; 2], state: Value, last: &[u8]) -> Value {
        let subkey = subkeys[usize::from(last.len() < BLOCK)];
        self.encrypt(state ^ padded(last) ^ subkey)
    }

    /// AES-CMAC (RFC 4493).
    #[inline(always)]
    fn cmac(&mut self, subkeys: &[Value; 2], message: &[u8]) -> Value {
        let full = message.len().saturating_sub(1) / BLOCK * BLOCK;
        let (front, last) = message.split_at(full);
        let state = self.chain(0, front);
        self.finish(subkeys, state, last)
    }
}

/// What depends on the key alone: K1, K2 and CMAC(zero block).
struct Subkeys<'a>(&'a mut [Value; 3]);

impl BlockSizeUser for Subkeys<'_> {
    type BlockSize = U16;
}

impl BlockClosure for Subkeys<'_> {
    #[inline(always)]
    fn call<B: BlockBackend<BlockSize = U16>>(self, backend: &mut B) {
        let mut cipher = Cipher(backend);
        let subkey1 = double(cipher.encrypt(0));
        *self.0 = [subkey1, double(subkey1), cipher.encrypt(subkey1)];
    }
}

/// S2V of the components (for NTS: associated data, nonce) and the plaintext (RFC 5297,
/// section 2.4).
struct S2v<'a> {
    subkeys: &'a [Value; 2],
    /// First the part that depends on the key alone, then the result.
    state: &'a mut Value,
    components: &'a [&'a [u8]],
    plaintext: &'a [u8],
}

impl BlockSizeUser for S2v<'_> {
    type BlockSize = U16;
}

impl BlockClosure for S2v<'_> {
    #[inline(always)]
    fn call<B: BlockBackend<BlockSize = U16>>(self, backend: &mut B) {
        let mut cipher = Cipher(backend);
        let (subkeys, plaintext) = (self.subkeys, self.plaintext);
        let mut state = *self.state;
        for component in self.components {
            state = double(state) ^ cipher.cmac(subkeys, component);
        }
        if plaintext.len() < BLOCK {
            // One whole block.
            let block = (double(state) ^ padded(plaintext)).to_ne_bytes();
            *self.state = cipher.finish(subkeys, 0, &block);
            return;
        }
        // `xorend`: the state goes over the last 16 octets, which may lie in two blocks.
        // So the last 16 … 32 octets are taken out into a copy.
        let front_length = plaintext.len().saturating_sub(BLOCK) / BLOCK * BLOCK;
        let (front, rest) = plaintext.split_at(front_length);
        let mut tail = [0; 2 * BLOCK];
        let tail = &mut tail[..rest.len()];
        tail.copy_from_slice(rest);
        let end = tail.len() - BLOCK;
        for (octet, mask) in tail[end..].iter_mut().zip(state.to_ne_bytes()) {
            *octet ^= mask;
        }
        let whole = (tail.len() - 1) / BLOCK * BLOCK;
        let chained = cipher.chain(0, front);
        let chained = cipher.chain(chained, &tail[..whole]);
        *self.state = cipher.finish(subkeys, chained, &tail[whole..]);
        tail.zeroize();
    }
}

impl SivKey {
    #[inline]
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        let (mac_key, counter_key) = key.split_at(BLOCK);
        let mac = Aes128Enc::new(mac_key.into());
        let mut values = [0; 3];
        mac.encrypt_with_backend(Subkeys(&mut values));
        let [subkey1, subkey2, start] = values;
        Self {
            counter: OnceLock::new(),
            counter_key: std::array::from_fn(|place| counter_key[place]),
            subkeys: [subkey1, subkey2],
            start,
            mac,
        }
    }

    fn s2v(&self, components: &[&[u8]], plaintext: &[u8]) -> u128 {
        let mut state = self.start;
        self.mac.encrypt_with_backend(S2v {
            subkeys: &self.subkeys,
            state: &mut state,
            components,
            plaintext,
        });
        u128::from_be_bytes(state.to_ne_bytes())
    }

    /// Counter mode from the synthetic IV with bits 31 and 63 cleared (section 2.5).
    fn apply_key_stream(&self, iv: u128, data: &mut [u8]) {
        if data.is_empty() {
            return;
        }
        let cipher = self
            .counter
            .get_or_init(|| Aes128Enc::new(&self.counter_key.into()));
        let mut counter = iv & !((1 << 63) | (1 << 31));
        for part in data.chunks_mut(PARALLEL * BLOCK) {
            let mut blocks = [Block::<Aes128Enc>::default(); PARALLEL];
            let count = part.len().div_ceil(BLOCK);
            for block in &mut blocks[..count] {
                *block = counter.to_be_bytes().into();
                counter = counter.wrapping_add(1);
            }
            cipher.encrypt_blocks(&mut blocks[..count]);
            for (octets, block) in part.chunks_mut(BLOCK).zip(&blocks) {
                for (octet, mask) in octets.iter_mut().zip(block) {
                    *octet ^= mask;
                }
            }
        }
    }

    /// Encrypts `data` in place and returns the tag (the synthetic IV).
    pub(crate) fn seal(&self, components: &[&[u8]], data: &mut [u8]) -> [u8; TAG_LENGTH] {
        let iv = self.s2v(components, data);
        self.apply_key_stream(iv, data);
        iv.to_be_bytes()
    }

    /// Decrypts `data` in place; on failure it is wiped.
    pub(crate) fn open(
        &self,
        components: &[&[u8]],
        data: &mut [u8],
        tag: &[u8; TAG_LENGTH],
    ) -> Result<(), NotAuthentic> {
        self.apply_key_stream(u128::from_be_bytes(*tag), data);
        let expected = self.s2v(components, data).to_be_bytes();
        if bool::from(expected.ct_eq(tag)) {
            Ok(())
        } else {
            data.zeroize();
            Err(NotAuthentic)
        }
    }
}

impl Drop for SivKey {
    fn drop(&mut self) {
        self.counter_key.zeroize();
        self.subkeys.zeroize();
        self.start.zeroize();
    }
}
