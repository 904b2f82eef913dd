import { parseRelayAddress } from '@sealmesh/protocol/wire/address'
import { z } from 'zod'
import { trustedProxiesOf } from '../socket/forwarded.ts'
import { defaultOf, expectedOf, keyOfLimit, LIMIT_NAMES, LIMIT_TABLE } from './limit-table.ts'

/** Everything that `relay.toml` may say. Checks, types and the JSON Schema for editors all come from here. */

export const LOG_LEVELS = ['silent', 'error', 'warn', 'info', 'debug'] as const
export const TLS_MODES = ['self-signed', 'none', 'files'] as const
export const ADMISSIONS = ['claims', 'list'] as const

/** `127.0.0.1:9464`, `[::1]:9464`, or off. */
const METRICS_LISTEN = /^(?:off|(?:\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):(?:[1-9]\d{0,4}|0))$/

const Limits = z.strictObject(
  Object.fromEntries(
    LIMIT_NAMES.map((name) => {
      const { min, max, about } = LIMIT_TABLE[name]
      const error = expectedOf(name)
      const value = z.int({ error }).min(min, { error }).max(max, { error })
      return [keyOfLimit(name), value.optional().meta({ description: about, default: defaultOf(name) })]
    }),
  ),
)

export const PUBLIC_URL_EXPECTED = 'expected what nodes dial, such as wss://relay.example.org'
export const TRUSTED_PROXY_EXPECTED = 'expected addresses or networks such as 127.0.0.1 or 10.0.0.0/8'

/** What stands before the `#` of an address. */
export const isPublicUrl = (text: string): boolean =>
  !text.includes('#') && parseRelayAddress(`${text}#relay=${'0'.repeat(64)}`).ok

const Text = z.string().min(1).max(4_096)

export const Config = z.strictObject({
  listen: z
    .strictObject({
      host: Text.optional().describe('The address to listen on. All of them by default; loopback without TLS.'),
      port: z
        .int({ error: 'expected a port between 0 and 65535' })
        .min(0, { error: 'expected a port between 0 and 65535' })
        .max(65_535, { error: 'expected a port between 0 and 65535' })
        .optional()
        .meta({ description: 'The port to listen on; 0 for any that is free.', default: 7_443 }),
      public_host: Text.optional().describe('The name or address that nodes dial.'),
      public_url: Text.refine(isPublicUrl, PUBLIC_URL_EXPECTED)
        .optional()
        .describe('All that nodes dial, where a proxy or another port stands before the relay. Before public_host.'),
      trusted_proxy: Text.refine((text) => trustedProxiesOf(text) !== undefined, TRUSTED_PROXY_EXPECTED)
        .optional()
        .describe('Addresses or networks of proxies, separated by commas, whose X-Forwarded-For counts.'),
    })
    .prefault({})
    .describe('Where nodes reach the relay. Read when it starts.'),
  tls: z
    .strictObject({
      mode: z.enum(TLS_MODES).optional().meta({
        description: 'A certificate of its own that nodes pin; none, on loopback only; or files.',
        default: 'self-signed',
      }),
      cert: Text.optional().describe('With files: a certificate that nodes’ machines trust, PEM.'),
      key: Text.optional().describe('With files: its key, PEM.'),
    })
    .prefault({})
    .describe('Which certificate it shows. Read when it starts; the files also when it is told to reload.'),
  limits: Limits.prefault({}).describe('What it lets others take. Take effect at once when it is told to reload.'),
  log: z
    .strictObject({
      level: z.enum(LOG_LEVELS).optional().meta({ description: 'How much it logs.', default: 'info' }),
    })
    .prefault({})
    .describe('What it says on stderr. Takes effect at once when it is told to reload.'),
  metrics: z
    .strictObject({
      listen: z
        .string()
        .regex(METRICS_LISTEN, 'expected an address and a port such as 127.0.0.1:9464, or off')
        .optional()
        .meta({ description: 'Where Prometheus reads /metrics. Off by default.', default: 'off' }),
    })
    .prefault({})
    .describe('What it counts. Read when it starts.'),
  cluster: z
    .strictObject({
      nats: Text.optional().describe('NATS servers of the cluster that it is one of, separated by commas.'),
    })
    .prefault({})
    .describe('Several relays that are one. Read when it starts.'),
  admission: z
    .strictObject({
      mode: z.enum(ADMISSIONS).optional().meta({
        description: 'claims: a claim code admits a mesh. list: only `sealmesh-relay admit add` does.',
        default: 'claims',
      }),
    })
    .prefault({})
    .describe('Which meshes get in. Takes effect at once when it is told to reload.'),
})
export type Config = z.infer<typeof Config>
