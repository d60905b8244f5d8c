//! Giving up root (chronyc chapter, section 1.2).

use nix::unistd::{Uid, User, geteuid, setgid, setgroups, setuid};

/// Switches to `user` when started as root, unless it is root.
///
/// # Errors
/// The message for stderr.
pub(crate) fn drop_to(user: &str) -> Result<(), String> {
    if !geteuid().is_root() || user == "root" {
        return Ok(());
    }
    let Ok(Some(entry)) = User::from_name(user) else {
        return Err(format!("Could not get user/group ID of {user}"));
    };
    if entry.uid == Uid::from_raw(0) {
        return Ok(());
    }
    // As root, setgid() and setuid() set the real, effective and saved IDs.
    setgroups(&[])
        .and_then(|()| setgid(entry.gid))
        .and_then(|()| setuid(entry.uid))
        .map_err(|error| format!("Could not switch to user {user} : {}", error.desc()))
}
