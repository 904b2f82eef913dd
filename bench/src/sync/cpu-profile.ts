import type { Profiler } from 'node:inspector'

/** What a sample of a node's main thread was at. */
export type Work = 'sealing' | 'padding' | 'signing' | 'opening' | 'verifying' | 'hashing' | 'other'

export interface Spent {
  /** Microseconds in which the thread did anything. */
  readonly busyUs: number
  readonly byWork: Readonly<Record<Work, number>>
  /** By function, those of `counted` works only, the longest first: self time, what it calls in WebAssembly and C included. */
  readonly functions: readonly { readonly name: string; readonly us: number }[]
}

const IDLE = '(idle)'
const SODIUM: Readonly<Record<string, Work>> = {
  sign: 'signing',
  sealBox: 'sealing',
  encrypt: 'sealing',
  verify: 'verifying',
  openBox: 'opening',
  decrypt: 'opening',
  hash: 'hashing',
  hashRuns: 'hashing',
}
/** Files of the sending half of an envelope. */
const SENDING = /protocol\/(dist|src)\/envelope\/(seal|inside|header-writer|padding)\.[jt]s$/
const RECEIVING = /protocol\/(dist|src)\/envelope\//

/**
 * Each sample goes to the innermost caller that says what it is about: a function of `@sealmesh/sodium`, under which
 * WebAssembly and the addon run, or one of the envelope's files. A hash counts as what it is made for.
 */
export function spentIn(profile: Profiler.Profile): Spent {
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]))
  const parents = new Map<number, number>()
  for (const { id, children } of profile.nodes) for (const child of children ?? []) parents.set(child, id)
  const byWork: Record<Work, number> = {
    sealing: 0,
    padding: 0,
    signing: 0,
    opening: 0,
    verifying: 0,
    hashing: 0,
    other: 0,
  }
  const functions = new Map<string, number>()
  const known = new Map<number, { work: Work; name: string }>()
  const about = (id: number): { work: Work; name: string } => {
    const before = known.get(id)
    if (before !== undefined) return before
    let found: { work: Work; name: string } | undefined
    for (let at: number | undefined = id; at !== undefined; at = parents.get(at)) {
      const frame = nodes.get(at)?.callFrame
      if (frame === undefined) continue
      const work = workOf(frame)
      if (work === undefined) continue
      // What a hash is made for is said further up, if anywhere.
      found =
        found?.work === 'hashing'
          ? { work: work === 'padding' ? 'sealing' : work, name: found.name }
          : { work, name: nameOf(frame) }
      if (work !== 'hashing') break
    }
    const answer = found ?? { work: 'other' as const, name: '' }
    known.set(id, answer)
    return answer
  }
  let busyUs = 0
  for (const [at, id] of (profile.samples ?? []).entries()) {
    const us = profile.timeDeltas?.[at] ?? 0
    if (us <= 0 || nodes.get(id)?.callFrame.functionName === IDLE) continue
    busyUs += us
    const { work, name } = about(id)
    byWork[work] += us
    if (work !== 'other') functions.set(`${work}: ${name}`, (functions.get(`${work}: ${name}`) ?? 0) + us)
  }
  const longest = [...functions].map(([name, us]) => ({ name, us })).toSorted((a, b) => b.us - a.us)
  return { busyUs, byWork, functions: longest }
}

function workOf({ url, functionName }: Profiler.Profile['nodes'][number]['callFrame']): Work | undefined {
  if (/packages\/sodium\/|@sealmesh\/sodium\//.test(url)) return SODIUM[functionName]
  if (/pad/i.test(functionName) && RECEIVING.test(url)) return 'padding'
  if (SENDING.test(url)) return /^(decode|read|open)/.test(functionName) ? 'opening' : 'sealing'
  return RECEIVING.test(url) ? 'opening' : undefined
}

const nameOf = ({ url, functionName }: Profiler.Profile['nodes'][number]['callFrame']): string =>
  `${functionName === '' ? 'anonymous' : functionName} (${url.split('/').slice(-2).join('/')})`
