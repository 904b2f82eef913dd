import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Checked } from '@sealmesh/node/netcheck/check-relay'
import { tryRelay } from '@sealmesh/node/uplink/try-relay'
import { WayBack } from '@sealmesh/node/uplink/way-back'
import { type NetworkConfig, waysTo } from '@sealmesh/node/uplink/ways'
import { loadSodium } from '@sealmesh/sodium/load'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runVerb } from '../cli/run-verb.ts'
import { TestMesh } from '../relay/mesh.ts'
import { parsed, portOf, type RunningRelay, startRelay } from '../relay/running-relay.ts'
import { certificateOf, type Network, startProxy, startReplacer, startWebServer } from './networks.ts'

const sodium = await loadSodium()
let directory: string
let relay: RunningRelay
let other: RunningRelay
const networks: Network[] = []
const mesh = new TestMesh(sodium, 'ways out')

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'sealmesh-ways-out-'))
  relay = await startRelay(join(directory, 'relay'), '--tls', 'self-signed')
  other = await startRelay(join(directory, 'other'), '--tls', 'self-signed')
  await login(relay.address, {}, {}, relay.claim ?? '')
}, 60_000)

afterAll(async () => {
  for (const network of networks) await network.close()
  await relay?.program.stop()
  await other?.program.stop()
  rmSync(directory, { recursive: true, force: true })
})

/** Resolves when the relay has let this login in; rejects with why not. */
function login(address: string, config: NetworkConfig, env: NodeJS.ProcessEnv = {}, code?: string): Promise<void> {
  const member = mesh.member('home', code === undefined ? {} : { code })
  return tryRelay(parsed(address), member.login, {
    sodium,
    log: { info: () => undefined },
    waysTo: (to) => waysTo(to, config, env),
  })
}

async function start<N extends Network>(network: Promise<N>): Promise<N> {
  networks.push(await network)
  return await network
}

const at = (address: string, port: number): string => address.replace(/:\d+#/, `:${port}#`)
const unpinned = (address: string): string => address.replace(/&pin=.*/, '')

describe('through an HTTP proxy', () => {
  test('of the environment or the config a relay is reached, its certificate still pinned', async () => {
    const proxy = await start(startProxy())
    const url = `http://127.0.0.1:${proxy.port}`
    await login(relay.address, {}, { HTTPS_PROXY: url })
    await login(relay.address, { proxy: url })
    const { host } = new URL(relay.address)
    expect(proxy.asked).toEqual([host, host])
    await login(relay.address, { proxy: url }, { NO_PROXY: new URL(relay.address).hostname })
    expect(proxy.asked).toHaveLength(2)
    await expect(login(at(other.address, Number(portOf(relay))), { proxy: url })).rejects.toMatchObject({
      code: 'RELAY_WRONG_PIN',
    })
  })

  test('that wants to know who asks, with credentials, and without them not', async () => {
    const proxy = await start(startProxy('someone:pass word'))
    await login(relay.address, {}, { HTTPS_PROXY: `http://someone:pass%20word@127.0.0.1:${proxy.port}` })
    const refused = login(relay.address, { proxy: `http://127.0.0.1:${proxy.port}` })
    await expect(refused).rejects.toMatchObject({ code: 'PROXY_REFUSED' })
  })

  test('that is not there, or does not reach the relay, it says so', async () => {
    const proxy = await start(startProxy())
    const gone = await startProxy()
    await gone.close()
    await expect(login(relay.address, { proxy: `http://127.0.0.1:${gone.port}` })).rejects.toMatchObject({
      code: 'PROXY_REFUSED',
    })
    await expect(
      login(at(relay.address, gone.port), { proxy: `http://127.0.0.1:${proxy.port}` }),
    ).rejects.toMatchObject({ code: 'PROXY_REFUSED' })
    await expect(login(relay.address, {}, { HTTPS_PROXY: 'socks5://127.0.0.1:1' })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
    })
  })
})

describe('in a network that replaces certificates', () => {
  let port: number
  beforeAll(async () => {
    const certificate = certificateOf(join(directory, 'other'))
    port = (await start(startReplacer(certificate, Number(portOf(relay))))).port
  })

  test('a relay is refused, pinned or not, unless its owner has chosen that its own key is enough', async () => {
    for (const address of [relay.address, unpinned(relay.address)])
      await expect(login(at(address, port), {})).rejects.toMatchObject({ code: 'RELAY_WRONG_PIN' })
    await login(`${at(unpinned(relay.address), port)}&tls=any`, {})
    await login(at(relay.address, port), { tls: 'relay-key-only' })
  })

  test('another relay is refused all the same', async () => {
    for (const [address, config] of [
      [`${at(unpinned(other.address), port)}&tls=any`, {}],
      [at(other.address, port), { tls: 'relay-key-only' }],
    ] as const)
      await expect(login(address, config)).rejects.toMatchObject({ code: 'RELAY_WRONG_KEY' })
  })
})

