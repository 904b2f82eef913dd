import type { MethodResult, Status } from '@sealmesh/protocol/ipc/methods'
import { oneLine } from './printable.ts'
import { table } from './table.ts'
import { ago, span } from './when.ts'

type Traffic = MethodResult<'messages.traffic'>

const KIB = 1_024
const number = { align: 'right' } as const

/** The page of `top`: what the node says of itself, and one line for each agent, those that are busiest first. */
export function topLines(status: Status, traffic: Traffic, nowMs: number): string[] {
  const layers = status.agents.flatMap(({ layers: of }) => of)
  const registers = layers.reduce((sum, layer) => sum + layer.registers, 0)
  const waiting = traffic.agents.reduce((sum, agent) => sum + agent.waiting, 0)
  const bytes = traffic.agents.reduce((sum, agent) => sum + agent.inboxBytes, 0)
  const attached = traffic.agents.filter(({ state }) => state === 'attached').length
  const agents = [...traffic.agents].sort(
    (a, b) => rank(b) - rank(a) || b.waiting - a.waiting || (a.name < b.name ? -1 : 1),
  )
  return [
    `sealmesh ${oneLine(status.node.name)}  up ${span(nowMs - Date.parse(status.startedAt))}  ${status.summary}`,
    ...status.relays.map(({ address, state, reason }) =>
      oneLine(`relay ${address.replace(/#.*/, '')} ${state}${reason === null ? '' : ` (${reason})`}`),
    ),
    ...(status.relays.length === 0 ? ['relay none'] : []),
    `messages ${rate(traffic.sentPerSecond)}/s sent, ${rate(traffic.deliveredPerSecond)}/s delivered`,
    `latency ms: handed out p50 ${ms(traffic.handedMs.p50)} p99 ${ms(traffic.handedMs.p99)}, done p50 ${ms(traffic.doneMs.p50)} p99 ${ms(traffic.doneMs.p99)}`,
    `agents ${attached} of ${traffic.agents.length} attached; inboxes ${waiting} messages, ${Math.ceil(bytes / KIB)} KiB`,
    `documents ${layers.length}, ${registers} registers; machines ${status.peers.length} others`,
    '',
    ...table(
      [
        { title: 'AGENT' },
        { title: 'STATE' },
        { title: 'STATUS' },
        { title: 'LOAD', ...number },
        { title: 'SENT/S', ...number },
        { title: 'GOT/S', ...number },
        { title: 'WAITING', ...number },
        { title: 'KIB', ...number },
        { title: 'HEARD' },
      ],
      agents.map((agent) => [
        agent.name,
        agent.state,
        agent.state === 'attached' ? agent.status : '-',
        `${agent.load}/${agent.capacity}`,
        rate(agent.sentPerSecond),
        rate(agent.deliveredPerSecond),
        String(agent.waiting),
        String(Math.ceil(agent.inboxBytes / KIB)),
        ago(agent.heardAt, nowMs),
      ]),
    ),
  ]
}

const rank = ({ sentPerSecond, deliveredPerSecond }: Traffic['agents'][number]): number =>
  sentPerSecond + deliveredPerSecond

const rate = (perSecond: number): string => (perSecond < 10 ? perSecond.toFixed(1) : String(Math.round(perSecond)))
const ms = (value: number | null): string => (value === null ? '-' : value < 10 ? value.toFixed(3) : value.toFixed(0))
