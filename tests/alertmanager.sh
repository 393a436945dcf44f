#!/usr/bin/env bash
# Plays a cascade to a real Alertmanager with deploy/alertmanager.yml, its receivers replaced by a local
# webhook that writes down what it gets:
#   1. the service goes down and the alerts that follow from it come with it: one notification;
#   2. the same ones of another service in planned maintenance: none;
#   3. within a planned-maintenance interval: critical yes, medium and high no;
#   4. three cascades of rules/cascades.yml, each with what follows from it: one notification each;
#   5. a follower alone: it does notify (so 1 to 4 are not silent for another reason).
# Takes a quarter of a minute, most of it the waits of the routes. Exit status 0 also when it is skipped.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

tools=$(tests/tools.sh alertmanager amtool) || {
  [ $? -eq 3 ] || exit 1
  echo "skip  no alertmanager here: the cascade against a real one"
  exit 0
}
command -v python3 >/dev/null || {
  echo "skip  no python3 here for the webhook: the cascade against a real Alertmanager"
  exit 0
}
PATH=$tools:$PATH

work=$(mktemp -d)
pids=()
stop() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$work"
}
trap stop EXIT

# A webhook on a free port. One line per alert in a notification: receiver, status, alertname, job.
cat >"$work/webhook.py" <<'PY'
import http.server, json, os, sys

class Webhook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with open(sys.argv[1] + "/got", "a") as out:
            for alert in body["alerts"]:
                labels = alert["labels"]
                print(self.path[1:], alert["status"], labels["alertname"], labels.get("job", "-"), file=out)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Webhook)
with open(sys.argv[1] + "/port.new", "w") as out:
    print(server.server_port, file=out)
os.rename(sys.argv[1] + "/port.new", sys.argv[1] + "/port")
server.serve_forever()
PY
: >"$work/got"
python3 "$work/webhook.py" "$work" &
pids+=($!)

# until_true SECONDS COMMAND...
until_true() {
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    [ $SECONDS -lt $end ] || return 1
    sleep 0.1
  done
}
until_true 10 test -s "$work/port" || { echo "FAIL  the webhook did not start"; exit 1; }
hook=http://127.0.0.1:$(cat "$work/port")

# start NAME WINDOW: an Alertmanager with our configuration; WINDOW says whether now is within the
# planned-maintenance interval. Its URL is left in $url.
start() {
  local name=$1 window=$2 config=$work/$1.yml port
  # Receivers go to the webhook; the interval covers all day, or no day that is near; low-severity mail
  # does not wait for office hours. Waits over five seconds are shortened, so that this does not take
  # minutes; their order stays.
  sed -e '/^receivers:/,$d' -e '/_file:/d' -e '/^  smtp_/d' \
    -e "s/^      - weekdays: \[sunday\]/      - years: ['$([ "$window" = inside ] && echo 2000:2999 || echo 2000)']/" \
    -e "s/times: \[{start_time: '02:00', end_time: '02:30'}\]/times: [{start_time: '00:00', end_time: '24:00'}]/" \
    -e 's/group_wait: 10s/group_wait: 3s/; s/group_wait: 30s/group_wait: 5s/' \
    -e 's/group_interval: 10s/group_interval: 1s/' deploy/alertmanager.yml >"$config"
  {
    echo receivers:
    sed -n 's/^  - name: \(.*\)/\1/p' <(sed -n '/^receivers:/,$p' deploy/alertmanager.yml) |
      while read -r receiver; do
        echo "  - name: $receiver"
        [ "$receiver" = nobody ] || echo "    webhook_configs: [{url: '$hook/$name/$receiver', send_resolved: false}]"
      done
  } >>"$config"
  amtool check-config "$config" >"$work/check" 2>&1 || { cat "$work/check"; exit 1; }
  # A port of our own choosing may be taken by the time it is used: then take the next.
  for _ in 1 2 3 4 5; do
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    alertmanager --config.file="$config" --storage.path="$work/$name" --cluster.listen-address= \
      --web.listen-address="127.0.0.1:$port" >"$work/$name.log" 2>&1 &
    pids+=($!)
    url=http://127.0.0.1:$port
    # Up, or given up: the loop ends early when the process does.
    until_true 10 up_or_gone "$!" || true
    if up; then return 0; fi
  done
  echo "FAIL  alertmanager did not start"
  cat "$work/$name.log"
  exit 1
}
up() { amtool --alertmanager.url="$url" alert query >/dev/null 2>&1; }
up_or_gone() { up || ! kill -0 "$1" 2>/dev/null; }
add() { amtool --alertmanager.url="$url" alert add "$@"; }

