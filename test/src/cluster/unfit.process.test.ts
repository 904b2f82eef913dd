import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { BIN, runProgram } from '../processes/program.ts'
import { RelayProcess } from '../processes/relay.ts'
import { until } from '../processes/wait.ts'
import { NatsServers } from './nats-servers.ts'

const directory = mkdtempSync(join(tmpdir(), 'sealmesh-unfit-'))
let servers: NatsServers
let relay: RelayProcess | undefined
beforeAll(async () => {
  servers = await NatsServers.start(directory, 1)
})
afterAll(async () => {
  await relay?.kill()
  await servers?.stop()
  rmSync(directory, { recursive: true, force: true })
})

const ready = async (): Promise<number> => (await fetch(`http://127.0.0.1:${relay?.port}/readyz`)).status

test('a relay is up before NATS is, and ready when NATS is, also after NATS was gone', async () => {
  await servers.kill(0)
  relay = await RelayProcess.start({ data: join(directory, 'relay-0'), extra: ['--cluster', servers.addresses] })
  expect(await ready()).toBe(503)
  servers.begin(0)
  await until('the relay is ready', async () => (await ready()) === 200)
  await servers.kill(0)
  await until('the relay says that it is not', async () => (await ready()) === 503)
  servers.begin(0)
  await until('the relay is ready again', async () => (await ready()) === 200)
})

test('a relay with another key than its cluster’s does not start, and says what to do', async () => {
  const data = join(directory, 'stranger')
  const args = ['up', '--json', '--tls', 'none', '--port', '0', '--data', data, '--cluster', servers.addresses]
  const { exit, program } = await runProgram(BIN.relay, args, { name: 'stranger' })
  expect(exit.code).toBe(8)
  expect(program.stderr.toString()).toContain('CLUSTER_UNFIT')
  expect(program.stderr.toString()).toContain('docs/relay/cluster.md')
})
