import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import * as path from 'node:path'
import { toHex } from '@sealmesh/protocol/bytes'
import type { Sodium } from '@sealmesh/protocol/sodium'
import type { MeshSeen } from '@sealmesh/relay/control/sees'
import { keyName } from '@sealmesh/relay/core/key-name'
import { loadSodium } from '@sealmesh/sodium/load'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { REPOSITORY } from '../processes/program.ts'
import { until } from '../processes/wait.ts'
import { TestMesh } from '../relay/mesh.ts'
import { type RunningRelay, startRelay, TestLink, temporaryDirectory } from '../relay/running-relay.ts'
import { logOf, relayVerb } from './relay-verb.ts'

/** What a relay with real traffic says of itself, and to whom. */

let sodium: Sodium
let directory: ReturnType<typeof temporaryDirectory>
let relay: RunningRelay
let mesh: TestMesh
let scrape = ''
let metricsUrl = ''
/** Everything that must be in no log and no figure. */
const secret: string[] = []
const links: TestLink[] = []
const page = (name: string): string => readFileSync(path.join(REPOSITORY, name), 'utf8')

beforeAll(async () => {
  sodium = await loadSodium()
  directory = temporaryDirectory()
  relay = await startRelay(directory.data, '--metrics', '127.0.0.1:0', '--log-level', 'debug')
  metricsUrl = await relay.program.line((line) => (typeof line['metrics'] === 'string' ? line['metrics'] : undefined))
  mesh = new TestMesh(sodium, `observed ${process.pid}`)
  const code = relay.claim ?? ''
  const [alice, bob, carol] = [mesh.member('alice', { code }), mesh.member('bob'), mesh.member('carol')]
  const open = (member: typeof alice): TestLink => {
    const link = new TestLink(relay.address, member, sodium)
    links.push(link)
    return link
  }
  const sender = await open(alice).live()
  await open(bob).live()
  for (const to of [bob.mailbox, carol.mailbox])
    for (const bytes of [1_000, 30_000]) {
      const packet = mesh.packet([to], Date.now() + 3_600_000, bytes)
      secret.push(packet.id)
      sender.link.send(packet.bytes)
      await sender.answered(packet.id)
    }
  // Twice the same login, one that is not let in, and an owner who looks and changes something.
  await open(alice).live()
  await open(new TestMesh(sodium, `stranger ${process.pid}`).member('mallory')).refusal()
  await relayVerb(directory.data, 'claim')
  const { json } = await relayVerb(directory.data, 'status', '--json')
  const [known] = json['meshes'] as { mesh: string }[]
  await relayVerb(directory.data, 'limits', 'reload')
  scrape = await (await fetch(metricsUrl)).text()
  await relayVerb(directory.data, 'evict', known?.mesh ?? '', '--mailboxes', '--yes')
  await until('they are gone', () => logOf(relay.program).some(({ reason }) => reason === 'EVICTED'))
  secret.push(mesh.id, code, code.replaceAll('-', ''), '127.0.0.1', '::1')
  for (const member of [alice, bob, carol])
    secret.push(
      ...[member.keys.publicKey, member.sign.publicKey, member.mailboxSecret].map((bytes) => toHex(bytes)),
      member.mailbox,
      keyName(member.keys.publicKey, sodium),
    )
})
afterAll(async () => {
  await Promise.all(links.splice(0).map(({ link }) => link.close()))
  await relay.program.kill()
  directory.remove()
})

test('T-curious-4: no id, key, code or address is in the log or in the metrics, whatever happened', () => {
  const log = relay.program.stderr.toString()
  for (const event of ['login', 'duplicate', 'goodbye', 'meshAdmitted', 'dropped']) expect(log).toContain(`"${event}"`)
  expect(log).toContain('settings were read again')
  for (const text of [log, scrape])
    for (const each of secret) {
      expect(text.includes(each), `${each.slice(0, 12)}…`).toBe(false)
      if (each.length >= 32) expect(text.toLowerCase().includes(each.slice(0, 16)), `${each.slice(0, 12)}…`).toBe(false)
    }
  // The pseudonyms are there, so that an owner can follow one login.
  expect(log).toMatch(/"login":"[0-9a-f]{10}"/)
})

