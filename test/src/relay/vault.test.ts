import { createHash } from 'node:crypto'
import type { ChunkId, VaultId } from '@sealmesh/protocol/ids'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { signRevocation } from '@sealmesh/protocol/wire/revocation'
import { VAULT_SNAPSHOTS_MAX, type VaultListing, vaultOf } from '@sealmesh/protocol/wire/vault'
import { loadSodium } from '@sealmesh/sodium/load'
import fc from 'fast-check'
import { beforeEach, describe, expect, test } from 'vitest'
import { type Member, TestMesh } from './mesh.ts'
import { type Client, SimulatedRelay } from './simulated-relay.ts'

let sodium: Sodium
let relay: SimulatedRelay
let mesh: TestMesh
let alice: Member
let bob: Member

function begin(limits: ConstructorParameters<typeof SimulatedRelay>[1] = {}): void {
  relay = new SimulatedRelay(sodium, limits)
  mesh = new TestMesh(sodium, 'vault')
  relay.admit(mesh.id)
  alice = mesh.member('alice', { admin: true })
  bob = mesh.member('bob')
}
beforeEach(async () => {
  sodium = await loadSodium()
  begin()
})

const CHUNK_BYTES = 1_000
const chunkOf = (what: string): { chunk: ChunkId; bytes: Uint8Array } => ({
  chunk: createHash('sha256').update(what).digest('hex') as ChunkId,
  bytes: new Uint8Array(Buffer.alloc(CHUNK_BYTES, what)),
})

let request = 0
/** What was said to a question; undefined while nothing has come. */
const told = (client: Client, asked: number) =>
  client.frames.find((frame) => 'request' in frame && frame.request === asked)
const reasonOf = (client: Client, asked: number) => {
  const frame = told(client, asked)
  return frame?.type === 'done' ? (frame.reason ?? 'done') : frame?.type
}
const names = (client: Client, whats: readonly string[], first = true): number => {
  request += 1
  client.say({ type: 'vaultNames', request, begin: first, chunks: whats.map((what) => chunkOf(what).chunk) })
  return request
}
const lacks = (client: Client, whats: readonly string[], first = true): string[] => {
  const frame = told(client, names(client, whats, first))
  return frame?.type === 'vaultLacks' ? frame.places.map((place) => whats[place] ?? '?') : []
}
const put = (client: Client, what: string, bytes = CHUNK_BYTES): number => {
  request += 1
  client.say({ type: 'vaultPut', request, chunk: chunkOf(what).chunk, bytes: chunkOf(what).bytes.subarray(0, bytes) })
  return request
}
const keep = (client: Client, root: string): number => {
  request += 1
  client.say({ type: 'vaultKeep', request, root: chunkOf(root).chunk })
  return request
}
/** A whole snapshot, of which the first piece is the root. Gives what was sent, and what came of it. */
function leave(client: Client, whats: readonly string[]): { sent: string[]; kept: string | undefined } {
  const sent = lacks(client, whats)
  for (const what of sent) put(client, what)
  relay.settle()
  const asked = keep(client, whats[0]!)
  relay.settle()
  return { sent, kept: reasonOf(client, asked) }
}
const list = (client: Client): readonly VaultListing[] => {
  request += 1
  client.say({ type: 'vaultList', request })
  const frame = told(client, request)
  return frame?.type === 'vaults' ? frame.vaults : []
}
const get = (client: Client, of: Member, what: string): string | null | undefined => {
  request += 1
  client.say({ type: 'vaultGet', request, vault: vaultOf(of.keys.publicKey, sodium), chunk: chunkOf(what).chunk })
  relay.settle()
  const frame = told(client, request)
  if (frame?.type !== 'vaultChunk') return undefined
  return frame.bytes === null ? null : String.fromCharCode(frame.bytes[0]!)
}
const stateOf = (of: Member) => relay.state.meshes.get(mesh.id)?.vaults.get(vaultOf(of.keys.publicKey, sodium))
const numbersOf = (of: Member): number[] => (stateOf(of)?.snapshots ?? []).map(({ number }) => number)
const revoke = (client: Client, member: Member): void => {
  request += 1
  const revocation = signRevocation(
    { mesh: mesh.id, loginKey: member.keys.publicKey, adminKey: null, chain: [] },
    mesh.root.secretKey,
    sodium,
  )
  client.say({ type: 'revoke', request, revocation })
  relay.settle()
}

