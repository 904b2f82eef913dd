/** What people and older tools call the layers of an agent's state, and what each is here. */

/** The layers that every agent may have (docs/glossary.md); others are names of its own. */
export const STANDARD_LAYERS = ['episodic', 'semantic', 'procedural', 'ontology', 'diary', 'session', 'files'] as const

/** A layer whose content has its own store; only metadata is a document. */
export const DIARY_LAYER = 'diary'

type Aliases = Readonly<Record<string, string>>

/**
 * Regions of a UMR as Maxim names them: the hippocampus keeps episodes, the anterior temporal lobe concepts, the
 * nucleus accumbens what leads to what, the entorhinal cortex the nodes that tie them together.
 */
export const REGION_ALIASES: Aliases = {
  hippo: 'episodic',
  hippocampus: 'episodic',
  atl: 'semantic',
  nac: 'procedural',
  ec: 'ontology',
}

/** The owner's own names, from the config. */
export interface OwnAliases {
  readonly aliases: Aliases
  readonly agents: Readonly<Record<string, { readonly aliases: Aliases }>>
}

/** An agent's own alias, else everybody's, else the name itself; and what that means if it is a region's. */
export function layerOf(own: OwnAliases, agent: string, name: string): string {
  const meant = at(at(own.agents, agent)?.aliases, name) ?? at(own.aliases, name) ?? name
  return at(REGION_ALIASES, meant) ?? meant
}

/** Every alias that counts for an agent. */
export const aliasesOf = (own: OwnAliases, agent: string): string[] => [
  ...Object.keys(REGION_ALIASES),
  ...Object.keys(own.aliases),
  ...Object.keys(at(own.agents, agent)?.aliases ?? {}),
]

/** An agent may be called `constructor`. */
const at = <T>(record: Readonly<Record<string, T>> | undefined, key: string): T | undefined =>
  record !== undefined && Object.hasOwn(record, key) ? record[key] : undefined
