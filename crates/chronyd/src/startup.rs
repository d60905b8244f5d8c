//! From the command line to a running daemon (system chapter, section 2.1). The order of
//! the steps is interface: it decides which message comes first.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use chrony_conf::Config;
use chrony_conf::config::Estimator;
use chrony_conf::files::Reader;
use discipline::journal::{Journal, LogFile, Severity};
use discipline::reference::{ClockDriver, NoClockControl, RtcCoefficients};
use discipline::samples::EstimatorKind;
use engine::engine::{Engine, Mode, Setup};
use engine::names::Family;
use engine::registry::Origin;
use engine::server::AccessTable;
use engine::steering::ClockSetup;
use os_linux::clock::{SystemKernel, measure_precision};
use os_linux::event::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, Signals, ignore_broken_pipe};
use os_linux::process::{Capability, Daemonised, daemonise, real_user_id};
use os_linux::socket::{InheritedSockets, SocketSupport};

use crate::arguments::{self, Arguments, Request, RunMode};
use crate::cards::Cards;
use crate::command_sockets::{CommandSockets, usable_unix_path};
use crate::daemon::{Daemon, End, now};
use crate::devices::Devices;
use crate::files::{self, Owner};
use crate::ke_server::KeServer;
use crate::kernel_clock::SteeredKernel;
use crate::measurement_logs::MeasurementLogs;
use crate::notification::Supervisor;
use crate::ntp_sockets::NtpSockets;
use crate::output::Output;
use crate::random::KernelRandom;
use crate::refclocks::Refclocks;
use crate::{
    call_filter, cards, configuration, defaults, privileges, real_time_clock, server_threads,
    start_checks,
};

/// Exit status after a fatal error.
const FAILURE: u8 = 1;

/// Mode of created directories with logs and state, less the umask.
const STATE_DIRECTORY_MODE: u32 = 0o750;

/// Mode of the created directory of the command socket, less the umask.
const SOCKET_DIRECTORY_MODE: u32 = 0o770;

/// The whole program.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let program = arguments
        .first()
        .map_or("chronyd".into(), |name| name.to_string_lossy());
    let program = program.into_owned();
    let mut output = Output::stderr();
    match arguments::parse(arguments) {
        Request::Help => print!("{}", defaults::help(&program)),
        Request::Version => println!("{}", defaults::version_line()),
        Request::BadOption(text) => {
            eprintln!("{text}");
            print!("{}", defaults::help(&program));
            return ExitCode::from(FAILURE);
        }
        Request::Fatal(text) => {
            output.write(Severity::Fatal, &text);
            return ExitCode::from(FAILURE);
        }
        Request::Run(arguments) => return start(&arguments, output),
    }
    ExitCode::SUCCESS
}

/// A step that fails says why; the daemon then ends at once.
type Step<T> = Result<T, String>;

fn start(arguments: &Arguments, mut output: Output) -> ExitCode {
    if arguments.check_root && real_user_id() != 0 {
        output.write(Severity::Fatal, "Not superuser");
        return ExitCode::from(FAILURE);
    }
    let inherited = InheritedSockets::new(std::env::var("LISTEN_FDS").ok().as_deref());
    if !arguments.foreground {
        match daemonise(|number| inherited.contains(number)) {
            Ok(Daemonised::Daemon(readiness)) => output.set_daemon(readiness),
            Ok(Daemonised::Ready) => return ExitCode::SUCCESS,
            Ok(Daemonised::Failed(message)) => {
                if let Some(message) = message {
                    eprintln!("{message}");
                }
                return ExitCode::from(FAILURE);
            }
            Err(error) => {
                output.write(Severity::Fatal, &error.to_string());
                return ExitCode::from(FAILURE);
            }
        }
    }
    if let Err(text) = open_log(arguments, &mut output) {
        output.write(Severity::Fatal, &text);
        return ExitCode::from(FAILURE);
    }
    let reader = configuration::reader();
    let Some(config) = configuration::read(arguments, &mut output, &reader) else {
        return ExitCode::from(FAILURE);
    };
    if arguments.print_config {
        return ExitCode::SUCCESS;
    }
    match initialise(arguments, &config, &reader, output, inherited) {
        Ok((daemon, signals)) => serve(arguments, &config, &reader, daemon, &signals),
        Err((mut output, text)) => {
            output.write(Severity::Fatal, &text);
            ExitCode::from(FAILURE)
        }
    }
}