describe('a vault', () => {
  test('keeps what was left, for its node and for all of its mesh', () => {
    const [one, other] = [relay.login(alice), relay.login(bob)]
    expect(leave(one, ['a', 'b', 'c'])).toEqual({ sent: ['a', 'b', 'c'], kept: 'done' })
    expect(list(other)).toMatchObject([
      {
        vault: vaultOf(alice.keys.publicKey, sodium),
        snapshots: [{ number: 1, chunks: 3, bytes: 3 * CHUNK_BYTES, root: chunkOf('a').chunk }],
      },
    ])
    expect([get(other, alice, 'a'), get(other, alice, 'c'), get(other, alice, 'x')]).toEqual(['a', 'c', null])
    expect(get(other, bob, 'a')).toBe(null)
  })

  test('is not sent again what it has', () => {
    const one = relay.login(alice)
    leave(one, ['a', 'b', 'c'])
    expect(leave(one, ['A', 'b', 'c', 'd'])).toEqual({ sent: ['A', 'd'], kept: 'done' })
    expect(numbersOf(alice)).toEqual([1, 2])
  })

  test('says that a piece is there only when a crash cannot take it', () => {
    const one = relay.login(alice)
    names(one, ['a'])
    const asked = put(one, 'a')
    expect(told(one, asked)).toBeUndefined()
    const early = keep(one, 'a')
    expect(reasonOf(one, early)).toBe('VAULT_INCOMPLETE')
    relay.settle()
    expect(reasonOf(one, asked)).toBe('done')
    const late = keep(one, 'a')
    expect(told(one, late)).toBeUndefined()
    expect(list(one)).toEqual([])
    relay.settle()
    expect(reasonOf(one, late)).toBe('done')
    relay.crash()
    expect(list(relay.login(bob))).toHaveLength(1)
  })

  test('that was cut off is gone on with, and what was not whole is no snapshot', () => {
    const one = relay.login(alice)
    leave(one, ['a', 'b'])
    lacks(one, ['c', 'd', 'e'])
    put(one, 'c')
    put(one, 'd')
    relay.commit()
    put(one, 'e')
    relay.crash()
    const again = relay.login(alice)
    expect(numbersOf(alice)).toEqual([1])
    expect(leave(again, ['c', 'd', 'e'])).toEqual({ sent: ['e'], kept: 'done' })
    expect(get(again, alice, 'b')).toBe('b')
  })

  test('keeps so many snapshots and lets go of what is in none of them', () => {
    const one = relay.login(alice)
    const lives = ['p', 'q', 'r', 's', 't']
    for (const own of lives) leave(one, [own, 'z'])
    expect(numbersOf(alice)).toEqual([3, 4, 5])
    expect(stateOf(alice)?.chunks.size).toBe(VAULT_SNAPSHOTS_MAX + 1)
    expect(lives.map((own) => get(one, alice, own))).toEqual([null, null, 'r', 's', 't'])
    relay.crash()
    const again = relay.login(alice)
    expect(lives.map((own) => get(again, alice, own))).toEqual([null, null, 'r', 's', 't'])
    expect(get(again, alice, 'z')).toBe('z')
  })

  test('is as it was when the disk does not take a piece, or the end', () => {
    const one = relay.login(alice)
    leave(one, ['a'])
    lacks(one, ['b'])
    const lost = put(one, 'b')
    relay.failCommit('DISK_FULL')
    expect(reasonOf(one, lost)).toBe('DISK_FULL')
    expect(stateOf(alice)?.bytes).toBe(CHUNK_BYTES)
    expect(lacks(one, ['b'])).toEqual(['b'])
    put(one, 'b')
    relay.commit()
    const end = keep(one, 'b')
    relay.failCommit('DISK_FAILED')
    expect(reasonOf(one, end)).toBe('DISK_FAILED')
    expect(numbersOf(alice)).toEqual([1])
    const again = keep(one, 'b')
    relay.settle()
    expect(reasonOf(one, again)).toBe('done')
    expect(numbersOf(alice)).toEqual([1, 2])
  })

  test('of a mesh is not seen by another one', () => {
    const foreign = new TestMesh(sodium, 'another')
    relay.admit(foreign.id)
    leave(relay.login(alice), ['a'])
    const carol = relay.login(foreign.member('carol'))
    expect([list(carol), get(carol, alice, 'a')]).toEqual([[], null])
  })
})

