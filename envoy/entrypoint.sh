#!/bin/bash
# Runs Envoy in its container. By itself Envoy drops on SIGTERM what is under way; here it first takes no new
# connection and lets the running requests end, for at most DRAIN_SECONDS. `tollgate-envoy healthy` is the health check.
set -u
DRAIN_SECONDS=10

admin() { # "METHOD path" of Envoy's own interface; bash alone, since the image has no HTTP client
  exec 3<>/dev/tcp/127.0.0.1/9901 || return 1
  printf '%s HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n' "$1" >&3
  cat <&3
  exec 3>&-
}

running() { # the number of requests under way on the three listeners
  local total=0 name count
  while IFS=': ' read -r name count; do
    if [[ $name == *.downstream_rq_active ]]; then total=$((total + ${count//[^0-9]/})); fi
  done < <(admin 'GET /stats?filter=^http\.(gateway|model|dashboard)\.downstream_rq_active$')
  echo "$total"
}

drain() {
  admin 'POST /drain_listeners' >/dev/null
  local end=$((SECONDS + DRAIN_SECONDS))
  while ((SECONDS < end)) && [[ $(running) != 0 ]]; do sleep 0.1; done
  kill -TERM "$envoy"
}

if [[ ${1-} == healthy ]]; then
  admin 'GET /ready' | grep -q LIVE
  exit
fi

envoy -c /etc/envoy/envoy.yaml --concurrency 1 --log-level warning --component-log-level misc:error --file-flush-interval-msec 200 &
envoy=$!
trap drain TERM INT
wait "$envoy" # ends early when a signal comes; the second wait is for Envoy's own end
wait "$envoy"
