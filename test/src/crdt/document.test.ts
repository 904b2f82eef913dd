import { isMerged } from '@sealmesh/protocol/crdt/merged'
import type { Block } from '@sealmesh/protocol/crdt/block'
import { signBlock } from '@sealmesh/protocol/crdt/block-codec'
import { choicesOf } from '@sealmesh/protocol/crdt/choices'
import { type Change, Document } from '@sealmesh/protocol/crdt/document'
import type { Judge } from '@sealmesh/protocol/crdt/verdict'
import type { IncarnationId } from '@sealmesh/protocol/ids'
import { BLOCK_AHEAD_MS_MAX } from '@sealmesh/protocol/limits'
import { describe, expect, test } from 'vitest'
import { foldAll, incarnationId, NAME, NOW_MS, nodeId, Replica, recordId, sodium, stateOf } from './scene.ts'

const [home, office, shed] = [1, 2, 3]
const replica = (number: number) => new Replica(nodeId(number), incarnationId(number))
const values = (of: Replica, key: string) => of.document.siblings(key).map(({ value }) => value)
const reasons = (of: Replica) => of.document.aside().map(({ reason }) => reason)
/** Void for one author, and nobody else. */
const without =
  (node: number): Judge =>
  (block) =>
    block.header.author === nodeId(node) ? { type: 'void', reason: 'NOT_A_WRITER' } : { type: 'fold' }

/** Both wrote without knowing of the other: [home, office]. */
function concurrent(): [Replica, Replica] {
  const [a, b] = [replica(home), replica(office)]
  a.set('k0', 'from home')
  b.nowMs += 10
  b.set('k0', 'from office')
  a.receive(...b.stored)
  b.receive(...a.stored)
  return [a, b]
}

