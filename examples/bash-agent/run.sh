#!/usr/bin/env bash
# A node in a temporary home, the bash agent, a question to it and a vote with it. Stops and removes what it started.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
sealmesh() { node "$here/../../packages/node/bin/sealmesh.js" "$@"; }
export SEALMESH_HOME NO_COLOR=1
SEALMESH_HOME=$(mktemp -d "${TMPDIR:-/tmp}/sealmesh-bash-XXXXXX")
started=()
clear_up() {
  for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait
  rm -rf "$SEALMESH_HOME"
}
trap clear_up EXIT
trap 'exit 1' INT TERM

soon() { # Until the command succeeds, at most so many seconds.
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    if ((SECONDS > end)); then
      echo "bash-agent: waited in vain for: $*" >&2
      cat "$SEALMESH_HOME"/*.said >&2
      exit 1
    fi
    sleep 0.1
  done
}

# The pipes are opened with the node: they say nothing until their agent has a token.
printf '[agents.script]\npipes = true\n' >"$SEALMESH_HOME/config.toml"
node "$here/../../packages/node/bin/sealmesh.js" up --name home --agent alice --relay none >"$SEALMESH_HOME/node.said" 2>&1 &
started+=($!)
soon 20 sealmesh status
sealmesh agents add script
sealmesh agents token script >/dev/null
sealmesh agents token alice >"$SEALMESH_HOME/alice.token"
echo '$ bash-agent.sh script'
"$here/bash-agent.sh" script >"$SEALMESH_HOME/agent.said" 2>&1 &
started+=($!)
soon 20 grep -q 'script is there' "$SEALMESH_HOME/agent.said"

# What makes no sense does not end it.
sealmesh send script nonsense --type vote-call --as alice >/dev/null
echo '$ sealmesh request script "what time is it?" --as alice'
sealmesh request script 'what time is it?' --as alice --timeout 20s
echo '$ call-vote.mjs script'
SEALMESH_AGENT_TOKEN_FILE=$SEALMESH_HOME/alice.token node "$here/call-vote.mjs" script
soon 20 grep -q 'vote-result from alice' "$SEALMESH_HOME/agent.said"
echo 'bash-agent: ok'
