import { mkdir, writeFile } from 'node:fs/promises'
import { agentsDoorSchema } from '@sealmesh/protocol/ipc/agents-door-schema'

/** Writes what the agents' door takes and gives where the package carries it: docs/spec/16-agents.md §1. */
const folder = new URL('../../../packages/protocol/schema/', import.meta.url)
await mkdir(folder, { recursive: true })
await writeFile(new URL('agents-door.json', folder), `${JSON.stringify(agentsDoorSchema(), null, 2)}\n`)