describe('registers', () => {
  test('concurrent writes are both kept, the later one wins, and every replica says so', () => {
    const [a, b] = concurrent()
    expect(values(a, 'k0')).toEqual(['from office', 'from home'])
    expect(a.document.read('k0')).toMatchObject({ value: 'from office', author: nodeId(office) })
    expect([...a.document.conflicted()]).toEqual(['k0'])
    expect(stateOf(a.document)).toEqual(stateOf(b.document))
  })

  test('a plain set replaces the winner and what its own node wrote, so no conflict vanishes unseen', () => {
    const [, b] = concurrent()
    const c = replica(shed)
    c.receive(...b.stored)
    c.set('k0', 'from shed')
    expect(values(c, 'k0')).toEqual(['from shed', 'from home'])
  })

  test('after a restart a set still replaces what its own node wrote before', () => {
    const [a] = concurrent()
    a.incarnation = incarnationId(7)
    a.set('k0', 'again from home')
    expect(values(a, 'k0')).toEqual(['again from home'])
  })

  test('a set with what was seen replaces that, and the winner only if it was seen', () => {
    const [, b] = concurrent()
    const c = replica(shed)
    c.receive(...b.stored)
    const loser = c.document.siblings('k0')[1]!.dot.hash
    c.write({ type: 'set', key: 'k0', value: 'kept', seen: [loser] })
    expect(values(c, 'k0')).toEqual(['kept', 'from office'])
    c.write({ type: 'set', key: 'k0', value: 'merged', seen: 'all' })
    expect(values(c, 'k0')).toEqual(['merged'])
    expect([...c.document.conflicted()]).toEqual([])
  })

  test('two machines that wrote the same leave nothing to choose, though the state keeps both writes', () => {
    const [a, b, c] = [replica(home), replica(office), replica(shed)]
    for (const each of [a, b]) each.set('k0', 'the same')
    a.receive(...b.stored)
    expect(values(a, 'k0')).toEqual(['the same', 'the same'])
    expect([[...a.document.conflicted()], a.document.counts().conflicts]).toEqual([[], 0])
    c.set('k0', 'another')
    a.receive(...c.stored)
    expect([...a.document.conflicted()]).toEqual(['k0'])
    expect(choicesOf(a.document.siblings('k0')).map(({ value, writes }) => [value, writes.length])).toEqual(
      expect.arrayContaining([
        ['the same', 2],
        ['another', 1],
      ]),
    )
  })

  test('a write that carries over what was set aside says so to every replica, and wins over it should it count', () => {
    const judge = without(home)
    const [a, b, c] = [replica(home), replica(office), replica(shed)]
    a.nowMs += 60_000
    const aside = a.set('k0', 'from home')
    b.look(judge, NOW_MS)
    b.receive(aside)
    expect(isMerged(b.document, aside)).toBe(false)
    const dot = { incarnation: aside.header.incarnation, sequence: aside.header.sequence, hash: aside.hash }
    b.write({ type: 'set', key: 'k0', value: 'from home', merges: [{ dot, time: aside.header.time }] })
    b.set('k0', 'and then edited')
    c.look(judge, NOW_MS)
    c.receive(aside, ...b.stored)
    expect([isMerged(b.document, aside), isMerged(c.document, aside)]).toEqual([true, true])
    c.look(foldAll, NOW_MS + 60_000)
    expect(values(c, 'k0')).toEqual(['and then edited'])
  })

  test('a delete is a write: it can win and lose, and what it replaced stays away', () => {
    const [a, b] = concurrent()
    a.write({ type: 'delete', key: 'k0' })
    expect(a.document.read('k0')?.value).toBeUndefined()
    expect([...a.document.keys()]).toEqual([])
    expect(a.document.siblings('k0')).toHaveLength(1)
    b.receive(...a.stored)
    expect(b.document.read('k0')?.value).toBeUndefined()
  })

  test('a write is never older than what it replaces, however far its own clock lags', () => {
    const [ahead, behind] = [replica(home), replica(office)]
    ahead.nowMs += 240_000
    const first = ahead.set('k0', 'from a clock four minutes ahead')
    behind.receive(first)
    const second = behind.set('k0', 'after it')
    expect(second.header.time).toEqual({ wallMs: first.header.time.wallMs, counter: 1 })
    ahead.receive(second)
    expect(values(ahead, 'k0')).toEqual(['after it'])
  })

  test('a writer who overwrites its own value names no clock, and says nothing again of what others wrote', () => {
    const [, b] = concurrent()
    const first = b.set('k0', 'one')
    const second = b.set('k0', 'two')
    expect(first.header.received).toHaveLength(1)
    expect(first.writes[0]).toMatchObject({ replaces: [] })
    expect(second.header.received).toEqual([])
    expect(second.writes[0]).toMatchObject({ replaces: [] })
    expect(second.bytes.length).toBeLessThan(280)
  })

  test('changes tell readers of a new winner and of nothing else', () => {
    const [a, b] = [replica(home), replica(office)]
    const changes = (of: Replica, block: Block): Change[] =>
      of.document.receive(block, foldAll, NOW_MS + 60_000).changes
    a.nowMs += 10
    const late = a.set('k0', 'later')
    const early = b.set('k0', 'earlier')
    const { author, time } = early.header
    const c = replica(shed)
    expect(changes(c, early)).toEqual([{ type: 'set', key: 'k0', value: 'earlier', author, time }])
    expect(changes(c, late)).toMatchObject([{ type: 'set', value: 'later' }])
    expect(changes(a, early)).toEqual([])
    const gone = c.document.receive(b.write({ type: 'delete', key: 'k0' }), foldAll, NOW_MS + 60_000)
    expect(gone.changes).toEqual([])
    a.receive(...b.stored)
    expect(changes(c, a.write({ type: 'delete', key: 'k0' }))).toMatchObject([{ type: 'delete', value: undefined }])
    expect(changes(c, c.write({ type: 'delete', key: 'k1' }))).toEqual([])
  })
})

