#!/bin/sh
### BEGIN INIT INFO
# Provides:          chrony time-daemon
# Required-Start:    $remote_fs
# Required-Stop:     $remote_fs
# Should-Start:      $syslog $network $named
# Should-Stop:       $syslog $network $named
# Default-Start:     2 3 4 5
# Default-Stop:      0 1 6
# Short-Description: NTP client and server
### END INIT INFO

daemon=/usr/sbin/chronyd
pidfile=/run/chrony/chronyd.pid

[ -x "$daemon" ] || exit 0
DAEMON_OPTS=
# shellcheck source=/dev/null
[ ! -r /etc/default/chrony ] || . /etc/default/chrony
# shellcheck source=/dev/null
. /lib/lsb/init-functions

start() {
    log_daemon_msg "Starting time daemon" chronyd
    # The options are words.
    # shellcheck disable=SC2086
    start-stop-daemon --start --quiet --oknodo --pidfile "$pidfile" --exec "$daemon" -- $DAEMON_OPTS
    result=$?
    log_end_msg $result
    return $result
}

stop() {
    log_daemon_msg "Stopping time daemon" chronyd
    start-stop-daemon --stop --quiet --oknodo --retry=TERM/30/KILL/5 --pidfile "$pidfile" --exec "$daemon"
    result=$?
    log_end_msg $result
    return $result
}

case ${1-} in
start) start ;;
stop) stop ;;
restart | force-reload)
    stop
    start
    ;;
status) status_of_proc -p "$pidfile" "$daemon" chronyd ;;
*)
    echo "Usage: $0 {start|stop|restart|force-reload|status}" >&2
    exit 2
    ;;
esac
