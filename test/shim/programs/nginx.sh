# SPDX-License-Identifier: BSL-1.0
# shellcheck shell=bash disable=SC2034,SC2154
#
# nginx under wrk: every answer right, then a file fetched through it.
packages='nginx-light wrk curl'
processes='nginx wrk'

work() {
  mkdir -p root tmp
  seq 200000 >root/numbers
  echo hello >root/index.html
  cat >nginx.conf <<END
daemon off; user $(id -un) $(id -gn); worker_processes 2; pid $PWD/tmp/pid; error_log $PWD/tmp/error;
events { worker_connections 512; }
http {
  access_log off; gzip on; gzip_types text/plain; gzip_min_length 1; default_type text/plain;
  client_body_temp_path tmp/a; proxy_temp_path tmp/b; fastcgi_temp_path tmp/c;
  uwsgi_temp_path tmp/d; scgi_temp_path tmp/e;
  server { listen 127.0.0.1:18653; root $PWD/root; location /again/ { proxy_pass http://127.0.0.1:18653/; } }
}
END
  nginx -p "$PWD" -c "$PWD/nginx.conf" 2>/dev/null &
  local server=$!
  trap "kill $server" EXIT
  until curl -fs http://127.0.0.1:18653/ >/dev/null; do sleep 0.1; done
  wrk -t 2 -c 40 -d "$([[ -n $quick ]] && echo 1 || echo 8)s" http://127.0.0.1:18653/again/ >wrk.out
  wrk -t 1 -c 10 -d 1s -H 'Accept-Encoding: gzip' http://127.0.0.1:18653/numbers >>wrk.out
  grep -c 'Non-2xx' wrk.out || true
  for ((i = 0; i < 20; ++i)); do curl -fs --compressed http://127.0.0.1:18653/again/numbers; done | sha256sum
  trap - EXIT
  kill -QUIT "$server" && wait "$server"
  rm -rf root tmp nginx.conf wrk.out
}
