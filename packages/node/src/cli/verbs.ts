import type { Command } from 'commander'
import type { Cli } from './session.ts'

/** Every verb, in the order of `--help`. Each is a file that is loaded when it is asked for. */
export const verbs: Readonly<Record<string, (cli: Cli) => Promise<Command>>> = {
  up: async (cli) => (await import('./up.ts')).up(cli),
  down: async (cli) => (await import('./down.ts')).down(cli),
  status: async (cli) => (await import('./status.ts')).status(cli),
  pair: async (cli) => (await import('./pair.ts')).pair(cli),
  join: async (cli) => (await import('./join.ts')).join(cli),
  agents: async (cli) => (await import('./agents.ts')).agents(cli),
  set: async (cli) => (await import('./set.ts')).set(cli),
  get: async (cli) => (await import('./get.ts')).get(cli),
  ls: async (cli) => (await import('./ls.ts')).ls(cli),
  rm: async (cli) => (await import('./rm.ts')).rm(cli),
  watch: async (cli) => (await import('./watch.ts')).watch(cli),
  events: async (cli) => (await import('./events.ts')).events(cli),
  why: async (cli) => (await import('./why.ts')).why(cli),
  diff: async (cli) => (await import('./diff.ts')).diff(cli),
  wait: async (cli) => (await import('./wait.ts')).wait(cli),
  history: async (cli) => (await import('./history.ts')).history(cli),
  restore: async (cli) => (await import('./restore.ts')).restore(cli),
  text: async (cli) => (await import('./text.ts')).text(cli),
  share: async (cli) => (await import('./share.ts')).share(cli),
  conflicts: async (cli) => (await import('./conflicts.ts')).conflicts(cli),
  late: async (cli) => (await import('./late.ts')).late(cli),
  import: async (cli) => (await import('./import.ts')).importMemory(cli),
  scrub: async (cli) => (await import('./scrub.ts')).scrub(cli),
  takeover: async (cli) => (await import('./takeover.ts')).takeover(cli),
  revoke: async (cli) => (await import('./revoke.ts')).revoke(cli),
  config: async (cli) => (await import('./config.ts')).config(cli),
  lapse: async (cli) => (await import('./lapse.ts')).lapse(cli),
  version: async (cli) => (await import('./version.ts')).version(cli),
}
