#!/bin/bash
# The whole way of a relay to a fresh Debian server, without a server: a clean Debian from debootstrap, booted with its own
# systemd in namespaces, gets the tarballs and install.sh and nothing else; two nodes outside reach it over loopback and
# get in step; it is killed, upgraded and removed. What was typed and said becomes the transcript. Needs root, debootstrap
# and what `pnpm pack-all --bundle` made. Usage: rehearse.sh [--debian DIR] [--suite NAME] [--transcript FILE]
set -euo pipefail
umask 022
here=$(cd "$(dirname "$0")/.." && pwd)
suite=trixie debian='' transcript=$here/bench/results/vps-rehearsal.txt port=17443
while [ $# -gt 0 ]; do
  case $1 in
    --debian) debian=$2 ;; # Made by debootstrap before, with systemd; it is copied.
    --suite) suite=$2 ;;
    --transcript) transcript=$2 ;;
    *) echo "rehearse.sh: there is no option $1" >&2; exit 2 ;;
  esac
  shift 2
done
[ "$(id -u)" -eq 0 ] || { echo "rehearse.sh: namespaces and debootstrap need root" >&2; exit 1; }

work=$(mktemp -d)
vps=$work/vps
outside=$work/outside
mkdir "$outside"
group=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)/sealmesh-rehearsal-$$
booted='' inside=''

# Nothing of this may outlive it, however it ends.
cleanup() {
  for home in home office; do node_of "$home" down >/dev/null 2>&1 || true; done
  if [ -n "$inside" ]; then kill -KILL "$inside" 2>/dev/null || true; fi
  if [ -n "$booted" ]; then wait "$booted" 2>/dev/null || true; fi
  # The system's own groups empty a moment after its processes have gone.
  for _ in 1 2 3 4 5; do
    find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true
    [ -d "$group" ] || break
    sleep 1
  done
  rm -rf "$work"
}
trap cleanup EXIT

main() {
  prepare
  boot
  {
    say "A relay on a fresh $(on_vps sed -n 's/^PRETTY_NAME="\(.*\)"/\1/p' /etc/os-release), made by debootstrap and booted with its systemd in namespaces."
    say "vps# is root there; $ is a user elsewhere, who reaches it over loopback. Paths of this machine are left out."
    rehearse
  } 2>&1 | sed -u -e "s#$work/outside#~#g" -e "s#$work##g" -e "s#$here/bin/##g" -e '/^npm warn/d' | tee "$work/transcript"
  mkdir -p "$(dirname "$transcript")"
  mv "$work/transcript" "$transcript"
}

prepare() {
  if [ -n "$debian" ]; then
    cp -a "$debian" "$vps"
  else
    debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus "$suite" "$vps" >"$work/debootstrap.log" 2>&1 ||
      { tail -n 20 "$work/debootstrap.log" >&2; exit 1; }
  fi
  cp -L /etc/resolv.conf "$vps/etc/resolv.conf"
  mkdir "$vps/root/sealmesh"
  cp "$here"/dist/SHA256SUMS "$here"/dist/sealmesh-relay-*-linux.tar.gz "$here/dist/install.sh" "$vps/root/sealmesh/"
}

# As a container manager would: namespaces and a group of its own, but this machine's network.
boot() {
  mkdir "$group"
  (
    echo "$BASHPID" >"$group/cgroup.procs"
    exec unshare --cgroup --mount --pid --uts --ipc --fork sh "$here/infra/rehearse-boot.sh" "$vps"
  ) >"$work/boot.log" 2>&1 &
  booted=$!
  for _ in $(seq 60); do
    # The first child of `unshare` is the system's first process.
    inside=$(tr -d ' ' 2>/dev/null <"/proc/$booted/task/$booted/children") || true
    # Degraded: without modules of its own to load.
    case $(on_vps systemctl is-system-running 2>/dev/null || true) in running | degraded) return ;; esac
    sleep 1
  done
  echo "rehearse.sh: systemd did not come up" >&2
  tail -n 20 "$work/boot.log" >&2
  exit 1
}

on_vps() {
  nsenter -t "$inside" --all env -i HOME=/root PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
}

node_of() {
  local home=$1
  shift
  NO_COLOR=1 "$here/bin/sealmesh" "$@" --home "$outside/$home"
}

say() { printf '\n# %s\n' "$*"; }
vps() { printf 'vps# %s\n' "$*"; on_vps sh -c "cd /root/sealmesh && $*"; }
at() { local home=$1; shift; printf '$ sealmesh %s --home ~/%s\n' "$*" "$home"; node_of "$home" "$@"; }
expect() { [ "$2" = "$3" ] || { echo "rehearse.sh: $1: expected $2, and it is $3" >&2; exit 1; }; }

