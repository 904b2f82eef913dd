#!/usr/bin/env bash
# An agent in bash 4: answers questions and votes, over the text pipes of its node (docs/spec/16-agents.md §4).
#   bash-agent.sh NAME      the node's home is SEALMESH_HOME, or ~/.sealmesh
set -euo pipefail
name=$1
pipes=${SEALMESH_HOME:-$HOME/.sealmesh}/run/pipes

# Between this script's input and output and a Unix socket; its input ends, the rest of the answer still comes.
dial() {
  if command -v socat >/dev/null; then
    socat -t 10 - "UNIX-CONNECT:$1"
  elif command -v node >/dev/null; then
    node -e 'const s = require("net").connect(process.argv[1]); process.stdin.pipe(s).pipe(process.stdout)' "$1"
  else
    echo 'bash-agent: neither socat nor node is here; next: sudo apt-get install socat' >&2
    return 69
  fi
}

# tell TO TYPE RE FORMAT BODY; an answer that cannot be sent is no reason to end.
tell() {
  printf '[FROM:%s|TO:%s|TYPE:%s|RE:%s|FORM:%s]\n%s\n===END_MESSAGE===\n' "$name" "$1" "$2" "$3" "$4" "$5" |
    dial "$pipes/${name}_public.sock" || echo "bash-agent: the $2 to $1 was not sent" >&2
}

answer() { # What others say is data: nothing here runs it.
  case $1 in
    *time*) date -u +%H:%M ;;
    *) printf 'I only know the time. You asked: %s' "$1" ;;
  esac
}

vote() { # Yes, where that can be said; else an abstention.
  if [[ $2 == *'"yes"'* ]]; then printf '{"vote":"%s","choice":"yes"}' "$1"; else printf '{"vote":"%s","choice":null}' "$1"; fi
}

# As long as nobody else is this agent, its private pipe brings what comes for it.
coproc READER { dial "$pipes/${name}_private.sock"; }
while IFS= read -r header <&"${READER[0]}"; do
  declare -A field=()
  IFS='|' read -ra parts <<<"${header:1:-1}"
  for part in "${parts[@]}"; do field[${part%%:*}]=${part#*:}; done
  body=
  while IFS= read -r line <&"${READER[0]}" && [[ $line != '===END_MESSAGE===' ]]; do body+=${body:+$'\n'}$line; done
  case ${field[TYPE]} in
    status) echo "$name is there" ;;
    question) tell "${field[FROM]}" response "${field[RE]:-${field[ID]}}" text "$(answer "$body")" ;;
    vote-call) # One that names no vote can be sent by anybody, and asks for nothing.
      if [[ -n ${field[RE]:-} ]]; then tell "${field[FROM]}" vote "${field[RE]}" json "$(vote "${field[RE]}" "$body")"; fi ;;
    *) echo "${field[TYPE]} from ${field[FROM]}" ;;
  esac
done
echo 'bash-agent: the node has ended the connection; next: sealmesh up, or sealmesh agents ls to see who is this agent' >&2
exit 1
