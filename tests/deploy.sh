#!/usr/bin/env bash
# Checks the files of rules/ and deploy/ with the programs they are for: what an operator copies must be
# accepted as it stands. A check whose program is not here is skipped, and said so.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
pass() { printf 'ok    %s\n' "$1"; }
skip() { printf 'skip  %s\n' "$1"; }
fail() {
  printf 'FAIL  %s\n' "$1"
  [ $# -lt 2 ] || sed 's/^/      /' "$2"
  failed=1
}
# check NAME COMMAND...: passes when the command does; shows its output otherwise.
check() {
  local name=$1
  shift
  if "$@" >"$work/out" 2>&1; then pass "$name"; else fail "$name" "$work/out"; fi
}

# Files whose rules call burnwatch's own functions, and their tests: no Prometheus can read those;
# tests/check does.
own='^[^#]*\b(drift|anomaly|change|forecast|calibration|quality)_[a-z0-9_]+ *\('
mapfile -t plain < <(grep -LE "$own" rules/*.yml)
plain_tests=()
for test in rules/tests/*.test.yml; do
  # The files that it names, beside it or above.
  mapfile -t named < <(sed -n 's/^rule_files: *\[\(.*\)\]$/\1/p' "$test" | tr -d ' ' | tr ',' '\n')
  (cd rules/tests && grep -qE "$own" "${named[@]}" </dev/null) || plain_tests+=("$test")
done

tools=$(tests/tools.sh promtool amtool) || [ $? -eq 3 ]
PATH=${tools:+$tools:}$PATH

if command -v promtool >/dev/null; then
  check "promtool check rules rules/*.yml" promtool check rules "${plain[@]}" deploy/mixin/*.yml
  check "promtool test rules rules/tests/*.test.yml" promtool test rules "${plain_tests[@]}"
  check "promtool test rules deploy/mixin/tests/*.test.yml" promtool test rules deploy/mixin/tests/*.test.yml
  sed "s#/etc/prometheus/rules#$PWD/rules#" deploy/prometheus.yml >"$work/prometheus.yml"
  check "promtool check config deploy/prometheus.yml" promtool check config "$work/prometheus.yml"
else
  skip "promtool: rules/, rules/tests/, deploy/prometheus.yml"
fi

# Every alert has a test, a runbook of its name, a line in the index, and a link that leads there.
alerts=$(sed -n 's/^ *- alert: //p' rules/*.yml deploy/mixin/*.yml | sort)
check "no alert name twice" test -z "$(uniq -d <<<"$alerts")"
for alert in $alerts; do
  book=docs/runbooks/$alert.md
  [ -f "$book" ] || fail "$alert has no $book"
  grep -q "^| \[$alert\]($alert.md)" docs/runbooks/README.md || fail "$alert is not in docs/runbooks/README.md"
  grep -q "/docs/runbooks/$alert.md$" rules/*.yml deploy/mixin/*.yml || fail "$alert: runbook_url does not lead to $book"
  grep -q "alertname: $alert\b" rules/tests/*.test.yml deploy/mixin/tests/*.test.yml || fail "$alert has no test"
done
for book in docs/runbooks/*.md; do
  name=$(basename "$book" .md)
  [ "$name" = README ] || grep -qx "$name" <<<"$alerts" || fail "$book: no alert has this name"
done
bad=$(grep -hoE 'severity: [a-z]+, layer: [a-z]+' rules/*.yml deploy/mixin/*.yml |
  grep -vxE 'severity: (critical|high|medium|low|info), layer: (infrastructure|service|quality)' || true)
check "every alert has a severity and a layer we know" test -z "$bad" -a \
  "$(cat rules/*.yml deploy/mixin/*.yml | grep -cE '^ *labels: \{severity: ')" -eq "$(wc -l <<<"$alerts")"

if command -v amtool >/dev/null; then
  check "amtool check-config deploy/alertmanager.yml" amtool check-config deploy/alertmanager.yml
  route() {
    local receiver=$1 got
    shift
    got=$(amtool config routes test --config.file=deploy/alertmanager.yml "$@" 2>/dev/null) || true
    if [ "$got" = "$receiver" ]; then pass "route $* -> $receiver"; else fail "route $* -> $got, not $receiver"; fi
  }
  route pagerduty-sms severity=critical alertname=GpuMemory90
  route pagerduty-sms severity=critical alertname=PredictionServiceDown
  route pagerduty-sms severity=page
  route pagerduty severity=high
  route slack severity=medium
  route slack severity=warning
  route slack severity=ticket
  route email severity=low
  route email-digest severity=info
  route nobody severity=info alertname=PlannedMaintenance
  route dead-mans-switch severity=info alertname=Watchdog
  route slack team=unknown
else
  skip "amtool: deploy/alertmanager.yml"
fi

if command -v systemd-analyze >/dev/null; then
  # The program is not installed here; everything else of the unit is checked as it is.
  sed 's#/usr/local/bin/burnwatch#/bin/true#' deploy/burnwatch.service >"$work/burnwatch.service"
  check "systemd-analyze verify deploy/burnwatch.service" systemd-analyze verify "$work/burnwatch.service"
else
  skip "systemd-analyze: deploy/burnwatch.service"
fi

if command -v docker >/dev/null && docker compose version >/dev/null 2>&1; then
  check "docker compose config" docker compose -f deploy/docker-compose.yml config --quiet
elif python3 -c 'import yaml' 2>/dev/null; then
  check "deploy/docker-compose.yml: services, and every file they mount" python3 - <<'PY'
import os, sys, yaml
compose = yaml.safe_load(open("deploy/docker-compose.yml"))
assert set(compose["services"]) == {"prometheus", "burnwatch", "alertmanager"}, compose["services"].keys()
for name, service in compose["services"].items():
    assert "image" in service or "build" in service, name
    for volume in service["volumes"]:
        source = volume.split(":")[0]
        if source.startswith(".") and source != "./secrets":
            assert os.path.exists(os.path.join("deploy", source)), f"{name}: {source}"
        elif not source.startswith("."):
            assert source in compose["volumes"], f"{name}: {source}"
PY
else
  skip "docker compose or python3 with yaml: deploy/docker-compose.yml"
fi
if python3 -c 'import yaml' 2>/dev/null; then
  check "deploy/burnwatch.yml is YAML" python3 -c 'import yaml; assert yaml.safe_load(open("deploy/burnwatch.yml"))'
else
  skip "python3 with yaml: deploy/burnwatch.yml"
fi

if [ -n "${BURNWATCH_SHARED:-}" ] && command -v python3 >/dev/null && [ -n "$tools" ]; then
  check "tests/incidents.py: quiet in the controls, right in the incidents" tests/incidents.py
else
  skip "BURNWATCH_SHARED, python3 or prometheus: tests/incidents.py"
fi

# The image cannot be built without a registry; what its build runs is listed for the eye.
echo "note  RUN lines of deploy/Dockerfile:"
sed -n 's/^RUN /        /p' deploy/Dockerfile

exit $failed
