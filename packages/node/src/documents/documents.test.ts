import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { compareText, equalBytes, toHex } from '@sealmesh/protocol/bytes'
import { documentIdOf } from '@sealmesh/protocol/crdt/block-codec'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { dice } from '@sealmesh/protocol/test-dice'
import { loadSodium } from '@sealmesh/sodium/load'
import { Level } from 'level'
import { afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { BlockStore } from '../store/block-store.ts'
import { blockKey } from '../store/keys.ts'
import { set, sync, TestHomes, typeText, valueOf } from './test-homes.ts'

let sodium: Sodium
let homes: TestHomes

beforeAll(async () => {
  sodium = await loadSodium()
})

beforeEach(async () => {
  homes = await TestHomes.make(sodium)
})

afterEach(() => homes.remove())

test('a write is readable once its promise resolves, and names its block and time', async () => {
  const { documents } = await homes.start('home', homes.mesh.home)
  const [written] = await documents.write(homes.semantic, [set('deploy-day', 'Thursday')])
  const entry = (await documents.open(homes.semantic)).read('deploy-day')
  expect(entry).toMatchObject({ value: 'Thursday', author: homes.mesh.home.id, time: written?.time })
  expect(entry?.dot.hash).toBe(written?.block)
  expect(documents.names()).toEqual([homes.semantic])
})

test('a write is neither acknowledged, shown nor sent before it is on the disk', async () => {
  const { documents, database, commits } = await homes.start('home', homes.mesh.home)
  await documents.write(homes.semantic, [set('a', 'old')])
  const vector = await documents.vectorOf(homes.semantic)
  commits.length = 0
  database.hold()
  const before = database.batches
  const said: string[] = []
  const write = documents.write(homes.semantic, [set('a', 'new')]).then(() => said.push('acknowledged'))
  await vi.waitFor(() => expect(database.batches).toBe(before + 1))
  const reading = valueOf(documents, homes.semantic, 'a').then((value) => said.push(`read ${value}`))
  expect((await documents.after(homes.semantic, vector, 1_000)).blocks).toEqual([])
  await new Promise(setImmediate)
  expect(said).toEqual([])
  expect(commits).toEqual([])
  database.release()
  await Promise.all([write, reading])
  expect(said.toSorted(compareText)).toEqual(['acknowledged', 'read new'])
  expect(commits).toHaveLength(1)
})

test('64 writers who keep writing share blocks and batches', async () => {
  const { documents, database } = await homes.start('home', homes.mesh.home)
  await documents.write(homes.semantic, [set('warm', 'up')])
  const before = database.batches
  await Promise.all(
    Array.from({ length: 64 }, async (_, writer) => {
      for (let i = 0; i < 20; i++) await documents.write(homes.semantic, [set(`w${writer}`, `${i}`)])
    }),
  )
  expect(database.batches - before).toBeLessThanOrEqual(24)
  const document = await documents.open(homes.semantic)
  for (let writer = 0; writer < 64; writer++) expect(document.read(`w${writer}`)?.value).toBe('19')
  expect(document.counts().received).toBeLessThanOrEqual(25)
})

test('writes of one turn to one key share a batch, and the last one wins', async () => {
  const { documents, database } = await homes.start('home', homes.mesh.home)
  await documents.open(homes.semantic)
  const before = database.batches
  const written = await Promise.all(['1', '2', '3'].map((value) => documents.write(homes.semantic, [set('k', value)])))
  expect(database.batches - before).toBe(1)
  expect(new Set(written.map(([each]) => each?.block)).size).toBe(3)
  const document = await documents.open(homes.semantic)
  expect(document.siblings('k').map((entry) => entry.value)).toEqual(['3'])
})

test('one call may write more than a block holds, and gets one result for each intent', async () => {
  const { documents } = await homes.start('home', homes.mesh.home)
  const intents = Array.from({ length: 3_000 }, (_, i) => set(`k${i}`, 'x'.repeat(i % 200)))
  const written = await documents.write(homes.semantic, intents)
  expect(written).toHaveLength(3_000)
  const document = await documents.open(homes.semantic)
  for (const [i, each] of written.entries()) expect(document.read(`k${i}`)?.dot.hash).toBe(each.block)
})

test('a restart replays registers, deletes, conflicts and texts to the same digest', async () => {
  const home = await homes.start('home', homes.mesh.home)
  const office = await homes.start('office', homes.mesh.office)
  await home.documents.write(homes.semantic, [set('a', '1'), set('b', '2'), set('c', '3')])
  await home.documents.write(homes.semantic, [{ type: 'delete', key: 'b' }])
  await home.documents.editText(homes.semantic, typeText(0, 'Hello'))
  await sync(home.documents, office.documents, homes.semantic)
  await Promise.all([
    home.documents.write(homes.semantic, [set('a', 'home')]),
    office.documents.write(homes.semantic, [set('a', 'office')]),
    home.documents.editText(homes.semantic, typeText(5, ' home')),
    office.documents.editText(homes.semantic, typeText(0, 'Office, ')),
  ])
  await sync(office.documents, home.documents, homes.semantic)
  await sync(home.documents, office.documents, homes.semantic)
  const document = await home.documents.open(homes.semantic)
  const digest = document.digest()
  expect([...document.conflicted()]).toEqual(['a'])
  expect(equalBytes((await office.documents.open(homes.semantic)).digest(), digest)).toBe(true)
  await homes.stop(home)
  const again = await homes.start('home', homes.mesh.home)
  const replayed = await again.documents.open(homes.semantic)
  expect(replayed.text('notes')).toBe('Office, Hello home')
  expect(equalBytes(replayed.digest(), digest)).toBe(true)
  expect(await again.documents.vectorOf(homes.semantic)).toEqual(document.vector)
})

test('a vector is the same in memory, after eviction and after a restart', async () => {
  const home = await homes.start('home', homes.mesh.home, { documentsOpenMax: 1 })
  await home.documents.write(homes.semantic, [set('a', '1')])
  const open = await home.documents.vectorOf(homes.semantic)
  await home.documents.open(homes.session)
  expect(await home.documents.vectorOf(homes.semantic)).toEqual(open)
  await homes.stop(home)
  expect(await (await homes.start('home', homes.mesh.home)).documents.vectorOf(homes.semantic)).toEqual(open)
})

test('eviction keeps nothing lost, whatever is open and written at the same time', async () => {
  const home = await homes.start('home', homes.mesh.home, { documentsOpenMax: 2 })
  const names = Array.from({ length: 12 }, (_, i) => ({ agent: homes.mesh.agent, layer: `layer${i}` }))
  await Promise.all(
    names.map(async (name, n) => {
      for (let i = 0; i < 10; i++) await home.documents.write(name, [set(`k${i}`, `${n}.${i}`)])
    }),
  )
  for (const [n, name] of names.entries()) {
    const document = await home.documents.open(name)
    expect([...document.keys()].toSorted(compareText)).toEqual(Array.from({ length: 10 }, (_, i) => `k${i}`))
    expect(document.read('k9')?.value).toBe(`${n}.9`)
    expect(document.forks()).toEqual([])
  }
})

test('a flipped byte in a stored block is noticed, named, and stops no other document', async () => {
  const home = await homes.start('home', homes.mesh.home)
  const [written] = await home.documents.write(homes.semantic, [set('a', 'something worth keeping')])
  await home.documents.write(homes.episodic, [set('b', 'fine')])
  const [dot] = await home.documents.vectorOf(homes.semantic)
  await homes.stop(home)
  const raw = new Level<Uint8Array, Uint8Array>(join(homes.directory, 'home'), {
    keyEncoding: 'view',
    valueEncoding: 'view',
  })
  if (dot === undefined) return expect.fail()
  const key = blockKey(documentIdOf(homes.semantic, sodium), dot)
  const value = Uint8Array.from((await raw.get(key)) ?? [])
  value[20] = (value[20] ?? 0) ^ 1
  await raw.put(key, value)
  await raw.close()
  const again = await homes.start('home', homes.mesh.home)
  const reading = again.documents.open(homes.semantic)
  await expect(reading).rejects.toMatchObject({ code: 'STORE_DAMAGED', message: expect.stringContaining(`block 1 of`) })
  await expect(again.documents.write(homes.semantic, [set('a', 'x')])).rejects.toMatchObject({ code: 'STORE_DAMAGED' })
  expect(dot.hash).toBe(written?.block)
  expect(await valueOf(again.documents, homes.episodic, 'b')).toBe('fine')
})

test('a full disk fails its writers, shows nothing of what they wrote, and is over when there is room', async () => {
  const home = await homes.start('home', homes.mesh.home)
  await home.documents.write(homes.semantic, [set('a', 'before')])
  await home.documents.editText(homes.semantic, typeText(0, 'before'))
  home.database.full = true
  const failing = [
    home.documents.write(homes.semantic, [set('a', 'lost')]),
    home.documents.write(homes.semantic, [set('b', 'lost')]),
    home.documents.editText(homes.semantic, typeText(0, 'lost ')),
  ]
  for (const each of failing) await expect(each).rejects.toMatchObject({ code: 'DISK_FULL' })
  await expect(home.documents.write(homes.semantic, [set('a', 'lost')])).rejects.toMatchObject({ code: 'DISK_FULL' })
  const document = await home.documents.open(homes.semantic)
  expect([document.read('a')?.value, document.read('b'), document.text('notes')]).toEqual([
    'before',
    undefined,
    'before',
  ])
  home.database.full = false
  await home.documents.write(homes.semantic, [set('b', 'after')])
  await home.documents.editText(homes.semantic, typeText(6, ' after'))
  const digest = (await home.documents.open(homes.semantic)).digest()
  await homes.stop(home)
  const again = await homes.start('home', homes.mesh.home)
  const replayed = await again.documents.open(homes.semantic)
  expect(replayed.text('notes')).toBe('before after')
  expect(replayed.forks()).toEqual([])
  expect(equalBytes(replayed.digest(), digest)).toBe(true)
})

test('an edit that throws, or is too large, leaves the text as it was and fails nobody else', async () => {
  const { documents } = await homes.start('home', homes.mesh.home)
  await documents.editText(homes.semantic, typeText(0, 'kept'))
  const [write, thrown, large, edit] = await Promise.allSettled([
    documents.write(homes.semantic, [set('a', '1')]),
    documents.editText(homes.semantic, (doc) => {
      doc.getText('notes').insert(0, 'never ')
      throw new Error('changed my mind')
    }),
    documents.editText(homes.semantic, typeText(0, 'x'.repeat(200_000))),
    documents.editText(homes.semantic, typeText(4, ' on')),
  ])
  expect([write.status, thrown.status, large.status, edit.status]).toEqual([
    'fulfilled',
    'rejected',
    'rejected',
    'fulfilled',
  ])
  expect(large).toMatchObject({ reason: { code: 'VALUE_TOO_LARGE' } })
  expect((await documents.open(homes.semantic)).text('notes')).toBe('kept on')
  expect(await documents.editText(homes.semantic, () => {})).toBe(undefined)
})

test('a node writes only what the mesh lets it write', async () => {
  const office = await homes.start('office', homes.mesh.office)
  const laptop = await homes.start('laptop', homes.mesh.laptop)
  await expect(laptop.documents.write(homes.semantic, [set('a', '1')])).rejects.toMatchObject({ code: 'NOT_A_WRITER' })
  await expect(laptop.documents.editText(homes.semantic, typeText(0, 'x'))).rejects.toMatchObject({
    code: 'NOT_A_WRITER',
  })
  await expect(office.documents.write(homes.session, [set('a', '1')])).rejects.toMatchObject({ code: 'NOT_THE_HOLDER' })
  const nobody = { agent: '77'.repeat(32) as typeof homes.mesh.agent, layer: 'semantic' }
  await expect(office.documents.write(nobody, [set('a', '1')])).rejects.toMatchObject({ code: 'AGENT_UNKNOWN' })
  expect(office.documents.names()).toEqual([])
})

test('values and keys outside their bounds are refused by code', async () => {
  const { documents } = await homes.start('home', homes.mesh.home)
  const refused = (key: string, value: string) => documents.write(homes.semantic, [set(key, value)])
  await expect(refused('a', 'x'.repeat(131_073))).rejects.toMatchObject({ code: 'VALUE_TOO_LARGE' })
  await expect(refused('k'.repeat(513), 'x')).rejects.toMatchObject({ code: 'UMR_INVALID' })
  await expect(refused('', 'x')).rejects.toMatchObject({ code: 'UMR_INVALID' })
  await expect(refused('a', '\ud800')).rejects.toMatchObject({ code: 'VALUE_INVALID' })
  await refused('k'.repeat(512), 'x'.repeat(131_072))
})

test('closing finishes the writes that were asked for and refuses later ones', async () => {
  const home = await homes.start('home', homes.mesh.home)
  const writes = Array.from({ length: 20 }, (_, i) => home.documents.write(homes.semantic, [set(`k${i}`, 'v')]))
  await home.documents.close()
  await Promise.all(writes)
  await expect(home.documents.write(homes.semantic, [set('late', 'v')])).rejects.toMatchObject({ code: 'CORE_BUSY' })
  await home.store.close()
  const again = await homes.start('home', homes.mesh.home)
  expect([...(await again.documents.open(homes.semantic)).keys()]).toHaveLength(20)
})

test('blocks on disk form one unbroken chain after any mixture of writers, readers, arrivals and failures', async () => {
  const seed = randomBytes(4).readUInt32LE()
  console.info(`seed ${seed}`)
  const { pick } = dice(seed)
  const home = await homes.start('home', homes.mesh.home, { documentsOpenMax: 1 })
  const office = await homes.start('office', homes.mesh.office)
  const names = [homes.semantic, homes.episodic]
  const acknowledged = new Map<string, string>()
  await Promise.all(
    Array.from({ length: 12 }, async (_, worker) => {
      for (let i = 0; i < 15; i++) {
        const name = names[pick(2)] ?? homes.semantic
        const key = `w${worker}.${i}`
        try {
          switch (pick(6)) {
            case 0:
              await office.documents.write(name, [set(`o${key}`, 'o')])
              await sync(office.documents, home.documents, name)
              break
            case 1:
              await home.documents.editText(name, typeText(0, `${key} `))
              break
            case 2:
              home.database.full = pick(3) === 0
              await home.documents.open(name)
              home.database.full = false
              break
            default:
              await home.documents.write(name, [set(key, 'v'), set('shared', key)])
              acknowledged.set(`${name.layer} ${key}`, 'v')
          }
        } catch (error) {
          expect(error).toMatchObject({ code: 'DISK_FULL' })
          home.database.full = false
        }
      }
    }),
  )
  const shown = await Promise.all(names.map(async (name) => toHex((await home.documents.open(name)).digest())))
  await homes.stop(home)
  const again = await homes.start('home', homes.mesh.home)
  const blocks = new BlockStore(again.store)
  for (const [i, name] of names.entries()) {
    const document = await again.documents.open(name)
    expect(toHex(document.digest())).toBe(shown[i])
    expect(document.forks()).toEqual([])
    for (const key of acknowledged.keys()) {
      const [layer, register = ''] = key.split(' ')
      if (layer === name.layer) expect(document.read(register)?.value).toBe('v')
    }
    let count = 0
    for await (const _ of blocks.iterate(documentIdOf(name, sodium))) count += 1
    expect(count).toBe(document.counts().received)
  }
})

test('the ends of all documents are read in one pass, the same as of each alone', async () => {
  const office = await homes.start('office', homes.mesh.office)
  await office.documents.write(homes.semantic, [set('there', 'too')])
  let home = await homes.start('home', homes.mesh.home)
  for (let start = 0; start < 3; start++) {
    for (let i = 0; i < 3; i++) await home.documents.write(homes.semantic, [set(`k${i}`, 'v')])
    if (start === 1) await sync(office.documents, home.documents, homes.semantic)
    await home.documents.write(start % 2 === 0 ? homes.episodic : homes.session, [set('a', `${start}`)])
    const all = await home.documents.claims()
    expect(all.size).toBe(home.documents.names().length)
    for (const [name, vector] of all) expect(vector).toEqual((await home.documents.open(name)).vector)
    await homes.stop(home)
    home = await homes.start('home', homes.mesh.home)
    expect(new Map([...(await home.documents.claims())].map(([name, vector]) => [name.layer, vector]))).toEqual(
      new Map([...all].map(([name, vector]) => [name.layer, vector])),
    )
  }
})
