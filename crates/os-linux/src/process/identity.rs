//! Users, and giving up root's rights (system chapter, section 4.1).

use std::ffi::CString;
use std::io;

use caps::CapSet;

use crate::error::{CallError, check};

/// A capability of the kernel (capabilities(7)), as the caps crate names it.
pub use caps::Capability;

/// Largest buffer that is tried for an entry of the user database.
const ENTRY_SIZE_LIMIT: usize = 1 << 20;

/// A user of the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    /// User ID.
    pub user_id: u32,
    /// ID of the primary group.
    pub group_id: u32,
}

/// Looks a user up by name; `None` if there is no such user.
///
/// # Errors
///
/// When the user database cannot be read.
pub fn look_up_user(name: &str) -> io::Result<Option<User>> {
    let name = CString::new(name)?;
    let mut buffer = vec![0; 1024];
    loop {
        // SAFETY: passwd consists of integers and pointers, for which zero is a value.
        let mut entry: libc::passwd = unsafe { std::mem::zeroed() };
        let mut found = std::ptr::null_mut();
        // SAFETY: `name` ends with a zero byte, the buffer is given with its length, and
        // the results are valid places.
        let error = unsafe {
            libc::getpwnam_r(
                name.as_ptr(),
                &mut entry,
                buffer.as_mut_ptr(),
                buffer.len(),
                &mut found,
            )
        };
        match error {
            0 if found.is_null() => return Ok(None),
            0 => {
                return Ok(Some(User {
                    user_id: entry.pw_uid,
                    group_id: entry.pw_gid,
                }));
            }
            libc::ERANGE if buffer.len() < ENTRY_SIZE_LIMIT => {
                let doubled = buffer.len() * 2;
                buffer.resize(doubled, 0);
            }
            // Some C libraries report a user that does not exist in these ways.
            libc::ENOENT | libc::ESRCH => return Ok(None),
            error => return Err(io::Error::from_raw_os_error(error)),
        }
    }
}

/// The user that the process was started by.
pub fn real_user_id() -> u32 {
    // SAFETY: the call has no arguments and cannot fail.
    unsafe { libc::getuid() }
}

/// The user whose rights the process has.
pub fn effective_user_id() -> u32 {
    // SAFETY: the call has no arguments and cannot fail.
    unsafe { libc::geteuid() }
}

/// Whether a capability is in the bounding set. True when the set cannot be read, since
/// its lack is only warned about.
pub fn bounding_set_has(capability: Capability) -> bool {
    caps::has_cap(None, CapSet::Bounding, capability).unwrap_or(true)
}

/// Becomes `user` for good, keeping only `kept` of root's rights: no supplementary
/// groups; real, effective and saved IDs; permitted and effective capabilities exactly
/// `kept`, the inheritable and ambient ones none.
///
/// To be called before any thread is started: capabilities belong to the thread, and
/// threads started later have those of the thread that starts them.
///
/// # Errors
///
/// The call that failed, after which the process has rights it should not have and must
/// end. `cap_set_proc() failed` also when a capability of `kept` is not there to be kept.
pub fn drop_privileges(user: User, kept: &[Capability]) -> Result<(), CallError> {
    let User { user_id, group_id } = user;
    let named = |name: String| move |error| CallError::new(name, error);
    // SAFETY: with a count of 0 no list is read.
    check(unsafe { libc::setgroups(0, std::ptr::null()) }).map_err(named("setgroups".into()))?;
    // SAFETY: the call takes an integer only.
    check(unsafe { libc::setgid(group_id) }).map_err(named(format!("setgid({group_id})")))?;
    // Without this, setuid takes the capabilities away.
    keep_capabilities(true)?;
    // SAFETY: the call takes an integer only.
    check(unsafe { libc::setuid(user_id) }).map_err(named(format!("setuid({user_id})")))?;
    set_capabilities(kept)?;
    keep_capabilities(false)?;
    verify_identity(user)
}

fn keep_capabilities(keep: bool) -> Result<(), CallError> {
    let argument = libc::c_ulong::from(keep);
    // SAFETY: this operation takes one integer and ignores the others.
    check(unsafe { libc::prctl(libc::PR_SET_KEEPCAPS, argument, 0, 0, 0) })
        .map_err(|error| CallError::new("prctl", error))?;
    Ok(())
}

