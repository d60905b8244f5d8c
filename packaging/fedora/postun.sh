if [ -d /run/systemd/system ]; then
    systemctl daemon-reload >/dev/null 2>&1 || :
    # After an upgrade.
    if [ "$1" -ge 1 ]; then
        systemctl try-restart chronyd.service chronyd-restricted.service >/dev/null 2>&1 || :
    fi
fi
