# bash completion for chronyc

_chronyc() {
    # The words between spaces: those of bash end at each colon of an IPv6 address.
    local line=${COMP_LINE:0:COMP_POINT} words
    read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=('')
    local cword=$((${#words[@]} - 1))
    local cur=${words[cword]} prev=${words[cword - 1]}

    local commands='accheck activity add allow authdata burst clients cmdaccheck cmdallow cmddeny
        cyclelogs delete deny dns dump exit help keygen local makestep manual maxdelay
        maxdelaydevratio maxdelayratio maxpoll maxupdateskew minpoll minstratum ntpdata offline
        offset online onoffline polltarget quit refresh rekey reload reselect reselectdist reset
        retries rtcdata selectdata selectopts serverstats settime shutdown smoothing smoothtime
        sourcename sources sourcestats timeout tracking trimrtc waitsync writertc'
    local options='-4 -6 -N -a -c -d -e -f -h -j -m -n -p -u -v -w --help --json --version'

    # The first word that is no option and no argument of one is the command.
    # Options can be combined; the last one of a word may take the next word (`-nh HOST`).
    local takes_word='^-[^-hpuf]*[hpuf]$' index command= position=0
    for ((index = 1; index < cword; index++)); do
        if [[ $command ]]; then
            ((position++))
        elif [[ ${words[index]} =~ $takes_word ]]; then
            ((index++))
        elif [[ ${words[index]} != -* ]]; then
            command=${words[index]}
        fi
    done

    if [[ ! $command ]]; then
        [[ $prev =~ $takes_word ]] || prev=
        case $prev in
            *f) COMPREPLY=($(compgen -f -- "$cur")) ;;
            *h) COMPREPLY=($(compgen -A hostname -f -- "$cur")) ;;
            *u) COMPREPLY=($(compgen -u -- "$cur")) ;;
            *p) ;;
            *)
                if [[ $cur == -* ]]; then
                    COMPREPLY=($(compgen -W "$options" -- "$cur"))
                else
                    COMPREPLY=($(compgen -W "$commands" -- "$cur"))
                fi
                ;;
        esac
        return
    fi

    local arguments=
    case $command:$position in
        add:0) arguments='peer pool server' ;;
        add:1) COMPREPLY=($(compgen -A hostname -- "$cur")); return ;;
        add:*)
            arguments='asymmetry auto_offline burst certset copy extfield filter iburst ipv4 ipv6
                key maxdelay maxdelaydevratio maxdelayquant maxdelayratio maxpoll maxsamples
                maxsources maxunreach mindelay minpoll minsamples minstratum noselect nts ntsport
                offline offset polltarget port prefer presend require trust version xleave'
            ;;
        allow:0 | deny:0 | cmdallow:0 | cmddeny:0) arguments='all' ;;
        authdata:* | selectdata:* | sources:* | sourcestats:*) arguments='-a -v' ;;
        clients:*) arguments='-k -p -r' ;;
        dns:0) arguments='-n +n -4 -6 -46' ;;
        keygen:1)
            arguments='AES128 AES256 MD5 SHA1 SHA256 SHA3-224 SHA3-256 SHA3-384 SHA3-512 SHA384
                SHA512'
            ;;
        local:*) arguments='activate distance off orphan stratum waitsynced waitunsynced' ;;
        manual:0) arguments='delete list off on reset' ;;
        reload:0 | reset:0) arguments='sources' ;;
        smoothtime:0) arguments='activate reset' ;;
        selectopts:0 | delete:0 | max*:0 | min*:0 | ntpdata:0 | offline:0 | offset:0 | online:0 | polltarget:0 | sourcename:0)
            # The addresses of the sources, if the daemon answers.
            [[ $command == maxupdateskew ]] ||
                arguments=$(command chronyc -c -m 'timeout 100' 'retries 0' sourcestats 2>/dev/null |
                    cut -d, -f1)
            ;;
        selectopts:*)
            arguments='+noselect -noselect +prefer -prefer +require -require +trust -trust'
            ;;
    esac
    COMPREPLY=($(compgen -W "$arguments" -- "$cur"))
    # Only what follows the last colon is replaced, when bash ends words there.
    if [[ $cur == *:* && $COMP_WORDBREAKS == *:* ]]; then
        COMPREPLY=("${COMPREPLY[@]#"${cur%"${cur##*:}"}"}")
    fi
}
complete -F _chronyc chronyc
