systemd-sysusers chrony.conf >/dev/null 2>&1 || :
systemd-tmpfiles --create chrony.conf >/dev/null 2>&1 || :
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload >/dev/null 2>&1 || :
fi
# On the first installation the distribution's presets decide.
if [ "$1" -eq 1 ]; then
    systemctl --no-reload preset chronyd.service chronyd-restricted.service chrony-wait.service >/dev/null 2>&1 || :
fi
