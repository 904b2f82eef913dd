import { expect, test } from 'vitest'
import { addressKey } from './address-key.ts'

test('an IPv4 address is itself, mapped into IPv6 or not', () => {
  expect(addressKey('203.0.113.7')).toBe('203.0.113.7')
  expect(addressKey('::ffff:203.0.113.7')).toBe('203.0.113.7')
})

test('all addresses of one IPv6 customer are one stranger', () => {
  expect(addressKey('2001:db8:1:2:3:4:5:6')).toBe('2001:db8:1:2')
  expect(addressKey('2001:db8:1:2::9')).toBe('2001:db8:1:2')
  expect(addressKey('2001:db8:1:3::9')).toBe('2001:db8:1:3')
  expect(addressKey('2001:db8::9')).toBe('2001:db8:0:0')
  expect(addressKey('fe80::1%eth0')).toBe('fe80:0:0:0')
  expect(addressKey('::1')).toBe('0:0:0:0')
})

test('a connection that is gone already has an address too', () => {
  expect(addressKey(undefined)).toBe('')
})
