import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { set, valueOf } from '../documents/test-homes.ts'
import { oldBlock } from '../documents/test-old-block.ts'
import { ClosedScene } from './test-closed.ts'

let scene: ClosedScene

beforeEach(async () => {
  scene = await ClosedScene.make()
})

afterEach(() => scene.remove())

/** Of which compression takes less than an eighth. */
const noise = (length: number): string =>
  [...randomBytes(length)].map((byte) => String.fromCharCode(byte & 0x7f)).join('')

const blockOf = (bytes: number) => {
  const { homes, sodium } = scene
  const writes = ['big-0', 'big-1'].map((key) => ({ ...set(key, noise(bytes / 2)), replaces: [] }))
  return oldBlock(homes, sodium, homes.mesh.office, writes)
}

test('no base is drawn that fits no packet beside its ends', async () => {
  const [home, office] = [await scene.start('home'), await scene.start('office')]
  const { mesh, episodic } = scene.homes
  const to = { type: 'node', node: mesh.office.id } as const
  mesh.append({ type: 'grant', agent: mesh.agent, layer: 'episodic', to, access: 'write' }, 'agent')
  await scene.fill(home, 200)
  await home.documents.receive([blockOf(220_000).bytes])
  expect(await scene.compact(home, 'home')).toBe(false)
  await home.documents.write(episodic, [set('other', 'of home')])
  await scene.join(home, office)
  await scene.together(home, office)
  await vi.waitFor(async () => expect(await valueOf(office.documents, episodic, 'other')).toBe('of home'), 20_000)
}, 60_000)

test('rows leave room in a packet for all ends of their base', async () => {
  const [home, office] = [await scene.start('home', 10_000), await scene.start('office')]
  await scene.fill(home, 600)
  const blocks = Array.from({ length: 6 }, () => blockOf(60_000))
  await home.documents.receive(blocks.map(({ bytes }) => bytes))
  expect(await scene.compact(home, 'home')).toBe(true)
  await scene.join(home, office)
  await scene.together(home, office)
}, 60_000)
