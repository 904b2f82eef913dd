import { expect, test } from 'vitest'
import { forwardedFor, trustedProxiesOf } from './forwarded.ts'

test('a proxy is trusted by its address or by its network, also where IPv6 carries IPv4', () => {
  const proxies = trustedProxiesOf('127.0.0.1, 10.1.0.0/16,2001:db8::/32,::1')
  for (const address of ['127.0.0.1', '::ffff:127.0.0.1', '10.1.255.9', '2001:db8:5::1', '::1'])
    expect(proxies?.has(address), address).toBe(true)
  for (const address of ['127.0.0.2', '10.2.0.1', '2001:db9::1', '', undefined, 'localhost'])
    expect(proxies?.has(address), address).toBe(false)
})

test('what is no list of addresses is refused', () => {
  for (const text of ['', 'localhost', '127.0.0.1,', '10.0.0.0/33', '10.0.0.0/8/8', '::1/129', '10.0.0.0/-1', '*'])
    expect(trustedProxiesOf(text), text).toBeUndefined()
  expect(trustedProxiesOf(Array.from({ length: 65 }, () => '127.0.0.1').join(','))).toBeUndefined()
})

test('of those whom a request was forwarded for, the last counts: what stands before it the stranger may have said', () => {
  expect(forwardedFor('198.51.100.1, 203.0.113.7')).toBe('203.0.113.7')
  expect(forwardedFor('2001:db8::7')).toBe('2001:db8::7')
  expect(forwardedFor(['198.51.100.1', '203.0.113.8 '])).toBe('203.0.113.8')
  for (const header of [undefined, '', 'unknown', '203.0.113.7, unknown', '203.0.113.7,', []])
    expect(forwardedFor(header), String(header)).toBeUndefined()
})
