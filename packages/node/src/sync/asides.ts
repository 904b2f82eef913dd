import type { SyncItem } from '@sealmesh/protocol/sync/payload'

const ASIDES = ['awareness', 'drill', 'letters', 'letters-taken'] as const

/**
 * What goes past the sync of documents and records: handed on at once, never stored by it, and in nobody's way. Whoever
 * needs more than that answers it himself.
 */
export type Aside = Extract<SyncItem, { type: (typeof ASIDES)[number] }>

const types: ReadonlySet<string> = new Set(ASIDES)

export const isAside = (item: SyncItem): item is Aside => types.has(item.type)
