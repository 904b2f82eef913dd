import { z } from 'zod'
import { DRILL_KINDS } from '@sealmesh/protocol/drills/facts'
import { isPeerAddress, listenOn } from '../direct/core/peer-address.ts'
import { DURATION, TIME_OF_DAY } from '../drills/schedule.ts'
import { DIARY_LAYER, REGION_ALIASES, STANDARD_LAYERS } from './layer-names.ts'

/**
 * Everything that `config.toml` may say. The checks of `config check`, the types and the JSON Schema for editors all
 * come from here. Nothing in it can share the diary: its content has no document, and even its metadata is shared
 * only by a person's own `share set`.
 */

const NAME = '[a-z0-9](?:[a-z0-9_-]{0,62}[a-z0-9])?'
const Name = z
  .string()
  .regex(new RegExp(`^${NAME}$`), 'expected a name: lower-case letters, digits, - and _, at most 64')

const notOneOf = (words: readonly string[]): string => `(?!(?:${words.join('|')})$)`

const SharedLayer = z
  .string()
  .regex(
    new RegExp(`^${notOneOf([DIARY_LAYER])}${NAME}$`),
    'expected a layer other than the diary, whose content never leaves its machine',
  )

/** An alias for a layer that everybody knows would send what is written to that layer elsewhere. */
const AliasName = z
  .string()
  .regex(
    new RegExp(`^${notOneOf([...STANDARD_LAYERS, ...Object.keys(REGION_ALIASES)])}${NAME}$`),
    "expected a name of your own: not a standard layer's and not a region's",
  )

const Recipient = z
  .string()
  .regex(
    new RegExp(`^${notOneOf(['none', 'none:write'])}${NAME}(?::write)?$`),
    'expected standby, a node or an agent, with :write where it may write too',
  )
  .describe('standby, the name of a node or of an agent; with :write it may write too')

const Recipients = z
  .union([Recipient, z.array(Recipient).min(1).max(64)], {
    error: 'expected standby, a node or an agent (each with :write where it may write too), or a list of these',
  })
  .describe('Who may read the layer, as long as nobody has ended a grant of it by `share set`.')

const Aliases = z.record(AliasName, Name)

const Command = z.array(z.string().min(1).max(4_096)).min(1).max(64)

const Duration = z.string().regex(new RegExp(`^${DURATION}$`), 'expected a time such as 250ms, 30s, 5m, 6h or 1d')

/** As many as may have a link at once. */
const DIRECT_PEERS_MAX = 64

const Drill = z
  .strictObject({
    rto: Duration.optional().describe('How long a recovery may take. A drill that takes longer is red.'),
    rpo: Duration.optional().describe(
      'How old a write may be that no standby has. A drill that finds an older one is red.',
    ),
    every: Duration.optional().describe('How often this node drills, as a standby of the agent.'),
    at: z
      .string()
      .regex(new RegExp(`^${TIME_OF_DAY}$`), 'expected a time of day such as 03:00')
      .optional()
      .describe('At what local time, where days lie between two drills.'),
    kind: z
      .enum(DRILL_KINDS)
      .optional()
      .describe(
        'What kind is run then: shadow (the default), switchover, which moves the agent here and back, or kill.',
      ),
    kill: z
      .boolean()
      .optional()
      .describe('Whether this node, while it holds the agent, lets a kill drill end its process without warning.'),
  })
  .superRefine(({ every, at }, check) => {
    if (at !== undefined && !(every ?? '').endsWith('d'))
      check.addIssue({ code: 'custom', path: ['at'], message: 'expected only beside every = "1d" or more days' })
  })

const Agent = z
  .strictObject({
    share: z
      .record(SharedLayer, Recipients)
      .default({})
      .describe('Default sharing, by layer. Applied where this node holds the agent; `share set` has the last word.'),
    aliases: Aliases.default({}).describe("Names of your own for this agent's layers."),
    on_active: Command.optional().describe(
      'Runs while this node may act for the agent, and is stopped when it may not. Program and arguments, no shell; SEALMESH_AGENT, SEALMESH_TERM and SEALMESH_TOKEN are in its environment.',
    ),
    on_standby: Command.optional().describe('Runs once when this node may not act for the agent any more.'),
    pipes: z
      .boolean()
      .default(false)
      .describe(
        'Whether scripts of this user may be this agent by text alone: docs/spec/16-agents.md §4. Read when the node starts.',
      ),
    drill: Drill.prefault({}).describe('Rehearsed takeovers: what they have to show, and how often.'),
  })
  .superRefine(({ share, aliases }, check) => {
    // A default for an alias of the diary would share the diary.
    for (const layer of Object.keys(share))
      if (Object.hasOwn(aliases, layer) || Object.hasOwn(REGION_ALIASES, layer))
        check.addIssue({
          code: 'custom',
          path: ['share', layer],
          message: 'expected the layer itself, not an alias of it',
        })
  })

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const