describe('metrics', () => {
  const named = (): Set<string> => new Set([...scrape.matchAll(/^# TYPE (\S+)/gm)].map(([, name = '']) => name))

  test('of docs/relay/metrics.md are those that are there, each with its type and labels', () => {
    const rows = [...page('docs/relay/metrics.md').matchAll(/^\| `(\w+)` \| (\w+) \|([^|]*)\|/gm)]
    expect(rows.map(([, name = '']) => name).toSorted()).toEqual([...named()].toSorted())
    for (const [, name = '', type, labels = ''] of rows) {
      expect(scrape, name).toContain(`# TYPE ${name} ${type}\n`)
      const label = /`(\w+)`/.exec(labels)?.[1]
      const [sample] = new RegExp(`^${name}(?:_bucket)?(\\{.*)? `, 'm').exec(scrape) ?? []
      if (label !== undefined && sample !== undefined) expect(sample, name).toContain(`{${label}="`)
    }
  })

  test('have counted what happened', () => {
    expect(scrape).toMatch(/^sealmesh_relay_packets_total\{outcome="delivered"\} 2$/m)
    expect(scrape).toMatch(/^sealmesh_relay_packets_total\{outcome="stored"\} 2$/m)
    expect(scrape).toMatch(/^sealmesh_relay_turned_away_total\{reason="MESH_NOT_ADMITTED"\} 1$/m)
    expect(scrape).toMatch(/^sealmesh_relay_connections\{state="idle"\} 1$/m)
    expect(scrape).toMatch(/^sealmesh_relay_queue_ms_count 4$/m)
    expect(scrape).toMatch(/^sealmesh_relay_queue_ms_bucket\{le="\+Inf"\} 4$/m)
    expect(scrape).toMatch(/^sealmesh_relay_mailbox_packets_most 2$/m)
    expect(scrape).toMatch(/^sealmesh_relay_event_loop_lag_ms\{quantile="0\.99"\} \d/m)
    expect(scrape).toMatch(/^sealmesh_relay_limit\{limit="mailbox_bytes_max"\} 268435456$/m)
  })

  test('are named by dashboard and alerts only if they are there, and the files are what their programs read', () => {
    // Where nothing has happened yet, a name is all that there is.
    const samples = new Set([
      ...named(),
      ...[...scrape.matchAll(/^(sealmesh_relay_\w+)/gm)].map(([, name = '']) => name),
    ])
    const dashboard = JSON.parse(page('infra/grafana/sealmesh-relay.json')) as Dashboard
    const rules = parse(page('infra/prometheus/alerts.yml')) as Rules
    const expressions = [
      ...dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr)),
      ...rules.groups.flatMap((group) => group.rules.map(({ expr }) => expr)),
    ]
    expect(expressions.length).toBeGreaterThan(20)
    for (const expression of expressions) {
      const names = [...expression.matchAll(/sealmesh_relay_\w+/g)].map(([name]) => name)
      expect(names.length, expression).toBeGreaterThan(0)
      for (const name of names) expect(samples.has(name), `${name} in ${expression}`).toBe(true)
    }
    for (const { rules: all } of rules.groups)
      for (const { alert, annotations } of all) {
        expect(annotations.summary?.length, alert).toBeGreaterThan(10)
        expect(annotations.next?.length, alert).toBeGreaterThan(10)
      }
    const [ids, places] = [dashboard.panels.map(({ id }) => id), dashboard.panels.map(({ gridPos }) => gridPos)]
    expect(new Set(ids).size).toBe(ids.length)
    expect(places.every(({ x, w }) => x + w <= 24)).toBe(true)
  })

  // It is in Debian's package `prometheus`; what it checks beyond the names is the language of the expressions.
  test.skipIf(spawnSync('promtool', ['--version']).error !== undefined)(
    'promtool takes the alerts and the scrape',
    () => {
      const alerts = spawnSync('promtool', ['check', 'rules', path.join(REPOSITORY, 'infra/prometheus/alerts.yml')])
      expect(alerts.status, alerts.stderr.toString()).toBe(0)
      const metrics = spawnSync('promtool', ['check', 'metrics'], { input: scrape })
      // 3: it would rather have seconds; 1: it cannot read them.
      expect([0, 3], metrics.stderr.toString()).toContain(metrics.status)
    },
  )
})

describe('strangers', () => {
  test('read no metrics and no figure at the relay’s port', async () => {
    for (const at of ['/metrics', '/status', '/sees', '/limits', '/backup'])
      expect((await fetch(`${relay.http}${at}`)).status).toBe(404)
    for (const at of ['/healthz', '/readyz'])
      expect(await (await fetch(`${relay.http}${at}`)).json()).toEqual({ status: 'ok' })
  })
  test('find nothing else where metrics are read', async () => {
    for (const at of ['/status', '/backup', '/']) expect((await fetch(new URL(at, metricsUrl))).status).toBe(404)
  })
})

describe('sees', () => {
  test('says what the page says that a relay can tell, and nothing more', async () => {
    const { json } = await relayVerb(directory.data, 'sees', '--json')
    const [seen] = json['meshes'] as [MeshSeen]
    expect(seen).toMatchObject({ nodes: 2, packets: 4, packetsLastDay: 4, mailboxes: 1, snapshots: 0 })
    const sizes = seen.bySize.filter(({ packets }) => packets > 0)
    expect(sizes.map(({ bytesMax }) => bytesMax)).toEqual([1_024, 32_768])
    expect(seen.byHour.reduce((sum, packets) => sum + packets, 0)).toBe(4)
    const listed = [...page('docs/relay/what-it-sees.md').matchAll(/^\| `(\w+)` \|/gm)].map(([, name]) => name)
    expect(listed).toEqual(Object.keys(seen))
  })
  test('names nobody', async () => {
    const [json, text] = [await relayVerb(directory.data, 'sees', '--json'), await relayVerb(directory.data, 'sees')]
    expect(text.out).toContain('in the last 24 hours')
    for (const each of secret) for (const { out } of [json, text]) expect(out.includes(each)).toBe(false)
  })
})

interface Dashboard {
  readonly panels: {
    readonly id: number
    readonly gridPos: { readonly x: number; readonly w: number }
    readonly targets: { readonly expr: string }[]
  }[]
}
interface Rules {
  readonly groups: {
    readonly rules: {
      readonly alert: string
      readonly expr: string
      readonly annotations: { readonly summary?: string; readonly next?: string }
    }[]
  }[]
}
