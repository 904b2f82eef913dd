import { keyOfLimit, LIMIT_NAMES } from './limit-table.ts'
import type { Settings } from './settings.ts'

/** What a reload did, as the log and `limits reload` say it. */
export interface Reloaded {
  readonly changed: readonly { readonly key: string; readonly from: number | string; readonly to: number | string }[]
  /** Keys of what differs from what the process runs with, and counts only after a restart. */
  readonly restart: readonly string[]
}

/** From what runs to what was read: the settings that run from now on, and what is to be said of it. */
export function reloaded(now: Settings, read: Settings): { settings: Settings; said: Reloaded } {
  const changed: Reloaded['changed'][number][] = LIMIT_NAMES.filter(
    (name) => now.limits[name] !== read.limits[name],
  ).map((name) => ({ key: `limits.${keyOfLimit(name)}`, from: now.limits[name], to: read.limits[name] }))
  if (now.logLevel !== read.logLevel) changed.push({ key: 'log.level', from: now.logLevel, to: read.logLevel })
  if (now.admission !== read.admission) changed.push({ key: 'admission.mode', from: now.admission, to: read.admission })
  const restart = [
    ...(now.host === read.host ? [] : ['listen.host']),
    ...(now.port === read.port ? [] : ['listen.port']),
    ...(now.publicHost === read.publicHost ? [] : ['listen.public_host']),
    ...(now.publicUrl === read.publicUrl ? [] : ['listen.public_url']),
    ...(now.trustedProxy === read.trustedProxy ? [] : ['listen.trusted_proxy']),
    ...(JSON.stringify(now.tls) === JSON.stringify(read.tls) ? [] : ['tls']),
    ...(now.cluster === read.cluster ? [] : ['cluster.nats']),
    ...(JSON.stringify(now.metrics) === JSON.stringify(read.metrics) ? [] : ['metrics.listen']),
  ]
  const { limits, limitOrigins, logLevel, admission } = read
  return { settings: { ...now, limits, limitOrigins, logLevel, admission }, said: { changed, restart } }
}
