#!/bin/bash
# Sourced by dhclient-script: the NTP servers that DHCP names become sources.
# shellcheck disable=SC2154 # dhclient-script sets the variables

chrony_sources=/run/chrony-dhcp/$interface.sources

# PEERNTP and NTPSERVERARGS may be set there.
for chrony_settings in /etc/sysconfig/network "/etc/sysconfig/network-scripts/ifcfg-$interface"; do
    # shellcheck disable=SC1090 # the administrator's files
    [ ! -f "$chrony_settings" ] || . "$chrony_settings"
done

chrony_config() {
    # NetworkManager has a script of its own for this.
    [ -z "${NM_DISPATCHER_ACTION-}" ] || return 0
    rm -f "$chrony_sources"
    if [ "${PEERNTP-}" != no ]; then
        mkdir -p /run/chrony-dhcp
        local server
        for server in ${new_ntp_servers-}; do
            [[ $server =~ ^[A-Za-z0-9:.-]{1,255}$ ]] || continue
            printf 'server %s %s\n' "$server" "${NTPSERVERARGS-iburst}"
        done >"$chrony_sources.new" && mv "$chrony_sources.new" "$chrony_sources"
    fi
    /usr/bin/chronyc reload sources >/dev/null 2>&1 || :
}

chrony_restore() {
    [ -z "${NM_DISPATCHER_ACTION-}" ] || return 0
    if [ -f "$chrony_sources" ]; then
        rm -f "$chrony_sources"
        /usr/bin/chronyc reload sources >/dev/null 2>&1 || :
    fi
}
