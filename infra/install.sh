#!/bin/sh
# Installs or upgrades a Sealmesh relay on a Debian server, from tarballs that `pnpm pack-all --bundle` made. Run it as
# root; a second time it changes nothing, unless the tarballs are others. An upgrade that does not come up is taken back.
# It asks Debian's mirrors for Node, and nothing else for anything.
set -eu
umask 022

usage() {
  cat <<'END'
Usage: install.sh --from DIR [--port N] [--public-host NAME] [--cert FILE --key FILE]
       install.sh --uninstall [--purge]

  --from DIR            where sealmesh-relay-VERSION-linux.tar.gz lies, with SHA256SUMS beside it
  --port N              the port to listen on (7443)
  --public-host NAME    the name or address that nodes dial (this machine's first address)
  --cert, --key FILE    a certificate that nodes' machines trust, instead of one that they pin
  --node FILE           Node's own tarball for this machine, where Debian's Node is older than 20.19
  --downgrade           also where an earlier version takes the place of a later one
  --uninstall           remove the relay; its data stays in /var/lib/sealmesh-relay
  --purge               with --uninstall: the data and the user too; nodes then need another relay
  --dry-run             say what would be done
  --root DIR            install into the files of another system there, and start nothing
END
}

HOME_DIR=/opt/sealmesh
DATA_DIR=/var/lib/sealmesh-relay
PROGRAM=node_modules/@sealmesh/relay/bin/sealmesh-relay.js
COMMAND=/usr/local/bin/sealmesh-relay
SERVICE=sealmesh-relay
NODE_MIN=20.19
READY_SECONDS=30

from='' node_tarball='' root='' service_options=''
dry_run=no uninstall=no purge=no downgrade=no

main() {
  parse "$@"
  [ "$dry_run" = yes ] || [ -n "$root" ] || [ "$(id -u)" -eq 0 ] || fail "only root installs a service" "sudo $0 …"
  if [ "$uninstall" = yes ]; then remove; else install_relay; fi
}

parse() {
  while [ $# -gt 0 ]; do
    case $1 in
      --from | --node | --port | --public-host | --cert | --key | --root)
        [ -n "${2:-}" ] || fail "$1 needs a value" "$0 --help"
        # Kept one to a line, and read back as one word each.
        case $2 in *[!A-Za-z0-9_@:=,./+-]*) fail "$1 takes plain characters only" "$0 --help" ;; esac
        case $1 in
          --from) from=$2 ;;
          --node) node_tarball=$2 ;;
          --root) root=${2%/} ;;
          *) service_options="$service_options $1 $2" ;;
        esac
        shift 2
        ;;
      --dry-run) dry_run=yes; shift ;;
      --uninstall) uninstall=yes; shift ;;
      --purge) purge=yes; shift ;;
      --downgrade) downgrade=yes; shift ;;
      -h | --help) usage; exit 0 ;;
      *) fail "there is no option $1" "$0 --help" ;;
    esac
  done
  [ "$uninstall" = yes ] || [ -n "$from" ] || fail "--from says where the tarballs are" "$0 --help"
  [ "$purge" = no ] || [ "$uninstall" = yes ] || fail "--purge belongs to --uninstall" "$0 --help"
}

install_relay() {
  check_system
  bundle=$(newest_bundle)
  check_sum "$bundle"
  find_node
  # A directory of its own for every content: an upgrade is one link that moves, and so is the way back.
  version=$(version_of "$bundle")
  release=$version-$(sha256sum "$bundle" | cut -c 1-12)
  before=$(readlink "$root$HOME_DIR/current" 2>/dev/null || true)
  options_before=$(cat "$root$HOME_DIR/service-options" 2>/dev/null || true)
  refuse_older "$version" "${before#releases/}"
  if [ "$before" = "releases/$release" ]; then
    say "version $version is installed"
  else
    unpack "$bundle" "$release"
  fi
  write_command
  if [ "$dry_run" = yes ] || [ -n "$root" ] || ! [ -d /run/systemd/system ]; then
    install_service
    forget_releases
    [ "$dry_run" = no ] || { say "nothing was changed"; return; }
    say "systemd does not run here: the relay starts with this system"
  elif [ -z "$before" ] || [ "$before" = "releases/$release" ]; then
    install_service
    is_ready "$version" ||
      fail "the relay did not answer within $READY_SECONDS seconds" "journalctl -u $SERVICE"
    greet
  elif ( install_service && systemctl restart "$SERVICE" ) && is_ready "$version"; then
    forget_releases
    greet
  else
    go_back
  fi
}

