import { BOX_BYTES } from '@sealmesh/protocol/envelope/header'
import { encodeHeader } from '@sealmesh/protocol/envelope/header-writer'
import type { MailboxId, MeshId, PacketId } from '@sealmesh/protocol/ids'
import { NONCE_BYTES } from '@sealmesh/protocol/keys'
import { PADDING_FLOOR_BYTES } from '@sealmesh/protocol/limits'
import { ClusterStore } from '@sealmesh/relay/cluster/cluster-store'
import { ClusterTally } from '@sealmesh/relay/cluster/cluster-tally'
import { Homes } from '@sealmesh/relay/cluster/homes'
import { loadSodium } from '@sealmesh/sodium/load'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Fate, MemoryLog, turns } from './memory-log.ts'

const MESHES = ['00', '08', '01'].map((first) => first.repeat(32) as MeshId)
const MAILBOX = 'ab'.repeat(32) as MailboxId
const sodium = await loadSodium()

const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ type: fc.constant('persist' as const), by: fc.nat(2), mesh: fc.nat(2) }) },
  {
    weight: 3,
    arbitrary: fc.record({ type: fc.constant('find' as const), by: fc.nat(2), mesh: fc.nat(2), dead: fc.boolean() }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('crash' as const), by: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('check' as const), by: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('release' as const), by: fc.nat(2) }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constant('wait' as const), turns: fc.nat(40) }) },
)
const mostly = fc.oneof({ weight: 12, arbitrary: fc.constant(true) }, { weight: 1, arbitrary: fc.constant(false) })
const fates = fc.infiniteStream(
  fc.record<Fate>({
    beforeTurns: fc.oneof({ weight: 5, arbitrary: fc.nat(2) }, { weight: 1, arbitrary: fc.nat(30) }),
    afterTurns: fc.oneof({ weight: 5, arbitrary: fc.nat(2) }, { weight: 1, arbitrary: fc.nat(30) }),
    isAnswered: mostly,
    isHeard: mostly,
  }),
)

/** A packet that says which it is, by its expiry. */
function packet(number: number): Uint8Array {
  const id = number.toString(16).padStart(32, '0') as PacketId
  const header = encodeHeader(id, number, [{ mailbox: MAILBOX, box: new Uint8Array(BOX_BYTES) }])
  return Buffer.concat([header, new Uint8Array(NONCE_BYTES + PADDING_FLOOR_BYTES + 16)])
}

test('whoever becomes home of a mesh finds all that was ever answered, and nothing is added behind its back', async () => {
  let total = 0
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 20, maxLength: 120, size: 'max' }),
      fates,
      async (steps, fateStream) => {
        const log = new MemoryLog()
        /** By mesh: what somebody was told is stored. */
        const answered = MESHES.map(() => new Set<number>())
        /** Answered, and not found by a home that came after. */
        const unknown: number[] = []
        let number = 0
        let count = 0
        const begin = () => {
          const id = `instance ${++count}`
          let isAlive = true
          let isDead = false
          const receipts = new Map<number, { mesh: number; number: number }>()
          /** What this instance knows to lie in a mesh's mailbox, while it is its home. */
          const known = new Map<MeshId, Set<number>>()
          const next = new Map<MeshId, number>()
          const view = log.seenBy(
            () => isAlive,
            () => fateStream.next().value,
          )
          const store: ClusterStore = new ClusterStore({
            log: view,
            now: () => 0,
            tally: new ClusterTally(),
            onLost: (mesh) => known.delete(mesh),
            events: {
              onPersisted: (all) => {
                if (!isAlive) return
                for (const receipt of all) {
                  const what = receipts.get(receipt)
                  if (what !== undefined) answered[what.mesh]?.add(what.number)
                }
              },
              onFailed: () => undefined,
              onTrouble: () => undefined,
              onGroup: () => undefined,
            },
          })
          const homes = new Homes({
            now: () => 0,
            tally: new ClusterTally(),
            log: view,
            store,
            sodium,
            instance: id,
            isDead: async () => await Promise.resolve(isDead),
            onCame: ({ mesh }) => {
              if (!isAlive) return
              const found = [...(mesh.mailboxes.get(MAILBOX)?.entries ?? [])]
              const numbers = new Set(found.map(({ expiresMs }) => expiresMs))
              // Who was replaced while it loaded has what there was, and can add nothing to it.
              const home = log.entries.find(({ subject }) => subject.endsWith(`${mesh.id}.h`))
              const isStill = home !== undefined && Buffer.from(home.payload).toString() === id
              for (const each of answered[MESHES.indexOf(mesh.id)] ?? [])
                if (isStill && !numbers.has(each)) unknown.push(each)
              known.set(mesh.id, numbers)
              next.set(mesh.id, mesh.mailboxes.get(MAILBOX)?.next ?? 1)
            },
            onGone: (mesh) => known.delete(mesh),
            tellTaken: () => undefined,
          })
          return {
            homes,
            store,
            known,
            kill: () => {
              isAlive = false
            },
            find: (mesh: MeshId, dead: boolean) => {
              isDead = dead
              void homes.find(mesh, true).catch(() => undefined)
            },
            persist: (at: number) => {
              const mesh = MESHES[at]
              if (mesh === undefined || !known.has(mesh)) return
              number += 1
              const sequence = next.get(mesh) ?? 1
              next.set(mesh, sequence + 1)
              known.get(mesh)?.add(number)
              receipts.set(number, { mesh: at, number })
              const bytes = packet(number)
              store.persist(
                [{ type: 'packet', mesh, mailbox: MAILBOX, sequence, expiresMs: number, packet: bytes }],
                number,
              )
            },
          }
        }
        const instances = [begin(), begin(), begin()]
        for (const each of steps) {
          if (each.type === 'wait') await turns(each.turns)
          else if (each.type === 'crash') {
            instances[each.by]?.kill()
            instances[each.by] = begin()
          } else if (each.type === 'find') instances[each.by]?.find(MESHES[each.mesh] ?? ('' as MeshId), each.dead)
          else if (each.type === 'check') void instances[each.by]?.homes.checkAll()
          else if (each.type === 'release') void instances[each.by]?.homes.releaseAll()
          else instances[each.by]?.persist(each.mesh)
        }
        await turns(80)
        for (const each of answered) total += each.size
        expect(unknown).toEqual([])
        for (const mesh of MESHES) {
          const lies = log.entries
            .filter(({ subject }) => subject.endsWith(`${mesh}.p.${MAILBOX}`))
            .map(({ payload }) => numberOf(payload))
          const fence = log.entries.find(({ subject }) => subject.endsWith(`${mesh}.h`))?.place
          for (const each of instances)
            if (each.store.fenceOf(mesh) === fence && each.known.has(mesh))
              for (const lying of lies) expect([...(each.known.get(mesh) ?? [])]).toContain(lying)
          for (const each of answered[MESHES.indexOf(mesh)] ?? []) expect(lies).toContain(each)
        }
      },
    ),
    { numRuns: Number(process.env['SEALMESH_CLUSTER_RUNS'] ?? 150) },
  )
  // Schedules in which nothing is ever stored would prove nothing.
  expect(total).toBeGreaterThan(100)
})

const numberOf = (bytes: Uint8Array): number => Buffer.from(bytes.buffer, bytes.byteOffset + 17, 6).readUIntBE(0, 6)
