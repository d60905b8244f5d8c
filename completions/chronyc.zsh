#compdef chronyc
# zsh completion for chronyc; install as _chronyc in a folder of $fpath

_chronyc_sources() {
    local -a sources
    sources=(${(f)"$(command chronyc -c -m 'timeout 100' 'retries 0' sourcestats 2>/dev/null |
        cut -d, -f1)"})
    compadd -a sources
}

_chronyc_command() {
    local -a commands
    commands=(
        'accheck:check whether a host may ask for the time'
        'activity:count the NTP sources online and offline'
        'add:add a source'
        'allow:allow NTP access'
        'authdata:list the authentication of the NTP sources'
        'burst:make measurements in quick succession'
        'clients:list the clients of the server'
        'cmdaccheck:check whether a host may monitor'
        'cmdallow:allow monitoring'
        'cmddeny:deny monitoring'
        'cyclelogs:close and open the log files'
        'delete:remove an NTP source'
        'deny:deny NTP access'
        'dns:show names or addresses, choose the family'
        'dump:save measurements, NTS keys and cookies'
        'exit:leave the program'
        'help:list the commands'
        'keygen:make a line for the key file'
        'local:serve time without being synchronised'
        'makestep:step the clock'
        'manual:manage manual time input'
        'maxdelay:set the longest delay of a usable sample'
        'maxdelaydevratio:set the largest ratio of delay increase and deviation'
        'maxdelayratio:set the largest ratio of delay and least delay'
        'maxpoll:set the longest polling interval'
        'maxupdateskew:set the largest skew of a usable frequency'
        'minpoll:set the shortest polling interval'
        'minstratum:set the least stratum assumed'
        'ntpdata:show the last valid measurement'
        'offline:stop polling sources'
        'offset:set the offset correction of a source'
        'online:poll sources again'
        'onoffline:switch sources online or offline by the routes'
        'polltarget:set the number of samples to aim for'
        'quit:leave the program'
        'refresh:resolve the names of the sources again'
        'rekey:read the keys again'
        'reload:read the *.sources files again'
        'reselect:select the best source anew'
        'reselectdist:set how much better a source must be'
        'reset:forget all measurements'
        'retries:set how often a request is repeated'
        'rtcdata:show what is known of the real-time clock'
        'selectdata:list why sources are selected or not'
        'selectopts:change the selection options of a source'
        'serverstats:show the counters of the server'
        'settime:tell the daemon the time'
        'shutdown:stop the daemon'
        'smoothing:show the smoothing of served time'
        'smoothtime:reset or start smoothing'
        'sourcename:show the configured name of a source'
        'sources:list the sources'
        'sourcestats:list the statistics of the sources'
        'timeout:set the wait for the first reply'
        'tracking:show how the clock follows its reference'
        'trimrtc:set the real-time clock'
        'waitsync:wait until the clock is synchronised'
        'writertc:save what is known of the real-time clock'
    )
    if (( CURRENT == 1 )); then
        _describe -t commands 'command' commands
        return
    fi
    case $words[1] in
        add)
            case $CURRENT in
                2) compadd peer pool server ;;
                3) _hosts ;;
                *) compadd asymmetry auto_offline burst certset copy extfield filter iburst \
                    ipv4 ipv6 key maxdelay maxdelaydevratio maxdelayquant maxdelayratio maxpoll \
                    maxsamples maxsources maxunreach mindelay minpoll minsamples minstratum \
                    noselect nts ntsport offline offset polltarget port prefer presend require \
                    trust version xleave ;;
            esac ;;
        allow | deny | cmdallow | cmddeny) (( CURRENT == 2 )) && compadd all ;;
        authdata | selectdata | sources | sourcestats) compadd -- -a -v ;;
        clients) compadd -- -k -p -r ;;
        dns) compadd -- -n +n -4 -6 -46 ;;
        keygen) (( CURRENT == 3 )) && compadd AES128 AES256 MD5 SHA1 SHA256 SHA3-224 SHA3-256 \
            SHA3-384 SHA3-512 SHA384 SHA512 ;;
        local) compadd activate distance off orphan stratum waitsynced waitunsynced ;;
        manual) compadd delete list off on reset ;;
        reload | reset) compadd sources ;;
        smoothtime) compadd activate reset ;;
        selectopts)
            if (( CURRENT == 2 )); then
                _chronyc_sources
            else
                compadd -- +noselect -noselect +prefer -prefer +require -require +trust -trust
            fi ;;
        delete | maxdelay* | maxpoll | minpoll | minstratum | ntpdata | offline | offset | online | polltarget | sourcename)
            (( CURRENT == 2 )) && _chronyc_sources ;;
    esac
}

_chronyc() {
    _arguments -S -s -A '-*' \
        '(-6)-4[use IPv4 addresses only]' \
        '(-4)-6[use IPv6 addresses only]' \
        '-n[show addresses, not names]' \
        '-N[show configured names of sources]' \
        '(-j --json)-c[comma-separated values]' \
        '(-c --json -j)'{-j,--json}'[one JSON document a command]' \
        '-e[end responses with a dot]' \
        '-d[debug messages]' \
        '-m[each argument is a command]' \
        '-h[servers]:servers:_hosts' \
        '-p[UDP port]:port:' \
        '-u[user to switch to]:user:_users' \
        '-w[wide output]' \
        '(- *)'{-v,--version}'[print the version]' \
        '(- *)--help[print the usage]' \
        '*::command:_chronyc_command'
}

_chronyc "$@"
