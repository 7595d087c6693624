# What the other scripts share: the packages they need, and a PostgreSQL of their own. Sourced, never run.
# shellcheck shell=bash

say() { printf 'scripts/%s: %s\n' "${0##*/}" "$*" >&2; }

die() {
    say "$@"
    exit 1
}

require_swift() {
    command -v swift >/dev/null ||
        die "no Swift toolchain found (no 'swift' in PATH); install one: https://www.swift.org/install/linux/"
}

# Runs COMMAND in the background, in a session of its own: Ctrl-C in the terminal then reaches this script alone, which
# ends what it started in order. COMMAND gets SIGTERM should the script be killed; $! is its process and its group.
# Descriptor 9 is the lock of scripts/run, which nothing that outlives the script may hold.
background() { # COMMAND [ARGUMENT...]
    setsid setpriv --pdeathsig TERM -- "$@" </dev/null 9>&- &
}

# Where the servers of tests lie: in memory where there is room, since a disk that is still busy with what was built must
# not decide about times.
memory_directory() {
    local memory=/dev/shm
    [[ -w $memory ]] && (($(df --output=avail --block-size=1M "$memory" | tail -n 1) >= 1024)) || memory=/tmp
    printf '%s' "$memory"
}

as_root() {
    if ((EUID == 0)); then "$@"; else sudo "$@"; fi
}

