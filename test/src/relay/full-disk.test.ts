import { spawnSync } from 'node:child_process'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { toHex } from '@sealmesh/protocol/bytes'
import { loadSodium } from '@sealmesh/sodium/load'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { until } from '../processes/wait.ts'
import { TestMesh } from './mesh.ts'
import {
  connectionsAre,
  healthOf,
  portOf,
  type RunningRelay,
  startRelay,
  TestLink,
  temporaryDirectory,
} from './running-relay.ts'

/**
 * A disk that takes no more: simulated by a limit on the size of files, which the system enforces in the middle of a
 * write, just as a full disk does. It can be set and lifted while the relay runs.
 */
let sodium: Sodium
let relay: RunningRelay
let directory: ReturnType<typeof temporaryDirectory>
const links: TestLink[] = []

const limitFiles = (bytes: number | 'unlimited'): void => {
  const { pid } = relay.program.child
  const done = spawnSync('prlimit', ['--pid', String(pid), `--fsize=${bytes}:unlimited`])
  if (done.status !== 0) throw new Error(`prlimit: ${done.stderr?.toString()}`)
}

beforeEach(async () => {
  sodium = await loadSodium()
  directory = temporaryDirectory()
  relay = await startRelay(directory.data)
})
afterEach(async () => {
  await Promise.all(links.splice(0).map(({ link }) => link.close()))
  await relay.program.kill()
  directory.remove()
})

test('a full disk refuses packets, loses none that were stored before, and takes more when it has room again', async () => {
  const mesh = new TestMesh(sodium, `disk ${process.pid}`)
  const [alice, bob] = [mesh.member('alice', { code: relay.claim ?? '' }), mesh.member('bob')]
  const open = (member: typeof alice): TestLink => {
    const link = new TestLink(relay.address, member, sodium)
    links.push(link)
    return link
  }
  const sender = await open(alice).live()
  await (await open(bob).live()).link.close()
  await connectionsAre(relay, 1)
  const stored: string[] = []
  const send = async (): Promise<string> => {
    const packet = mesh.packet([bob.mailbox], Date.now() + 3_600_000, 20_000)
    sender.link.send(packet.bytes)
    const outcome = await sender.answered(packet.id)
    if (outcome === 'stored') stored.push(toHex(packet.bytes))
    return outcome
  }
  for (let i = 0; i < 20; i++) expect(await send()).toBe('stored')
  // The log has some 400 KB by now: it can take a little more, and then a part of a packet.
  limitFiles(500_000)
  await until('a packet is refused', async () => (await send()) === 'DISK_FULL')
  expect(stored.length).toBeGreaterThan(20)
  expect(await send()).toBe('DISK_FULL')
  expect(await healthOf(relay)).toMatchObject({ status: 'disk full' })
  expect((await fetch(`${relay.http}/readyz`)).status).toBe(503)

  limitFiles('unlimited')
  await until('a packet is stored', async () => (await send()) === 'stored')
  expect(await healthOf(relay)).toMatchObject({ status: 'ok' })

  await relay.program.kill()
  relay = await startRelay(directory.data, '--port', portOf(relay))
  const reader = await open(bob).live()
  await until('the mailbox is drained', () => reader.has('drained'))
  const got = reader.got.map(toHex)
  expect(stored.filter((packet) => !got.includes(packet))).toEqual([])
})