check_system() {
  name=$(sed -n 's/^ID\(_LIKE\)\{0,1\}=//p' "$root/etc/os-release" 2>/dev/null | tr -d '"' | tr '\n' ' ')
  case " $name " in
    *' debian '*) ;;
    *) fail "this is for Debian, and /etc/os-release says '${name:-nothing}'" "docker compose, see infra/README.md" ;;
  esac
}

newest_bundle() {
  newest=''
  for file in "$from"/sealmesh-relay-*-linux.tar.gz; do
    [ -f "$file" ] || continue
    if [ -z "$newest" ] || dpkg --compare-versions "$(version_of "$file")" gt "$(version_of "$newest")"; then newest=$file; fi
  done
  [ -n "$newest" ] || fail "there is no sealmesh-relay-VERSION-linux.tar.gz in $from" "pnpm pack-all --bundle makes one"
  echo "$newest"
}

version_of() { basename "$1" | sed 's/^sealmesh-relay-\(.*\)-linux\.tar\.gz$/\1/'; }

check_sum() {
  wanted=$(grep -F "  $(basename "$1")" "$from/SHA256SUMS" 2>/dev/null | cut -d ' ' -f 1) || true
  [ -n "$wanted" ] || fail "$from/SHA256SUMS does not name $(basename "$1")" "copy the whole directory again"
  [ "$wanted" = "$(sha256sum "$1" | cut -d ' ' -f 1)" ] ||
    fail "$(basename "$1") is not what SHA256SUMS says" "copy the whole directory again"
}

find_node() {
  if [ -n "$node_tarball" ]; then
    act mkdir -p "$root$HOME_DIR/node"
    act tar -xf "$node_tarball" -C "$root$HOME_DIR/node" --strip-components=1 --no-same-owner
  fi
  if [ -x "$root$HOME_DIR/node/bin/node" ]; then
    node=$root$HOME_DIR/node/bin/node
  else
    node=$(command -v node || true)
  fi
  if [ -n "$node" ] && new_enough "$("$node" --version | tr -d v)"; then return; fi
  [ -z "$root" ] || fail "there is no Node $NODE_MIN or later here" "install nodejs"
  offered=$(apt-cache policy nodejs 2>/dev/null | sed -n 's/^ *Candidate: *//p')
  if [ -z "$offered" ] || [ "$offered" = "(none)" ]; then
    [ "$dry_run" = yes ] || apt-get update -qq >/dev/null
    offered=$(apt-cache policy nodejs 2>/dev/null | sed -n 's/^ *Candidate: *//p')
  fi
  new_enough "${offered:-0}" ||
    fail "the relay needs Node $NODE_MIN or later, and Debian offers ${offered:-none}" \
      "use Debian 13, or fetch Node's tarball for this machine, check its sum, and give it with --node FILE"
  say "installing nodejs $offered from Debian"
  [ "$dry_run" = yes ] || DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nodejs >/dev/null
  node=/usr/bin/node
}

new_enough() { dpkg --compare-versions "$1" ge "$NODE_MIN"; }

# $2 is the release that runs now: its version and twelve digits.
refuse_older() {
  [ "$downgrade" = no ] && [ -n "$2" ] || return 0
  dpkg --compare-versions "$1" ge "${2%-*}" ||
    fail "version ${2%-*} is installed, and $1 may not read what it wrote" "restore a backup, and add --downgrade"
}

unpack() {
  releases=$root$HOME_DIR/releases
  act mkdir -p "$releases"
  if ! [ -d "$releases/$2" ]; then
    act rm -rf "$releases/$2.new"
    act mkdir "$releases/$2.new"
    act tar -xzf "$1" -C "$releases/$2.new" --no-same-owner
    act "$node" "$releases/$2.new/$PROGRAM" version
    act mv "$releases/$2.new" "$releases/$2"
  fi
  make_current "releases/$2"
}

make_current() {
  act ln -sfn "$1" "$root$HOME_DIR/current.new"
  act mv -T "$root$HOME_DIR/current.new" "$root$HOME_DIR/current"
}

