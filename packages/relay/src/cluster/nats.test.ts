import { expect, test } from 'vitest'
import { natsOptions } from './nats.ts'

test('a cluster is named by addresses without secrets, and beyond loopback by TLS alone', () => {
  expect(natsOptions('tls://a.example:4222, tls://b.example:4222', {})).toMatchObject({
    servers: ['a.example:4222', 'b.example:4222'],
    isTls: true,
  })
  expect(natsOptions('nats://127.0.0.1:4222', {}).isTls).toBe(false)
  for (const wrong of [
    '',
    '127.0.0.1:4222',
    'nats://nats.example:4222',
    'tls://user:word@nats.example',
    'http://x',
    'nats://127.0.0.1,tls://x',
  ])
    expect(() => natsOptions(wrong, {})).toThrow(expect.objectContaining({ code: 'USAGE' }))
})

test('credentials come from the environment', () => {
  const env = { SEALMESH_NATS_CREDENTIALS: '/etc/sealmesh/nats.creds', SEALMESH_NATS_CA: '/etc/sealmesh/ca.pem' }
  const { credentialsFile, caFile, password } = natsOptions('tls://nats.example:4222', env)
  expect([credentialsFile, caFile, password]).toEqual([env.SEALMESH_NATS_CREDENTIALS, env.SEALMESH_NATS_CA, null])
})
