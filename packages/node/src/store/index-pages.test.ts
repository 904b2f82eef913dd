import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { AgentId, DocumentId } from '@sealmesh/protocol/ids'
import fc from 'fast-check'
import { Level } from 'level'
import { expect, test } from 'vitest'
import { DocumentIndex, type IndexEntry } from './document-index.ts'
import { afterPrefix, TABLES, tablePrefix } from './keys.ts'
import { openStore } from './store.ts'

const documentOf = (n: number): DocumentId => n.toString(16).padStart(64, '0') as DocumentId
const entryOf = (n: number): IndexEntry => ({
  name: { agent: (n % 3).toString(16).padStart(64, 'a') as AgentId, layer: `layer-${n}` },
  forked: [],
})

type Step =
  | { readonly do: 'add'; readonly from: number; readonly count: number }
  | { readonly do: 'forget'; readonly one: number }
  | { readonly do: 'pages' }
  | { readonly do: 'restart' }
  | { readonly do: 'flip'; readonly page: number }

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    fc.record({
      do: fc.constant('add' as const),
      from: fc.nat(2_000),
      count: fc.integer({ min: 1, max: 700 }),
    }),
    fc.record({ do: fc.constant('forget' as const), one: fc.nat(2_000) }),
    fc.record({ do: fc.constant('pages' as const) }),
    fc.record({ do: fc.constant('restart' as const) }),
    fc.record({ do: fc.constant('flip' as const), page: fc.nat(8) }),
  ),
  { minLength: 3, maxLength: 14 },
)

test('whatever was added, forgotten or damaged, a start knows every document from pages or from entries', async () => {
  await fc.assert(
    fc.asyncProperty(steps, async (history) => {
      const directory = await mkdtemp(join(tmpdir(), 'sealmesh-pages-'))
      let store = await openStore(directory)
      let index = await DocumentIndex.load(store)
      const model = new Map<DocumentId, IndexEntry>()
      const restart = async (between: () => Promise<void> = async () => {}): Promise<void> => {
        await store.close()
        await between()
        store = await openStore(directory)
        index = await DocumentIndex.load(store)
        expect(index.damaged).toEqual([])
        expect(new Map(index.entries())).toEqual(model)
      }
      for (const step of history) {
        if (step.do === 'add') {
          const some = Array.from({ length: step.count }, (_, i) => step.from + i)
          await store.commit(some.flatMap((n) => index.put(documentOf(n), entryOf(n))))
          for (const n of some) {
            model.set(documentOf(n), entryOf(n))
            index.remember(documentOf(n), entryOf(n))
          }
        } else if (step.do === 'forget' && model.delete(documentOf(step.one))) await index.forget(documentOf(step.one))
        else if (step.do === 'pages') await index.writePages()
        else if (step.do === 'restart') await restart()
        else if (step.do === 'flip') await restart(() => flip(directory, step.page))
      }
      await restart()
      await index.writePages()
      await restart()
      await store.close()
      await rm(directory, { recursive: true })
    }),
    { numRuns: 15 },
  )
})

async function flip(directory: string, page: number): Promise<void> {
  const raw = new Level<Uint8Array, Uint8Array>(directory, { keyEncoding: 'view', valueEncoding: 'view' })
  const from = tablePrefix(TABLES.page)
  const keys = await raw.keys({ gte: from, lt: afterPrefix(from) }).all()
  const key = keys[page]
  const value = key && (await raw.get(key))
  if (key !== undefined && value !== undefined) {
    const other = Uint8Array.from(value)
    other[page * 7] = (other[page * 7] ?? 0) ^ 8
    await raw.put(key, other)
  }
  await raw.close()
}