# Whoever types `sealmesh-relay` as root acts as the relay's user on the relay's data: what root wrote there the relay
# could not read.
write_command() {
  own=$(
    cat <<END
#!/bin/sh
export SEALMESH_RELAY_DATA="\${SEALMESH_RELAY_DATA:-$DATA_DIR}"
set -- ${node#"$root"} $HOME_DIR/current/$PROGRAM "\$@"
[ "\${3:-}" != service ] && [ "\$(id -u)" -eq 0 ] || exec "\$@"
exec setpriv --reuid=$SERVICE --regid=$SERVICE --clear-groups --no-new-privs "\$@"
END
  )
  if [ "$(cat "$root$COMMAND" 2>/dev/null || true)" = "$own" ]; then return; fi
  if [ "$dry_run" = yes ]; then say "would write $COMMAND"; return; fi
  mkdir -p "$root${COMMAND%/*}"
  printf '%s\n' "$own" >"$root$COMMAND.new"
  chmod 0755 "$root$COMMAND.new"
  mv "$root$COMMAND.new" "$root$COMMAND"
  say "wrote $COMMAND"
}

# The relay writes its own unit. Options that were given once are kept for upgrades that give none.
install_service() {
  kept=$root$HOME_DIR/service-options
  if [ -z "$service_options" ] && [ -f "$kept" ]; then service_options=$(cat "$kept"); fi
  if [ "$dry_run" = no ] && [ "$(cat "$kept" 2>/dev/null || true)" != "$service_options" ]; then
    printf '%s\n' "$service_options" >"$kept"
  fi
  # Plain words, checked when they were given.
  # shellcheck disable=SC2086
  act "$node" "$root$HOME_DIR/current/$PROGRAM" service install ${root:+--root "$root"} $service_options
}

# The release before takes its place again, with the unit that it writes itself.
go_back() {
  old=${before#releases/}
  say "version $version did not come up within $READY_SECONDS seconds: going back to ${old%-*}. What it said last:"
  journalctl -u "$SERVICE" -n 8 -o cat --no-pager 2>/dev/null || true
  [ -d "$HOME_DIR/$before" ] || fail "$HOME_DIR/$before is not there" "install from the tarballs of ${old%-*}"
  make_current "$before"
  printf '%s\n' "$options_before" >"$HOME_DIR/service-options"
  service_options=''
  install_service
  systemctl restart "$SERVICE"
  is_ready "${old%-*}" ||
    fail "version $version did not come up, and ${old%-*} does not either" \
      "journalctl -u $SERVICE; if the database is of a newer format, restore the copy from before the upgrade"
  rm -rf "${HOME_DIR:?}/releases/$release"
  fail "version $version did not come up: ${old%-*} runs again, and nothing is lost" \
    "journalctl -u $SERVICE -b says why; run this again to try again"
}

# The one before stays, as the way back.
forget_releases() {
  if [ "$before" = "releases/$release" ]; then return; fi
  for path in "$root$HOME_DIR"/releases/*; do
    case releases/${path##*/} in
      "releases/$release" | "$before" | 'releases/*') ;;
      *) act rm -rf "$path" ;;
    esac
  done
}

# Whether this version answers, and not the one before it.
is_ready() {
  deadline=$(($(date +%s) + READY_SECONDS))
  until "$COMMAND" status --json 2>/dev/null | grep -qF "\"version\":\"$1\""; do
    [ "$(date +%s)" -lt "$deadline" ] || return 1
    sleep 1
  done
}

greet() {
  "$COMMAND" status
  if [ -n "$(ls -A "$DATA_DIR/meshes")" ]; then return; fi
  code=$(journalctl -u "$SERVICE" --since -24h -o cat --no-pager 2>/dev/null | sed -n 's/^claim code: *//p' | tail -n 1)
  [ -n "$code" ] || code=$("$COMMAND" claim)
  address=$("$COMMAND" status --json | sed -n 's/.*"address":"\([^"]*\)".*/\1/p')
  say "claim code:  $code    (admits one mesh, once, within a day; sealmesh-relay claim prints another)"
  say "on the first machine of your mesh:  sealmesh up --relay '$address' --claim $code"
}

remove() {
  node=$root$HOME_DIR/node/bin/node
  [ -x "$node" ] || node=$(command -v node || true)
  program=$root$HOME_DIR/current/$PROGRAM
  if [ -n "$node" ] && [ -f "$program" ]; then act "$node" "$program" service uninstall ${root:+--root "$root"}; fi
  act rm -rf "$root$HOME_DIR" "$root$COMMAND"
  if [ "$purge" = yes ]; then
    act rm -rf "$root$DATA_DIR"
    if [ -z "$root" ] && id -u "$SERVICE" >/dev/null 2>&1; then act userdel "$SERVICE"; fi
  else
    say "its data stays in $DATA_DIR"
  fi
}

act() {
  if [ "$dry_run" = yes ]; then say "would run: $*"; else "$@"; fi
}

say() { printf '%s\n' "$*"; }

fail() {
  printf 'install.sh: %s\n  next: %s\n' "$1" "$2" >&2
  exit 1
}

main "$@"
