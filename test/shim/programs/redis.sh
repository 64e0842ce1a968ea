# SPDX-License-Identifier: BSL-1.0
# shellcheck shell=bash disable=SC2034,SC2154,SC2016,SC2164
#
# redis-server under redis-benchmark; then what it holds.
packages='redis-server redis-tools'
processes='redis-server redis-benchmark'

work() {
  local n=${quick:+20000} socket=$PWD/socket server
  redis-server --port 0 --unixsocket "$socket" --save '' --appendonly no >/dev/null &
  server=$!
  until redis-cli -s "$socket" ping >/dev/null 2>&1; do sleep 0.1; done
  redis-benchmark -s "$socket" -q -n "${n:-300000}" -P 8 -c 20 -d 200 -r 100000 \
    -t set,get,incr,lpush,rpop,sadd,hset,zadd,mset >/dev/null
  redis-cli -s "$socket" flushall >/dev/null
  # What is to be compared comes from numbers, not from the benchmark's chance.
  seq 50000 |
    awk '{printf "SET key%d %0*d\nHSET hash%d f%d %d\n", $1, $1 % 900 + 1, $1, $1 % 99, $1, $1
          printf "ZADD z %d m%d\n", $1 * 7 % 1000, $1}' |
    redis-cli -s "$socket" --pipe | grep errors
  seq 1 3 50000 | sed 's/^/DEL key/' | redis-cli -s "$socket" --pipe | grep errors
  redis-cli -s "$socket" dbsize
  seq 2 3 50000 | sed 's/^/GET key/' | redis-cli -s "$socket" | sha256sum
  redis-cli -s "$socket" zrange z 0 -1 withscores | sha256sum
  redis-cli -s "$socket" memory doctor >/dev/null
  redis-cli -s "$socket" shutdown nosave || true
  wait "$server" || true
}
