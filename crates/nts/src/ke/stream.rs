//! TLS connections fed from byte slices instead of sockets.

use std::io::{self, Read, Write};
use std::ops::DerefMut;

use rustls::ConnectionCommon;

/// What one step brought.
#[derive(Debug, Default)]
pub(crate) struct Arrived {
    /// Decrypted octets.
    pub(crate) plaintext: Vec<u8>,
    /// The peer sent `close_notify`.
    pub(crate) closed: bool,
}

/// Feeds at most one buffer of received octets, advances `rest` past them, and returns what
/// they decrypt to. Everything decrypted is taken out at once, so the memory of a session is
/// bounded by one TLS record.
pub(crate) fn feed<Data, C>(connection: &mut C, rest: &mut &[u8]) -> Result<Arrived, rustls::Error>
where
    C: DerefMut<Target = ConnectionCommon<Data>>,
    Data: rustls::SideData,
{
    let general = |error: io::Error| rustls::Error::General(error.to_string());
    connection.read_tls(rest).map_err(general)?;
    let state = connection.process_new_packets()?;
    let mut arrived = Arrived {
        closed: state.peer_has_closed(),
        plaintext: vec![0; state.plaintext_bytes_to_read()],
    };
    let mut filled = 0;
    while let Some(space) = arrived
        .plaintext
        .get_mut(filled..)
        .filter(|s| !s.is_empty())
    {
        match connection.reader().read(space) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(general(error)),
        }
    }
    arrived.plaintext.truncate(filled);
    Ok(arrived)
}

/// Hands a message to the connection, to be encrypted and sent.
pub(crate) fn write<Data, C>(connection: &mut C, message: &[u8]) -> Result<(), String>
where
    C: DerefMut<Target = ConnectionCommon<Data>>,
    Data: rustls::SideData,
{
    connection
        .writer()
        .write_all(message)
        .map_err(|error| error.to_string())
}

/// Appends all octets to send to `out` and says how many.
pub(crate) fn drain<Data, C>(connection: &mut C, out: &mut Vec<u8>) -> usize
where
    C: DerefMut<Target = ConnectionCommon<Data>>,
    Data: rustls::SideData,
{
    let before = out.len();
    while connection.wants_write() {
        // Writing to a Vec cannot fail.
        if !matches!(connection.write_tls(out), Ok(1..)) {
            break;
        }
    }
    out.len() - before
}
