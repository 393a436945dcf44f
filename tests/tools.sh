#!/usr/bin/env bash
# Makes prometheus, promtool, alertmanager and amtool available to the tests, without root; and
# victoria-metrics and vmalert, when they are named, to the benches.
#
#   PATH="$(tests/tools.sh):$PATH"                     all four
#   PATH="$(tests/tools.sh alertmanager amtool):$PATH" only these
#
# A tool that is on PATH already is used as it is. What is missing is taken from the Debian or Ubuntu
# packages of the configured mirror: `apt-get download` and `dpkg-deb -x` need no root. Everything
# lands in target/tools; a second run finds it there and downloads nothing. What happens is said on
# standard error; standard output holds one line, the directory to put on PATH.
#
# Exit status: 0 all asked for are there; 2 wrong usage; 3 at least one cannot be had here, so that
# the caller can go on and say what it skips.
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
mkdir -p "${CARGO_TARGET_DIR:-$repo/target}/tools"
home=$(cd "${CARGO_TARGET_DIR:-$repo/target}/tools" && pwd)
bin=$home/bin
root=$home/root
share=/usr/share/prometheus/alertmanager

say() { printf 'tools.sh: %s\n' "$*" >&2; }
unavailable() {
  say "$*"
  say "install prometheus and alertmanager yourself, put them on PATH, and run this again"
  exit 3
}

# The Debian package that holds a tool, and the tool's name inside it.
package_of() {
  case $1 in
    prometheus | promtool) echo prometheus ;;
    alertmanager | amtool) echo prometheus-alertmanager ;;
    victoria-metrics | vmalert) echo victoria-metrics ;;
    *) return 1 ;;
  esac
}
file_of() {
  case $1 in
    alertmanager) echo prometheus-alertmanager ;;
    *) echo "$1" ;;
  esac
}

works() { [ -x "$bin/$1" ] && "$bin/$1" --version >/dev/null 2>&1; }

# Links the tool into $bin when PATH has it, under either of its names.
take_from_path() {
  local name found
  for name in "$1" "$(file_of "$1")"; do
    found=$(PATH=$path_outside type -P "$name") || continue
    "$found" --version >/dev/null 2>&1 || continue
    ln -sfn "$found" "$bin/$1"
    say "$1: $found"
    return 0
  done
  return 1
}

# apt with its state in our own folder: `update` needs no root there, and the system's is untouched.
private_apt() {
  local state=$home/apt
  mkdir -p "$state/lists/partial" "$state/cache/archives/partial"
  "$@" -o "Dir::State::Lists=$state/lists" -o "Dir::Cache=$state/cache" \
    -o "APT::Sandbox::User=$(id -un)"
}

# Downloads the packages into $home/debs; the system's package lists first, our own when they are
# missing or too old for the mirror.
download() {
  local attempt
  mkdir -p "$home/debs"
  cd "$home/debs"
  for attempt in system private; do
    if [ "$attempt" = system ]; then
      apt-get download -o "APT::Sandbox::User=$(id -un)" "$@" >apt.log 2>&1 && return 0
      say "the system's package lists do not do (see $home/debs/apt.log): fetching lists of our own"
      # One unreachable third-party source must not spoil it: the download below is the test.
      private_apt apt-get update >update.log 2>&1 || true
    else
      private_apt apt-get download "$@" >apt.log 2>&1 && return 0
    fi
  done
  tail -n 3 apt.log >&2
  return 1
}

missing_libraries() { ldd "$1" 2>/dev/null | grep -q 'not found'; }

# Unpacks a package; when a program of it lacks shared objects, its library packages too.
install_package() {
  local package=$1 deb depends=() program
  say "$package: downloading with apt-get"
  (download "$package") || unavailable "$package cannot be downloaded"
  deb=$(ls -t "$home/debs/${package}_"*.deb | head -n 1)
  mkdir -p "$root"
  dpkg-deb -x "$deb" "$root"
  for program in "$root/usr/bin/"*; do
    missing_libraries "$program" || continue
    mapfile -t depends < <(dpkg-deb -f "$deb" Depends | tr ',' '\n' |
      sed -E 's/[|(].*//; s/[[:space:]]//g; s/:any$//' | grep -E '^lib')
    say "$package: shared objects are missing, downloading ${depends[*]}"
    (download "${depends[@]}") || unavailable "the libraries of $package cannot be downloaded"
    for deb in "$home/debs/"lib*.deb; do dpkg-deb -x "$deb" "$root"; done
    break
  done
}

# Puts the unpacked program into $bin: a link, or a wrapper that names its libraries and files.
expose() {
  local program=$root/usr/bin/$(file_of "$1") libraries='' templates=''
  [ -x "$program" ] || return 1
  if missing_libraries "$program"; then
    libraries="LD_LIBRARY_PATH='$(find "$root" -path '*/lib*/*.so*' -printf '%h\n' | sort -u | paste -sd:)' "
  fi
  # Debian's Alertmanager does not start without its templates in /usr/share, where only root can put
  # them. A copy looks for them in file descriptor 9 instead, a path of the same length that the wrapper
  # makes good.
  if [ "$1" = alertmanager ] && [ ! -e "$share/default.tmpl" ] && [ -e "$root$share/default.tmpl" ]; then
    templates="exec 9<'$root$share'; "
    LC_ALL=C sed "s#$share#/proc/self/fd/9$(printf '/%.0s' $(seq $((${#share} - 15))))#g" "$program" >"$program.local"
    chmod +x "$program.local"
    program=$program.local
  fi
  rm -f "$bin/$1"
  if [ -n "$libraries$templates" ]; then
    printf '#!/bin/sh\n%s%sexec "%s" "$@"\n' "$templates" "$libraries" "$program" >"$bin/$1"
    chmod +x "$bin/$1"
  else
    ln -s "$program" "$bin/$1"
  fi
}

tools=("$@")
[ ${#tools[@]} -gt 0 ] || tools=(prometheus promtool alertmanager amtool)
for tool in "${tools[@]}"; do
  package_of "$tool" >/dev/null || {
    say "unknown tool: $tool (known: prometheus promtool alertmanager amtool victoria-metrics vmalert)"
    exit 2
  }
done

mkdir -p "$bin"
# Several test programs may ask at once; the second waits and finds all done.
if command -v flock >/dev/null; then
  exec 9>"$home/lock"
  flock 9
fi

# Without our own folder, which the caller may have on PATH already: a link must not point at itself.
path_outside=$(printf '%s' "$PATH" | tr ':' '\n' | grep -vxF "$bin" | paste -sd:)
for tool in "${tools[@]}"; do
  works "$tool" && continue
  take_from_path "$tool" && continue
  if ! expose "$tool"; then
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null ||
      unavailable "$tool is not on PATH, and there is no apt-get and dpkg-deb to fetch it with"
    install_package "$(package_of "$tool")"
    expose "$tool" || unavailable "package $(package_of "$tool") holds no $(file_of "$tool")"
  fi
  works "$tool" || unavailable "$tool was unpacked to $root, but does not run here"
  say "$tool: $("$bin/$tool" --version 2>&1 | head -n 1)"
done
echo "$bin"
