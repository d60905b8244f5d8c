//! Files that the daemon keeps: saved state, directories and the pidfile (system chapter,
//! sections 2.3, 4.4 and 4.5).
//!
//! State is never left half written: a file is written under another name in the same
//! directory, synchronised where that matters, and renamed.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, chown};
use std::path::{Component, Path, PathBuf};

use os_linux::error_text;

/// Mode of created parents of a configured directory.
const PARENT_MODE: u32 = 0o755;

/// Mode bits that the directory of the command socket may have.
const SOCKET_DIRECTORY_MODE: u32 = 0o770;

/// Owner of what the daemon creates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// User ID.
    pub uid: u32,
    /// Group ID.
    pub gid: u32,
}

/// The name under which a file is written: `<path>.tmp`, but `<address>.tmp` for cookies in
/// `<address>.nts` (NTS chapter, section 7.1).
fn temporary_path(path: &Path) -> PathBuf {
    if path.extension().is_some_and(|extension| extension == "nts") {
        return path.with_extension("tmp");
    }
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    PathBuf::from(temporary)
}

/// Replaces a file by new contents, which are written under another name, flushed to the
/// disk and renamed. The error is the text of a message; `warn` is given warnings.
pub fn replace(
    path: &Path,
    contents: &[u8],
    mode: u32,
    warn: &mut dyn FnMut(&str),
) -> Result<(), String> {
    let temporary = temporary_path(path);
    if let Err(error) = std::fs::remove_file(&temporary)
        && error.kind() == io::ErrorKind::IsADirectory
    {
        return Err(format!(
            "Could not remove {} : {}",
            temporary.display(),
            error_text(&error)
        ));
    }
    let written = create_new(&temporary, mode, warn).and_then(|mut file| {
        file.write_all(contents)?;
        file.sync_all()
    });
    if let Err(error) = written {
        let _ = std::fs::remove_file(&temporary);
        return Err(format!(
            "Could not open {} : {}",
            temporary.display(),
            error_text(&error)
        ));
    }
    std::fs::rename(&temporary, path).map_err(|error| {
        let _ = std::fs::remove_file(&temporary);
        format!(
            "Could not replace {} with {} : {}",
            path.display(),
            temporary.display(),
            error_text(&error)
        )
    })
}

/// Creates a file that did not exist; one of that name (or a symbolic link) is removed
/// first and never followed.
fn create_new(path: &Path, mode: u32, warn: &mut dyn FnMut(&str)) -> io::Result<File> {
    let attempt = || {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(path)
    };
    insist(path, attempt, warn)
}

/// Repeats an attempt while the name reappears, and says so after 100, 1000, ... attempts:
/// somebody who makes the name anew is not given the last word (system chapter, section 4.5).
fn insist<T>(
    path: &Path,
    mut attempt: impl FnMut() -> io::Result<T>,
    warn: &mut dyn FnMut(&str),
) -> io::Result<T> {
    let mut attempts: u64 = 0;
    let mut said_next: u64 = 100;
    loop {
        match attempt() {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => attempts += 1,
            ended => return ended,
        }
        if attempts == said_next {
            let name = path.display();
            warn(&format!("Failing to replace {name} ({attempts} attempts)"));
            said_next = said_next.saturating_mul(10);
        }
    }
}

/// Creates a directory with its missing parents. Existing ones are left alone; a directory
/// that cannot be given its owner is removed again. The error is the text of a message.
pub fn create_directory(path: &Path, mode: u32, owner: Owner) -> Result<(), String> {
    let mut current = PathBuf::new();
    let components: Vec<Component<'_>> = path.components().collect();
    for (index, component) in components.iter().enumerate() {
        current.push(component);
        match std::fs::metadata(&current) {
            Ok(metadata) if metadata.is_dir() => continue,
            Ok(_) => return Err(format!("{} is not directory", current.display())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(format!(
                    "Could not access {} : {}",
                    current.display(),
                    error_text(&error)
                ));
            }
        }
        let is_last = index + 1 == components.len();
        let mode = if is_last { mode } else { PARENT_MODE };
        DirBuilder::new()
            .mode(mode)
            .create(&current)
            .map_err(|error| {
                format!(
                    "Could not create directory {} : {}",
                    current.display(),
                    error_text(&error)
                )
            })?;
        if is_last && let Err(error) = chown(&current, Some(owner.uid), Some(owner.gid)) {
            let _ = std::fs::remove_dir(&current);
            return Err(format!(
                "Could not change ownership of {} : {}",
                current.display(),
                error_text(&error)
            ));
        }
    }
    Ok(())
}

/// Checks the directory of the Unix command socket, whose permissions are what protects
/// the daemon from other users. A symbolic link stands for what it leads to, as for the
/// reference. The error is the text of a message.
pub fn check_socket_directory(path: &Path, owner: Owner) -> Result<(), String> {
    let name = path.display();
    let metadata = std::fs::metadata(path)
        .map_err(|error| format!("Could not access {name} : {}", error_text(&error)))?;
    if !metadata.is_dir() {
        return Err(format!("{name} is not directory"));
    }
    if metadata.mode() & 0o777 & !SOCKET_DIRECTORY_MODE != 0 {
        return Err(format!("Wrong permissions on {name}"));
    }
    if metadata.uid() != owner.uid {
        return Err(format!("Wrong owner of {name} (UID != {})", owner.uid));
    }
    if metadata.gid() != owner.gid {
        return Err(format!("Wrong owner of {name} (GID != {})", owner.gid));
    }
    Ok(())
}

