import { execFileSync } from 'node:child_process'
import * as fs from 'node:fs'
import * as path from 'node:path'
import { parseArgs } from 'node:util'
import { type Bench, type BenchResult, formatTable } from './result.ts'

/**
 *   pnpm bench NAME [--json FILE] [--runs N] [--only PART]
 *
 * Prints a table and writes it as JSON. Falling short of a bar is a result, not a failure: it exits 0, so that nobody
 * is tempted to soften a bar; the benches of the relay, which guard it, exit 3. 2: wrong usage. 1: the bench itself
 * broke, and there are no figures.
 */

const benches: Readonly<Record<string, () => Promise<Bench>>> = {
  sync: async () => (await import('./sync/sync.ts')).benchSync,
  'sync-profile': async () => (await import('./sync/sync-profile.ts')).benchSyncProfile,
  relay: async () => (await import('./relay/relay.ts')).benchRelay,
  'relay-hostile': async () => (await import('./relay-hostile/relay-hostile.ts')).benchRelayHostile,
  ipc: async () => (await import('./ipc/ipc.ts')).benchIpc,
  documents: async () => (await import('./documents/documents.ts')).benchDocuments,
}

/** These say by their exit code that a bar was missed. */
const GUARDS: ReadonlySet<string> = new Set(['relay', 'relay-hostile'])

const USAGE = `usage: pnpm bench NAME [--json FILE] [--runs N] [--only PART]\nbenches: ${Object.keys(benches).join(', ')}\n`

async function main(args: readonly string[]): Promise<number> {
  const asked = readArguments(args)
  const load = asked === undefined ? undefined : benches[asked.name]
  if (!asked || !load) {
    process.stderr.write(USAGE)
    return 2
  }
  const bench = await load()
  const startedMs = performance.now()
  const progress = (line: string) => {
    process.stderr.write(`[${((performance.now() - startedMs) / 1_000).toFixed(1)} s] ${line}\n`)
  }
  const { rows, notes } = await bench({ runs: asked.runs, only: asked.only, progress })
  const result: BenchResult = { name: asked.name, commit: commit(), node: process.version, rows }
  process.stdout.write(`\n${formatTable(rows)}\n\n${notes.map((note) => `- ${note}\n`).join('')}`)
  if (asked.json !== undefined) {
    fs.mkdirSync(path.dirname(path.resolve(asked.json)), { recursive: true })
    fs.writeFileSync(asked.json, `${JSON.stringify(result, null, 2)}\n`)
  }
  return GUARDS.has(asked.name) && rows.some(({ ok }) => ok === false) ? 3 : 0
}

interface Asked {
  readonly name: string
  readonly json: string | undefined
  readonly runs: number
  readonly only: string | undefined
}

function readArguments(args: readonly string[]): Asked | undefined {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      options: { json: { type: 'string' }, runs: { type: 'string', default: '3' }, only: { type: 'string' } },
      allowPositionals: true,
    })
    const runs = Number(values.runs)
    const [name, ...more] = positionals
    if (name === undefined || more.length > 0 || !Number.isInteger(runs) || runs < 1 || runs > 99) return undefined
    return { name, json: values.json, runs, only: values.only }
  } catch {
    return undefined
  }
}

/** Figures belong to a commit; `+` when the tree had changes that no commit holds. */
function commit(): string {
  const git = (...args: string[]) =>
    execFileSync('git', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  try {
    return git('rev-parse', 'HEAD') + (git('status', '--porcelain', '--untracked-files=no') === '' ? '' : '+')
  } catch {
    return 'unknown'
  }
}

process.exitCode = await main(process.argv.slice(2).filter((argument) => argument !== '--'))
