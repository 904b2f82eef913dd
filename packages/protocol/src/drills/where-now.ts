import type { Report } from './report.ts'

/** Where a drill that moves the agent has left it, and what a person is to type next; null: nothing. */
export function whereNow(report: Report): { readonly said: string; readonly next: string | null } {
  const { agent, holder, standby, facts } = report
  const { moved, holderAfter, termAfter } = facts
  const number = termAfter?.number ?? facts.point.term.number
  if (moved === null) return { said: `${holder.name} holds ${agent.name}, term ${number}.`, next: null }
  if (moved.heldBy === standby.id) {
    const start = holderAfter === null ? `on ${holder.name}: sealmesh up; then ` : ''
    return {
      said: `${standby.name} holds ${agent.name}, term ${number}.`,
      next: `${start}on ${standby.name}: sealmesh handover ${agent.name} --to ${holder.name}`,
    }
  }
  if (moved.heldBy !== holder.id)
    return { said: `Another node holds ${agent.name}, term ${number}.`, next: `sealmesh failover status ${agent.name}` }
  const said = `${holder.name} holds ${agent.name}, term ${number}.`
  if (holderAfter === null) return { said, next: `on ${holder.name}: sealmesh up` }
  return { said, next: holderAfter.may ? null : `on ${holder.name}: sealmesh failover status ${agent.name}` }
}