fn open_log(arguments: &Arguments, output: &mut Output) -> Step<()> {
    match &arguments.log_file {
        Some(path) => output.use_file(Path::new(path))?,
        None if !arguments.log_to_stderr => output.use_syslog(),
        None => {}
    }
    output.set_threshold(arguments.threshold);
    let (version, features) = (defaults::VERSION, defaults::FEATURES);
    let text = format!("chronyd version {version} starting ({features})");
    output.write(Severity::Info, &text);
    Ok(())
}

/// Everything up to the installed signal handlers.
fn initialise(
    arguments: &Arguments,
    config: &Config,
    reader: &dyn Reader,
    mut output: Output,
    inherited: InheritedSockets,
) -> Result<(Daemon, Signals), (Output, String)> {
    let mut parts = match prepare(arguments, config, reader, &mut output, inherited) {
        Ok(parts) => parts,
        Err(text) => return Err((output, text)),
    };
    let signals = Signals::install(&[SIGINT, SIGTERM, SIGQUIT, SIGHUP])
        .map_err(|error| error.to_string())
        .and_then(|signals| {
            ignore_broken_pipe().map_err(|error| error.to_string())?;
            Ok(signals)
        });
    let signals = match signals {
        Ok(signals) => signals,
        Err(text) => return Err((output, text)),
    };
    parts.journal_debug(output.wants_debug());
    let Parts {
        engine,
        sockets,
        commands,
        support,
        devices,
        refclocks,
        initial_rtc,
        ke_server,
    } = parts;
    let logs = MeasurementLogs::new(
        config.logging.directory.as_deref(),
        u32::try_from(config.logging.banner_interval).unwrap_or(0),
    );
    match Daemon::new(engine, output, logs, sockets, support, &signals, config) {
        Ok(mut daemon) => {
            daemon.commands = commands;
            daemon.devices = devices;
            daemon.refclocks = refclocks;
            daemon.initial_rtc = initial_rtc;
            daemon.ke_server = ke_server;
            daemon.supervisor = Supervisor::new(arguments);
            daemon.reload_dumps = arguments.reload_dumps;
            match call_filter::load(arguments.filter_level, &mut daemon.output) {
                Ok(()) => Ok((daemon, signals)),
                Err(text) => Err((daemon.output, text)),
            }
        }
        Err(error) => Err((
            Output::stderr(),
            format!("pipe() failed : {}", os_linux::error_text(&error)),
        )),
    }
}

struct Parts {
    engine: Engine,
    sockets: NtpSockets,
    commands: CommandSockets,
    support: SocketSupport,
    devices: Devices,
    refclocks: Refclocks,
    initial_rtc: Option<Option<RtcCoefficients>>,
    ke_server: Option<KeServer>,
}

impl Parts {
    fn journal_debug(&mut self, enabled: bool) {
        self.engine.journal().set_debug(enabled);
    }
}

