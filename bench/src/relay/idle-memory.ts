import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import * as path from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type BenchOptions, type Measured, type Row, row } from '../result.ts'
import { MESH_LANES_MAX } from './our-lane.ts'
import { ownBytes } from './process-figures.ts'
import { type Server, startBare, startRelay } from './servers.ts'

/** What an idle connection costs a server, logged in at ours. */

export interface HolderOrder {
  readonly server: Omit<Server, 'stop' | 'pid'>
  /** Its connections have these numbers. */
  readonly first: number
}

const CONNECTIONS = 5_000
/** Below this a server is still warming up: what the later ones add is what is measured. */
const CONNECTIONS_BEFORE = 500
const HOLDERS = 2
/** Until garbage of the logins has been collected, as far as it ever is. */
const REST_MS = 4_000
const THOUSAND = 1_000
const MEBIBYTE = 1_048_576

export async function idleMemory(directory: string, { progress }: BenchOptions): Promise<Measured> {
  const rows: Row[] = []
  for (const tls of [false, true]) {
    const data = path.join(directory, `relay-${tls ? 'tls' : 'plain'}`)
    const relay = await startRelay({ data, tls, claims: Math.ceil(CONNECTIONS / MESH_LANES_MAX) })
    const ours = await perThousand(relay)
    progress(`idle, ${tls ? 'TLS' : 'plain'}: ours ${ours.toFixed(1)} MiB per 1,000 connections`)
    const certificate = { cert: path.join(data, 'tls.crt'), key: path.join(data, 'tls.key') }
    const bare = await perThousand(await startBare(tls ? certificate : undefined))
    progress(`idle, ${tls ? 'TLS' : 'plain'}: bare ${bare.toFixed(1)} MiB per 1,000 connections`)
    const [id, bar] = tls ? ['idle-memory-tls', 1.3] : ['idle-memory', 1.8]
    const [unit, words] = ['MiB/1,000', `<= ${bar} x bare ws${tls ? ' with TLS' : ''}`]
    rows.push(row({ id, ours, rival: bare, unit, bar: words, ok: ours <= bar * bare }))
  }
  const notes = [
    `idle-memory: own (anonymous) memory at ${CONNECTIONS} connections less that at ${CONNECTIONS_BEFORE}, by thousands; ours are logged in and have a mailbox open. One run.`,
  ]
  return { rows, notes }
}

async function perThousand(server: Server): Promise<number> {
  const { pid, system, url, relay, claims } = server
  const holders: ChildProcess[] = []
  try {
    for (let i = 0; i < HOLDERS; i++) {
      const order: HolderOrder = {
        server: { system, url, relay, claims, metrics: '' },
        first: (i * CONNECTIONS) / HOLDERS,
      }
      const file = fileURLToPath(new URL('./holder.js', import.meta.url))
      const holder = fork(file, [JSON.stringify(order)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
      holders.push(holder)
      await once(holder, 'message')
    }
    const held = async (connections: number): Promise<number> => {
      // One after the other: a mesh may have lanes in both.
      for (const holder of holders) {
        holder.send(connections / HOLDERS)
        await once(holder, 'message')
      }
      await pause(REST_MS)
      return ownBytes(pid)
    }
    const before = await held(CONNECTIONS_BEFORE)
    const after = await held(CONNECTIONS)
    return (after - before) / MEBIBYTE / ((CONNECTIONS - CONNECTIONS_BEFORE) / THOUSAND)
  } finally {
    for (const holder of holders) holder.kill('SIGKILL')
    await server.stop()
  }
}
