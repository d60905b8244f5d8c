//! Giving up root's rights (system chapter, sections 4.1 and 4.2).

use chrony_conf::Config;
use discipline::journal::Severity;
use os_linux::CallError;
use os_linux::clock::KernelRelease;
use os_linux::process::{Capability, User, drop_privileges, effective_user_id};

use crate::arguments::Arguments;
use crate::output::Output;

/// Ports below this need a capability to be bound.
const PRIVILEGED_PORTS_END: u16 = 1024;

/// From this kernel on, a socket can be bound to a device without rights.
const UNPRIVILEGED_BIND_KERNEL: KernelRelease = KernelRelease::new(5, 7, 0);

/// The user to become: `-u` or the directive `user`. The error is a fatal message.
pub fn target_user(arguments: &Arguments, config: &Config) -> Result<User, String> {
    let name = arguments.user.as_ref().unwrap_or(&config.process.user);
    match os_linux::process::look_up_user(name) {
        Ok(Some(user)) => Ok(user),
        Ok(None) | Err(_) => Err(format!("Could not get user/group ID of {name}")),
    }
}

/// Which of root's rights the daemon needs for its work.
pub fn needed_capabilities(arguments: &Arguments, config: &Config) -> Vec<Capability> {
    let mut needed = Vec::new();
    if arguments.control_clock {
        needed.push(Capability::CAP_SYS_TIME);
    }
    if (1..PRIVILEGED_PORTS_END).contains(&config.server.port) {
        needed.push(Capability::CAP_NET_BIND_SERVICE);
    }
    let bound = config.server.bind_device.is_some() || config.client.bind_device.is_some();
    if bound && os_linux::clock::kernel_release() < Some(UNPRIVILEGED_BIND_KERNEL) {
        needed.push(Capability::CAP_NET_RAW);
    }
    needed
}

/// Drops root's rights if there are any to drop. The error is a fatal message.
pub fn drop_root(
    arguments: &Arguments,
    config: &Config,
    user: User,
    output: &mut Output,
) -> Result<(), String> {
    let is_root = effective_user_id() == 0;
    if is_root && (user.user_id != 0 || user.group_id != 0) {
        drop_privileges(user, &needed_capabilities(arguments, config))
            .map_err(|error| refusal(&error))?;
        check_key_files(config, output);
    }
    if effective_user_id() == 0 {
        output.write(Severity::Warning, "Running with root privileges");
    }
    Ok(())
}

/// The message about a refused call; only those that change the user tell the reason.
fn refusal(error: &CallError) -> String {
    if error.call.starts_with("set") {
        error.to_string()
    } else {
        format!("{}() failed", error.call)
    }
}

/// After the drop: key files must be readable, and should not be writable.
fn check_key_files(config: &Config, output: &mut Output) {
    let files = config
        .process
        .key_file
        .iter()
        .chain(&config.nts.server_keys);
    for path in files {
        if let Err(error) = os_linux::file::check_readable(path) {
            if error.kind() != std::io::ErrorKind::NotFound {
                let reason = os_linux::error_text(&error);
                let text = format!("Missing read access to {} : {reason}", path.display());
                output.write(Severity::Warning, &text);
            }
        } else if os_linux::file::check_writable(path).is_ok() {
            let text = format!("Having write access to {}", path.display());
            output.write(Severity::Warning, &text);
        }
    }
}

/// Locks the memory and raises the priority, as configured. The error is a fatal message.
pub fn set_limits(
    arguments: &Arguments,
    config: &Config,
    output: &mut Output,
) -> Result<(), String> {
    let priority = match arguments.priority {
        0 => config.process.scheduler_priority,
        priority => priority,
    };
    chrony_conf::start::check_scheduler_priority(priority).map_err(|message| message.text)?;
    if priority > 0 && os_linux::process::set_real_time_priority(priority).is_err() {
        output.write(Severity::Error, "pthread_setschedparam() failed");
    }
    if (arguments.lock_memory || config.process.lock_memory)
        && let Err(error) = os_linux::process::lock_memory()
    {
        output.write(Severity::Error, &format!("{}() failed", error.call));
    }
    Ok(())
}
