import { spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import * as net from 'node:net'
import * as os from 'node:os'
import * as path from 'node:path'
import { type FailureCode, reactions } from '@sealmesh/protocol/errors'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { NodeProcess } from '../processes/node.ts'
import { pairNodes } from '../processes/pair.ts'
import { BIN, runProgram } from '../processes/program.ts'
import { RelayProcess } from '../processes/relay.ts'
import { until } from '../processes/wait.ts'

/** Everything that a person can get wrong, on real processes: a code, its exit code, a next step, and nothing lost. */

const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sealmesh-bad-'))
const homeOf = (name: string): string => path.join(directory, name)
let relay: RelayProcess
let home: NodeProcess

beforeAll(async () => {
  relay = await RelayProcess.start({ data: path.join(directory, 'relay') })
  const claim = relay.claim === undefined ? {} : { claim: relay.claim }
  home = await NodeProcess.start({ home: homeOf('home'), name: 'home', relay: relay.address, ...claim })
  await home.untilStatus('connected', ({ relays }) => relays.some(({ state }) => state === 'live'))
})

afterAll(async () => {
  await home.stop()
  await relay.stop()
  fs.rmSync(directory, { recursive: true, force: true })
})

async function refused(bin: string, args: readonly string[], env: Record<string, string> = {}): Promise<FailureCode> {
  const { exit, program } = await runProgram(bin, [...args, '--json'], { name: args.join(' ').slice(0, 60), env })
  const line = program.stderr
    .toString('utf8')
    .split('\n')
    .find((each) => each.startsWith('{"error"'))
  if (line === undefined) throw new Error(`no coded error: ${program.describe()}`)
  const { error } = JSON.parse(line) as { error: { code: FailureCode; message: string; next: string } }
  expect(error.message).not.toBe('')
  expect(error.next).not.toBe('')
  expect(exit.code).toBe(reactions[error.code].exit)
  return error.code
}

async function link(): Promise<string> {
  const door = await home.door()
  const { link: text } = await door.call('pair.start', { autoConfirm: true })
  await door.close()
  if (text === null) throw new Error('pairing gave no link')
  return text
}

describe('a link', () => {
  test('that is no link', async () => {
    expect(await refused(BIN.node, ['join', 'sealmesh:nonsense', '--home', homeOf('j1')])).toBe('LINK_INVALID')
  })

  test('with one character changed', async () => {
    const good = await link()
    const at = good.length - 10
    const bad = good.slice(0, at) + (good[at] === 'A' ? 'B' : 'A') + good.slice(at + 1)
    expect(await refused(BIN.node, ['join', bad, '--home', homeOf('j2')])).toBe('LINK_INVALID')
  })

  test('T-pairing-3: that was used, and the home that failed with it joins with a fresh one', async () => {
    const used = await link()
    const first = await runProgram(BIN.node, ['join', used, '--home', homeOf('j3'), '--json'], { name: 'first' })
    expect(first.exit.code).toBe(0)
    expect(await refused(BIN.node, ['join', used, '--home', homeOf('j4')])).toBe('LINK_USED')
    const again = await runProgram(BIN.node, ['join', await link(), '--home', homeOf('j4'), '--json'], {
      name: 'again',
    })
    expect(again.exit.code).toBe(0)
    expect(await refused(BIN.node, ['join', await link(), '--home', homeOf('j4')])).toBe('ALREADY_JOINED')
  })

  test('that was taken back', async () => {
    const text = await link()
    const door = await home.door()
    await door.call('pair.cancel', {})
    await door.close()
    expect(['LINK_INVALID', 'LINK_USED', 'PAIRING_REFUSED']).toContain(
      await refused(BIN.node, ['join', text, '--home', homeOf('j5')]),
    )
  })
})

describe('a home', () => {
  test('that belongs to no mesh', async () => {
    expect(await refused(BIN.node, ['up', '--home', homeOf('fresh')])).toBe('NODE_NOT_SET_UP')
    expect(await refused(BIN.node, ['status', '--home', homeOf('fresh')])).toBe('NODE_NOT_RUNNING')
  })

  test('that another process uses', async () => {
    expect(await refused(BIN.node, ['up', '--home', homeOf('home')])).toBe('HOME_IN_USE')
  })

  test('T-disk-3: whose key file others can read, and whose key file is cut short', async () => {
    const args = ['up', '--home', homeOf('keys'), '--name', 'keys', '--relay', 'none']
    await (await NodeProcess.start({ home: homeOf('keys'), name: 'keys', relay: 'none' })).stop()
    const file = path.join(homeOf('keys'), 'keys', 'node-sign.key')
    fs.chmodSync(file, 0o644)
    expect(await refused(BIN.node, args)).toBe('MODES_TOO_WIDE')
    fs.chmodSync(file, 0o600)
    const whole = fs.readFileSync(file)
    fs.writeFileSync(file, whole.subarray(0, 40))
    expect(await refused(BIN.node, args)).toBe('KEY_DAMAGED')
    fs.writeFileSync(file, whole)
    await (await NodeProcess.start({ home: homeOf('keys'), name: 'keys' })).stop()
  })

  test('so deep that no socket path fits anywhere', async () => {
    const deep = path.join(directory, ...Array.from({ length: 8 }, () => 'a-rather-long-folder'))
    const short = { XDG_RUNTIME_DIR: deep, TMPDIR: deep }
    // The temporary folder takes the socket of a deep home; there it is short again.
    const node = await NodeProcess.start({ home: deep, name: 'deep', relay: 'none', env: short })
    expect((await node.socketPath()).length).toBeLessThanOrEqual(103)
    await node.stop()
  })
})

describe('a relay', () => {
  test('whose port is in use', async () => {
    const args = ['up', '--tls', 'none', '--host', '127.0.0.1', '--port', String(relay.port)]
    expect(await refused(BIN.relay, [...args, '--data', homeOf('relay-2')])).toBe('PORT_IN_USE')
  })

  test('whose data directory another relay uses', async () => {
    const args = ['up', '--tls', 'none', '--host', '127.0.0.1', '--port', '0', '--data', path.join(directory, 'relay')]
    expect(await refused(BIN.relay, args)).toBe('HOME_IN_USE')
  })

  test('T-network-1: that has another key than the address says', async () => {
    const wrong = relay.address.replace(/relay=[0-9a-f]{4}/, (found) =>
      found.endsWith('0000') ? 'relay=1111' : 'relay=0000',
    )
    const node = await NodeProcess.start({ home: homeOf('wrong-key'), name: 'wrong', relay: wrong, claim: 'none' })
    try {
      await node.untilStatus('refused', ({ relays }) => relays[0]?.reason === 'RELAY_WRONG_KEY')
    } finally {
      await node.stop()
    }
  })

  test('T-stranger-2: that does not know the mesh, or whose claim code is wrong', async () => {
    for (const [claim, code] of [
      [undefined, 'CLAIM_REQUIRED'],
      ['AAAAA-AAAAA-AAAAA-AAAAA', 'CLAIM_INVALID'],
    ] as const) {
      const options = { home: homeOf(`stranger-${code}`), name: 'stranger', relay: relay.address }
      const node = await NodeProcess.start(claim === undefined ? options : { ...options, claim })
      try {
        const { relays } = await node.untilStatus('told why', ({ relays: [each] }) => each?.reason != null)
        expect(['CLAIM_REQUIRED', 'CLAIM_INVALID', 'MESH_NOT_ADMITTED']).toContain(relays[0]?.reason)
      } finally {
        await node.stop()
      }
    }
  })

  test('that is none: it says nothing that we understand', async () => {
    const server = net.createServer((socket) => {
      // The node may hang up first: that is its answer.
      socket.on('error', () => {})
      socket.end('220 mail\r\n')
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as net.AddressInfo
    const node = await NodeProcess.start({ home: homeOf('no-relay'), name: 'no', relay: relay.addressAt(port) })
    try {
      await node.untilStatus('waiting', ({ relays }) => relays[0]?.reason === 'RELAY_UNREACHABLE')
    } finally {
      await node.stop()
      server.close()
    }
  })
})

test('what does not exist or is misspelt is refused by its code', async () => {
  const at = ['--home', homeOf('home')]
  expect(await refused(BIN.node, ['get', 'home.semantic.nothing', ...at])).toBe('ITEM_NOT_FOUND')
  expect(await refused(BIN.node, ['get', 'no-umr', ...at])).toBe('UMR_INVALID')
  expect(await refused(BIN.node, ['get', 'nobody.semantic.x', ...at])).toBe('AGENT_UNKNOWN')
  expect(await refused(BIN.node, ['share', 'set', 'home', 'semantic=nowhere', ...at])).toBe('NODE_UNKNOWN')
  expect(await refused(BIN.node, ['device', 'revoke', 'nowhere', '--yes', ...at])).toBe('NODE_UNKNOWN')
  expect(await refused(BIN.node, ['takeover', 'nobody', '--yes', ...at])).toBe('AGENT_UNKNOWN')
  expect(await refused(BIN.node, ['import', '/nowhere', '--agent', 'home', ...at])).toBe('FILE_NOT_FOUND')
  expect(await refused(BIN.node, ['frobnicate', ...at])).toBe('USAGE')
})

test('T-revoked-5: a revoked node is told, gets nothing more, and what it writes is applied nowhere', async () => {
  const office = await pairNodes(home, { home: homeOf('office'), name: 'office' })
  try {
    const door = await home.door()
    await door.call('agents.add', { name: 'home', standby: ['office'] })
    await door.call('share.set', { agent: 'home', changes: [{ layer: 'semantic', to: 'standby' }] })
    await door.call('set', { umr: 'home.semantic.before', value: '1' })
    const there = await office.door()
    const seen = async (umr: string) => (await there.call('get', { umr })).item !== null
    await until('the office has the fact', async () => await seen('home.semantic.before'))

    await door.call('device.revoke', { node: 'office', reason: 'stolen' })
    await office.untilStatus(
      'told',
      ({ relays, warnings }) =>
        relays.some(({ reason }) => reason === 'NODE_REVOKED') || warnings.some(({ code }) => code === 'NODE_REVOKED'),
    )
    await door.call('set', { umr: 'home.semantic.after', value: '2' })
    await there.call('set', { umr: 'home.semantic.forged', value: '3' }).catch(() => undefined)
    // A third node that works shows that what would have arrived has arrived.
    const third = await pairNodes(home, { home: homeOf('third'), name: 'third' })
    try {
      await door.call('share.set', { agent: 'home', changes: [{ layer: 'semantic', to: 'third' }] })
      const witness = await third.door()
      await until('the third node has what came after', async () => {
        const { item } = await witness.call('get', { umr: 'home.semantic.after' })
        return item !== null
      })
      expect((await witness.call('get', { umr: 'home.semantic.forged' })).item).toBeNull()
    } finally {
      await third.stop()
    }
    expect(await seen('home.semantic.after')).toBe(false)
    expect((await door.call('get', { umr: 'home.semantic.forged' })).item).toBeNull()
    expect((await door.call('get', { umr: 'home.semantic.before' })).item).not.toBeNull()
    await there.close()
    await door.close()
  } finally {
    await office.stop()
  }
})

/** A real file system of 40 MB; making one takes root, which CI has. */
const small = path.join(directory, 'small-disk')
const mounted = (() => {
  fs.mkdirSync(small)
  return (
    process.platform === 'linux' &&
    spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=40m,mode=700', 'tmpfs', small]).status === 0
  )
})()

test.skipIf(!mounted)('a full disk refuses writes by its code, keeps what was acknowledged, and heals', async () => {
  const node = await NodeProcess.start({ home: path.join(small, 'home'), name: 'small', relay: 'none' })
  const filler = path.join(small, 'filler')
  try {
    const door = await node.door()
    await door.call('set', { umr: 'small.semantic.kept', value: '"before"' })
    spawnSync('dd', ['if=/dev/zero', `of=${filler}`, 'bs=64k'])
    const value = JSON.stringify('x'.repeat(60_000))
    const outcomes = await Promise.all(
      Array.from({ length: 40 }, (_, i) =>
        door.call('set', { umr: `small.semantic.n${i}`, value }).then(
          () => 'written',
          (error: { code?: string }) => error.code,
        ),
      ),
    )
    expect(outcomes).toContain('DISK_FULL')
    expect((await door.call('get', { umr: 'small.semantic.kept' })).item).toMatchObject({ value: '"before"' })
    fs.rmSync(filler)
    await door.call('set', { umr: 'small.semantic.healed', value: '"after"' })
    for (const [i, outcome] of outcomes.entries())
      expect((await door.call('get', { umr: `small.semantic.n${i}` })).item !== null).toBe(outcome === 'written')
    await door.close()
  } finally {
    await node.stop()
    spawnSync('umount', [small])
  }
})
