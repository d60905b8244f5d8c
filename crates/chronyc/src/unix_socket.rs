//! The client's end of a Unix socket (chronyc chapter, section 2.3).
//!
//! The daemon must be able to send to the client's path, and the only place it surely
//! can reach is the directory of its own socket, which belongs to its unprivileged user.
//! The client's socket therefore hides in a directory with an unguessable name inside
//! one that only the client can list, so that a hostile daemon cannot make a privileged
//! client bind or chmod a path of its choice.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::geteuid;

use crate::diagnosis::system_text;
use crate::random;

/// Longest path of a socket, without the terminating NUL (unix(7)).
const MAX_SOCKET_PATH: usize = 107;
/// Mode of both directories: others may pass, not list.
const DIRECTORY_MODE: u32 = 0o711;
/// Mode of the socket: the daemon runs as another user.
const SOCKET_MODE: u32 = 0o666;
/// Length of the unguessable name.
const RANDOM_NAME_LENGTH: usize = 16;

/// Why no socket could be opened.
#[derive(Debug)]
pub(crate) enum OpenError {
    /// No daemon can be reached at the path.
    NotConnected(io::Error),
    /// The client's own socket failed, with a message for stderr.
    Message(String),
}

/// A connected socket with the directories it is bound in, which are removed with it.
#[derive(Debug)]
pub(crate) struct ClientSocket {
    /// The socket, connected to the daemon.
    pub(crate) socket: UnixDatagram,
    _paths: PathGuard,
}

/// Paths to remove.
#[derive(Clone, Debug)]
struct SocketPaths {
    process_directory: PathBuf,
    random_directory: PathBuf,
    socket: PathBuf,
}

/// Paths of the open socket, for [`remove_all_paths`].
static OPEN_PATHS: Mutex<Option<SocketPaths>> = Mutex::new(None);

/// Removes the paths of the open socket before the program is ended from another thread.
pub(crate) fn remove_all_paths() {
    if let Some(paths) = OPEN_PATHS.lock().ok().and_then(|mut paths| paths.take()) {
        paths.remove();
    }
}

/// Removes the paths when dropped.
#[derive(Debug)]
struct PathGuard(SocketPaths);

impl Drop for PathGuard {
    fn drop(&mut self) {
        self.0.remove();
        if let Ok(mut paths) = OPEN_PATHS.lock() {
            *paths = None;
        }
    }
}

impl SocketPaths {
    fn remove(&self) {
        // What was not made is not there; what others put there stays.
        let _ = fs::remove_file(&self.socket);
        let _ = fs::remove_dir(&self.random_directory);
        let _ = fs::remove_dir(&self.process_directory);
    }
}

impl ClientSocket {
    /// Opens a socket to the daemon at `server`.
    pub(crate) fn open(server: &str) -> Result<Self, OpenError> {
        probe(server).map_err(OpenError::NotConnected)?;
        let paths = PathGuard(choose_paths(server)?);
        if let Ok(mut open) = OPEN_PATHS.lock() {
            *open = Some(paths.0.clone());
        }
        let process_directory = make_process_directory(&paths.0.process_directory)?;
        let socket = make_socket(server, &paths.0, &process_directory)?;
        Ok(Self {
            socket,
            _paths: paths,
        })
    }
}

/// Whether a daemon listens, tried with a socket that is thrown away.
fn probe(server: &str) -> io::Result<()> {
    UnixDatagram::unbound()?.connect(server)
}

fn choose_paths(server: &str) -> Result<SocketPaths, OpenError> {
    let directory = match server.rsplit_once('/') {
        Some((directory, _)) => directory,
        None => "",
    };
    let process_directory = format!("{directory}/chronyc.{}", std::process::id());
    let random_directory = format!("{process_directory}/{}", random_name()?);
    let socket = format!("{random_directory}/sock");
    if socket.len() > MAX_SOCKET_PATH {
        return Err(OpenError::Message(format!(
            "Server socket path {server} is too long"
        )));
    }
    Ok(SocketPaths {
        process_directory: process_directory.into(),
        random_directory: random_directory.into(),
        socket: socket.into(),
    })
}

