#!/usr/bin/env bash
# The tests again, optimised and with many more random cases, in pieces: `tests/deep.sh` runs all, `tests/deep.sh
# restart crash` some. Says of each piece what it counted and how long it took, and at the end the lines for the table
# in docs/RELIABILITY.md.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export BURNWATCH_DEEP=1 PROPTEST_CASES="${PROPTEST_CASES:-10000}"
cargo=${CARGO:-cargo}

# Each piece: its name, and what cargo test is given. What is left out here is in `rest`.
pieces=(
  'restart --test restart'
  'crash --lib -- crash_tests'
  'notify --test notify'
  'overload --test overload'
  'e2e --test e2e'
  'server --test server'
  'live --test live'
  'scenarios --test scenarios'
  'streams --test streams'
  'lib --lib'
  'rest --bins --test allocations --test api --test check --test conformance --test demo --test design --test explain --test fuzz_smoke --test golden --test ingest --test opinions --test readme --test rulecheck --test security --test shards --test slo --test tidy'
)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
commit=$(git rev-parse --short HEAD 2>/dev/null || echo 'no commit')
git diff --quiet HEAD 2>/dev/null || commit="$commit, changed"
lines=() failed=0
for piece in "${pieces[@]}"; do
  name=${piece%% *}
  [ $# -eq 0 ] || [[ " $* " == *" $name "* ]] || continue
  printf '== %s\n' "$name"
  begun=$SECONDS outcome=passed
  # shellcheck disable=SC2086
  $cargo test --release ${piece#* } 2>&1 | tee "$work/$name" || { outcome=FAILED; failed=1; }
  took=$((SECONDS - begun))
  tests=$(awk '/^test result:/ { n += $4 } END { print n + 0 }' "$work/$name")
  # Lines in which tests say what they have counted.
  counted=$(grep -E '^[0-9]+ (kills|samples)' "$work/$name" | paste -sd ';' - || true)
  lines+=("| $(date +%F) | $commit | $name | $tests tests $outcome in $took s | ${counted:-} |")
done
printf '\n| date | commit | piece | outcome | counted |\n|---|---|---|---|---|\n'
printf '%s\n' "${lines[@]}"
exit $failed
