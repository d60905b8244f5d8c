//! The lists of the filter. What the C library and the Rust runtime call under the
//! surface is on them too: threads, allocation, name service, time zone files.

use crate::hardware::ioctl;

/// Calls that are allowed with any arguments.
pub(super) const ALWAYS: &[libc::c_long] = &[
    // Clock.
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_clock_settime,
    libc::SYS_gettimeofday,
    libc::SYS_nanosleep,
    // Process and threads. clone3 fails (see `Filter::allow_list`), and clone is below.
    libc::SYS_clone3,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_getegid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getpid,
    libc::SYS_getrlimit,
    libc::SYS_gettid,
    libc::SYS_getuid,
    libc::SYS_membarrier,
    libc::SYS_prlimit64,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_sigaltstack,
    libc::SYS_tgkill,
    libc::SYS_wait4,
    // Memory.
    libc::SYS_brk,
    libc::SYS_madvise,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_shmdt,
    // Files.
    libc::SYS_close,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_fdatasync,
    libc::SYS_fstat,
    libc::SYS_fstatfs,
    libc::SYS_fsync,
    libc::SYS_ftruncate,
    libc::SYS_getcwd,
    libc::SYS_getdents64,
    libc::SYS_lseek,
    libc::SYS_mkdirat,
    libc::SYS_newfstatat,
    libc::SYS_openat,
    libc::SYS_pipe2,
    libc::SYS_pread64,
    libc::SYS_read,
    libc::SYS_readlinkat,
    libc::SYS_readv,
    #[cfg(not(target_arch = "riscv64"))]
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_statfs,
    libc::SYS_statx,
    libc::SYS_unlinkat,
    libc::SYS_write,
    libc::SYS_writev,
    // Sockets.
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_bind,
    libc::SYS_connect,
    libc::SYS_getpeername,
    libc::SYS_getsockname,
    libc::SYS_getsockopt,
    // Missing in the reference's list; without it the NTS-KE socket must be opened
    // before the filter.
    libc::SYS_listen,
    libc::SYS_recvfrom,
    libc::SYS_recvmmsg,
    libc::SYS_recvmsg,
    libc::SYS_sendmmsg,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_shutdown,
    // Waiting.
    libc::SYS_futex,
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    // Rest.
    libc::SYS_getrandom,
    libc::SYS_sysinfo,
    libc::SYS_uname,
];

/// Older forms of the same calls, which only this machine has.
#[cfg(target_arch = "x86_64")]
pub(super) const ALWAYS_OF_MACHINE: &[libc::c_long] = &[
    libc::SYS_access,
    libc::SYS_arch_prctl,
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_dup2,
    libc::SYS_getdents,
    libc::SYS_lchown,
    libc::SYS_lstat,
    libc::SYS_mkdir,
    libc::SYS_open,
    libc::SYS_pipe,
    libc::SYS_poll,
    libc::SYS_readlink,
    libc::SYS_rename,
    libc::SYS_rmdir,
    libc::SYS_select,
    libc::SYS_stat,
    libc::SYS_time,
    libc::SYS_unlink,
];

/// Older forms of the same calls, which only this machine has.
#[cfg(not(target_arch = "x86_64"))]
pub(super) const ALWAYS_OF_MACHINE: &[libc::c_long] = &[];

/// Flags with which threads are made, and only threads: `CLONE_VM | CLONE_FS |
/// CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS |
/// CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID`; musl adds `CLONE_DETACHED`.
const THREAD_FLAGS: &[u32] = &[0x003d_0f00, 0x007d_0f00];

/// Calls that are allowed when an argument (its number) has one of these values.
pub(super) const BY_ARGUMENT: &[(libc::c_long, u8, &[u32])] = &[
    (libc::SYS_clone, 0, THREAD_FLAGS),
    // Names of threads.
    (libc::SYS_prctl, 0, &[libc::PR_SET_NAME as u32]),
    (
        libc::SYS_socket,
        0,
        &[
            libc::AF_INET as u32,
            libc::AF_INET6 as u32,
            libc::AF_NETLINK as u32,
            libc::AF_UNIX as u32,
        ],
    ),
    (
        libc::SYS_fcntl,
        1,
        &[
            libc::F_GETFD as u32,
            libc::F_SETFD as u32,
            libc::F_GETFL as u32,
            libc::F_SETFL as u32,
            libc::F_DUPFD_CLOEXEC as u32,
        ],
    ),
    (
        libc::SYS_ioctl,
        1,
        &[
            libc::FIONBIO as u32,
            libc::FIONREAD as u32,
            libc::TCGETS as u32,
            libc::TCGETS2 as u32,
            libc::TIOCGWINSZ as u32,
            libc::SIOCETHTOOL as u32,
            libc::PTP_EXTTS_REQUEST as u32,
            libc::PTP_EXTTS_REQUEST2 as u32,
            libc::PTP_PIN_SETFUNC as u32,
            libc::PTP_SYS_OFFSET as u32,
            libc::PTP_SYS_OFFSET_EXTENDED as u32,
            libc::PTP_SYS_OFFSET_PRECISE as u32,
            ioctl::PTP_MASK_CLEAR_ALL as u32,
            ioctl::PTP_MASK_ENABLE_SINGLE as u32,
            ioctl::PPS_FETCH as u32,
            ioctl::RTC_READ_TIME as u32,
            ioctl::RTC_SET_TIME as u32,
            ioctl::RTC_UPDATE_INTERRUPT_ON as u32,
            ioctl::RTC_UPDATE_INTERRUPT_OFF as u32,
        ],
    ),
];

/// Socket options (level, name) that may be set.
pub(super) const SOCKET_OPTIONS: &[(libc::c_int, libc::c_int)] = &[
    (libc::IPPROTO_IP, libc::IP_PKTINFO),
    (libc::IPPROTO_IP, libc::IP_FREEBIND),
    (libc::IPPROTO_IP, libc::IP_TOS),
    // For the name service.
    (libc::IPPROTO_IP, libc::IP_RECVERR),
    (libc::IPPROTO_IPV6, libc::IPV6_V6ONLY),
    (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO),
    (libc::IPPROTO_IPV6, libc::IPV6_TCLASS),
    (libc::IPPROTO_IPV6, libc::IPV6_RECVERR),
    (libc::IPPROTO_TCP, libc::TCP_NODELAY),
    (libc::SOL_SOCKET, libc::SO_BINDTODEVICE),
    (libc::SOL_SOCKET, libc::SO_BROADCAST),
    (libc::SOL_SOCKET, libc::SO_REUSEADDR),
    (libc::SOL_SOCKET, libc::SO_REUSEPORT),
    (libc::SOL_SOCKET, libc::SO_SELECT_ERR_QUEUE),
    (libc::SOL_SOCKET, libc::SO_TIMESTAMP),
    (libc::SOL_SOCKET, libc::SO_TIMESTAMPNS),
    (libc::SOL_SOCKET, libc::SO_TIMESTAMPING),
];

/// Calls that level 2 forbids.
pub(super) const DENIED: &[libc::c_long] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_fork,
    libc::SYS_ptrace,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_vfork,
];
