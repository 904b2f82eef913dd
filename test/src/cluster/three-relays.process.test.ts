import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadSodium } from '@sealmesh/sodium/load'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Mail } from '../crash/mail.ts'
import { ClusterRelays } from './cluster-relays.ts'
import { NatsServers } from './nats-servers.ts'

const directory = mkdtempSync(join(tmpdir(), 'sealmesh-cluster-'))
let servers: NatsServers
let relays: ClusterRelays
beforeAll(async () => {
  servers = await NatsServers.start(directory, 3)
  relays = await ClusterRelays.start(directory, servers.addresses, 3)
})
afterAll(async () => {
  await relays?.stop()
  await servers?.stop()
  rmSync(directory, { recursive: true, force: true })
})

test('what one relay of a cluster calls stored, another one delivers', async () => {
  const mail = new Mail(await loadSodium())
  await mail.introduce(relays.at(0).address, relays.claim)
  const sender = mail.send(relays.at(1).address)
  await mail.reached(500)
  await sender.close()
  const got = await mail.drain(relays.at(2).address)
  for (const packet of mail.stored) expect(got.get(packet)).toBe(1)
  for (const packet of got.keys()) expect(mail.wasSent(packet)).toBe(true)
})