# The cascade of one job, as the rules would fire it.
followers() {
  local job=$1
  add ModelServerDown severity=critical layer=service job="$job" instance=a:9000
  add ModelServerDown severity=critical layer=service job="$job" instance=b:9000
  add NoPredictions severity=critical layer=service job="$job"
  add HighErrorRateFastBurn severity=critical layer=service job="$job" instance=a:9000
  add HighErrorRate severity=high layer=service job="$job"
  add HighPredictionLatency severity=high layer=service job="$job" instance=b:9000
  add ThroughputDrop severity=medium layer=service job="$job"
  add AccuracyDegradation severity=medium layer=quality job="$job"
}

start outside outside
add PredictionServiceDown severity=critical layer=service job=model-server
followers model-server
add PlannedMaintenance severity=info layer=service job=recommender
followers recommender
add HighErrorRate severity=high layer=service job=search

# What follows comes with its cause, and in one case before it.
add NaNFrequency severity=high layer=quality job=features model=ranker feature=age
add FeatureCascade severity=critical layer=quality cascade=features job=ranking model=ranker
add FeaturePipelineFailure severity=critical layer=quality model=ranker
add HighUserCorrectionRate severity=medium layer=quality model=ranker
add AccuracyDrop severity=high layer=quality model=ranker
add HighErrorRate severity=high layer=service job=ranking
add HighErrorRateFastBurn severity=critical layer=service job=ranking
add DeploymentRegression severity=critical layer=service job=checkout
add DeploymentCascade severity=critical layer=service cascade=deployment job=checkout
add HighPredictionLatency severity=high layer=service job=checkout
add HighErrorRateFastBurn severity=critical layer=service job=checkout instance=a:9000
add HighClientTimeoutRate severity=high layer=service job=checkout
add ResourceCascade severity=critical layer=service cascade=resources job=batcher
add ResourceStarvation severity=high layer=service job=batcher
add ThroughputDrop severity=medium layer=service job=batcher
add HighPredictionLatencyFastBurn severity=critical layer=service job=batcher
start inside inside
add HighErrorRate severity=high layer=service job=search
add ThroughputDrop severity=medium layer=service job=search
add GpuMemory90 severity=critical layer=infrastructure job=dcgm instance=host-1 gpu=0

# The longest wait is 5 s; all that will be sent has been sent by twice that.
sleep 12
failed=0
expect() {
  local what=$1 pattern=$2 expected=$3 got
  got=$(grep -E "$pattern" "$work/got" || true)
  if [ "$got" = "$expected" ]; then
    printf 'ok    %s\n' "$what"
  else
    printf 'FAIL  %s\n      expected: %s\n      got:      %s\n' "$what" "$expected" "${got//$'\n'/$'\n'                }"
    failed=1
  fi
}
expect "a cascade of nine alerts is one notification" ' model-server$' \
  "outside/pagerduty-sms firing PredictionServiceDown model-server"
expect "planned maintenance silences its job" ' recommender$' ""
expect "a cascade of features is one notification" ' (ranking|features|-)$' \
  "outside/pagerduty-sms firing FeatureCascade ranking"
expect "a cascade of a deployment is one notification" ' checkout$' \
  "outside/pagerduty-sms firing DeploymentRegression checkout"
expect "a cascade of resources is one notification" ' batcher$' \
  "outside/pagerduty-sms firing ResourceCascade batcher"
expect "an alert without a cause is told" '^outside/.* search$' \
  "outside/pagerduty firing HighErrorRate search"
expect "high and medium are muted in a maintenance interval, critical is not" '^inside/' \
  "inside/pagerduty-sms firing GpuMemory90 dcgm"
exit $failed
