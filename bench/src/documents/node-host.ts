import { setTimeout as wait } from 'node:timers/promises'
import { startNode } from '@sealmesh/node/main'
import { monotonicMs } from '../sync/workload.ts'
import { serve } from './host.ts'
import { keyOf, SET_AT_ONCE, valueOf } from './registers.ts'

/** node node-host.js HOME: a process that hosts a node, and does to it what the bench says. */
const [home = ''] = process.argv.slice(2)
const nobody = { notify: () => undefined, signal: new AbortController().signal }
const node = await startNode({ home })

const answers = {
  /** Registers `from` to `to`, with values of that round; durable here when it answers. */
  async fill(layer: string, from: number, to: number, round: number): Promise<void> {
    for (let at = from; at < to; at += SET_AT_ONCE) {
      const writes = []
      for (let i = at; i < Math.min(to, at + SET_AT_ONCE); i++)
        writes.push({ umr: `home.${layer}.${keyOf(i)}`, value: JSON.stringify(valueOf(i, round)) })
      await node.handlers['set.many']({ writes, onlyChanged: false, newLayer: true }, nobody)
    }
  },
  /** One commit for each register, the next when the last is durable. */
  async change(layer: string, places: readonly number[], round: number): Promise<void> {
    for (const i of places) {
      const value = JSON.stringify(valueOf(i, round))
      await node.handlers.set({ umr: `home.${layer}.${keyOf(i)}`, value, tags: [] }, nobody)
    }
  },
  /** When the grant was asked for. */
  async share(layer: string): Promise<number> {
    const atMs = monotonicMs()
    await node.handlers['share.set']({ agent: 'home', changes: [{ layer, to: 'office' }], newLayer: true }, nobody)
    return atMs
  },
  /** When the register had this value here, durably. Blocks of one writer come in order: with the last all are here. */
  async seen(layer: string, i: number, round: number): Promise<number> {
    const wanted = JSON.stringify(valueOf(i, round))
    for (;;) {
      const { item } = await node.handlers.get({ umr: `home.${layer}.${keyOf(i)}` }, nobody)
      if (item?.type === 'register' && item.value === wanted) return monotonicMs()
      await wait(2)
    }
  },
  async mirror(path: string): Promise<void> {
    await node.handlers['folder.add']({ agent: 'home', path, layer: 'files', allow: [] }, nobody)
  },
  async count(layer: string): Promise<number> {
    return (await node.handlers.ls({ prefix: `home.${layer}.`, limit: 100_000 }, nobody)).items.length
  },
  async live(): Promise<void> {
    while ((await node.handlers.status({}, nobody)).relays[0]?.state !== 'live') await wait(20)
  },
  async close(): Promise<void> {
    await node.close()
  },
}
export type NodeHost = typeof answers

serve(answers)
