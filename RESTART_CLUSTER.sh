#!/usr/bin/env bash
# Brings one node of the cluster onto the newest code: pull, build, stop the old process, start the new one, wait until it
# is healthy. `--help` says how it is used. A failed pull or build, or a configuration that is not valid, leaves the
# running node alone.
#
# Everything is in functions, so that bash has read all of it before a pull replaces this file.
set -euo pipefail

readonly STOP_LIMIT_S=20     # from SIGTERM to SIGKILL; limits.drain_timeout_ms is 10 s by default
readonly KILL_LIMIT_S=5      # from SIGKILL to giving up
readonly HEALTH_LIMIT_S=30   # from the start until the node is healthy
readonly SETTLE_LIMIT_S=5    # how long a healthy node may look for a leader before its state is printed
readonly LINES_SHOWN=20      # of the log, where a start fails
readonly POLL_S=0.2

usage() {
    cat <<'USAGE'
Usage: RESTART_CLUSTER.sh <n1|n2|n3> [--single] [--no-pull] [--no-build]

Restarts this device's node of the cluster on the newest code, and waits until it is healthy.
Where npm is installed, the web console is built too if it is not there or older than its sources; if that
fails, the node goes on with the console that was there, or with a page that says how to build one.

  --single     start it alone, on a data directory of its own (the cluster's stays untouched);
               for a test of one node. The same command without --single goes back to the cluster.
  --no-pull    do not fetch newer code
  --no-build   start target/release/server as it is
  --help       print this

Environment (relative paths count from the repository's root):
  CONFIG_PATH    configuration file   (default: config/cluster.yaml)
  STEG_DATA_DIR  data directory       (default: data/<node>; with --single, -single is appended)

Log: /tmp/phase1-<node>.log, earlier ones .1 and so on (log.max_bytes, log.keep); what is said before there is a log:
data/<node>.err                 Process id: data/<node>.pid, data/<node>-single.pid
Exit status: 0 healthy, 1 not healthy or not started, 2 wrong arguments
USAGE
}

say() { printf '%s\n' "$*"; }
warn() { printf '%s\n' "$*" >&2; }
fail() { warn "error: $*"; exit 1; }
wrong_usage() { warn "error: $*"; warn ''; usage >&2; exit 2; }

# --- arguments and paths ------------------------------------------------------------------------

parse_arguments() {
    node='' single=0 pull=1 build=1
    local argument
    for argument in "$@"; do
        case "$argument" in
            -h | --help) usage; exit 0 ;;
            --single) single=1 ;;
            --no-pull) pull=0 ;;
            --no-build) build=0 ;;
            -*) wrong_usage "unknown option $argument" ;;
            *)
                [ -z "$node" ] || wrong_usage "one node at a time: $node or $argument"
                [[ $argument =~ ^n[0-9]+$ ]] || wrong_usage "$argument is not a node such as n1"
                node=$argument
                ;;
        esac
    done
    [ -n "$node" ] || wrong_usage 'which node is this device? n1, n2 or n3'
}

# A path as seen from a folder: from_folder /srv/app data/n1
from_folder() {
    local path=$2
    [ "${path:0:1}" = / ] || path=$1/$path
    # The same folder has many names (links, dots); where it exists, the system knows the real one.
    if [ -d "$path" ]; then (cd -P -- "$path" && pwd); else printf '%s\n' "${path%/}"; fi
}

set_paths() {
    config=$(from_folder "$root" "${CONFIG_PATH:-config/cluster.yaml}")
    cluster_data=$(from_folder "$root" "${STEG_DATA_DIR:-data/$node}")
    single_data=$(from_folder "$root" "${cluster_data}-single")
    cluster_pid_file=$root/data/$node.pid
    single_pid_file=$root/data/$node-single.pid
    log=/tmp/phase1-$node.log
    early=$root/data/$node.err
    server=$(from_folder "$root" "${CARGO_TARGET_DIR:-target}")/release/server
    if [ "$single" = 1 ]; then
        data=$single_data pid_file=$single_pid_file
    else
        data=$cluster_data pid_file=$cluster_pid_file
    fi
}

# --- before anything is stopped -----------------------------------------------------------------

pull_code() {
    local top
    command -v git >/dev/null || { say 'pull: skipped, git is not installed'; return; }
    top=$(git rev-parse --show-toplevel 2>/dev/null) || { say 'pull: skipped, not a git checkout'; return; }
    [ "$(cd -P -- "$top" && pwd)" = "$root" ] || { say 'pull: skipped, not a git checkout of its own'; return; }
    [ -n "$(git remote)" ] || { say 'pull: skipped, there is no remote'; return; }
    if ! git rev-parse --abbrev-ref --symbolic-full-name '@{upstream}' >/dev/null 2>&1; then
        say 'pull: skipped, this branch follows no remote branch'
        return
    fi
    say 'pull: git pull --ff-only'
    # Nobody may be there to type a password.
    GIT_TERMINAL_PROMPT=0 git pull --ff-only || fail "the pull failed; $node was left as it is (--no-pull goes on without)"
}