export const Config = z
  .strictObject({
    node: z
      .strictObject({
        log_level: z.enum(LOG_LEVELS).default('info').describe('How much the node logs. `up --log-level` comes first.'),
      })
      .prefault({})
      .describe('This node. Read when it starts.'),
    network: z
      .strictObject({
        proxy: z
          .string()
          .regex(
            /^(none|http:\/\/[^@/\s]+\/?)$/,
            'expected http://host:port, or none; who asks stands in a file of its own',
          )
          .optional()
          .describe('The HTTP proxy through which relays are reached; else HTTPS_PROXY. NO_PROXY counts for both.'),
        proxy_credentials: z.string().min(1).optional().describe('A file that holds user:password for the proxy.'),
        tls: z
          .enum(['checked', 'relay-key-only'])
          .default('checked')
          .describe(
            "relay-key-only: in a network that replaces certificates, only the relay's own key says who it is. Whoever replaces them sees what the relay sees, and can speak in its place once it is logged in.",
          ),
      })
      .prefault({})
      .describe('How this node reaches relays.'),
    direct: z
      .strictObject({
        listen: z
          .string()
          .refine((text) => listenOn(text) !== undefined, 'expected host:port, for example 0.0.0.0:7447 or [::]:7447')
          .optional()
          .describe('Where other machines of the mesh may reach this one without a relay. Nowhere, unless it is said.'),
        peers: z
          .array(
            z.string().refine(isPeerAddress, 'expected wss://HOST:PORT#node=ID, as sealmesh status shows it there'),
          )
          .max(DIRECT_PEERS_MAX)
          .default([])
          .describe('Where other machines of the mesh listen.'),
        mdns: z
          .boolean()
          .default(false)
          .describe(
            'Whether machines of the mesh look for each other on the LAN. Neighbours see that somebody does, not who.',
          ),
      })
      .prefault({})
      .describe('Links to other machines of the mesh without a relay in between. Read when the node starts.'),
    snapshots: z
      .strictObject({
        vault: z
          .enum(['daily', 'off'])
          .default('daily')
          .describe("Whether a sealed snapshot of this node is left in the relay's vault once a day."),
      })
      .prefault({})
      .describe('What outlives this machine.'),
    messages: z
      .strictObject({
        talk: z
          .enum(['open', 'granted'])
          .default('open')
          .describe(
            "open: agents of this machine may write to one another. granted: only where the recipient's layer inbox is granted to the sender by name, with :write.",
          ),
        rate: z
          .int()
          .min(1)
          .max(1_000_000)
          .default(10_000)
          .describe('Deliveries a second that one agent may cause. Read when the node starts.'),
        roster: z
          .enum(['mesh', 'granted'])
          .default('granted')
          .describe(
            'Who is told which agents are attached here. granted: whom you grant the layer roster of the agent that founded this machine. mesh: every machine of the mesh is granted it, until such a grant is ended.',
          ),
        roster_life: Duration.default('15m').describe(
          'How long that holds when this machine falls silent; it is said again three times as often.',
        ),
        log: z
          .enum(['off', 'on', 'bodies'])
          .default('on')
          .describe(
            'Whether HOME/logs notes which messages went from whom to whom, how long they took, and what failed; bodies: also what they say.',
          ),
      })
      .prefault({})
      .describe('Agents of this machine, and their messages.'),
    aliases: Aliases.default({}).describe("Names of your own for layers, for every agent's."),
    agents: z.record(Name, Agent).default({}).describe('Defaults for each agent.'),
  })
  .superRefine(({ aliases, agents }, check) => {
    for (const [agent, { share }] of Object.entries(agents))
      for (const layer of Object.keys(share))
        if (Object.hasOwn(aliases, layer))
          check.addIssue({
            code: 'custom',
            path: ['agents', agent, 'share', layer],
            message: 'expected the layer itself, not an alias of it',
          })
  })
export type Config = z.infer<typeof Config>

/** What holds without a config. */
export const DEFAULTS: Config = Config.parse({})

/** `office:write` as the parts that a grant takes. */
export function recipientsOf(given: z.infer<typeof Recipients>): readonly string[] {
  return typeof given === 'string' ? [given] : given
}
