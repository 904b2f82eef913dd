import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { RelayAddress } from '@sealmesh/protocol/wire/address'
import { describe, expect, test } from 'vitest'
import { wayOf, waysTo } from './ways.ts'

const to = (url: string): RelayAddress => ({ url, relay: 'ab'.repeat(32) as never, pin: null })
const relay = to('wss://relay.example.org')
const nameOf = (...[address, config, env]: Parameters<typeof waysTo>): string | null =>
  wayOf(address, () => waysTo(address, config, env)).proxy

describe('a proxy', () => {
  test('is that of the config, else of the environment, in either spelling', () => {
    expect(nameOf(relay, {}, {})).toBeNull()
    expect(nameOf(relay, {}, { HTTPS_PROXY: 'http://env:3128' })).toBe('env:3128')
    expect(nameOf(relay, {}, { https_proxy: 'http://env', HTTPS_PROXY: 'http://other' })).toBe('env:80')
    expect(nameOf(relay, {}, { ALL_PROXY: 'http://all:1' })).toBe('all:1')
    expect(nameOf(relay, { proxy: 'http://config:8080' }, { HTTPS_PROXY: 'http://env' })).toBe('config:8080')
    expect(nameOf(relay, { proxy: 'none' }, { HTTPS_PROXY: 'http://env' })).toBeNull()
  })

  test('sees nothing of plain WebSocket, which never leaves the machine', () => {
    expect(nameOf(to('ws://127.0.0.1:1'), { proxy: 'http://config' }, {})).toBeNull()
  })

  test.each([
    ['*', true],
    ['relay.example.org', true],
    ['example.org', true],
    ['.example.org', true],
    ['*.example.org', true],
    ['other, EXAMPLE.org', true],
    ['relay.example.org:443', true],
    ['relay.example.org:8443', false],
    ['ample.org', false],
    ['org.', false],
    ['', false],
  ])('is passed by where NO_PROXY is %j: %s', (list, isPassed) => {
    expect(nameOf(relay, { proxy: 'http://config' }, { NO_PROXY: list }) === null).toBe(isPassed)
  })

  test('gets its credentials from the environment or from a file', () => {
    const directory = mkdtempSync(join(tmpdir(), 'sealmesh-ways-'))
    const file = join(directory, 'proxy')
    writeFileSync(file, 'someone:secret\nmore\n')
    const credentials = (...given: Parameters<typeof waysTo>) => waysTo(...given).proxy?.credentials
    expect(credentials(relay, {}, { HTTPS_PROXY: 'http://a%40b:c@env' })).toBe('a@b:c')
    expect(credentials(relay, { proxy: 'http://config', proxy_credentials: file }, {})).toBe('someone:secret')
    expect(() => waysTo(relay, { proxy: 'http://config', proxy_credentials: `${file}x` }, {})).toThrow('cannot be read')
    rmSync(directory, { recursive: true })
  })

  test('of another kind is refused and not passed by', () => {
    for (const HTTPS_PROXY of ['socks5://env:1080', 'env:3128', 'https://env'])
      expect(() => waysTo(relay, {}, { HTTPS_PROXY })).toThrow('http://host:port')
  })
})

test('the relay key alone counts where the address or the config says so', () => {
  expect(waysTo(relay, {}, {}).relayKeyOnly).toBe(false)
  expect(waysTo({ ...relay, tls: 'any' }, {}, {}).relayKeyOnly).toBe(true)
  expect(waysTo(relay, { tls: 'relay-key-only' }, {}).relayKeyOnly).toBe(true)
})