describe('receiving', () => {
  test('a block before its predecessor waits, and arrives with it', () => {
    const a = replica(home)
    const [one, two, three] = [a.set('k0', '1'), a.set('k0', '2'), a.set('k1', '3')]
    const document = new Document(NAME, sodium)
    expect(document.receive(three, foldAll, NOW_MS)).toMatchObject({ type: 'waiting', arrived: [] })
    expect(document.receive(two, foldAll, NOW_MS)).toMatchObject({ type: 'waiting', arrived: [] })
    expect(document.vector).toEqual([])
    const outcome = document.receive(one, foldAll, NOW_MS)
    expect(outcome).toMatchObject({ type: 'folded', rebuild: false })
    expect(outcome.arrived).toEqual([one, two, three])
    expect(document.vector).toMatchObject([{ sequence: 3, hash: three.hash }])
    expect(document.receive(two, foldAll, NOW_MS).type).toBe('duplicate')
  })

  test('T-peer-1: a block of another document, or after another author’s, is refused', () => {
    const [a, b] = [replica(home), replica(office)]
    const first = a.set('k0', '1')
    b.incarnation = a.incarnation
    b.document = a.document
    const second = b.write({ type: 'set', key: 'k0', value: '2' })
    const document = new Document(NAME, sodium)
    document.receive(first, foldAll, NOW_MS)
    expect(document.receive(second, foldAll, NOW_MS).type).toBe('refused')
    const other = new Document({ ...NAME, layer: 'episodic' }, sodium)
    expect(other.receive(first, foldAll, NOW_MS).type).toBe('refused')
  })

  test('T-peer-3: a block from the future is held with its successors, wins nothing, and counts when it is due', () => {
    const [a, b] = [replica(home), replica(office)]
    b.nowMs += BLOCK_AHEAD_MS_MAX + 1
    b.set('k0', 'early')
    b.set('k1', 'after it')
    for (const block of b.stored)
      expect(a.document.receive(block, foldAll, NOW_MS)).toMatchObject({ type: 'held', arrived: [block] })
    expect(a.document.read('k0')).toBeUndefined()
    expect(a.document.counts()).toMatchObject({ received: 2, folded: 0, held: 2 })
    expect(a.document.vector).toEqual(b.document.vector)
    expect(a.document.needsRebuild(foldAll, NOW_MS)).toBe(false)
    expect(a.document.needsRebuild(foldAll, NOW_MS + 1)).toBe(true)
    const due = Document.rebuild(NAME, b.stored, foldAll, NOW_MS + 1, sodium)
    expect(due.read('k0')?.value).toBe('early')
  })

  test('a block that names log heads nobody knows here is held until they come', () => {
    const b = replica(office)
    b.logHeads = [recordId(7)]
    b.set('k0', 'value')
    const unknown: Judge = () => ({ type: 'unknown' })
    const document = new Document(NAME, sodium)
    expect(document.receive(b.stored[0]!, unknown, NOW_MS).type).toBe('held')
    expect(document.needsRebuild(() => ({ type: 'unknown' }), NOW_MS)).toBe(false)
    expect(document.needsRebuild(foldAll, NOW_MS)).toBe(true)
  })

  test('a verdict that changes asks for a rebuild, after which what was replaced is back', () => {
    const [a, b] = [replica(home), replica(office)]
    a.set('k0', 'mine')
    b.receive(...a.stored)
    b.set('k0', 'not theirs to write')
    a.receive(...b.stored)
    expect(values(a, 'k0')).toEqual(['not theirs to write'])
    expect(a.document.needsRebuild(() => ({ type: 'fold' }), NOW_MS)).toBe(false)
    expect(a.document.needsRebuild(without(office), NOW_MS)).toBe(true)
    a.look(without(office), NOW_MS)
    expect(values(a, 'k0')).toEqual(['mine'])
    expect(a.document.aside()).toMatchObject([
      { reason: 'NOT_A_WRITER', term: null, block: { hash: b.stored.at(-1)!.hash } },
    ])
  })

  test('a late block is listed under its own term, and folded by nobody', () => {
    const a = replica(home)
    a.term = { number: 1, assign: recordId(1) }
    a.judge = () => ({ type: 'late', term: 1 })
    a.set('k0', 'late')
    expect(a.document.aside()).toMatchObject([{ reason: 'LATE', term: 1 }])
    expect(a.document.counts()).toMatchObject({ received: 1, folded: 0, late: 1, aside: 0 })
    expect(a.document.read('k0')).toBeUndefined()
  })
})

