import fc from 'fast-check'
import { expect, test } from 'vitest'
import { formatRelayAddress, isLoopback, parseRelayAddress } from './address.ts'

const RELAY = '4f'.repeat(32)
const PIN = 'a0'.repeat(32)
const why = (text: string): string => {
  const parsed = parseRelayAddress(text)
  return parsed.ok ? 'accepted' : parsed.error.why
}

test('an address is read as it was written', () => {
  for (const text of [
    `wss://relay.example.org:7443#relay=${RELAY}&pin=${PIN}`,
    `wss://relay.example.org#relay=${RELAY}`,
    `wss://203.0.113.7:443/sealmesh#relay=${RELAY}`,
    `wss://[2001:db8::7]:7443#relay=${RELAY}&pin=${PIN}`,
    `wss://relay.example.org#relay=${RELAY}&tls=any`,
    `wss://relay.example.org:7443#relay=${RELAY}&pin=${PIN}&tls=any`,
    `ws://127.0.0.1:7443#relay=${RELAY}`,
    `ws://[::1]:7443#relay=${RELAY}`,
  ]) {
    const parsed = parseRelayAddress(text)
    expect(parsed.ok && formatRelayAddress(parsed.value)).toBe(text)
  }
})

test('capital letters that came from a mail client mean the same', () => {
  const parsed = parseRelayAddress(`WSS://Relay.Example.org:7443#relay=${RELAY.toUpperCase()}`)
  expect(parsed.ok && parsed.value).toEqual({ url: 'wss://relay.example.org:7443', relay: RELAY, pin: null })
})

test('plain WebSocket goes no further than this machine', () => {
  for (const host of [
    '192.168.1.2',
    'relay.example.org',
    '127.0.0.1.example.org',
    'localhost.example.org',
    '[2001:db8::7]',
  ])
    expect(why(`ws://${host}:7443#relay=${RELAY}`)).toBe('plain-beyond-loopback')
  for (const host of ['localhost', '127.0.0.1', '127.8.8.8', '::1', '[::1]']) expect(isLoopback(host)).toBe(true)
})

test('what is not an address is refused', () => {
  for (const text of [
    '',
    'relay.example.org',
    `https://relay.example.org#relay=${RELAY}`,
    'wss://relay.example.org',
    `wss://relay.example.org#relay=${RELAY.slice(2)}`,
    `wss://relay.example.org#relay=${RELAY}&tls=none`,
    `wss://relay.example.org#relay=${RELAY}&tls=any&pin=${PIN}`,
    `wss://relay.example.org#relay=${RELAY}&pin=${PIN}00`,
    `wss://relay.example.org:99999#relay=${RELAY}`,
    `wss://user:secret@relay.example.org#relay=${RELAY}`,
    `wss://relay.example.org#pin=${PIN}&relay=${RELAY}`,
    `wss://${'a'.repeat(600)}#relay=${RELAY}`,
  ])
    expect(why(text)).toBe('malformed')
})

test('parsing never throws, and what it accepts it formats to an address that means the same', () => {
  const noise = fc.oneof(
    fc.string(),
    fc.string().map((text) => `wss://${text}#relay=${RELAY}`),
  )
  fc.assert(
    fc.property(noise, (text) => {
      const parsed = parseRelayAddress(text)
      if (parsed.ok) expect(parseRelayAddress(formatRelayAddress(parsed.value))).toEqual(parsed)
    }),
  )
})