describe('room in a vault', () => {
  test('is made by older snapshots of the same node, never of another, and not by its newest', () => {
    begin({ loginVaultBytesMax: 4 * CHUNK_BYTES, meshVaultBytesMax: 6 * CHUNK_BYTES })
    const [one, other] = [relay.login(alice), relay.login(bob)]
    leave(other, ['x', 'y'])
    leave(one, ['a', 'b'])
    leave(one, ['c', 'd'])
    // The second takes the last free bytes; of the third the first makes room.
    expect(leave(one, ['e', 'f']).kept).toBe('done')
    expect(numbersOf(alice)).toEqual([2, 3])
    names(one, ['g', 'h', 'i'])
    const asked = ['g', 'h', 'i'].map((what) => {
      const number = put(one, what)
      relay.settle()
      return number
    })
    expect(asked.map((each) => reasonOf(one, each))).toEqual(['done', 'done', 'QUOTA_VAULT'])
    expect(numbersOf(alice)).toEqual([3])
    expect([get(one, alice, 'e'), get(one, alice, 'f')]).toEqual(['e', 'f'])
    expect(numbersOf(bob)).toEqual([1])
    // What was never finished makes room for what is.
    expect(leave(one, ['j', 'k']).kept).toBe('done')
    expect(relay.state.meshes.get(mesh.id)?.vaultBytes).toBeLessThanOrEqual(6 * CHUNK_BYTES)
  })

  test('is made by the vault of a machine that was removed, but only when there is no other', () => {
    begin({ meshVaultBytesMax: 4 * CHUNK_BYTES })
    const [one, other] = [relay.login(alice), relay.login(bob)]
    leave(other, ['x', 'y'])
    leave(one, ['a', 'b'])
    names(one, ['c'])
    const full = put(one, 'c')
    expect(reasonOf(one, full)).toBe('QUOTA_VAULT')
    revoke(one, bob)
    expect(numbersOf(bob)).toEqual([1])
    expect(get(one, bob, 'x')).toBe('x')
    expect(leave(one, ['c', 'd']).kept).toBe('done')
    expect(stateOf(bob)).toBeUndefined()
    relay.crash()
    expect(stateOf(bob)).toBeUndefined()
    expect(numbersOf(alice)).toEqual([1, 2])
  })

  test('T-peer-6: is not made for a chunk that is refused, neither in memory nor on the disk', () => {
    begin({ loginVaultBytesMax: 3.5 * CHUNK_BYTES })
    const one = relay.login(alice)
    names(one, ['a', 'b', 'c'])
    for (const what of ['a', 'b', 'c']) put(one, what)
    for (const stray of ['s', 't', 'u']) {
      names(one, ['a', 'b', 'c'])
      const small = put(one, stray, 400)
      relay.settle()
      expect(reasonOf(one, small)).toBe('done')
      names(one, ['a', 'b', 'c'])
      expect(reasonOf(one, put(one, 'd'))).toBe('QUOTA_VAULT')
    }
    const counted = stateOf(alice)?.bytes
    relay.crash()
    expect(stateOf(alice)?.bytes).toBe(counted)
  })

  test('is not made by older snapshots when these are not enough', () => {
    begin({ loginVaultBytesMax: 4 * CHUNK_BYTES })
    const one = relay.login(alice)
    leave(one, ['a'])
    leave(one, ['b', 'c'])
    names(one, ['d', 'b', 'c'])
    put(one, 'd')
    relay.settle()
    names(one, ['a', 'd', 'b', 'c'])
    expect(reasonOf(one, put(one, 'e'))).toBe('QUOTA_VAULT')
    expect(numbersOf(alice)).toEqual([1, 2])
    relay.crash()
    expect(numbersOf(alice)).toEqual([1, 2])
  })

  test('T-peer-6: has bounds that whatever is said keeps to', () => {
    const limits = {
      loginVaultBytesMax: 3_500,
      meshVaultBytesMax: 5_000,
      loginVaultChunksMax: 5,
      meshVaultChunksMax: 7,
    }
    const step = fc.record({
      who: fc.constantFrom(0, 1),
      what: fc.array(fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'), { minLength: 1, maxLength: 5 }),
      act: fc.constantFrom('names', 'put', 'keep', 'leave', 'crash', 'commit', 'fail'),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        begin(limits)
        let clients = [relay.login(alice), relay.login(bob)]
        for (const { who, what, act } of steps) {
          const client = clients[who]!
          if (act === 'names') names(client, what)
          if (act === 'put') for (const each of what) put(client, each)
          if (act === 'keep') keep(client, what[0]!)
          if (act === 'leave') leave(client, what)
          if (act === 'commit') relay.settle()
          if (act === 'fail') relay.failCommit('DISK_FULL')
          if (act === 'crash') {
            relay.crash()
            clients = [relay.login(alice), relay.login(bob)]
          }
          const state = relay.state.meshes.get(mesh.id)
          let [bytes, chunks] = [0, 0]
          for (const vault of state?.vaults.values() ?? []) {
            let own = 0
            for (const chunk of vault.chunks.values()) own += chunk.bytes
            expect(vault.bytes).toBe(own)
            expect(own).toBeLessThanOrEqual(limits.loginVaultBytesMax)
            expect(vault.chunks.size).toBeLessThanOrEqual(limits.loginVaultChunksMax)
            bytes += own
            chunks += vault.chunks.size
          }
          expect([state?.vaultBytes, state?.vaultChunks]).toEqual([bytes, chunks])
          expect(bytes).toBeLessThanOrEqual(limits.meshVaultBytesMax)
        }
        // Every snapshot that is listed is there, whole, and after a crash as well; and what counts is what is there.
        relay.settle()
        const counted = relay.state.meshes.get(mesh.id)?.vaultBytes
        relay.crash()
        expect(relay.state.meshes.get(mesh.id)?.vaultBytes).toBe(counted)
        for (const vault of relay.state.meshes.get(mesh.id)?.vaults.values() ?? [])
          for (const { number, chunks, root } of vault.snapshots) {
            expect(vault.chunks.has(root)).toBe(true)
            const newest = vault.snapshots.at(-1)?.number
            const own = [...vault.chunks.values()].filter(({ kept }) => kept === number)
            if (number === newest) expect(own).toHaveLength(chunks)
          }
      }),
      { numRuns: 150 },
    )
  })
})

