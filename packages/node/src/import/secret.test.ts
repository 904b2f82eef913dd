import { expect, test } from 'vitest'
import { isSecretName, secretIn } from './secret.ts'

// Put together here, so that no scanner takes this file for a leak.
const long = 'a1B2c3D4'.repeat(6)

test.each([
  ['-----BEGIN ' + 'OPENSSH PRIVATE KEY-----'],
  ['AGE-SECRET-KEY-1' + 'QZ3'.repeat(12)],
  ['key AKIA' + 'ABCDEFGHIJKLMNOP'],
  ['ghp_' + long],
  ['github_pat_' + long],
  ['use sk-ant-' + long],
  ['xoxb-' + '1234567890-abc'],
  ['AIza' + long.slice(0, 35)],
  ['eyJ' + long + '.eyJ' + long + '.' + long],
  ['postgres://tideway:' + 'hunter2hunter2' + '@tw-db-1/prod'],
  ['- password: ' + 'Tr0ub4dor&3'],
  ['API_KEY=' + '"9f8e7d6c5b"'],
])('%s is taken for a secret', (line) => {
  expect(secretIn(line)).toBeDefined()
})

test.each([
  ['Secrets are in 1Password, vault "Tideway prod".'],
  ['password: see the vault'],
  ['`DATABASE_URL=postgres://user:<password>@host/db`'],
  ['the token: 30 days, then a new one'],
  ['Keys at the payment providers are rotated in January and July.'],
  ['See https://example.org/path:8080/x@y'],
  ['task-force-of-the-eighteenth-harbour-committee'],
  ['api_key: ${PAYMENT_KEY_2}'],
])('%s is not', (line) => {
  expect(secretIn(line)).toBeUndefined()
})

test('names of key files and password stores are refused, notes about them are not', () => {
  for (const name of ['.env', '.env.local', 'id_ed25519', 'server.pem', 'vault.kdbx', 'credentials.json', 'secrets.md'])
    expect(isSecretName(name), name).toBe(true)
  for (const name of ['environment.md', 'keys-and-rotation.md', 'secret-santa.md', 'MEMORY.md'])
    expect(isSecretName(name), name).toBe(false)
})

test('a line of 128 KiB is judged in good time', () => {
  for (const piece of ['a', 'aB1-', 'http://', 'eyJa.', 'password=', ' '])
    expect(() => secretIn(piece.repeat(Math.ceil(131_072 / piece.length)))).not.toThrow()
})