describe('forks', () => {
  function forked(): { a: Replica; twin: Replica } {
    const a = replica(home)
    a.set('k0', 'before')
    const twin = a.clone()
    a.set('k0', 'one side')
    twin.set('k0', 'other side')
    twin.set('k1', 'more')
    return { a, twin }
  }

  test('T-clone-1: two blocks in one place are both kept and folded, and the fork is told with both', () => {
    const { a, twin } = forked()
    const sides = [a.stored[1]!, twin.stored[1]!].map(({ hash }) => ({ sequence: 2, hash }))
    const outcome = a.document.receive(twin.stored[1]!, foldAll, NOW_MS)
    expect(outcome).toMatchObject({ rebuild: true, arrived: [twin.stored[1]] })
    a.stored.push(...outcome.arrived)
    a.rebuild()
    a.receive(twin.stored[2]!)
    expect(new Set(values(a, 'k0'))).toEqual(new Set(['one side', 'other side']))
    expect(values(a, 'k1')).toEqual(['more'])
    const [fork] = a.document.forks()
    expect(fork).toMatchObject({ author: nodeId(home), incarnation: incarnationId(home), sequence: 2 })
    expect(fork?.sides).toHaveLength(2)
    expect(fork?.sides).toEqual(expect.arrayContaining(sides.map((side) => expect.objectContaining(side))))
    expect(a.document.vector).toHaveLength(2)
    twin.receive(...a.stored)
    expect(stateOf(twin.document)).toEqual(stateOf(a.document))
  })

  test('what covers one branch does not cover the other, however long', () => {
    const { a, twin } = forked()
    const third = replica(office)
    third.receive(...twin.stored)
    third.set('k0', 'after the other side') // Knows sequence 3 of that branch.
    third.receive(...a.stored)
    expect(new Set(values(third, 'k0'))).toEqual(new Set(['after the other side', 'one side']))
  })

  test('a fork at the very first block has two roots', () => {
    const [a, twin] = [replica(home), replica(home)]
    a.set('k0', 'one')
    twin.set('k0', 'two')
    a.receive(...twin.stored)
    expect(new Set(values(a, 'k0'))).toEqual(new Set(['one', 'two']))
    expect(a.document.forks()).toMatchObject([{ sequence: 1 }])
    expect(a.document.forks()[0]?.sides).toHaveLength(2)
  })

  test('text beyond a fork is listed, since Yjs cannot hold two branches of one client', () => {
    const a = replica(home)
    a.type('notes', 0, 'before ')
    const twin = a.clone()
    a.type('notes', 7, 'one')
    twin.type('notes', 7, 'two')
    const b = replica(office)
    b.receive(...a.stored)
    b.type('notes', 10, ' on top')
    b.receive(...twin.stored)
    expect(b.document.text('notes')).toBe('before ')
    expect(reasons(b).sort()).toEqual(['DEPENDS_ON_ASIDE', 'FORKED', 'FORKED'])
    twin.receive(...b.stored)
    expect(stateOf(twin.document)).toEqual(stateOf(b.document))
  })
})

