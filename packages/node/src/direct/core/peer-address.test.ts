import { expect, test } from 'vitest'
import { isPeerAddress, listenOn, requirePeerAddress } from './peer-address.ts'

const ID = 'ab'.repeat(32)

test.each([
  [`wss://192.168.1.7:7447#node=${ID}`, 'wss://192.168.1.7:7447'],
  [`wss://Office.LAN:7447/#node=node_${ID.toUpperCase()}`, 'wss://office.lan:7447'],
  [`wss://[fd00::7]:07447#node=${ID}`, 'wss://[fd00::7]:7447'],
])('%s', (text, url) => {
  expect(requirePeerAddress(text)).toEqual({ url, node: ID })
})

test.each([
  `ws://127.0.0.1:7447#node=${ID}`,
  `wss://office:0#node=${ID}`,
  `wss://office:70000#node=${ID}`,
  `wss://office#node=${ID}`,
  `wss://office:1#node=${ID}00`,
  `wss://office:1#relay=${ID}`,
  `wss://me:secret@office:1#node=${ID}`,
  `wss://office:1/path#node=${ID}`,
  `wss://${'a'.repeat(400)}:1#node=${ID}`,
])('is none: %s', (text) => {
  expect(isPeerAddress(text)).toBe(false)
  expect(() => requirePeerAddress(text)).toThrow('wss://HOST:PORT#node=ID')
})

test('where to listen', () => {
  expect(listenOn('0.0.0.0:7447')).toEqual({ host: '0.0.0.0', port: 7447 })
  expect(listenOn('[::1]:0')).toEqual({ host: '::1', port: 0 })
  for (const text of ['7447', ':7447', 'a:b', '0.0.0.0:70000', 'a b:1']) expect(listenOn(text)).toBeUndefined()
})
