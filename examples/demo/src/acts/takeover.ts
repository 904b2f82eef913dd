import type { Machine } from '../machine.ts'
import type { Progress } from '../narrator.ts'
import { check, waitFor } from '../stage.ts'
import { AGENT, type Play, SOON_MS } from '../play.ts'

const SESSION = `${AGENT}.session`
const TASK = `${SESSION}.current-task`
const PLAN = `${SESSION}.plan.md`
/** Home writes these alone, and the office never touches them. */
const SCRATCH = `${SESSION}.scratch`
const DRAFT = `${SESSION}.draft.md`
const DRAFT_TEXT = '# Draft\n\nSplit the tide feed into its own service.\n'

/** A lease of 15 seconds has to run out, on every clock, before anybody may take it. */
const TAKEN_WITHIN_MS = 60_000

/** Home dies with work that nobody has seen; the office goes on by itself; home returns. */
export async function takeover({ narrator, home, office, cable }: Play): Promise<void> {
  narrator.act('Home dies, the office takes over by itself')

  await narrator.step('the relay keeps leases now, and the agent fails over without a person', async (progress) => {
    await home.call('witness.set', ['witness', 'set'])
    await home.call('failover.set', ['failover', 'set', AGENT, '--mode', 'auto'])
    for (const [machine, state] of [
      [home, 'active'],
      [office, 'standby'],
    ] as const)
      await inState(machine, state, { withinMs: SOON_MS, progress })
    return 'home is active under its lease, the office stands by'
  })
  await narrator.step("home, the holder, keeps the agent's session; the office follows", async (progress) => {
    await home.call('set', ['set', TASK, 'migrate the berth table', '--wait', 'replicated'])
    await home.edit(PLAN, () => '# Plan\n\n1. Copy the rows.\n')
    await waitFor(
      'the session at the office',
      async () =>
        (await office.text(PLAN)) !== undefined && (await office.value(TASK)) !== undefined
          ? { done: true }
          : { waiting: 'on its way' },
      { withinMs: SOON_MS, progress },
    )
    const refused = await office.attempt(['set', TASK, 'something else'])
    check(
      refused.code === 4 && /NOT_THE_HOLDER/.test(refused.stderr + refused.stdout),
      'the office may not write it',
      refused,
    )
    return 'a write at the office is refused: NOT_THE_HOLDER'
  })
  await narrator.step('the office rehearses it first, in a sandbox: a drill', async () => {
    const { passed, failed, number } = await office.call('drill.run', ['drill', 'run', AGENT])
    check(passed, 'the report is green', failed)
    const last = (await office.status()).drills.find(({ agent }) => agent === AGENT)?.last
    check(last?.number === number && last.missing === 0, 'and status knows it', last)
    const rtoMs = Object.values(last.rto).reduce<number>((sum, ms) => sum + (ms ?? 0), 0)
    return `report ${number}: passed, signed by both; ${last.missing} missing; rebuilt and ready in ${(rtoMs / 1_000).toFixed(2)} s`
  })
  await narrator.step("home's line is cut, and home writes on alone", async () => {
    cable.cut(home.name)
    await home.waitForStatus('cut off', (s) => s.summary === 'cut off' || s.summary, { withinMs: SOON_MS })
    // At once: when its lease is over, home may write none of these any more.
    await Promise.all([
      home.set(TASK, 'drop the old berth table'),
      home.set(SCRATCH, 'row 4711 has no harbour'),
      home.edit(PLAN, (text) => `${text}2. Drop the old table.\n`),
      home.edit(DRAFT, () => DRAFT_TEXT),
    ])
    return 'two keys and two texts, as long as its lease runs'
  })
  await narrator.step('home is killed: SIGKILL', () => home.kill())

  await narrator.step('nobody types anything: the office takes the agent over', async (progress) => {
    await inState(office, 'active', { withinMs: TAKEN_WITHIN_MS, progress })
    const agent = (await office.status()).agents.find(({ name }) => name === AGENT)
    check(agent?.term === 2 && agent.holder === 'office', 'the office holds term 2', agent)
    const task = await office.value(TASK)
    check(task === 'migrate the berth table', 'what was acknowledged as replicated is there', task)
    return `term 2, held by the office`
  })
  await narrator.step('and writes on', async () => {
    await office.set(TASK, 'verify the copied rows')
    await office.edit(PLAN, (text) => `${text}2. Compare the counts.\n`)
  })

  await narrator.step('home comes back', async (progress) => {
    cable.mend(home.name)
    await home.up()
    for (const machine of [home, office]) await machine.inSync({ withinMs: SOON_MS, progress })
    const agent = (await home.status()).agents.find(({ name }) => name === AGENT)
    check(
      agent?.term === 2 && agent.holder === 'office' && !agent.holdsHere,
      'home knows that the office holds term 2',
      agent,
    )
  })
  await narrator.step('what the office wrote stands, on both', async (progress) => {
    await waitFor(
      'the same session on both',
      async () => {
        const seen = await Promise.all(
          [home, office].map(async (each) => [await each.value(TASK), await each.text(PLAN)].join()),
        )
        const whole =
          seen[0] === seen[1] && seen[0]?.includes('verify the copied rows') && seen[0].includes('Compare the counts')
        return whole ? { done: true } : { waiting: seen.join(' / ') }
      },
      { withinMs: SOON_MS, progress },
    )
    const plan = await home.text(PLAN)
    check(!plan?.includes('Drop the old table'), "home's late edit is not in the plan", plan)
    for (const machine of [home, office]) {
      check(
        (await machine.value(SCRATCH)) === undefined,
        `the key that only home wrote is not folded in at ${machine.name}`,
      )
      check((await machine.text(DRAFT)) === undefined, `nor is the text that only home wrote, at ${machine.name}`)
    }
  })

  let draft = ''
  await narrator.step('what home wrote alone is kept apart, and listed on both', async (progress) => {
    for (const machine of [home, office]) {
      const late = await waitFor(
        `late blocks at ${machine.name}`,
        async () => {
          const { aside } = await machine.call('late.ls', ['late', 'ls', AGENT])
          const umrs = new Set(
            aside.filter(({ reason }) => reason === 'LATE').flatMap(({ writes }) => writes.map(({ umr }) => umr)),
          )
          const missing = [TASK, SCRATCH, PLAN, DRAFT].filter((umr) => !umrs.has(umr))
          return missing.length === 0 ? { done: aside } : { waiting: `without ${missing.join(', ')}` }
        },
        { withinMs: SOON_MS, progress },
      )
      check(
        late.every(({ nodeName, term }) => nodeName === 'home' && term === 1),
        'all are of home, under its old term',
        late,
      )
      draft = late.find(({ writes }) => writes.some(({ umr }) => umr === DRAFT))?.block ?? ''
    }
    return 'two keys and two texts, also those that the office never touched'
  })
  await narrator.step('the office merges one of them by choice', async (progress) => {
    const { written } = await office.call('late.merge', ['late', 'merge', draft])
    check(written.join() === DRAFT, 'only the draft is written', written)
    await waitFor(
      'the draft at home',
      async () => ((await home.text(DRAFT)) === DRAFT_TEXT ? { done: true } : { waiting: 'on its way' }),
      { withinMs: SOON_MS, progress },
    )
    check((await home.value(SCRATCH)) === undefined, 'the others stay apart')
  })
  narrator.quote(DRAFT_TEXT)
  await narrator.step('home may not write the session any more', async () => {
    const refused = await home.attempt(['set', TASK, 'back at the desk'])
    check(refused.code === 4 && /NOT_THE_HOLDER/.test(refused.stderr + refused.stdout), 'home is refused', refused)
    return 'NOT_THE_HOLDER'
  })
}

/** Until the machine says of itself that it stands so to the agent. */
const inState = (
  machine: Machine,
  state: 'active' | 'standby',
  options: { readonly withinMs: number; readonly progress: Progress },
): Promise<void> =>
  waitFor(
    `${machine.name} to be ${state}`,
    async () => {
      const [agent] = (await machine.call('failover.status', ['failover', 'status', AGENT])).agents
      const seen = `${agent?.state ?? 'no word'}${agent?.why ? `: ${agent.why}` : ''}`
      return agent?.state === state ? { done: undefined } : { waiting: seen }
    },
    options,
  )
