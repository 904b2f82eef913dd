import { dial } from '@sealmesh/node/uplink/dial'
import { openRelayLink } from '@sealmesh/node/uplink/relay-link'
import { loadSodium } from '@sealmesh/sodium/load'
import { expect, onTestFinished, test } from 'vitest'
import { until } from '../processes/wait.ts'
import { TestMesh } from './mesh.ts'
import { parsed, startRelay, temporaryDirectory } from './running-relay.ts'

test('packets leave with the turn, and those of whoever has gathered his own before it ends', async () => {
  const sodium = await loadSodium()
  const directory = temporaryDirectory()
  onTestFinished(() => directory.remove())
  const relay = await startRelay(directory.data)
  onTestFinished(() => relay.program.kill())
  const mesh = new TestMesh(sodium, `at once ${process.pid}`)
  const alice = mesh.member('alice', { code: relay.claim ?? '' })
  let writes = 0
  const link = openRelayLink({
    address: parsed(relay.address),
    login: alice.login,
    mailboxes: () => [alice.mailboxSecret],
    sodium,
    log: { info: () => undefined },
    generations: { read: () => undefined, write: () => undefined },
    onEvent: () => undefined,
    dial: (...given) => {
      const socket = dial(...given)
      const send = socket.send.bind(socket)
      socket.send = (frames) => {
        writes += 1
        send(frames)
      }
      return socket
    },
  })
  onTestFinished(() => link.close())
  await until('the link is live', () => link.status.state === 'live')
  await link.drained()
  const packet = () => mesh.packet([alice.mailbox], Date.now() + 3_600_000).bytes

  const before = writes
  expect(link.send(packet())).toBe('sent')
  await Promise.resolve()
  expect(writes).toBe(before)
  // Both in one write, in their order.
  expect([link.send(packet(), true), link.send(packet(), true)]).toEqual(['sent', 'sent'])
  await Promise.resolve()
  expect(writes).toBe(before + 1)
})
