import { loadSodium } from '@sealmesh/sodium/load'
import { expect, onTestFinished, test } from 'vitest'
import { until } from '../processes/wait.ts'
import { TestMesh } from './mesh.ts'
import { startRelay, TestLink, temporaryDirectory } from './running-relay.ts'

test('what comes at once is taken to the end, though others have their turns between: to a reader, and to the disk', async () => {
  const sodium = await loadSodium()
  const directory = temporaryDirectory()
  const relay = await startRelay(directory.data)
  onTestFinished(async () => {
    await relay.program.kill()
    directory.remove()
  })
  const mesh = new TestMesh(sodium, 'bursts')
  const [alice, bob, away] = [
    mesh.member('alice', { code: relay.claim ?? '' }),
    mesh.member('bob'),
    mesh.member('away'),
  ]
  const sender = await new TestLink(relay.address, alice, sodium).live()
  const reader = await new TestLink(relay.address, bob, sodium).live()
  // Several turns' shares of one connection, and more than may wait for the disk.
  const packets = [bob, away].flatMap(({ mailbox }) =>
    Array.from({ length: 100 }, () => mesh.packet([mailbox], Date.now() + 3_600_000, 100_000)),
  )
  for (const { bytes } of packets)
    if (sender.link.send(bytes) !== 'sent')
      await until('there is room', () => sender.link.send(bytes) === 'sent', 60_000)
  await until('all is answered', () => sender.outcomes.size === packets.length, 60_000)
  expect(packets.slice(100).every(({ id }) => sender.outcomes.get(id) === 'stored')).toBe(true)
  await until('all has come', () => reader.got.length === 100, 60_000)
  // Not `toEqual`, which takes a minute for ten megabytes.
  expect(
    packets.slice(0, 100).every(({ bytes }, at) => Buffer.compare(bytes, reader.got[at] ?? Buffer.of()) === 0),
  ).toBe(true)
  await sender.link.close()
  await reader.link.close()
}, 150_000)
