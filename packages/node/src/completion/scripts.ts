export type Shell = 'bash' | 'zsh' | 'fish'

/**
 * What a shell sources: it asks the program for the words that may stand in a place, one a line, `word`, a tab, what it
 * is. So a new version of the program needs no new script. Where there are none, file names.
 */
export const scripts: Readonly<Record<Shell, string>> = {
  bash: `# sealmesh completion bash: source it, or put it into /etc/bash_completion.d
_sealmesh() {
  local line
  COMPREPLY=()
  while IFS= read -r line; do
    COMPREPLY+=("\${line%%$'\\t'*}")
  done < <("\${COMP_WORDS[0]}" completion words -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
  # More follows the dot.
  if [[ \${#COMPREPLY[@]} -eq 1 && \${COMPREPLY[0]} == *. ]]; then compopt -o nospace 2>/dev/null; fi
  return 0
}
complete -o default -F _sealmesh sealmesh
`,
  zsh: `#compdef sealmesh
# sealmesh completion zsh: as _sealmesh in a folder of fpath, or sourced after compinit
_sealmesh() {
  local -a found open
  found=(\${(f)"$(\${words[1]} completion words -- "\${(@)words[2,CURRENT]}" 2>/dev/null)"})
  if (( ! \${#found} )); then
    _files
    return
  fi
  found=("\${(@)found%%$'\\t'*}")
  # More follows the dot.
  open=("\${(@M)found:#*.}")
  found=("\${(@)found:#*.}")
  (( \${#found} )) && compadd -a found
  (( \${#open} )) && compadd -S '' -a open
  return 0
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _sealmesh "$@"; else compdef _sealmesh sealmesh; fi
`,
  fish: `# sealmesh completion fish: as ~/.config/fish/completions/sealmesh.fish, or piped to source
function __sealmesh_words
  set -l before (commandline -opc)
  set -l now (commandline -ct)
  set -l found ($before[1] completion words -- $before[2..-1] "$now" 2>/dev/null)
  if test (count $found) -eq 0
    __fish_complete_path "$now"
  else
    printf '%s\\n' $found
  end
end
complete -c sealmesh -f -a '(__sealmesh_words)'
`,
}
