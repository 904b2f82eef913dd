import { lstat } from 'node:fs/promises'
import { Failure } from '@sealmesh/protocol/errors'
import { toHex } from '@sealmesh/protocol/bytes'
import type { DoorClient } from '../ipc/client.ts'
import { KeyStore } from '../keys/key-store.ts'
import type { Output } from './output.ts'
import { oneLine } from './printable.ts'
import type { Session } from './session.ts'

/** Before anything else is done: a person should not type a passphrase for a file that cannot be written. */
export async function refuseExisting(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined)
  if (found === undefined) return
  throw new Failure('FILE_EXISTS', `There is a file ${path} already, and it may be a kit that you need.`)
}

export interface KitPassphrases {
  readonly kit: string
  /** Where the keys of this home have one. */
  readonly keys: string | undefined
}

/** Writes a recovery kit and opens it again. The secrets go from the key files to the kit, and nowhere else. */
export async function makeKit(
  session: Session,
  door: DoorClient,
  path: string,
  passphrases: KitPassphrases,
): Promise<void> {
  const { output, home } = session
  const draft = await door.call('kit.draft', {})
  const [{ writeKit }, { loadSodium }] = await Promise.all([
    import('../recovery/kit-file.ts'),
    import('@sealmesh/sodium/load'),
  ])
  const sodium = await loadSodium()
  const seeds = await KeyStore.kitSeeds(home.keys, sodium, passphrases.keys)
  const bySeed = new Map(seeds.agents.map((seed) => [toHex(sodium.signKeys('agent', seed).publicKey), seed]))
  const agents = draft.agents.flatMap(({ id, name }) => {
    const seed = bySeed.get(id)
    return seed === undefined ? [] : [{ id: id as never, name, seed }]
  })
  const madeAt = new Date().toISOString()
  const { mesh, meshName, relays, records } = draft
  const writing = writeKit(
    path,
    {
      mesh: mesh as never,
      meshName,
      madeAt,
      rootSeed: seeds.root,
      agents,
      relays,
      records: records.map((record) => new Uint8Array(Buffer.from(record, 'base64'))),
    },
    passphrases.kit,
    sodium,
  )
  await patiently(output, 'writing the recovery kit, and opening it again', writing)
  for (const seed of [seeds.root, ...seeds.agents]) seed.fill(0)
  await door.call('kit.kept', { madeAt, agents: agents.map(({ id }) => id) })
  output.data({ kit: path, madeAt, agents: agents.map(({ name }) => name) })
  output.say(`The recovery kit is in ${oneLine(path, 200)}, and opens. Keep it off this machine, with its passphrase.`)
}

const TICK_MS = 500

/** So that a person sees that something goes on: a passphrase is made slow to guess on purpose. */
export async function patiently<T>(output: Output, what: string, work: Promise<T>): Promise<T> {
  const sinceMs = performance.now()
  const show = (): void => output.progress(`${what}: ${Math.floor((performance.now() - sinceMs) / 1_000)} s`)
  show()
  const timer = setInterval(show, TICK_MS)
  try {
    return await work
  } finally {
    clearInterval(timer)
  }
}
