#!/bin/sh
# `make run-cluster`: one Redis, one service, two workers on this machine, until Ctrl-C.
# Everything is below data/cluster; pictures and logs are where `make run` has them.
set -eu
home=$PWD/data/cluster
mkdir -p "$home"
# Held by all that is started here: a second Redis would spoil the first one's files.
exec 9>"$home/lock"
flock -n 9 || { echo "make run-cluster runs in this folder already, or what it started has not ended"; exit 1; }
socket=/tmp/slideloom-$(printf %s "$home" | cksum | cut -d ' ' -f 1).sock  # paths of sockets are short
slideloom=${SLIDELOOM:-.venv/bin/slideloom}
pids=""
stop() {
    trap '' INT TERM
    # shellcheck disable=SC2086  # a list of process ids
    kill -TERM $pids 2>/dev/null || true
    # shellcheck disable=SC2086
    wait $pids 2>/dev/null || true
    kill -TERM "$redis" 2>/dev/null || true
    wait "$redis" 2>/dev/null || true
}
# Each in a session of its own: Ctrl-C reaches this script alone, which stops them in order.
setsid redis-server --port 0 --unixsocket "$socket" --unixsocketperm 700 --dir "$home" --save '' \
    --appendonly yes --appendfsync always --logfile "$home/redis.log" &
redis=$!
trap stop EXIT
trap 'exit 0' INT TERM
for _ in 1 2 3 4 5 6 7 8 9 10; do [ -S "$socket" ] && break; sleep 0.2; done
export STORE="unix://$socket" QUEUE="unix://$socket"
for part in worker worker serve; do
    setsid "$slideloom" "$part" &
    pids="$pids $!"
done
while kill -0 $pids 2>/dev/null; do sleep 1; done
echo "a worker or the service has ended: stopping the others"
exit 1
