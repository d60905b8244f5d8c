# fish completion for chronyc

function __chronyc_command --description 'The command on the line, if there is one'
    set -l words (commandline -opc)
    set -e words[1]
    set -l skip 0
    for word in $words
        if test $skip -eq 1
            set skip 0
        else if string match -qr -- '^-[^-hpuf]*[hpuf]$' $word
            set skip 1
        else if not string match -q -- '-*' $word
            echo $word
            return 0
        end
    end
    return 1
end

function __chronyc_is --description 'Whether the command is one of the arguments'
    contains -- (__chronyc_command; or echo -) $argv
end

function __chronyc_has --description 'Whether one of the arguments is on the line'
    for word in (commandline -opc)
        contains -- $word $argv; and return 0
    end
    return 1
end

function __chronyc_sources --description 'Addresses of the sources'
    command chronyc -c -m 'timeout 100' 'retries 0' sourcestats 2>/dev/null | cut -d, -f1
end

complete -c chronyc -f
complete -c chronyc -n 'not __chronyc_command' -s 4 -d 'Use IPv4 addresses only'
complete -c chronyc -n 'not __chronyc_command' -s 6 -d 'Use IPv6 addresses only'
complete -c chronyc -n 'not __chronyc_command' -s n -d 'Show addresses, not names'
complete -c chronyc -n 'not __chronyc_command' -s N -d 'Show configured names of sources'
complete -c chronyc -n 'not __chronyc_command' -s c -d 'Comma-separated values'
complete -c chronyc -n 'not __chronyc_command' -s j -l json -d 'One JSON document a command'
complete -c chronyc -n 'not __chronyc_command' -s e -d 'End responses with a dot'
complete -c chronyc -n 'not __chronyc_command' -s d -d 'Debug messages'
complete -c chronyc -n 'not __chronyc_command' -s m -d 'Each argument is a command'
complete -c chronyc -n 'not __chronyc_command' -s h -x -a '(__fish_print_hostnames)' -d 'Servers'
complete -c chronyc -n 'not __chronyc_command' -s p -x -d 'UDP port'
complete -c chronyc -n 'not __chronyc_command' -s u -x -a '(__fish_complete_users)' -d 'User to switch to'
complete -c chronyc -n 'not __chronyc_command' -s w -d 'Wide output'
complete -c chronyc -n 'not __chronyc_command' -s v -l version -d 'Print the version'
complete -c chronyc -n 'not __chronyc_command' -l help -d 'Print the usage'

set -l commands accheck activity add allow authdata burst clients cmdaccheck cmdallow cmddeny \
    cyclelogs delete deny dns dump exit help keygen local makestep manual maxdelay \
    maxdelaydevratio maxdelayratio maxpoll maxupdateskew minpoll minstratum ntpdata offline offset \
    online onoffline polltarget quit refresh rekey reload reselect reselectdist reset retries \
    rtcdata selectdata selectopts serverstats settime shutdown smoothing smoothtime sourcename \
    sources sourcestats timeout tracking trimrtc waitsync writertc
complete -c chronyc -n 'not __chronyc_command' -a "$commands"

complete -c chronyc -n '__chronyc_is add; and not __chronyc_has peer pool server' \
    -a 'peer pool server'
complete -c chronyc -n '__chronyc_is add; and __chronyc_has peer pool server' -a 'asymmetry auto_offline
    burst certset copy extfield filter iburst ipv4 ipv6 key maxdelay maxdelaydevratio maxdelayquant
    maxdelayratio maxpoll maxsamples maxsources maxunreach mindelay minpoll minsamples minstratum noselect nts
    ntsport offline offset polltarget port prefer presend require trust version xleave'
complete -c chronyc -n '__chronyc_is allow deny cmdallow cmddeny' -a all
complete -c chronyc -n '__chronyc_is authdata selectdata sources sourcestats' -a '-a -v'
complete -c chronyc -n '__chronyc_is clients' -a '-k -p -r'
complete -c chronyc -n '__chronyc_is dns' -a '-n +n -4 -6 -46'
complete -c chronyc -n '__chronyc_is keygen' -a 'AES128 AES256 MD5 SHA1 SHA256 SHA3-224 SHA3-256
    SHA3-384 SHA3-512 SHA384 SHA512'
complete -c chronyc -n '__chronyc_is local' -a 'activate distance off orphan stratum waitsynced
    waitunsynced'
complete -c chronyc -n '__chronyc_is manual' -a 'delete list off on reset'
complete -c chronyc -n '__chronyc_is reload reset' -a sources
complete -c chronyc -n '__chronyc_is smoothtime' -a 'activate reset'
complete -c chronyc -n '__chronyc_is selectopts' -a '+noselect -noselect +prefer -prefer +require
    -require +trust -trust'
complete -c chronyc -n '__chronyc_is delete maxdelay maxdelaydevratio maxdelayratio maxpoll minpoll minstratum ntpdata offline offset online polltarget selectopts sourcename' -a '(__chronyc_sources)'
