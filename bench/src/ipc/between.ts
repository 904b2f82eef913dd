import * as path from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { connect, type NatsConnection } from '@nats-io/transport-node'
import { endHousehold, type Household, startHousehold } from '@sealmesh/test/processes/household'
import type { NodeProcess } from '@sealmesh/test/processes/node'
import { until } from '@sealmesh/test/processes/wait'
import { natsVersion, startNats } from '../relay/servers.ts'
import { type BenchOptions, median, quantile, type Row, row } from '../result.ts'
import { measureSealing } from '../sync/unit-costs.ts'
import { attachPeer } from './lane.ts'

/**
 * A request and its reply between agents of two machines: agent, home's node, relay, office's node, agent, and back,
 * beside a request and its reply of NATS in clear. This process is the four agents, of both sides; the nodes, the relay
 * and NATS are processes of their own.
 */

const RATES_PER_SECOND = [20, 200] as const
const RUN_MS = 4_000
const WARM_MS = 1_000
const PAYLOAD_BYTES = 256
const REPLY_MS = 30_000
/** A node runs for weeks, and its programs are compiled after some thousand requests; both sides get them first. */
const WARMING = { perSecond: 400, ms: 12_000 }
/** One letter each way; what says that a letter was taken is not waited for. */
const PACKETS = 2

interface Pair {
  /** Resolves with the reply. */
  request(payload: string): Promise<unknown>
  close(): Promise<void>
}

export async function between({ runs, progress }: BenchOptions): Promise<Row[]> {
  const pairs: { ours: Pair; nats?: Pair } = { ours: await ourPair() }
  try {
    if (natsVersion() !== undefined) pairs.nats = await natsPair()
    const sealing = await measureSealing()
    progress(`a seal, a sign, an open and a verify take ${sealing.toFixed(3)} ms`)
    progress('node to node, warming')
    for (const pair of [pairs.nats, pairs.ours])
      if (pair !== undefined) await steady(pair, WARMING.perSecond, WARMING.ms)
    const rows: Row[] = []
    for (const perSecond of RATES_PER_SECOND) {
      const [ours, nats]: number[][][] = [[], []]
      for (let run = 0; run < runs; run++) {
        progress(`node to node, ${perSecond}/s, run ${run + 1}`)
        if (pairs.nats !== undefined) nats?.push(await steady(pairs.nats, perSecond))
        ours?.push(await steady(pairs.ours, perSecond))
      }
      rows.push(...rowsOf(perSecond, sealing, ours ?? [], nats ?? []))
    }
    return [
      ...rows,
      row({ id: 'seal, sign, open, verify', ours: sealing, rival: null, unit: 'ms', bar: null, ok: null }),
    ]
  } finally {
    await pairs.nats?.close()
    await pairs.ours.close()
  }
}

function rowsOf(perSecond: number, sealing: number, ours: readonly number[][], nats: readonly number[][]): Row[] {
  const at = (taken: readonly number[][], part: number): number | null =>
    taken.length === 0 ? null : median(taken.map((each) => quantile(each, part)))
  const [figure, rival] = [at(ours, 0.5), at(nats, 0.5)]
  const barMs = rival === null ? null : 4 * rival + PACKETS * sealing
  return [
    row({
      id: `node to node, p50, ${perSecond}/s`,
      ours: figure,
      rival,
      unit: 'ms',
      bar: barMs === null ? 'no NATS here' : `at most 4 times, and 2 (seal, sign, open, verify): ${barMs.toFixed(2)}`,
      ok: barMs === null || figure === null ? null : figure <= barMs,
    }),
    row({
      id: `node to node, p99, ${perSecond}/s`,
      ours: at(ours, 0.99),
      rival: at(nats, 0.99),
      unit: 'ms',
      bar: null,
      ok: null,
    }),
  ]
}

/** At that rate, whether or not replies come; how long each took, in ms. */
async function steady(pair: Pair, perSecond: number, forMs = RUN_MS): Promise<number[]> {
  const taken: number[] = []
  const open: Promise<void>[] = []
  let failure: Error | undefined
  const filler = 'x'.repeat(PAYLOAD_BYTES - 24)
  const startedAtMs = performance.now()
  const one = async (at: number): Promise<void> => {
    const sentAtMs = performance.now()
    await pair.request(`${at} ${filler}`)
    if (sentAtMs >= startedAtMs + WARM_MS) taken.push(performance.now() - sentAtMs)
  }
  for (let sent = 0; failure === undefined && performance.now() - startedAtMs < WARM_MS + forMs; ) {
    const due = ((performance.now() - startedAtMs) * perSecond) / 1_000
    for (; sent < due; sent++) open.push(one(sent).catch((error: Error) => void (failure ??= error)))
    await pause(1)
  }
  await Promise.all(open)
  if (failure !== undefined) throw failure
  return taken
}

async function natsPair(): Promise<Pair> {
  const server = await startNats()
  const dial = (): Promise<NatsConnection> => connect({ servers: server.tcp })
  const [asker, answerer] = [await dial(), await dial()]
  answerer.subscribe('bob', { callback: (_, message) => void message.respond(message.data) })
  await answerer.flush()
  return {
    request: (payload) => asker.request('bob', payload, { timeout: REPLY_MS }),
    close: async () => {
      await asker.close()
      await answerer.close()
      await server.stop()
    },
  }
}

async function ourPair(): Promise<Pair> {
  const house = await startHousehold('bench')
  try {
    return await pairIn(house)
  } catch (error) {
    await endHousehold(house)
    throw error
  }
}

async function pairIn(house: Household): Promise<Pair> {
  // At once: each is granted to the other by name, so both must be there.
  const ends = await Promise.all([agentOn(house.home, 'alice', 'bob'), agentOn(house.office, 'bob', 'alice')])
  const [alice, bob] = ends
  const waiting = new Map<string, (payload: string) => void>()
  bob.onMessage = (payload) => {
    // Without a reply its asker gives up.
    bob.send('alice', payload).catch(() => undefined)
  }
  alice.onMessage = (payload) => {
    const at = payload.slice(0, payload.indexOf(' '))
    waiting.get(at)?.(payload)
    waiting.delete(at)
  }
  const request = (payload: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error('no reply has come')), REPLY_MS)
      waiting.set(payload.slice(0, payload.indexOf(' ')), (reply) => {
        clearTimeout(late)
        resolve(reply)
      })
      alice.send('bob', payload).catch(reject)
    })
  // Each grant reaches the other machine in its own time.
  await until('alice may write to bob', () => alice.send('bob', 'hello').then(() => true))
  await until('bob may write to alice', () => bob.send('alice', 'hello').then(() => true))
  return {
    request,
    close: async () => {
      for (const end of ends) end.close()
      await endHousehold(house)
    },
  }
}

async function agentOn(node: NodeProcess, name: string, other: string) {
  const door = await node.door()
  await door.call('agents.add', { name, standby: [] })
  const { token } = await door.call('agents.token', { name })
  await until(`${node.name} knows ${other}`, async () => {
    const changes = [{ layer: 'inbox', to: `${other}:write` }]
    await door.call('share.set', { agent: name, changes, newLayer: true })
    return true
  })
  await door.close()
  return attachPeer(path.join(node.home, 'run', 'agents', 'sealmesh-agents.sock'), token ?? '')
}