rehearse() {
  say 'What is there: no Node, no compiler, no npm.'
  vps 'ls; node --version || true'

  say 'One command.'
  vps "./install.sh --from . --port $port --public-host 127.0.0.1"
  vps 'sealmesh-relay service status'
  vps "grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/\$(systemctl show -p MainPID --value sealmesh-relay)/status"

  say 'A second time it changes nothing and interrupts nothing.'
  local pid
  pid=$(on_vps systemctl show -p MainPID --value sealmesh-relay)
  vps './install.sh --from .'
  expect 'the process' "$pid" "$(on_vps systemctl show -p MainPID --value sealmesh-relay)"

  say 'Two nodes elsewhere, with what it printed.'
  local address claim link
  address=$(on_vps sealmesh-relay status --json | sed 's/.*"address":"\([^"]*\)".*/\1/')
  claim=$(on_vps journalctl -u sealmesh-relay -o cat --no-pager | sed -n 's/^claim code: *//p' | tail -n 1)
  at home up --detach --name home --agent claude --no-kit --relay "$address" --claim "$claim"
  printf '$ sealmesh pair --yes --home ~/home\n'
  node_of home pair --yes --no-qr >"$work/link" 2>"$work/pairing" &
  local pairing=$!
  for _ in $(seq 50); do
    link=$(head -n 1 "$work/link")
    [ -z "$link" ] || break
    sleep 0.2
  done
  printf '$ sealmesh join LINK --name office --home ~/office\n'
  node_of office join "$link" --name office
  wait "$pairing"
  at office up --detach
  at home agents add claude --standby office
  at home share set claude semantic=standby --yes
  at home set claude.semantic.deploy-day Tuesday
  at home wait --replicated --timeout 30s claude
  at office get claude.semantic.deploy-day
  expect 'the item at the office' Tuesday "$(node_of office get claude.semantic.deploy-day | head -n 1)"

  say 'A limit is changed: what runs goes on.'
  pid=$(on_vps systemctl show -p MainPID --value sealmesh-relay)
  vps 'sealmesh-relay config init'
  # No address for metrics: this network is not only the server's.
  on_vps sed -i 's/^listen = .*/listen = "off"/' /var/lib/sealmesh-relay/relay.toml
  vps "sed -i 's/^# mailbox_packets_max = .*/mailbox_packets_max = 50000/' /var/lib/sealmesh-relay/relay.toml; systemctl reload sealmesh-relay"
  for _ in $(seq 50); do
    [ "$(on_vps sealmesh-relay limits | grep -c '^mailbox_packets_max  *50000 ')" -eq 0 ] || break
    sleep 0.2
  done
  vps 'sealmesh-relay limits | grep mailbox_packets_max; journalctl -u sealmesh-relay -o cat --no-pager | grep "settings were read again"'
  expect 'the process' "$pid" "$(on_vps systemctl show -p MainPID --value sealmesh-relay)"

  say 'Killed: systemd starts it again, and what waited for the office is still there.'
  at office down
  at home set claude.semantic.deploy-day Wednesday
  at home wait --relayed --timeout 30s claude || true
  vps 'systemctl kill --signal=KILL sealmesh-relay; sleep 4; sealmesh-relay service status'
  at office up --detach
  at home wait --synced --timeout 60s claude
  expect 'the item at the office' Wednesday "$(node_of office get claude.semantic.deploy-day | head -n 1)"

  say 'An upgrade: other tarballs, the same address, the same data.'
  on_vps sh -c 'cd /root/sealmesh && mkdir x && tar -xzf sealmesh-relay-*-linux.tar.gz -C x && sed -i "s/\"version\": \"[^\"]*\"/\"version\": \"99.0.0\"/" x/node_modules/@sealmesh/relay/package.json && tar -czf sealmesh-relay-99.0.0-linux.tar.gz -C x node_modules && rm -r x && sha256sum sealmesh-relay-*.tar.gz >SHA256SUMS'
  vps './install.sh --from .'
  expect 'the address' "$address" "$(on_vps sealmesh-relay status --json | sed 's/.*"address":"\([^"]*\)".*/\1/')"
  at home set claude.semantic.deploy-day Friday
  at home wait --synced --timeout 60s claude

  say 'An upgrade that does not come up: the version before runs again by itself.'
  on_vps sh -c 'cd /root/sealmesh && mkdir x && tar -xzf sealmesh-relay-99.0.0-linux.tar.gz -C x && sed -i "s/\"version\": \"[^\"]*\"/\"version\": \"99.0.1\"/" x/node_modules/@sealmesh/relay/package.json && echo "throw new Error(\"broken on purpose\")" >x/node_modules/@sealmesh/relay/dist/main.js && tar -czf sealmesh-relay-99.0.1-linux.tar.gz -C x node_modules && rm -r x && sha256sum sealmesh-relay-*.tar.gz >SHA256SUMS'
  vps './install.sh --from . || true'
  expect 'the version' 99.0.0 "$(on_vps sealmesh-relay status --json | sed 's/.*"version":"\([^"]*\)".*/\1/')"
  at home set claude.semantic.deploy-day Saturday
  at home wait --synced --timeout 60s claude
  vps 'rm sealmesh-relay-99.0.1-linux.tar.gz; ls /opt/sealmesh/releases'

  say 'An earlier version is refused.'
  vps 'rm sealmesh-relay-99.0.0-linux.tar.gz; ./install.sh --from . || true'

  say 'Removed, with its data kept, and then without.'
  vps './install.sh --uninstall; ls /var/lib/sealmesh-relay; systemctl is-active sealmesh-relay || true'
  vps './install.sh --uninstall --purge; ls -d /var/lib/sealmesh-relay /opt/sealmesh 2>&1 || true; id sealmesh-relay 2>&1 || true'
  at home down
  at office down
}

main