fn set_capabilities(kept: &[Capability]) -> Result<(), CallError> {
    let kept = kept.iter().copied().collect();
    let none = caps::CapsHashSet::new();
    // In this order each set stays within the permitted one.
    for (set, value) in [
        (CapSet::Effective, &kept),
        (CapSet::Inheritable, &none),
        (CapSet::Permitted, &kept),
    ] {
        caps::set(None, set, value)
            .map_err(|error| CallError::new("cap_set_proc", io::Error::other(error)))?;
    }
    Ok(())
}

/// Checks that no ID is left by which rights could be had back.
fn verify_identity(user: User) -> Result<(), CallError> {
    let (mut real, mut effective, mut saved) = (0, 0, 0);
    // SAFETY: the three results are valid places.
    check(unsafe { libc::getresuid(&mut real, &mut effective, &mut saved) })
        .map_err(|error| CallError::new("getresuid", error))?;
    if [real, effective, saved] != [user.user_id; 3] {
        let error = io::Error::other("user ID not changed");
        return Err(CallError::new(format!("setuid({})", user.user_id), error));
    }
    // SAFETY: as above.
    check(unsafe { libc::getresgid(&mut real, &mut effective, &mut saved) })
        .map_err(|error| CallError::new("getresgid", error))?;
    if [real, effective, saved] != [user.group_id; 3] {
        let error = io::Error::other("group ID not changed");
        return Err(CallError::new(format!("setgid({})", user.group_id), error));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn users_are_looked_up() {
        let root = look_up_user("root").expect("the user database");
        assert_eq!(
            root,
            Some(User {
                user_id: 0,
                group_id: 0
            })
        );
        let missing = look_up_user("no-such-user-here").expect("the user database");
        assert_eq!(missing, None);
        assert!(look_up_user("with\0zero").is_err());
    }

    const ROLE: &str = "ISOCHRONY_TEST_IDENTITY";

    /// Not a test by itself: the process in which rights are given up.
    #[test]
    fn child() {
        if std::env::var(ROLE).is_err() {
            return;
        }
        let user = User {
            user_id: 65534,
            group_id: 65534,
        };
        let kept = [Capability::CAP_NET_BIND_SERVICE];
        // Started by the test runner in a thread, which is as good as a process for
        // everything but the capabilities of other threads.
        drop_privileges(user, &kept).expect("dropped");
        assert_eq!((real_user_id(), effective_user_id()), (65534, 65534));
        for set in [CapSet::Permitted, CapSet::Effective] {
            let left = caps::read(None, set).expect("capabilities");
            assert_eq!(left, kept.into_iter().collect());
        }
        assert!(
            caps::read(None, CapSet::Inheritable)
                .expect("capabilities")
                .is_empty()
        );
        // SAFETY: the call takes an integer only.
        assert!(unsafe { libc::setuid(0) } < 0, "root must be out of reach");
        let more = [Capability::CAP_SYS_TIME];
        let error = set_capabilities(&more).expect_err("not there any more");
        assert!(error.to_string().starts_with("cap_set_proc() failed"));
        println!("dropped as wanted");
    }

    #[test]
    fn rights_are_given_up_but_for_those_kept() {
        if effective_user_id() != 0 {
            eprintln!("SKIPPED: needs root");
            return;
        }
        let output = Command::new(std::env::current_exe().expect("own path"))
            .args(["--exact", "process::identity::tests::child", "--nocapture"])
            .env(ROLE, "1")
            .output()
            .expect("run");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("dropped as wanted"), "{output:?}");
    }

    #[test]
    fn an_ordinary_user_cannot_become_another() {
        if effective_user_id() == 0 {
            eprintln!("SKIPPED: needs an ordinary user");
            return;
        }
        let user = User {
            user_id: 0,
            group_id: 0,
        };
        let error = drop_privileges(user, &[]).expect_err("refused");
        assert!(error.to_string().starts_with("setgroups() failed : "));
    }
}
