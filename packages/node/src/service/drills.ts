import { toHex } from '@sealmesh/protocol/bytes'
import { markdownOf } from '@sealmesh/protocol/drills/markdown'
import { failedChecks, type FiledReport } from '@sealmesh/protocol/drills/report'
import { whereNow } from '@sealmesh/protocol/drills/where-now'
import { Failure } from '@sealmesh/protocol/errors'
import type { MethodResult, Status } from '@sealmesh/protocol/ipc/methods'
import type { FiledEntry } from '../drills/drill-book.ts'
import type { Drills } from '../drills/drills.ts'
import type { Handlers } from '../ipc/door.ts'
import { agentName, agentNamed, iso, nodeName, type ServiceContext } from './context.ts'

type Services = Pick<ServiceContext, 'log'> & { readonly drills: Drills }
type Shown = MethodResult<'drill.report'>

/** Rehearsed takeovers, and the reports that they leave. */
export function drillHandlers(
  services: Services,
): Pick<Handlers, 'drill.run' | 'drill.ls' | 'drill.report' | 'drill.keys'> {
  const { drills, log } = services
  return {
    'drill.run': async ({ agent, kind, returnMs }) => {
      const filed = await drills.run(agentNamed(log.mesh, agent), { kind, returnMs })
      const entry = drills.book
        .all()
        .find(({ number, agent: of }) => of === filed.report.agent.id && number === filed.report.number)
      if (entry === undefined) throw new Failure('DRILL_FAILED', 'The report was not kept.')
      return shown(services, entry, filed)
    },

    'drill.ls': async () => {
      await drills.look()
      return { reports: drills.book.all().map((entry) => rowOf(services, entry)), drills: drillStatus(drills) }
    },

    'drill.report': async ({ agent, number }) => {
      const id = agent === undefined ? undefined : agentNamed(log.mesh, agent).id
      const found = drills.book
        .all()
        .filter(
          (entry) => (id === undefined || entry.agent === id) && (number === undefined || entry.number === number),
        )
      const entry = found.reduce<FiledEntry | undefined>(
        (a, b) => (a === undefined || b.atMs >= a.atMs ? b : a),
        undefined,
      )
      if (entry === undefined)
        throw new Failure('FILE_NOT_FOUND', 'There is no such report.', { next: 'sealmesh drill ls' })
      if (number !== undefined && found.some((each) => each.agent !== entry.agent))
        throw new Failure('USAGE', `Several agents have a report ${number}.`, { next: 'say which: --agent AGENT' })
      const filed = await drills.book.read(entry)
      if (filed === undefined)
        throw new Failure('REPORT_INVALID', `The report ${entry.file} was changed since it was filed.`)
      return shown(services, entry, filed)
    },

    'drill.keys': () => ({
      keys: Object.fromEntries([...log.mesh.nodes.values()].map(({ id, signKey }) => [id, toHex(signKey)])),
    }),
  }
}

export const drillStatus = (drills: Drills): Status['drills'] =>
  drills.standings().map(({ agent, last, failure, dueMs, isOverdue }) => ({
    agent: agent.name,
    last: last === null ? null : lastOf(last),
    failure: failure === null ? null : { at: iso(failure.atMs), code: failure.code, message: failure.message },
    dueAt: dueMs === null ? null : iso(dueMs),
    overdue: isOverdue,
  }))

const lastOf = ({ number, atMs, passed, kind, rto, missing }: FiledEntry) => ({
  number,
  at: iso(atMs),
  passed,
  kind,
  rto,
  missing,
})

/** Red until another one is green. */
export function drillWarnings({ drills }: { readonly drills: Drills }): Status['warnings'] {
  const warnings: Status['warnings'] = []
  for (const { agent, last, failure, dueMs, isOverdue } of drills.standings()) {
    if (failure !== null)
      warnings.push({
        code: 'DRILL_FAILED',
        message: `the drill of ${agent.name} on ${iso(failure.atMs)} came to no report: ${failure.message}`,
      })
    else if (last?.passed === false)
      warnings.push({
        code: 'DRILL_FAILED',
        message: `drill ${last.number} of ${agent.name} on ${iso(last.atMs)} is red`,
      })
    if (isOverdue && dueMs !== null)
      warnings.push({ code: 'DRILL_OVERDUE', message: `a drill of ${agent.name} has been due since ${iso(dueMs)}` })
  }
  return warnings
}

function rowOf({ log: { mesh } }: Services, entry: FiledEntry): MethodResult<'drill.ls'>['reports'][number] {
  const { agent, number, kind, atMs, passed, standby, holder, hash, file } = entry
  return {
    agent: agentName(mesh, agent),
    number,
    kind,
    at: iso(atMs),
    passed,
    standby: nodeName(mesh, standby),
    holder: nodeName(mesh, holder),
    hash,
    file,
  }
}

const shown = (services: Services, entry: FiledEntry, filed: FiledReport): Shown => ({
  ...rowOf(services, entry),
  failed: failedChecks(filed.report).map(({ name, target, actual }) => ({ name, target, actual })),
  next: whereNow(filed.report).next,
  markdown: markdownOf(filed, entry.hash, iso),
})