describe('texts', () => {
  test('edits on both sides merge, and changes name the texts that they touch', () => {
    const [a, b] = [replica(home), replica(office)]
    a.type('notes', 0, 'the plan')
    b.receive(...a.stored)
    const left = a.edit((doc) => {
      doc.getText('notes').insert(0, 'This is ')
      doc.getText('todo').insert(0, 'call')
    })!
    const right = b.edit((doc) => doc.getText('notes').delete(0, 3))!
    const { changes } = b.document.receive(left, foldAll, NOW_MS)
    const { author, time } = left.header
    expect(changes).toHaveLength(2)
    expect(changes).toEqual(
      expect.arrayContaining(['notes', 'todo'].map((name) => ({ type: 'text', name, author, time }))),
    )
    expect(a.document.receive(right, foldAll, NOW_MS).changes).toMatchObject([{ type: 'text', name: 'notes' }])
    expect(a.document.text('notes')).toBe('This is  plan')
    expect(a.document.textNames()).toEqual(['notes', 'todo'])
    expect(stateOf(a.document).texts).toEqual(stateOf(b.document).texts)
  })

  test('an edit that changes nothing gives no update, and no client id is drawn for it', () => {
    const a = replica(home)
    expect(a.edit((doc) => doc.getText('notes').insert(0, ''))).toBeUndefined()
    expect(a.document.textNames()).toEqual([])
    expect(a.document.yDoc.clientID).toBe(0)
  })

  test('an edit that was not stored is gone after a rebuild', () => {
    const a = replica(home)
    a.type('notes', 0, 'stored')
    a.judge = without(home)
    a.type('notes', 0, 'refused ')
    // Its own block did not fold, so the text was built anew without it.
    a.look(foldAll, NOW_MS)
    expect(a.document.text('notes')).toBe('refused stored')
    a.look(without(home), NOW_MS)
    expect(a.document.text('notes')).toBeUndefined()
  })

  test('a text waits for what it builds on, deletions included, and nothing is pending in Yjs', () => {
    const [a, b] = [replica(home), replica(office)]
    const base = a.type('notes', 0, 'abc')
    b.receive(base)
    const insertion = b.type('notes', 3, 'def')
    const deletion = b.edit((doc) => doc.getText('notes').delete(0, 1))!
    const c = replica(shed)
    expect(c.document.receive(insertion, foldAll, NOW_MS)).toMatchObject({ type: 'held', rebuild: false })
    expect(c.document.receive(deletion, foldAll, NOW_MS).type).toBe('held')
    expect(c.document.yDoc.store.pendingStructs).toBeNull()
    expect(c.document.yDoc.store.pendingDs).toBeNull()
    expect(c.document.counts()).toMatchObject({ received: 2, held: 2 })
    expect(c.document.receive(base, foldAll, NOW_MS)).toMatchObject({ type: 'folded', arrived: [base] })
    expect(c.document.text('notes')).toBe('bcdef')
    expect(c.document.counts()).toMatchObject({ received: 3, folded: 3, held: 0 })
  })

  test('what builds on a text that is set aside is set aside with it, and the rest goes on', () => {
    const [a, b, c] = [replica(home), replica(office), replica(shed)]
    a.type('notes', 0, 'a')
    b.receive(...a.stored)
    b.type('notes', 1, 'b')
    c.receive(...b.stored)
    c.type('notes', 2, 'c') // On top of b.
    c.type('other', 0, 'its author’s next one')
    c.set('k0', 'a register does not depend')
    const d = new Replica(nodeId(4), incarnationId(4))
    d.judge = without(office)
    d.receive(...c.stored.toReversed(), ...c.stored)
    expect(d.document.text('notes')).toBe('a')
    expect(reasons(d)).toEqual(expect.arrayContaining(['NOT_A_WRITER', 'DEPENDS_ON_ASIDE', 'DEPENDS_ON_ASIDE']))
    expect(reasons(d)).toHaveLength(3)
    expect(values(d, 'k0')).toEqual(['a register does not depend'])
    expect(d.document.text('other')).toBeUndefined()
  })

  /** A text block with bytes of our own choice. */
  function crafted(update: Uint8Array, by = replica(home)): Block {
    const header = by.set('k9', 'x').header
    const { secretKey } = sodium.signKeys('sign', new Uint8Array(32))
    return signBlock({ ...header, writes: [{ type: 'text', update }] }, secretKey, sodium)
  }

  test('after a text that cannot be read its author’s next ones are set aside, and those that build on them', () => {
    const [a, b] = [replica(home), replica(office)]
    const block = a.type('notes', 0, 'after')
    b.receive(block)
    const onTop = b.type('notes', 5, ' it')
    const broken = crafted(Uint8Array.of(1, 1))
    const { secretKey } = sodium.signKeys('sign', new Uint8Array(32))
    const next = { ...block.header, sequence: 2, previous: broken.hash }
    const c = replica(shed)
    c.receive(broken, signBlock({ ...next, writes: block.writes }, secretKey, sodium), onTop)
    expect(reasons(c)).toEqual(['BROKEN_TEXT', 'DEPENDS_ON_ASIDE', 'DEPENDS_ON_ASIDE'])
    expect(c.document.text('notes')).toBeUndefined()
  })

  test('T-peer-12: a text under somebody else’s client id is set aside', () => {
    const [a, b] = [replica(home), replica(office)]
    const block = a.type('notes', 0, 'mine')
    const [write] = block.writes
    const forged = crafted(write?.type === 'text' ? write.update : new Uint8Array(), b)
    const outcome = new Document(NAME, sodium).receive(forged, foldAll, NOW_MS)
    expect(outcome.type).toBe('aside')
    const c = replica(shed)
    c.receive(forged, block)
    expect(reasons(c)).toEqual(['FOREIGN_CLIENT'])
    expect(c.document.text('notes')).toBe('mine')
  })

  test.each([
    ['nothing', []],
    ['noise', [255, 255, 255, 255, 1, 2, 3]],
    ['half an update', [1, 1]],
  ])('a text that is no update is set aside: %s', (_, bytes) => {
    const c = replica(shed)
    c.receive(crafted(Uint8Array.from(bytes)))
    expect(reasons(c)).toEqual(['BROKEN_TEXT'])
  })

  test('of two incarnations with one client id the lesser keeps it, whoever came first', () => {
    const [a, b] = [replica(home), replica(office)]
    const shared = '00aa00aa00aa'
    a.incarnation = `${shared}${'1'.repeat(20)}` as IncarnationId
    b.incarnation = `${shared}${'2'.repeat(20)}` as IncarnationId
    a.type('notes', 0, 'lesser')
    b.type('notes', 0, 'greater')
    const [one, other] = [replica(shed), replica(shed)]
    one.receive(...a.stored, ...b.stored)
    other.receive(...b.stored, ...a.stored)
    for (const each of [one, other]) {
      expect(each.document.text('notes')).toBe('lesser')
      expect(reasons(each)).toEqual(['CLIENT_TAKEN'])
    }
    expect(stateOf(one.document)).toEqual(stateOf(other.document))
  })
})

describe('digest', () => {
  test('follows what readers see', () => {
    const [a, b] = concurrent()
    const before = a.document.digest()
    expect(b.document.digest()).toEqual(before)
    a.type('notes', 0, 'x')
    expect(a.document.digest()).not.toEqual(before)
    a.edit((doc) => doc.getText('notes').delete(0, 1))
    expect(a.document.digest()).toEqual(before)
    a.set('k0', 'other')
    expect(a.document.digest()).not.toEqual(before)
  })

  test('leaves out what may be collected', () => {
    const a = replica(home)
    const empty = a.document.digest()
    a.set('k0', 'x')
    a.write({ type: 'delete', key: 'k0' })
    expect(a.document.digest()).toEqual(empty)
    const forgotten = a.document.forgettable([])
    expect([...forgotten.keys()]).toEqual(['k0'])
    a.document.stand([], forgotten)
    expect(a.document.digest()).toEqual(empty)
  })
})
