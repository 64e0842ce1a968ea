#!/bin/bash
# SPDX-License-Identifier: BSL-1.0
#
# redis.sh FOLDER: becomes a redis-server that ends when its clients have done their work. The clients run on the libc's
# malloc and belong to nobody, so that their time is not the server's.
set -euo pipefail
cd "$1"
socket=$PWD/socket
log=$PWD/clients.log
rm -f "$socket"

clients() {
  unset LD_PRELOAD
  local tries=0
  until redis-cli -s "$socket" ping; do
    tries=$((tries + 1))
    [ "$tries" -lt 500 ] || return 1
    sleep 0.01
  done
  redis-benchmark -s "$socket" -q -c 20 -P 16 -n 100000 -r 50000 -d 100 -t set,get,incr,lpush,lpop,sadd,hset,spop &&
    redis-benchmark -s "$socket" -q -c 20 -P 16 -n 60000 -r 20000 -d 700 -t set &&
    [ "$(redis-cli -s "$socket" llen mylist)" = 0 ] # as many were taken as were put
}

end_of_clients() {
  if clients >"$log" 2>&1; then
    env -u LD_PRELOAD redis-cli -s "$socket" shutdown nosave
  else
    kill -KILL "$$"
  fi
}

(end_of_clients </dev/null >/dev/null 2>&1 &)
exec redis-server --port 0 --unixsocket "$socket" --save '' --appendonly no --io-threads 1 --activedefrag no \
  --logfile "$PWD/server.log" --daemonize no