fn prepare(
    arguments: &Arguments,
    config: &Config,
    reader: &dyn Reader,
    output: &mut Output,
    inherited: InheritedSockets,
) -> Step<Parts> {
    check_pidfile(config)?;
    let user = privileges::target_user(arguments, config)?;
    let owner = Owner {
        uid: user.user_id,
        gid: user.group_id,
    };
    create_directories(config, owner, output);
    let unix_path = usable_unix_path(config, owner, output);
    if let Some(path) = &config.process.pid_file {
        let mut warn = |text: &str| output.write(Severity::Warning, text);
        files::write_pidfile(path, &mut warn)?;
    }
    config
        .nts
        .server_credentials()
        .map_err(|message| message.text)?;
    let precision_s = config
        .clock
        .effective_precision_s()
        .unwrap_or_else(measure_precision);
    let mut support = SocketSupport::probe(inherited);
    let driver = clock_driver(arguments, config, output)?;
    if let Some(text) = start_checks::end_of_time(now().raw) {
        output.write(Severity::Warning, &text);
    }
    chrony_conf::start::check_rtc(config).map_err(|message| message.text)?;
    let mut chip = real_time_clock::ChipAtStart::find(
        config,
        arguments.set_from_rtc,
        reader,
        &real_time_clock::open_system_chip,
        output,
    );
    let measure_chip = arguments.set_from_rtc
        && start_checks::restore_time(arguments, config, &chip, output)
        && chip.tracked.is_some();
    let refclocks = Refclocks::open(config, output)?;
    let keys = Arc::new(configuration::load_keys(config, output, reader));
    let cards = Cards::enable(config, &cards::system_devices, output)?;
    if !cards.is_empty() {
        support.enable_hardware_timestamps();
    }
    if config.process.max_tx_buffers > 0 && !support.enable_transmit_ids() {
        output.write(Severity::Warning, "Transmit ID not supported");
    }
    let mut commands = CommandSockets::open_udp(config, &mut support, output)?;
    let (threads, warning) = server_threads::affordable(config);
    if let Some(text) = warning {
        output.write(Severity::Warning, &text);
    }
    let mut sockets = NtpSockets::new(config, threads);
    sockets.open_permanent(&mut support).say(output)?;
    chrony_conf::access::check(&config.server.access).map_err(|message| message.text)?;
    chrony_conf::access::check(&config.command.access).map_err(|message| message.text)?;
    open_server_sockets(config, &mut sockets, &mut support, output)?;
    privileges::set_limits(arguments, config, output)?;
    privileges::drop_root(arguments, config, user, output)?;
    if let Some(path) = unix_path {
        commands.open_unix(path, output);
    }
    let (leap, messages) = chrony_conf::leap::choose(&config.clock, reader);
    configuration::say(output, &messages);
    let drift = config.clock.drift_file.as_ref().and_then(|path| {
        let (drift, message) = chrony_conf::drift::load(path, reader);
        configuration::say(output, message.as_slice());
        drift
    });
    chrony_conf::start::check_client_log(config).map_err(|message| message.text)?;
    chrony_conf::start::check_mail(config, arguments.filter_level != 0)
        .map_err(|message| message.text)?;
    let setup = Setup {
        clock: ClockSetup {
            driver,
            precision_s,
            window_start_s: defaults::WINDOW_START_S,
            drift,
            leap: leap.map(|source| engine::leap::database(source, configuration::reader())),
            random: Box::new(KernelRandom::new()?),
        },
        random: Box::new(KernelRandom::new()?),
        mode: first_mode(arguments, config),
        keys,
        estimator: match config.clock.estimator {
            Estimator::Regression => EstimatorKind::Regression,
            Estimator::Kalman => EstimatorKind::Kalman,
        },
    };
    let mut engine = Engine::new(config, setup, journal(config), now())?;
    for rule in &config.server.access {
        engine
            .change_access(rule, false)
            .map_err(|error| error.to_string())?;
    }
    engine.server_sockets_tried();
    for rule in &config.command.access {
        engine
            .configure_command_access(rule)
            .map_err(|error| error.to_string())?;
    }
    let devices = Devices::attach(chip.tracked.take(), cards, config, reader, &mut engine)?;
    refclocks.attach(config, &mut engine)?;
    let ke_server = match arguments.run_mode {
        // It only looks at the time, serving nobody.
        RunMode::PrintOnce => None,
        RunMode::Keep | RunMode::SetOnce => {
            let (at, wall) = (now().monotonic, engine.wall_time(now()));
            KeServer::open(config, &support, output, at, wall)?
        }
    };
    if let Some(server) = &ke_server {
        engine.set_server_keys(Arc::clone(server.keys()));
    }
    Ok(Parts {
        engine,
        sockets,
        commands,
        support,
        devices,
        refclocks,
        ke_server,
        initial_rtc: measure_chip.then_some(chip.coefficients),
    })
}