describe('who may not', () => {
  test('T-pairing-6: an invite asks nothing of a vault', () => {
    const invite = relay.login(mesh.member('guest', { invite: alice.mailbox, expiresMs: relay.nowMs + 60_000 }))
    leave(relay.login(alice), ['a'])
    expect(reasonOf(invite, names(invite, ['b']))).toBe('RECIPIENT_FORBIDDEN')
    expect(reasonOf(invite, put(invite, 'b'))).toBe('RECIPIENT_FORBIDDEN')
    request += 1
    invite.say({ type: 'vaultList', request })
    expect(reasonOf(invite, request)).toBe('RECIPIENT_FORBIDDEN')
    request += 1
    const vault = vaultOf(alice.keys.publicKey, sodium) satisfies VaultId
    invite.say({ type: 'vaultGet', request, vault, chunk: chunkOf('a').chunk })
    expect(reasonOf(invite, request)).toBe('RECIPIENT_FORBIDDEN')
    expect(relay.state.meshes.get(mesh.id)?.vaults.size).toBe(1)
  })

  test('T-revoked-4: a stranger, and a node that was removed, change nothing of it', () => {
    const one = relay.login(alice)
    const other = relay.login(bob)
    leave(other, ['x'])
    names(other, ['y'])
    revoke(one, bob)
    put(other, 'y')
    keep(other, 'y')
    relay.settle()
    expect(numbersOf(bob)).toEqual([1])
    const stranger = relay.connect()
    stranger.say({ type: 'vaultNames', request: 1, begin: true, chunks: [] })
    expect(stranger.goodbye).toBe('FRAME_UNEXPECTED')
    const back = relay.connect()
    back.answerAs(bob)
    expect(back.goodbye).toBe('NODE_REVOKED')
  })

  test('an idled connection of a login that came twice leaves nothing, and a newer one does not go on in its draft', () => {
    const older = relay.login(alice)
    lacks(older, ['a'])
    put(older, 'a')
    relay.settle()
    const newer = relay.login(alice)
    expect(reasonOf(older, keep(older, 'a'))).toBe('DUPLICATE_LOGIN')
    expect(reasonOf(newer, keep(newer, 'a'))).toBe('VAULT_INCOMPLETE')
    expect(reasonOf(newer, names(newer, ['b'], false))).toBe('VAULT_INCOMPLETE')
    expect(leave(newer, ['a', 'b'])).toEqual({ sent: ['b'], kept: 'done' })
  })

  test('a connection that asks for more than it takes is told so', () => {
    begin({ vaultReadsMax: 2 })
    const one = relay.login(alice)
    leave(one, ['a'])
    const vault = vaultOf(alice.keys.publicKey, sodium)
    const asked = [1, 2, 3].map(() => {
      request += 1
      one.say({ type: 'vaultGet', request, vault, chunk: chunkOf('a').chunk })
      return request
    })
    relay.settle()
    expect(asked.map((each) => reasonOf(one, each))).toEqual(['vaultChunk', 'vaultChunk', 'QUOTA_VAULT'])
    expect(get(one, alice, 'a')).toBe('a')
  })
})
