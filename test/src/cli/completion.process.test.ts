import { execFile, execFileSync } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { agentsNode } from '../agents/agents-node.ts'
import { temporaryFolder } from '../keys/temporary-home.ts'
import { runVerb } from './run-verb.ts'

const run = promisify(execFile)
const PROGRAM = fileURLToPath(new URL('../../../packages/node/bin/sealmesh.js', import.meta.url))

/** Whether a shell is on this machine: CI has bash, and the others where its image brings them. */
const has = (shell: string): boolean => {
  try {
    execFileSync(shell, ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** How each shell is asked what it would offer at the end of a line. */
const asks = {
  bash: (words: readonly string[]) =>
    `source <(sealmesh completion bash); COMP_WORDS=(sealmesh ${words.join(' ')}); COMP_CWORD=${words.length}; _sealmesh; printf '%s\\n' "\${COMPREPLY[@]}"`,
  zsh: (words: readonly string[]) =>
    // compadd only works while the line editor asks: what it is given is what would be offered.
    `compdef() { : }; _files() { print FILES }; compadd() { local each=\${@[-1]}; print -l -- \${(P)each} }; source <(sealmesh completion zsh); words=(sealmesh ${words.join(' ')}); CURRENT=${words.length + 1}; _sealmesh`,
  fish: (words: readonly string[]) =>
    `sealmesh completion fish | source; complete -C "sealmesh ${words.map((word) => (word === "''" ? '' : word)).join(' ')}"`,
}

test.each(['bash', 'zsh', 'fish'] as const)(
  '%s completes verbs, options, and names that the node knows',
  async (shell) => {
    if (!has(shell)) {
      console.warn(`skipped: this machine has no ${shell}`)
      return
    }
    const node = await agentsNode(['alice', 'albert'])
    await runVerb(['set', 'alice.semantic.day', 'Tuesday', '--home', node.home])
    const folder = await temporaryFolder()
    await mkdir(join(folder, 'bin'))
    await writeFile(join(folder, 'bin', 'sealmesh'), `#!/bin/sh\nexec "${process.execPath}" "${PROGRAM}" "$@"\n`, {
      mode: 0o755,
    })
    const path = `${join(folder, 'bin')}:${process.env['PATH'] ?? ''}`
    const env = { PATH: path, HOME: folder, XDG_CONFIG_HOME: folder, SEALMESH_HOME: node.home, LC_ALL: 'C' }
    const plain = { bash: ['--noprofile', '--norc'], zsh: ['-f'], fish: ['--no-config'] }[shell]
    const offered = async (...words: string[]): Promise<string[]> => {
      const { stdout } = await run(shell, [...plain, '-c', asks[shell](words)], { env, cwd: folder })
      const lines = stdout.split('\n').map((line) => line.split('\t')[0] ?? '')
      return lines.filter((line) => line !== '').sort()
    }
    expect(await offered('vo')).toEqual(['vote'])
    expect(await offered('task', "''")).toEqual(['add', 'ls', 'reassign', 'show', 'wait'])
    expect(await offered('send', 'al')).toEqual(['albert', 'alice'])
    expect(await offered('get', 'alice.sem')).toEqual(['alice.semantic.'])
    // The program answers all shells alike; asking takes half a second each time.
    if (shell !== 'bash') return
    expect(await offered('send', '--pri')).toEqual(['--priority'])
    expect(await offered('task', 'reassign', 'x', '--to', 'alb')).toEqual(['albert'])
    expect(await offered('get', 'alice.semantic.')).toEqual(['alice.semantic.day'])
  },
)