/// The server sockets that access rules ask for, while root's rights are there. Peers and
/// broadcasts may ask for more later.
fn open_server_sockets(
    config: &Config,
    sockets: &mut NtpSockets,
    support: &mut SocketSupport,
    output: &mut Output,
) -> Step<()> {
    let mut access = AccessTable::default();
    for rule in &config.server.access {
        access.apply(rule).map_err(|error| error.to_string())?;
    }
    let needed = [Family::V4, Family::V6].map(|family| access.allows_any(family));
    sockets.set_server(support, needed).say(output)
}

fn first_mode(arguments: &Arguments, config: &Config) -> Mode {
    match (&config.init_step_slew, arguments.run_mode) {
        (_, RunMode::SetOnce) => Mode::UpdateOnce,
        (_, RunMode::PrintOnce) => Mode::PrintOnce,
        (Some(initial), RunMode::Keep) if !initial.addresses.is_empty() => Mode::InitStepSlew {
            threshold_s: initial.threshold_s,
        },
        (_, RunMode::Keep) => Mode::Normal,
    }
}

fn journal(config: &Config) -> Journal {
    let wanted = &config.logging.files;
    let mut journal = Journal::new();
    for (file, enabled) in [
        (
            LogFile::Measurements,
            wanted.measurements || wanted.raw_measurements,
        ),
        (LogFile::Statistics, wanted.statistics),
        (LogFile::Tracking, wanted.tracking),
        (LogFile::Selection, wanted.selection),
        (LogFile::Rtc, wanted.rtc),
        (LogFile::Refclocks, wanted.refclocks),
        (LogFile::Tempcomp, wanted.tempcomp),
    ] {
        journal.enable(file, enabled);
    }
    journal
}

fn check_pidfile(config: &Config) -> Step<()> {
    let Some(path) = &config.process.pid_file else {
        return Ok(());
    };
    match files::running_process(path) {
        Some(pid) => Err(format!(
            "Another chronyd may already be running (pid={pid}), check {}",
            path.display()
        )),
        None => Ok(()),
    }
}

fn create_directories(config: &Config, owner: Owner, output: &mut Output) {
    let socket_directory = config.command.socket.as_deref().and_then(Path::parent);
    let directories = [
        (socket_directory, SOCKET_DIRECTORY_MODE),
        (config.logging.directory.as_deref(), STATE_DIRECTORY_MODE),
        (
            config.process.dump_directory.as_deref(),
            STATE_DIRECTORY_MODE,
        ),
        (config.nts.dump_directory.as_deref(), STATE_DIRECTORY_MODE),
    ];
    for (directory, mode) in directories {
        if let Some(directory) = directory
            && let Err(text) = files::create_directory(directory, mode, owner)
        {
            output.write(Severity::Error, &text);
        }
    }
}

fn clock_driver(
    arguments: &Arguments,
    config: &Config,
    output: &mut Output,
) -> Step<Box<dyn ClockDriver>> {
    if !arguments.control_clock {
        output.write(Severity::Info, NoClockControl::MESSAGE);
        return Ok(Box::new(NoClockControl::default()));
    }
    if !os_linux::process::bounding_set_has(Capability::CAP_SYS_TIME) {
        output.write(Severity::Warning, "CAP_SYS_TIME not present");
    }
    Ok(Box::new(SteeredKernel::start(
        SystemKernel,
        config.rtc.sync,
    )?))
}