/// The process that a pidfile names, if it is alive.
pub fn running_process(pidfile: &Path) -> Option<i32> {
    let mut text = String::new();
    File::open(pidfile)
        .ok()?
        .take(64)
        .read_to_string(&mut text)
        .ok()?;
    let number: String = text
        .trim_start()
        .chars()
        .take_while(|c| c.is_ascii_digit())
        .collect();
    let pid: i32 = number.parse().ok()?;
    nix::unistd::getsid(Some(nix::unistd::Pid::from_raw(pid)))
        .is_ok()
        .then_some(pid)
}

/// Writes the pidfile. The error is the text of a message; `warn` is given warnings.
pub fn write_pidfile(path: &Path, warn: &mut dyn FnMut(&str)) -> Result<(), String> {
    create_new(path, 0o644, warn)
        // In one call, so that nobody reads a part of the number.
        .and_then(|mut file| file.write_all(format!("{}\n", std::process::id()).as_bytes()))
        .map_err(|error| format!("Could not open {} : {}", path.display(), error_text(&error)))
}

/// Removes a file, if it exists. The error is the text of a message.
pub fn remove(path: &Path) -> Result<(), String> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(format!(
            "Could not remove {} : {}",
            path.display(),
            error_text(&error)
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn unexpected(warning: &str) {
        panic!("{warning}");
    }

    #[test]
    fn a_name_that_reappears_is_insisted_on_and_said() {
        let mut left = 10_000;
        let attempt = || {
            left -= 1;
            match left {
                0 => Ok("made"),
                _ => Err(io::ErrorKind::AlreadyExists.into()),
            }
        };
        let mut said = Vec::new();
        let mut warn = |text: &str| said.push(text.to_owned());
        let made = insist(Path::new("/a/b"), attempt, &mut warn);
        assert_eq!(made.unwrap(), "made");
        let expected = [100, 1000].map(|n| format!("Failing to replace /a/b ({n} attempts)"));
        assert_eq!(said, expected);
        let refused = || Err::<(), _>(io::ErrorKind::PermissionDenied.into());
        let error = insist(Path::new("/a/b"), refused, &mut unexpected).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    }

    fn me() -> Owner {
        Owner {
            uid: nix::unistd::getuid().as_raw(),
            gid: nix::unistd::getgid().as_raw(),
        }
    }

    #[test]
    fn replaced_files_are_whole_and_links_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("drift");
        let other = folder.path().join("other");
        std::fs::write(&other, "untouched").unwrap();
        std::os::unix::fs::symlink(&other, folder.path().join("drift.tmp")).unwrap();
        replace(&path, b"one\n", 0o644, &mut unexpected).unwrap();
        replace(&path, b"two\n", 0o644, &mut unexpected).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two\n");
        assert_eq!(std::fs::read(&other).unwrap(), b"untouched");
        assert!(!folder.path().join("drift.tmp").exists());
    }

    #[test]
    fn failures_name_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("missing/drift");
        let error = replace(&path, b"x", 0o644, &mut unexpected).unwrap_err();
        let start = format!("Could not open {}.tmp : No such file", path.display());
        assert!(error.starts_with(&start), "{error}");
        let path = folder.path().join("directory");
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("full"), "").unwrap();
        let error = replace(&path, b"x", 0o644, &mut unexpected).unwrap_err();
        assert!(error.starts_with("Could not replace "), "{error}");
        assert!(!folder.path().join("directory.tmp").exists());
    }

    #[test]
    fn a_failure_leaves_the_old_contents() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("drift");
        replace(&path, b"old\n", 0o644, &mut unexpected).unwrap();
        // The temporary file cannot be made where a folder is in its place.
        std::fs::create_dir(folder.path().join("drift.tmp")).unwrap();
        replace(&path, b"new\n", 0o644, &mut unexpected).unwrap_err();
        assert_eq!(std::fs::read(&path).unwrap(), b"old\n");
    }

    #[test]
    fn directories_are_created_and_checked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/c");
        create_directory(&path, 0o770, me()).unwrap();
        create_directory(&path, 0o700, me()).unwrap();
        check_socket_directory(&path, me()).unwrap();
        let wrong = Owner {
            uid: me().uid + 1,
            ..me()
        };
        let error = check_socket_directory(&path, wrong).unwrap_err();
        assert_eq!(
            error,
            format!("Wrong owner of {} (UID != {})", path.display(), wrong.uid)
        );
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        check_socket_directory(&link, me()).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o777)).unwrap();
        for name in [path, link] {
            let error = check_socket_directory(&name, me()).unwrap_err();
            assert_eq!(error, format!("Wrong permissions on {}", name.display()));
        }
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let error = check_socket_directory(&file, me()).unwrap_err();
        assert_eq!(error, format!("{} is not directory", file.display()));
        let error = create_directory(&folder.path().join("file/x"), 0o700, me()).unwrap_err();
        assert!(error.ends_with("/file is not directory"), "{error}");
    }

    #[test]
    fn pidfiles_of_live_processes_are_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pid");
        assert_eq!(running_process(&path), None);
        write_pidfile(&path, &mut unexpected).unwrap();
        assert_eq!(running_process(&path), Some(std::process::id() as i32));
        std::fs::write(&path, "not a number\n").unwrap();
        assert_eq!(running_process(&path), None);
        std::fs::write(&path, "2147483647\n").unwrap();
        assert_eq!(running_process(&path), None);
        remove(&path).unwrap();
        remove(&path).unwrap();
    }
}
