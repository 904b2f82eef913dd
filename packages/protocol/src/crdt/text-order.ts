import * as Y from 'yjs'

/**
 * Whether every item stands in one text with the two that it names, after the one and before the other. What was typed
 * always does; with others Yjs puts the same items in another order when they come in other pieces.
 */
export function isInOrder(yDoc: Y.Doc): boolean {
  for (const text of yDoc.share.values()) {
    const places = new Map<unknown, number>()
    for (let item = text._start; item !== null; item = item.right) places.set(item, places.size)
    for (let item = text._start; item !== null; item = item.right) {
      const at = places.get(item) ?? 0
      const [after, before] = [item.origin, item.rightOrigin].map((id) => id && places.get(itemAt(yDoc, id)))
      if (after === undefined || before === undefined) return false
      if ((after !== null && after >= at) || (before !== null && before <= at)) return false
    }
  }
  return true
}

/** Whether all texts of both have the same characters of the same authors in the same order, and the same deleted. */
export function areSameTexts(a: Y.Doc, b: Y.Doc): boolean {
  const names = [...new Set([...a.share.keys(), ...b.share.keys()])]
  return names.every((name) => {
    const [left, right] = [charactersOf(a, name), charactersOf(b, name)]
    return left.length === right.length && left.every((each, at) => each === right[at])
  })
}

/** Neighbours of one author as one, however they are cut into items. */
function charactersOf(yDoc: Y.Doc, name: string): string[] {
  const found: { client: number; from: number; to: number; deleted: boolean; text: string }[] = []
  for (let item = yDoc.share.get(name)?._start ?? null; item !== null; item = item.right) {
    const { client, clock } = item.id
    const { deleted, length, content } = item
    const last = found.at(-1)
    const text = !deleted && content instanceof Y.ContentString ? content.str : ''
    if (last !== undefined && last.client === client && last.to === clock && last.deleted === deleted) {
      last.to += length
      last.text += text
    } else found.push({ client, from: clock, to: clock + length, deleted, text })
  }
  return found.map(({ client, from, to, deleted, text }) => `${client}.${from}-${to}${deleted ? ' gone' : ` ${text}`}`)
}

function itemAt({ store }: Y.Doc, { client, clock }: Y.ID): unknown {
  return Y.getState(store, client) > clock ? Y.getItem(store, Y.createID(client, clock)) : undefined
}
