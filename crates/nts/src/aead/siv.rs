//! AEAD_AES_SIV_CMAC_256 (RFC 5297) with two S2V components: associated data and nonce.
//!
//! Written on the AES block function instead of the `aes-siv` crate, because that crate
//! expands the encryption key and recomputes the CMAC subkeys in every call and needs
//! `&mut self`, whereas a server key here is expanded once and used by all threads. The
//! tests compare the two on random input.

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
    counter: Aes128Enc,
    /// CMAC subkeys K1 and K2 (RFC 4493, section 2.3).
    subkeys: [u128; 2],
    /// CMAC(zero block): the part of S2V that depends on the key alone.
    start: u128,
}

/// Multiplication by x in GF(2^128) (RFC 5297, section 2.3).
const fn double(value: u128) -> u128 {
    let reduction = 0x87 * (value >> 127);
    (value << 1) ^ reduction
}

fn encrypt(cipher: &Aes128Enc, value: u128) -> u128 {
    let mut block: Block<Aes128Enc> = value.to_be_bytes().into();
    cipher.encrypt_block(&mut block);
    u128::from_be_bytes(block.into())
}

/// CBC-MAC over whole blocks, run inside of the cipher: one look for the processor's AES
/// instructions and one load of the round keys for all blocks (28 % of a request's time
/// against 41 % with a call per block).
struct Chain<'a> {
    state: &'a mut u128,
    blocks: &'a [u8],
}

impl BlockSizeUser for Chain<'_> {
    type BlockSize = U16;
}

impl BlockClosure for Chain<'_> {
    fn call<B: BlockBackend<BlockSize = U16>>(self, backend: &mut B) {
        let mut state = *self.state;
        for octets in self.blocks.as_chunks::<BLOCK>().0 {
            let mut block: Block<Aes128Enc> =
                (state ^ u128::from_be_bytes(*octets)).to_be_bytes().into();
            backend.proc_block((&mut block).into());
            state = u128::from_be_bytes(block.into());
        }
        *self.state = state;
    }
}

/// Up to 16 octets as the front of a block, padded with 10* when short (RFC 4493).
fn padded(bytes: &[u8]) -> u128 {
    let mut block = [0; BLOCK];
    for (to, from) in block.iter_mut().zip(bytes) {
        *to = *from;
    }
    if let Some(next) = block.get_mut(bytes.len()) {
        *next = 0x80;
    }
    u128::from_be_bytes(block)
}

impl SivKey {
    #[inline]
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        let (mac_key, counter_key) = key.split_at(BLOCK);
        let mac = Aes128Enc::new(mac_key.into());
        let subkey1 = double(encrypt(&mac, 0));
        Self {
            counter: Aes128Enc::new(counter_key.into()),
            subkeys: [subkey1, double(subkey1)],
            // CMAC of a zero block.
            start: encrypt(&mac, subkey1),
            mac,
        }
    }

    /// AES-CMAC (RFC 4493).
    fn cmac(&self, message: &[u8]) -> u128 {
        let full = message.len().saturating_sub(1) / BLOCK * BLOCK;
        let (front, last) = message.split_at(full);
        self.finish(self.chain(0, front), last)
    }

    /// CBC-MAC over whole blocks.
    fn chain(&self, mut state: u128, blocks: &[u8]) -> u128 {
        self.mac.encrypt_with_backend(Chain {
            state: &mut state,
            blocks,
        });
        state
    }

    /// The last step of CMAC; `last` has at most 16 octets.
    fn finish(&self, state: u128, last: &[u8]) -> u128 {
        let subkey = self.subkeys[usize::from(last.len() < BLOCK)];
        encrypt(&self.mac, state ^ padded(last) ^ subkey)
    }

    /// S2V of the components (for NTS: associated data, nonce) and the plaintext (RFC 5297,
    /// section 2.4).
    fn s2v(&self, components: &[&[u8]], plaintext: &[u8]) -> u128 {
        let mut state = self.start;
        for component in components {
            state = double(state) ^ self.cmac(component);
        }
        if plaintext.len() < BLOCK {
            return self.cmac(&(double(state) ^ padded(plaintext)).to_be_bytes());
        }
        // `xorend`: the state goes over the last 16 octets, which may lie in two blocks.
        // So the last 16 … 32 octets are taken out into a copy.
        let front_length = plaintext.len().saturating_sub(BLOCK) / BLOCK * BLOCK;
        let (front, rest) = plaintext.split_at(front_length);
        let mut tail = [0; 2 * BLOCK];
        let tail = &mut tail[..rest.len()];
        tail.copy_from_slice(rest);
        let end = tail.len() - BLOCK;
        for (octet, mask) in tail[end..].iter_mut().zip(state.to_be_bytes()) {
            *octet ^= mask;
        }
        let whole = (tail.len() - 1) / BLOCK * BLOCK;
        let chained = self.chain(self.chain(0, front), &tail[..whole]);
        let mac = self.finish(chained, &tail[whole..]);
        tail.zeroize();
        mac
    }

    /// Counter mode from the synthetic IV with bits 31 and 63 cleared (section 2.5).
    fn apply_key_stream(&self, iv: u128, data: &mut [u8]) {
        let mut counter = iv & !((1 << 63) | (1 << 31));
        for part in data.chunks_mut(PARALLEL * BLOCK) {
            let mut blocks = [Block::<Aes128Enc>::default(); PARALLEL];
            let count = part.len().div_ceil(BLOCK);
            for block in &mut blocks[..count] {
                *block = counter.to_be_bytes().into();
                counter = counter.wrapping_add(1);
            }
            self.counter.encrypt_blocks(&mut blocks[..count]);
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
        self.subkeys.zeroize();
        self.start.zeroize();
    }
}
