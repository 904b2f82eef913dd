import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { NodeProcess } from '../processes/node.ts'
import { pairNodes, untilInSync } from '../processes/pair.ts'
import { RelayProcess } from '../processes/relay.ts'
import { until } from '../processes/wait.ts'
import { ask, valueAt } from './ask.ts'
import { Forwarder } from './forwarder.ts'

/** One relay, whose addresses come and go. Each test goes on where the one before ended. */

let directory: string
let relay: RelayProcess
let home: NodeProcess
let office: NodeProcess
let at: Forwarder

beforeAll(async () => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sealmesh-moved-'))
  relay = await RelayProcess.start({ data: path.join(directory, 'relay') })
  at = await Forwarder.to(relay.port)
  home = await NodeProcess.start({
    home: path.join(directory, 'home'),
    name: 'home',
    relay: relay.addressAt(at.port),
    claim: relay.claim ?? '',
  })
  office = await pairNodes(home, { home: path.join(directory, 'office'), name: 'office' })
  await ask(home, 'share.set', { agent: 'home', changes: [{ layer: 'semantic', to: 'office' }] })
  await untilInSync(home, office)
}, 60_000)

afterAll(async () => {
  await office?.stop()
  await home?.stop()
  await at?.close()
  await relay?.stop()
  fs.rmSync(directory, { recursive: true, force: true })
})

/** To another address, which every node that is up goes to at once. */
async function move(): Promise<Forwarder> {
  const next = await Forwarder.to(relay.port)
  await ask(home, 'relay.add', { address: relay.addressAt(next.port) })
  await home.untilStatus('there', ({ relays }) => isAt(next)(relays[0]))
  return next
}

const isAt =
  ({ port }: Forwarder) =>
  (status: { readonly address: string; readonly state: string } | undefined): boolean =>
    status?.address === relay.addressAt(port) && status.state === 'live'

const startOffice = (address?: string): Promise<NodeProcess> =>
  NodeProcess.start({ home: office.home, name: 'office', args: address === undefined ? [] : ['--relay', address] })

const written = async (word: string): Promise<void> => {
  await ask(home, 'set', { umr: 'home.semantic.word', value: JSON.stringify(word) })
  await until('office has it', async () => (await valueAt(office, 'home.semantic.word')) === word)
}

test('a relay that is named at another address has moved, and every node goes there at once', async () => {
  const old = at
  at = await move()
  await office.untilStatus('there', ({ relays }) => relays.length === 1 && isAt(at)(relays[0]))
  await old.close()
  await written('at the new address')
  expect((await home.status()).warnings.map(({ code }) => code)).not.toContain('HOME_COPIED')
})

test('a node that slept finds it, as long as the old address leads there', async () => {
  await office.stop()
  const old = at
  at = await move()
  office = await startOffice()
  await office.untilStatus('there', ({ relays }) => isAt(at)(relays[0]))
  await old.close()
  await written('after a sleep')
})

test('else a person says where it is, without a right in the mesh, and only the same relay counts there', async () => {
  await office.stop()
  const old = at
  at = await move()
  await old.close()
  office = await startOffice()
  await office.untilStatus('lost', ({ relays }) => relays[0]?.reason === 'RELAY_UNREACHABLE')
  await office.stop()

  const other = await RelayProcess.start({ data: path.join(directory, 'other') })
  office = await startOffice(relay.addressAt(other.port))
  await office.untilStatus('wary', ({ relays }) => relays[0]?.reason === 'RELAY_WRONG_KEY')
  await office.stop()
  // A relay that the mesh does not name is for admins to name.
  await expect(startOffice(other.address)).rejects.toThrow('NOT_ADMIN')
  await other.stop()

  office = await startOffice(relay.addressAt(at.port))
  await office.untilStatus('there', ({ relays }) => isAt(at)(relays[0]))
  await written('told by hand')
  await until('the log has it', () => !wayBack().includes(relay.addressAt(old.port)))
  await office.stop()
  office = await startOffice()
  await written('and remembered')
}, 90_000)

const wayBack = (): string => {
  const [file = ''] = fs
    .readdirSync(office.home, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('way-back'))
  return fs.readFileSync(path.join(office.home, file), 'utf8')
}
