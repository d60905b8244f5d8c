//! `help` (chronyc chapter, section 9.2): two columns, the first of 28 characters.

use crate::client::{Client, Failed};

/// Width of the first column.
const COLUMN: usize = 28;

/// Sections with their commands; a description may have several lines.
type Section = (&'static str, &'static [(&'static str, &'static str)]);

const SECTIONS: &[Section] = &[
    (
        "System clock:",
        &[
            (
                "tracking",
                "Show how the system clock follows its reference",
            ),
            ("makestep", "Step the clock by the correction that is left"),
            (
                "makestep <threshold> <updates>",
                "Set when the clock is stepped by itself",
            ),
            (
                "maxupdateskew <skew>",
                "Set the largest skew (ppm) of a usable frequency",
            ),
            (
                "waitsync [<max-tries> [<max-correction> [<max-skew> [<interval>]]]]",
                "Wait until the clock is synchronised this well",
            ),
        ],
    ),
    (
        "Time sources:",
        &[
            (
                "sources [-a] [-v]",
                "List the sources (-a: all, -v: with a legend)",
            ),
            (
                "sourcestats [-a] [-v]",
                "List the statistics of the sources",
            ),
            (
                "selectdata [-a] [-v]",
                "List why sources are selected or not",
            ),
            (
                "selectopts <address|refid> <+|-options>",
                "Change the selection options of a source",
            ),
            ("reselect", "Select the best source anew"),
            (
                "reselectdist <dist>",
                "Set how much better a source must be to be selected",
            ),
            (
                "offset <address|refid> <offset>",
                "Set the offset correction of a source",
            ),
        ],
    ),
    (
        "NTP sources:",
        &[
            ("activity", "Count the NTP sources online and offline"),
            (
                "authdata [-a] [-v]",
                "List the authentication of the NTP sources",
            ),
            (
                "ntpdata [<address>]",
                "Show the last valid measurement of NTP sources",
            ),
            ("add server <name> [options]", "Add an NTP server"),
            ("add pool <name> [options]", "Add the servers of a pool"),
            ("add peer <name> [options]", "Add an NTP peer"),
            ("delete <address>", "Remove an NTP source"),
            (
                "burst <n-good>/<n-max> [[<mask>/]<address>]",
                "Make measurements in quick succession",
            ),
            (
                "maxdelay <address> <delay>",
                "Set the longest delay of a usable sample",
            ),
            (
                "maxdelayratio <address> <ratio>",
                "Set the largest ratio of delay and least delay",
            ),
            (
                "maxdelaydevratio <address> <ratio>",
                "Set the largest ratio of delay increase and deviation",
            ),
            (
                "minpoll <address> <poll>",
                "Set the shortest polling interval",
            ),
            (
                "maxpoll <address> <poll>",
                "Set the longest polling interval",
            ),
            (
                "minstratum <address> <stratum>",
                "Set the least stratum assumed",
            ),
            ("offline [[<mask>/]<address>]", "Stop polling sources"),
            ("online [[<mask>/]<address>]", "Poll sources again"),
            (
                "onoffline",
                "Switch all sources online or offline\nby the routes that exist",
            ),
            (
                "polltarget <address> <target>",
                "Set the number of samples to aim for",
            ),
            ("refresh", "Resolve the names of the sources again"),
            ("reload sources", "Read the *.sources files again"),
            (
                "sourcename <address>",
                "Show the name a source was configured with",
            ),
        ],
    ),
    (
        "Manual time input:",
        &[
            (
                "manual off|on|reset",
                "Disable or enable settime, or forget its samples",
            ),
            ("manual list", "List the times entered"),
            ("manual delete <index>", "Delete one of them"),
            (
                "settime <time>",
                "Tell the daemon the time\n(e.g. Sep 25, 2015 16:30:05 or 16:30:05)",
            ),
        ],
    ),
    (
        "NTP access:",
        &[
            (
                "accheck <address>",
                "Check whether a host may ask for the time",
            ),
            (
                "clients [-p <packets>] [-k] [-r]",
                "List the clients of the server",
            ),
            ("serverstats", "Show the counters of the server"),
            (
                "allow [<subnet>]",
                "Allow a subnet, unless a narrower rule says otherwise",
            ),
            (
                "allow all [<subnet>]",
                "Allow a subnet and everything in it",
            ),
            (
                "deny [<subnet>]",
                "Deny a subnet, unless a narrower rule says otherwise",
            ),
            ("deny all [<subnet>]", "Deny a subnet and everything in it"),
            ("local [options]", "Serve time without being synchronised"),
            ("local off", "Do not serve time without being synchronised"),
            (
                "smoothtime reset|activate",
                "Reset or start the smoothing of served time",
            ),
            ("smoothing", "Show the smoothing of served time"),
        ],
    ),
    (
        "Monitoring access:",
        &[
            ("cmdaccheck <address>", "Check whether a host may monitor"),
            (
                "cmdallow [<subnet>]",
                "Allow a subnet, unless a narrower rule says otherwise",
            ),
            (
                "cmdallow all [<subnet>]",
                "Allow a subnet and everything in it",
            ),
            (
                "cmddeny [<subnet>]",
                "Deny a subnet, unless a narrower rule says otherwise",
            ),
            (
                "cmddeny all [<subnet>]",
                "Deny a subnet and everything in it",
            ),
        ],
    ),
    (
        "Real-time clock:",
        &[
            ("rtcdata", "Show what is known of the real-time clock"),
            ("trimrtc", "Set the real-time clock by the system clock"),
            ("writertc", "Save what is known of the real-time clock"),
        ],
    ),
    (
        "Other daemon commands:",
        &[
            ("cyclelogs", "Close the log files and open them again"),
            ("dump", "Save measurements, NTS keys and cookies"),
            ("rekey", "Read the keys again"),
            ("reset sources", "Forget all measurements"),
            ("shutdown", "Stop the daemon"),
        ],
    ),
    (
        "Client commands:",
        &[
            ("dns -n|+n", "Show addresses or names"),
            ("dns -4|-6|-46", "Resolve names to IPv4, IPv6 or both"),
            ("timeout <milliseconds>", "Set the wait for the first reply"),
            ("retries <retries>", "Set how often a request is repeated"),
            (
                "keygen [<id> [<type> [<bits>]]]",
                "Make a line for the key file",
            ),
            ("exit|quit", "Leave the program"),
            ("help", "Show this text"),
        ],
    ),
];

/// Prints a row; a long first column stands on its own line.
fn row(client: &mut Client, first: &str, second: &str) {
    let mut first = first;
    if first.len() >= COLUMN {
        client.print_line(first);
        first = "";
    }
    for line in second.split('\n') {
        client.print_line(&format!("{first:COLUMN$}{line}"));
        first = "";
    }
}

/// `help`.
pub(crate) fn help(client: &mut Client, _arguments: &str) -> Result<(), Failed> {
    for (heading, commands) in SECTIONS {
        row(client, heading, "");
        for (syntax, description) in *commands {
            row(client, syntax, description);
        }
        row(client, "", "");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::SECTIONS;

    /// Every command that is not hidden is explained, and nothing else.
    #[test]
    fn complete() {
        let mut explained: Vec<&str> = SECTIONS
            .iter()
            .flat_map(|(_, commands)| *commands)
            .flat_map(|(syntax, _)| syntax.split(' ').next().unwrap_or("").split('|'))
            .collect();
        explained.sort_unstable();
        explained.dedup();
        let names: Vec<&str> = crate::commands::names().collect();
        assert_eq!(explained, names);
    }
}