fn random_name() -> Result<String, OpenError> {
    const LETTERS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut name = String::new();
    while name.len() < RANDOM_NAME_LENGTH {
        let word = random::word().map_err(|error| OpenError::Message(system_text(&error)))?;
        // Values beyond the letters are drawn again, so that all letters are equally likely.
        let letters = word
            .iter()
            .filter_map(|byte| LETTERS.get(usize::from(byte & 63)));
        name.extend(letters.map(|&letter| char::from(letter)));
    }
    name.truncate(RANDOM_NAME_LENGTH);
    Ok(name)
}

/// Makes the directory named after the process, or takes an existing one, and checks it.
fn make_process_directory(path: &Path) -> Result<File, OpenError> {
    match DirBuilder::new().mode(DIRECTORY_MODE).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(file_error("create", path, &error));
        }
        _ => {}
    }
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
        .open(path);
    let (directory, metadata) = opened
        .and_then(|directory| directory.metadata().map(|metadata| (directory, metadata)))
        .map_err(|error| file_error("open/stat", path, &error))?;
    let stranger_bits = metadata.mode() & 0o777 & !DIRECTORY_MODE;
    if !metadata.is_dir() || stranger_bits != 0 || metadata.uid() != geteuid().as_raw() {
        return Err(OpenError::Message(format!(
            "Unexpected mode/owner of {}",
            path.display()
        )));
    }
    Ok(directory)
}

fn make_socket(
    server: &str,
    paths: &SocketPaths,
    process_directory: &File,
) -> Result<UnixDatagram, OpenError> {
    let random_name = paths.random_directory.file_name().unwrap_or_default();
    mkdirat(
        process_directory,
        random_name,
        Mode::from_bits_truncate(DIRECTORY_MODE),
    )
    .map_err(|error| file_error("create", &paths.random_directory, &error.into()))?;
    let bound = UnixDatagram::bind(&paths.socket);
    let connected = bound.and_then(|socket| socket.connect(server).map(|()| socket));
    let socket = connected
        .map_err(|_| OpenError::Message("Could not bind/connect client Unix socket".to_owned()))?;
    // Independent of the umask.
    fs::set_permissions(&paths.socket, Permissions::from_mode(SOCKET_MODE))
        .and_then(|()| {
            fs::set_permissions(
                &paths.random_directory,
                Permissions::from_mode(DIRECTORY_MODE),
            )
        })
        .and_then(|()| process_directory.set_permissions(Permissions::from_mode(DIRECTORY_MODE)))
        .map_err(|error| {
            OpenError::Message(format!(
                "Could not change socket or directory permissions : {}",
                system_text(&error)
            ))
        })?;
    Ok(socket)
}

fn file_error(what: &str, path: &Path, error: &io::Error) -> OpenError {
    OpenError::Message(format!(
        "Could not {what} {} : {}",
        path.display(),
        system_text(error)
    ))
}

#[cfg(test)]
mod tests {
    use super::{ClientSocket, OpenError};
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixDatagram;

    #[test]
    fn the_socket_is_reachable_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("d.sock");
        let path = path.to_str().unwrap();
        let server = UnixDatagram::bind(path).unwrap();
        let client = ClientSocket::open(path).unwrap();
        client.socket.send(b"?").unwrap();
        let mut buffer = [0; 8];
        let (_, sender) = server.recv_from(&mut buffer).unwrap();
        let sender = sender.as_pathname().unwrap().to_owned();
        let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&sender), 0o666);
        assert_eq!(mode(sender.parent().unwrap()), 0o711);
        server.send_to(b"!", &sender).unwrap();
        assert_eq!(client.socket.recv(&mut buffer).unwrap(), 1);
        drop(client);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_directory_of_others_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("d.sock");
        let _server = UnixDatagram::bind(&path).unwrap();
        let directory = folder
            .path()
            .join(format!("chronyc.{}", std::process::id()));
        std::fs::create_dir(&directory).unwrap();
        std::fs::set_permissions(&directory, PermissionsExt::from_mode(0o777)).unwrap();
        match ClientSocket::open(path.to_str().unwrap()) {
            Err(OpenError::Message(message)) => {
                assert_eq!(
                    message,
                    format!("Unexpected mode/owner of {}", directory.display())
                );
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn nobody_listens() {
        let missing = ClientSocket::open("/nonexistent/d.sock");
        assert!(matches!(missing, Err(OpenError::NotConnected(_))));
    }
}