/// Runs the daemon that is ready to start, and cleans up after it.
fn serve(
    arguments: &Arguments,
    config: &Config,
    reader: &dyn Reader,
    mut daemon: Daemon,
    signals: &Signals,
) -> ExitCode {
    daemon.restart_server_threads();
    let deadline = arguments
        .timeout_s
        .map(|seconds| now().monotonic.plus(f64::from(seconds)));
    let mut measuring_rtc = match daemon.initial_rtc.take() {
        Some(file) => daemon.start_initial_rtc_measurement(file),
        None => false,
    };
    let first = if measuring_rtc {
        Ok(())
    } else {
        add_sources(config, reader, &mut daemon)
    };
    let mut enter = |daemon: &mut Daemon| {
        if std::mem::take(&mut measuring_rtc) {
            add_sources(config, reader, daemon)
        } else {
            enter_normal_operation(config, reader, daemon)
        }
    };
    let ran = first.and_then(|()| daemon.run(signals, deadline, &mut enter));
    match ran {
        Ok(end) => finish(config, daemon, end),
        Err(text) => {
            daemon.output.write(Severity::Fatal, &text);
            ExitCode::from(FAILURE)
        }
    }
}

/// Adds the sources that are used first: those of `initstepslew`, or all of them.
fn add_sources(config: &Config, reader: &dyn Reader, daemon: &mut Daemon) -> Step<()> {
    // With -q and -Q, too, the servers of initstepslew are the only ones.
    let initial = config.init_step_slew.as_ref();
    if daemon.engine.mode() != Mode::Normal
        && let Some(initial) = initial.filter(|initial| !initial.addresses.is_empty())
    {
        for address in &initial.addresses {
            let line = chrony_conf::sources::parse_line(
                chrony_conf::sources::SourceKind::Server,
                &format!("{address} iburst"),
            );
            if let Ok(line) = line
                && daemon
                    .engine
                    .add_source(now(), &line, Origin::InitStepSlew)
                    .is_err()
            {
                let text = format!("Could not add source {address}");
                daemon.output.write(Severity::Error, &text);
            }
        }
        daemon.engine.all_sources_added(now());
        daemon.run_actions();
        return Ok(());
    }
    enter_normal_operation(config, reader, daemon)
}

/// Says that the daemon is ready and adds the configured sources.
pub fn enter_normal_operation(
    config: &Config,
    reader: &dyn Reader,
    daemon: &mut Daemon,
) -> Step<()> {
    daemon.run_actions();
    if daemon.has_ended() {
        // The clock failed: nothing is ready.
        return Ok(());
    }
    daemon.supervisor.ready()?;
    if daemon.output.ready().is_err() {
        // The foreground process is gone, so nobody wants the daemon.
        daemon.stop();
        return Ok(());
    }
    for line in &config.sources {
        if daemon
            .engine
            .add_source(now(), line, Origin::Configuration)
            .is_err()
        {
            let text = format!("Could not add source {}", line.name);
            daemon.output.write(Severity::Error, &text);
        }
        daemon.write_journal();
    }
    if !config.source_directories.is_empty() {
        let listed = configuration::read_source_directories(config, &mut daemon.output, reader);
        daemon.engine.reload_sources(now(), &listed);
    }
    daemon.engine.lock_refclocks();
    daemon.engine.all_sources_added(now());
    daemon.run_actions();
    Ok(())
}

/// The clean end.
fn finish(config: &Config, mut daemon: Daemon, end: End) -> ExitCode {
    let status = match end {
        End::Asked => 0,
        End::Done(status) => status,
        End::Failed => return ExitCode::from(FAILURE),
        End::Timeout => {
            daemon.output.write(Severity::Info, "Timeout reached");
            u8::from(!daemon.engine.is_synchronised(now()))
        }
    };
    daemon.output.write(Severity::Info, "chronyd exiting");
    if let Err(text) = daemon.commands.close() {
        daemon.output.write(Severity::Error, &text);
    }
    if let Err(text) = daemon.supervisor.stopping() {
        daemon.output.write(Severity::Fatal, &text);
        return ExitCode::from(FAILURE);
    }
    daemon.engine.give_up_correction(now());
    if config.process.dump_directory.is_some() {
        daemon.engine.dump_sources();
        daemon.run_actions();
    }
    daemon.engine.finish(now());
    daemon.run_actions();
    daemon.refclocks.close();
    daemon.save_server_keys();
    if let Some(path) = &config.process.pid_file
        && let Err(text) = files::remove(path)
    {
        daemon.output.write(Severity::Error, &text);
    }
    ExitCode::from(status)
}
