import type { Allowance } from '@sealmesh/mcp/allowance'
import { GRAPH_TOOLS } from '@sealmesh/mcp/tools/graph-tools'
import { MESH_TOOLS } from '@sealmesh/mcp/tools/mesh-tools'
import { Failure } from '@sealmesh/protocol/errors'
import { isName } from '@sealmesh/protocol/ids'
import { Recipient } from '@sealmesh/protocol/messages/message'
import { type Command, InvalidArgumentError, Option } from 'commander'

/** What an owner writes behind `sealmesh mcp` and `mcp install`: which tools, agents and layers an assistant may use. */

export interface AllowanceFlags {
  readonly compat?: 'server-memory'
  readonly tools?: readonly string[]
  readonly peers?: readonly string[]
  readonly layers?: readonly string[]
}

/** More are no list that a person keeps. */
const WORDS_MAX = 64

export const withAllowance = (command: Command): Command =>
  command
    .addOption(
      new Option('--compat <server>', "the published memory server's nine tools, over the agent's ontology").choices([
        'server-memory',
      ]),
    )
    .option(
      '--tools <list>',
      'only these tools and what shows the same, separated by commas',
      listOf(isTool, `one of ${MESH_TOOLS.join(', ')}; with --compat one of ${GRAPH_TOOLS.join(', ')}`),
    )
    .option(
      '--peers <list>',
      'only these agents: name, name@machine, #topic, * for everybody at once',
      listOf((word) => Recipient.safeParse(word).success, 'name, name@machine, #topic or *'),
    )
    .option(
      '--layers <list>',
      "only these layers: semantic, or another agent's as codex.semantic; with :write it may write there too",
      listOf(isLayer, 'layer or agent.layer, with :write where it may write too'),
    )

/** Throws USAGE where the list leaves nothing of what is offered. */
export function toolsOf({ tools, compat }: AllowanceFlags): { readonly allowed?: ReadonlySet<string> } {
  if (tools === undefined) return {}
  const offered: readonly string[] = compat === undefined ? MESH_TOOLS : GRAPH_TOOLS
  const unknown = tools.filter((tool) => !offered.includes(tool))
  if (unknown.length === 0) return { allowed: new Set(tools) }
  throw new Failure('USAGE', `There is no ${unknown[0]} among the tools that are offered.`, {
    next: `--tools with some of ${offered.join(',')}`,
  })
}

/** `agent`: whose layers are meant where no agent is named. */
export function allowanceOf({ peers, layers }: AllowanceFlags, agent: string): Allowance {
  return {
    ...(peers === undefined ? {} : { peers: new Set(peers) }),
    ...(layers === undefined ? {} : { layers: new Map(layers.map((word) => allowedLayer(word, agent))) }),
  }
}

function allowedLayer(word: string, agent: string): [string, 'read' | 'write'] {
  const [layer = '', access] = word.split(':')
  return [layer.includes('.') ? layer : `${agent}.${layer}`, access === 'write' ? 'write' : 'read']
}

/** The same words again, for a configuration that starts the server. */
export const allowanceWords = ({ compat, tools, peers, layers }: AllowanceFlags): string[] => [
  ...(compat === undefined ? [] : ['--compat', compat]),
  ...(tools === undefined ? [] : ['--tools', tools.join(',')]),
  ...(peers === undefined ? [] : ['--peers', peers.join(',')]),
  ...(layers === undefined ? [] : ['--layers', layers.join(',')]),
]

const isTool = (word: string): boolean => ([...MESH_TOOLS, ...GRAPH_TOOLS] as readonly string[]).includes(word)

function isLayer(word: string): boolean {
  const [place = '', ...access] = word.split(':')
  const names = place.split('.')
  return names.length <= 2 && names.every(isName) && (access.length === 0 || access.join(':') === 'write')
}

function listOf(isRight: (word: string) => boolean, what: string) {
  return (text: string): readonly string[] => {
    const words = text.split(',').map((word) => word.trim())
    if (words.length <= WORDS_MAX && words.every(isRight)) return words
    throw new InvalidArgumentError(`Expected up to ${WORDS_MAX}, separated by commas, each ${what}.`)
  }
}