# Whether the console is not there, or older than what it is built from.
console_is_stale() {
    local newer
    [ -f web/dist/index.html ] || return 0
    newer=$(find web/src web/index.html web/openapi.json web/package.json web/package-lock.json web/retry.mjs \
        web/svelte.config.js web/tsconfig.json web/vite.config.ts -newer web/dist/index.html \
        ! -path web/src/api ! -path web/src/api/schema.d.ts ! -path web/src/api/retry.ts -print -quit)
    [ -n "$newer" ]
}

make_console() {
    # What is installed already is left alone: without a network it could not be had again.
    if [ ! -f node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
        npm ci --no-audit --no-fund --prefer-offline --fetch-retries=1 --fetch-timeout=20000 || return 1
    fi
    npm run build
}

# The node matters more than its pages: what goes wrong here is told, and the node is built all the same.
build_console() {
    [ -f web/package.json ] && console_is_stale || return 0
    if ! command -v npm >/dev/null; then
        say "console: not built, npm is not installed; $(console_instead)"
        return
    fi
    say 'console: npm ci, npm run build'
    (cd web && make_console) || warn "console: the build failed; $(console_instead)"
}

# What the node shows where no newer console could be built.
console_instead() {
    if [ -f web/dist/index.html ]; then say 'the one that was there is used'; else say 'the node shows a page that says how to build it'; fi
}

build_server() {
    if ! command -v cargo >/dev/null && [ -x "$HOME/.cargo/bin/cargo" ]; then
        PATH=$HOME/.cargo/bin:$PATH
    fi
    command -v cargo >/dev/null || fail "cargo is not installed (https://rustup.rs); $node was left as it is"
    say 'build: cargo build --release --bin server'
    cargo build --release --bin server || fail "the build failed; $node was left as it is"
}

check_before_stopping() {
    [ -x "$server" ] || fail "$server is not there; run without --no-build"
    [ -f "$config" ] || fail "there is no configuration $config; $node was left as it is"
    "$server" check-config --config "$config" --node-id "$node" >/dev/null ||
        fail "$config cannot be used; $node was left as it is"
    "$server" check-health --help >/dev/null 2>&1 ||
        fail "$server is of an older release than this script; run without --no-build. $node was left as it is"
    mkdir -p "$root/data"
    check_log
}

# Anybody may create files in /tmp: what is not this user's own file is found out here and not after the stop. Nothing is
# opened, so no link is followed; the server looks again when it opens the log.
check_log() {
    if [ -L "$log" ]; then
        fail "$log is a symbolic link and is not followed; remove it. $node was left as it is"
    elif [ -e "$log" ] && [ ! -f "$log" ]; then
        fail "$log is not a regular file; remove it. $node was left as it is"
    elif [ -e "$log" ] && [ ! -O "$log" ]; then
        fail "$log belongs to another user; remove it. $node was left as it is"
    fi
}

# --- the old process ----------------------------------------------------------------------------

# Whether a process runs. One that has ended and that nobody has asked after (a zombie) does not.
is_running() {
    local stat
    if [ -r "/proc/$1/stat" ]; then
        stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
        [[ "${stat##*) }" != Z* ]]
    elif [ -d /proc/self ]; then
        return 1
    else
        stat=$(ps -o stat= -p "$1" 2>/dev/null) || return 1
        [ -n "$stat" ] && [[ $stat != Z* ]]
    fi
}

# Whether process $1 is this node on the data directory $2: the pid may have been given to another process since.
is_this_node() {
    if [ -d /proc/self ]; then is_this_node_by_proc "$@"; else is_this_node_by_ps "$@"; fi
}

is_this_node_by_proc() {
    local pid=$1 wanted=$2 exe working entry value='' id='' dir=''
    exe=$(readlink "/proc/$pid/exe" 2>/dev/null) || return 1
    exe=${exe% (deleted)}
    [ "${exe##*/}" = server ] || return 1
    working=$(readlink "/proc/$pid/cwd" 2>/dev/null) || return 1
    while IFS= read -r -d '' entry; do
        case "$entry" in
            NODE_ID=*) id=${entry#*=} ;;
            STEG_DATA_DIR=*) dir=${entry#*=} ;;
        esac
    done 2>/dev/null <"/proc/$pid/environ" || return 1
    # Flags beat the environment, as they do in the server.
    while IFS= read -r -d '' entry; do
        case "$value" in
            --node-id) id=$entry ;;
            --data-dir) dir=$entry ;;
        esac
        case "$entry" in
            --node-id=*) id=${entry#*=} ;;
            --data-dir=*) dir=${entry#*=} ;;
        esac
        value=$entry
    done 2>/dev/null <"/proc/$pid/cmdline" || return 1
    [ "$id" = "$node" ] && [ "$(from_folder "$working" "${dir:-data/$id}")" = "$wanted" ]
}