test('a relay behind a path of a web server is reached there and nowhere else', async () => {
  const certificate = certificateOf(join(directory, 'relay'))
  const { port } = await start(startWebServer(certificate, Number(portOf(relay))))
  await login(at(relay.address, port).replace('#', '/relay#'), {})
  await expect(login(at(relay.address, port), {})).rejects.toMatchObject({ code: 'RELAY_UNREACHABLE' })
})

describe('netcheck', () => {
  type Row = Checked & { readonly next: string | null; readonly proxy: string | null; readonly tls: string }
  const check = async (address: string, env: NodeJS.ProcessEnv = {}, config = '') => {
    const home = mkdtempSync(join(directory, 'home-'))
    if (config !== '') writeFileSync(join(home, 'config.toml'), config)
    const { exit, out, err } = await runVerb(['netcheck', address, '--json', '--home', home], { env })
    const [row] = (JSON.parse(out) as { relays: Row[] }).relays
    return { exit, err, ...row!, last: row!.steps.at(-1)! }
  }

  test('goes the whole way to a relay, and says what each step took', async () => {
    const { exit, steps, tls, proxy, reason, isReplaced } = await check(relay.address)
    expect({ exit, reason, isReplaced, tls, proxy }).toEqual({
      exit: 0,
      reason: null,
      isReplaced: false,
      tls: 'pinned',
      proxy: null,
    })
    expect(steps.map(({ name }) => name)).toEqual(['name', 'connect', 'tls', 'upgrade', 'challenge'])
    for (const { ms } of steps) expect(ms).toBeGreaterThanOrEqual(0)
  })

  test('goes through the proxy of the environment, and says what that answers', async () => {
    const proxy = await start(startProxy('someone:secret'))
    const open = await check(relay.address, { HTTPS_PROXY: `http://someone:secret@127.0.0.1:${proxy.port}` })
    expect(open).toMatchObject({ exit: 0, proxy: `127.0.0.1:${proxy.port}` })
    expect(open.steps.map(({ name }) => name)).toEqual(['proxy', 'tls', 'upgrade', 'challenge'])
    expect(JSON.stringify(open)).not.toContain('secret')
    const closed = await check(relay.address, {}, `[network]\nproxy = "http://127.0.0.1:${proxy.port}"\n`)
    expect(closed).toMatchObject({ exit: 3, reason: 'PROXY_REFUSED', last: { name: 'proxy' } })
    expect(closed.next).toContain('network.proxy_credentials')
  })

  test('names whose certificate it is that a network shows, and what would accept it', async () => {
    const replacer = await start(startReplacer(certificateOf(join(directory, 'other')), Number(portOf(relay))))
    const shown = await check(at(relay.address, replacer.port))
    expect(shown).toMatchObject({ exit: 4, reason: 'RELAY_WRONG_PIN', isReplaced: true, last: { name: 'tls' } })
    expect(shown.certificate?.sha256).toBe(/pin=([0-9a-f]+)/.exec(other.address)?.[1])
    expect(shown.next).toContain('relay-key-only')
    const chosen = await check(at(relay.address, replacer.port), {}, '[network]\ntls = "relay-key-only"\n')
    expect(chosen).toMatchObject({ exit: 0, reason: null, isReplaced: true, tls: 'relay-key-only' })
    expect(await check(at(other.address, replacer.port), {}, '[network]\ntls = "relay-key-only"\n')).toMatchObject({
      exit: 4,
      reason: 'RELAY_WRONG_KEY',
      last: { name: 'challenge' },
    })
  })

  test('says where a way ends: at the name, the port, the web server', async () => {
    const web = await start(startWebServer(certificateOf(join(directory, 'relay')), Number(portOf(relay))))
    const gone = await startProxy()
    await gone.close()
    const nobody = relay.address.replace(/\/\/[^:]+/, '//nobody.invalid')
    expect(await check(nobody)).toMatchObject({ exit: 3, last: { name: 'name', reason: 'RELAY_UNREACHABLE' } })
    expect(await check(at(relay.address, gone.port))).toMatchObject({
      last: { name: 'connect', found: 'nothing listens there' },
    })
    expect((await check(at(relay.address, web.port))).last).toMatchObject({
      name: 'upgrade',
      found: expect.stringContaining('HTTP 404'),
    })
  })

  test('without a node that runs, asks for what this home has written down', async () => {
    const home = mkdtempSync(join(directory, 'home-'))
    const none = await runVerb(['netcheck', '--home', home])
    expect(none.err).toContain('knows no relay')
    await (await WayBack.load(join(home, 'way-back'))).keep([relay.address])
    const { exit, out } = await runVerb(['netcheck', '--home', home])
    expect(exit).toBe(0)
    expect(out).toMatch(/ok +challenge/)
  })
})