# Installs what is missing on Debian and Ubuntu. With `no-server`, PostgreSQL's server is not needed; with `bench`, what
# measures the service and what its peers are built from is needed too; with `browser`, a browser, what drives it, and the clients'
# languages.
install_missing() { # [no-server|bench|browser]
    local packages=() reasons=()
    missing() {
        packages+=("$1")
        reasons+=("$1 ($2)")
    }
    command -v git >/dev/null || missing git "fetches the Swift packages"
    [[ -e /etc/ssl/certs/ca-certificates.crt ]] || missing ca-certificates "lets git check whom it fetches from"
    command -v curl >/dev/null || missing curl "asks the service whether it is ready"
    command -v openssl >/dev/null || missing openssl "makes the demo's keys"
    command -v pkg-config >/dev/null || missing pkg-config "tells the build where libpq and OpenSSL are"
    pkg-config --exists libpq 2>/dev/null || missing libpq-dev "PostgreSQL's C library, which the service is built on"
    pkg-config --exists libcrypto 2>/dev/null || missing libssl-dev "OpenSSL, which makes tokens and digests"
    [[ ${1-} == no-server ]] || find_postgres || missing postgresql "the database"
    if [[ ${1-} == bench ]]; then
        command -v wrk >/dev/null || missing wrk "sends the requests"
        [[ -x /usr/bin/python3 ]] || missing python3 "measures, and runs FastAPI"
        /usr/bin/python3 -c 'import ensurepip' 2>/dev/null || missing python3-venv "keeps FastAPI's packages apart"
        command -v go >/dev/null || missing golang-go "builds the peers in Go"
        dpkg -L golang-github-jackc-pgx-v4-dev >/dev/null 2>&1 ||
            missing golang-github-jackc-pgx-v4-dev "the peers' PostgreSQL driver"
    fi
    if [[ ${1-} == browser ]]; then
        command -v chromium-headless-shell >/dev/null || missing chromium-headless-shell "the browser of the browser tests"
        command -v chromium >/dev/null || missing chromium "the same with settings of its own"
        [[ -x /usr/bin/python3 ]] || missing python3 "drives the browser"
        /usr/bin/python3 -c 'import ensurepip' 2>/dev/null || missing python3-venv "keeps the browser tests' packages apart"
        command -v node >/dev/null || missing nodejs "runs the example in docs and the HTTP client for Node"
        [[ -d /usr/share/nodejs/jose ]] || missing node-jose "the library of that example"
        command -v tsc >/dev/null || missing node-typescript "compiles the client that is generated from openapi.json"
        command -v haproxy >/dev/null || missing haproxy "stands before the service as ops/haproxy.cfg has it"
        command -v php >/dev/null || missing php-cli "runs the example in docs and the HTTP client for PHP"
        command -v javac >/dev/null || missing default-jdk-headless "runs the HTTP client in Java, and the generator of clients"
        command -v go >/dev/null || missing golang-go "runs the HTTP client in Go"
        command -v systemd-analyze >/dev/null || missing systemd "reads the unit of ops/"
        command -v promtool >/dev/null || missing prometheus "takes the metrics, and the rules and dashboards of ops/"
    fi
    ((${#packages[@]})) || return 0

    local reason
    say "missing, to be installed with apt:"
    for reason in "${reasons[@]}"; do say "  $reason"; done
    command -v apt-get >/dev/null || die "this system has no apt: install these another way, then run this again"
    ((EUID == 0)) || command -v sudo >/dev/null || die "not root, and no sudo: as root, apt-get install ${packages[*]}"

    # Debian's package makes and starts a database cluster when it is first installed; nothing here needs that one.
    # This is the packages' own switch for it, and it is there for this installation only.
    local switch=/etc/postgresql-common/createcluster.d/link-session-service.conf
    (
        trap 'as_root rm -f "$switch"; as_root rmdir -p --ignore-fail-on-non-empty "${switch%/*}"' EXIT
        as_root mkdir -p "${switch%/*}" &&
            as_root tee "$switch" >/dev/null <<<'create_main_cluster = false' &&
            as_root apt-get update -qq &&
            as_root env DEBIAN_FRONTEND=noninteractive \
                apt-get install -y -qq --no-install-recommends "${packages[@]}" </dev/null >&2
    ) || die "apt-get could not install ${packages[*]}"
    [[ ${1-} == no-server ]] || find_postgres || die "PostgreSQL's server programs (initdb, pg_ctl) were not found"
}

# Lays Debian's Glewlwyd, a provider to sign in at, into DIRECTORY. Its package is unpacked and not installed: that would
# start a server, now and at each boot, whose password everybody knows, and fails the first time.
unpack_glewlwyd() { # DIRECTORY
    [[ ! -x $1/usr/bin/glewlwyd ]] || return 0
    say "unpacking Glewlwyd, and installing what it needs with apt"
    rm -rf "$1.new" && mkdir -p "$1.new" || return
    local libraries
    as_root apt-get update -qq &&
        (cd "$1.new" && apt-get download -qq glewlwyd >&2 && dpkg-deb -x glewlwyd_*.deb .) &&
        mapfile -t libraries < <(
            dpkg-deb -f "$1.new"/glewlwyd_*.deb Depends | tr , '\n' | sed -nE 's/^ *((lib|zlib)[^ ]+).*/\1/p'
        ) &&
        as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -qq --no-install-recommends glewlwyd-common "${libraries[@]}" </dev/null >&2 ||
        die "Glewlwyd could not be had"
    rm -rf "$1" && mv "$1.new" "$1"
}

# Makes DIRECTORY the Python environment that a file of requirements describes, unless it is that already.
make_environment() { # DIRECTORY REQUIREMENTS
    if cmp --silent "$1/requirements.txt" "$2" && "$1/bin/python" -c '' 2>/dev/null; then return 0; fi
    say "installing the Python packages of $2"
    rm -rf "$1"
    /usr/bin/python3 -m venv "$1" &&
        "$1/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --root-user-action=ignore \
            --requirement "$2" >&2 </dev/null || die "the packages of $2 could not be installed"
    cp "$2" "$1/requirements.txt"
}

# PostgreSQL refuses to run as root: as root, its programs run as the system user that its package makes.
server_user=''
((EUID != 0)) || server_user=postgres

as_server() { # COMMAND [ARGUMENT...]
    if [[ $server_user ]]; then
        setpriv --reuid "$server_user" --regid "$(id -g "$server_user")" --init-groups -- "$@" 9>&-
    else
        "$@" 9>&-
    fi
}

# Sets postgres_bin to the directory of the newest server's programs.
find_postgres() {
    [[ -z $server_user ]] || id "$server_user" >/dev/null 2>&1 || return 1
    while read -r postgres_bin; do
        [[ ! -x $postgres_bin/initdb ]] || return 0
    done < <(printf '%s\n' /usr/lib/postgresql/*/bin | sort -rV; pg_config --bindir 2>/dev/null)
    return 1
}

# The three below take a directory that the server's user owns: `data` is the cluster, `log` the server's log.
# They work from inside it, so that no character of its path matters to the shell that pg_ctl runs.

create_cluster() { # DIRECTORY [OPTION-OF-INITDB...]
    (
        cd "$1" || exit
        # Put in place when whole: a cluster half made by a run that was killed is never taken for one.
        rm -rf data.new
        as_server "$postgres_bin/initdb" --pgdata=data.new --username=postgres --auth=trust --encoding=UTF8 \
            --locale=C.UTF-8 --no-instructions "${@:2}" >/dev/null
        mv data.new data
    )
}

# Listens on a Unix socket in SOCKETS and nowhere else. The log never holds a statement's values or a row's.
start_server() { # DIRECTORY SOCKETS [SETTING=VALUE...]
    local setting options="-c listen_addresses='' -c port=5432 -c unix_socket_directories=$2"
    for setting in log_error_verbosity=terse log_parameter_max_length=0 log_parameter_max_length_on_error=0 "${@:3}"; do
        options+=" -c $setting"
    done
    (
        cd "$1" || exit
        as_server "$postgres_bin/pg_ctl" --silent --wait --timeout=60 --pgdata=data --log=log --options="$options" start \
            >/dev/null 2>&1
    ) || {
        tail -n 20 "$1/log" >&2 || true
        return 1
    }
}

stop_server() { # DIRECTORY [MODE]
    local process
    { read -r process <"$1/data/postmaster.pid"; } 2>/dev/null || return 0
    # After a crash the number may belong to another process by now: only the server works inside its data directory.
    if as_server test "/proc/$process/cwd" -ef "$1/data"; then
        (cd "$1" && as_server "$postgres_bin/pg_ctl" --silent --wait --timeout=60 --pgdata=data --mode="${2:-fast}" stop)
    else
        rm -f "$1/data/postmaster.pid"
    fi
}

# The socket's directory is the URL's host, and its port is written out: PGPORT may be set where the URL is used.
server_url() { # SOCKETS
    printf 'postgres://postgres@%s:5432/postgres' "${1//\//%2F}"
}