is_this_node_by_ps() {
    local line
    line=$(ps -ww -o command= -p "$1" 2>/dev/null) || return 1
    # This script starts nodes with exactly these flags.
    [[ $line == */server\ * && "$line " == *" --node-id $node "* && "$line " == *" --data-dir $2 "* ]]
}

# Waits until process $1 is gone, $2 seconds at most.
wait_gone() {
    local until=$((SECONDS + $2))
    while is_running "$1"; do
        [ "$SECONDS" -lt "$until" ] || return 1
        sleep "$POLL_S"
    done
}

# Stops the process in pid file $1 if it is this node on data directory $2, and forgets the file.
stop_old() {
    local file=$1 directory=$2 pid
    [ -f "$file" ] || return 0
    pid=$(head -n 1 "$file" | tr -d '[:space:]')
    if ! [[ $pid =~ ^[1-9][0-9]*$ ]] || ! is_running "$pid"; then
        say "stop: $file is stale, its process is gone"
    elif ! is_this_node "$pid" "$directory"; then
        say "stop: $file is stale, process $pid is not $node on $directory; left alone"
    else
        say "stop: $node (process $pid)"
        kill -TERM "$pid" 2>/dev/null || true
        if ! wait_gone "$pid" "$STOP_LIMIT_S"; then
            # Asked again: the pid could be another process by now.
            if is_this_node "$pid" "$directory"; then
                say "stop: still there after $STOP_LIMIT_S s, killed"
                kill -KILL "$pid" 2>/dev/null || true
                wait_gone "$pid" "$KILL_LIMIT_S" || fail "process $pid does not end; $node was not started"
            fi
        fi
    fi
    rm -f -- "$file"
}

# --- the new process ----------------------------------------------------------------------------

start_node() {
    arguments=(--config "$config" --node-id "$node" --data-dir "$data" --log-file "$log")
    [ "$single" = 0 ] || arguments+=(--single)
    log_from=1
    [ ! -f "$log" ] || log_from=$(($(wc -c <"$log") + 1))
    # A full disk stops no node.
    { : >"$early"; } 2>/dev/null || early=/dev/null
    # Out of this terminal's session where the system can do that; setsid and nohup become the server themselves, so
    # that $! is its process id.
    if command -v setsid >/dev/null; then
        setsid nohup "$server" "${arguments[@]}" </dev/null >"$early" 2>&1 &
    else
        nohup "$server" "${arguments[@]}" </dev/null >"$early" 2>&1 &
    fi
    pid=$!
    printf '%s\n' "$pid" >"$pid_file"
    say "start: $node (process $pid), log $log"
}

# What the node has said since its start. A log that is shorter than before was rotated meanwhile.
log_of_this_start() {
    local from=$log_from
    [ -f "$log" ] || return 0
    [ "$(wc -c <"$log")" -ge "$((from - 1))" ] || from=1
    tail -c "+$from" "$log"
}

give_up() {
    warn "error: $1"
    warn "the last lines of $log:"
    { log_of_this_start; cat "$early" 2>/dev/null; } | tail -n "$LINES_SHOWN" | sed 's/^/  /' >&2
    exit 1
}

# Asks the node once. Sets answered (0: healthy and settled; 3: healthy, without a quorum, or alone and not leading yet) and
# state, which says why for any other status.
look() {
    answered=0
    state=$("$server" "${arguments[@]}" check-health 2>&1) || answered=$?
}

# Waits until the node is healthy, and a little longer for a leader.
wait_until_healthy() {
    local until=$((SECONDS + HEALTH_LIMIT_S)) settled_by=''
    while :; do
        if ! is_running "$pid"; then
            rm -f -- "$pid_file"
            give_up "$node ended while it started"
        fi
        look
        [ "$answered" != 0 ] || return 0
        if [ "$answered" = 3 ] && [ "$single" = 0 ]; then
            settled_by=${settled_by:-$((SECONDS + SETTLE_LIMIT_S))}
            [ "$SECONDS" -lt "$settled_by" ] || return 0
        fi
        if [ "$SECONDS" -ge "$until" ]; then
            give_up "$node is not healthy after $HEALTH_LIMIT_S s: ${state#error: } (process $pid still runs)"
        fi
        sleep "$POLL_S"
    done
}

print_state() {
    say "$state"
    if [ "$answered" = 3 ]; then
        say "Start the other nodes on their devices. To try this node alone: ./RESTART_CLUSTER.sh $node --single"
    fi
}

main() {
    parse_arguments "$@"
    root=$(cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
    cd -- "$root"
    set_paths
    if [ "$pull" = 1 ]; then pull_code; fi
    if [ "$build" = 1 ]; then
        build_console
        build_server
    fi
    check_before_stopping
    # Both listen on the same ports: one of them at a time.
    stop_old "$cluster_pid_file" "$cluster_data"
    stop_old "$single_pid_file" "$single_data"
    start_node
    wait_until_healthy
    print_state
}

main "$@"
exit 0
