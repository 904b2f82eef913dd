import type { NodeId } from '@sealmesh/protocol/ids'
import type { Disk } from '../relay/simulated-relay.ts'
import type { Checks } from './checks.ts'
import type { Episode, Parameters } from './parameters.ts'
import type { People } from './people.ts'
import type { Player } from './player.ts'
import type { RelayHost } from './relay-host.ts'
import type { Dice } from '@sealmesh/protocol/test-dice'
import type { Timeline } from './timeline.ts'

const STEP_MS = 250
const BACKUP_EVERY_MS = 10_000
const BACKUPS_MAX = 4
/** Long enough that the agent is at home and its standby in the set. */
const EPISODE_MS = 2_000

export interface FaultsDeps {
  readonly time: Timeline
  readonly dice: Dice
  readonly parameters: Parameters
  readonly players: readonly Player[]
  readonly relay: RelayHost
  readonly people: People
  readonly checks: Checks
  /** A second machine with the same home. */
  readonly cloneOf: (player: Player) => Player
  readonly note: (what: string, value: number) => void
}

/** Everything that happens to machines, cables and the relay until somebody puts it right. */
export class Faults {
  readonly counts = { crashes: 0, partitions: 0, relayCrashes: 0, pauses: 0, rollbacks: 0, clones: 0, stops: 0 }
  readonly clones: Player[] = []
  /** Whose disk is put back or copied: of two at a time nobody could keep what both had promised. */
  #unlucky: Player | undefined
  revoked: NodeId | undefined
  readonly #deps: FaultsDeps
  readonly #relayBackups: Disk[] = []
  #isOver = false

  constructor(deps: FaultsDeps) {
    this.#deps = deps
    this.#step()
    this.#backUp()
    if (deps.parameters.episode !== null) this.#episode(deps.parameters.episode)
  }

  /** Cables whole, machines on, the relay up, copies gone. */
  putRight(): void {
    const { players, relay } = this.#deps
    this.#isOver = true
    for (const clone of this.clones) this.#end(clone)
    relay.start()
    for (const player of players) {
      player.image.full = false
      player.machine.skewMs = 0
      if (player.machine.isStill) player.machine.goOn(false)
      player.cables.up.isCut = false
      player.cables.down.isCut = false
      player.start()
    }
  }

  #step(): void {
    const { time, parameters: p, players, dice } = this.#deps
    time.after(STEP_MS, undefined, () => {
      if (this.#isOver) return
      const happens = (perSecond: number) => dice.random() < (perSecond * STEP_MS) / 1_000
      for (const player of players) {
        if (player.isUp && happens(p.kill)) this.#crash(player, false)
        if (player.isUp && happens(p.powerCut)) this.#crash(player, true)
        if (player.isUp && happens(p.pause)) this.#still(player, 100 + dice.random() * 20_000, false)
        if (player.isUp && happens(p.suspend)) this.#still(player, 2_000 + dice.random() * 40_000, true)
        if (happens(p.cutOneWay)) this.#cut(player, dice.pick(2) === 0 ? ['up'] : ['down'])
        if (happens(p.cutBothWays)) this.#cut(player, ['up', 'down'])
        if (happens(p.reset)) player.resetConnections()
        if (happens(p.diskFull)) this.#fill(player)
        if (happens(p.clockStep)) player.machine.skewMs = (dice.random() * 2 - 1) * p.skewMs
        if (happens(p.takeover)) player.soon(0, (node) => this.#deps.people.takeOver(player, node))
        if (happens(p.handover)) player.soon(0, (node) => this.#deps.people.handOver(node))
        if (happens(p.modeChange)) player.soon(0, (node) => this.#deps.people.setMode(node))
        if (player.isUp && happens(p.stop)) this.#stop(player)
        if (player.isUp && happens(p.clone) && this.#isUnlucky(player)) this.#clone(player)
      }
      if (happens(p.relayCrash)) this.#crashRelay('keep')
      if (happens(p.relayRestore)) this.#crashRelay('restore')
      if (happens(p.relayWipe)) this.#crashRelay('wipe')
      if (happens(p.revoke)) this.#revoke()
      this.#step()
    })
  }

  /** The first machine loses its agent to the second, and gets it back. */
  #episode(what: Episode): void {
    const { time, dice, players, relay, people } = this.#deps
    const [holder, standby] = players as [Player, Player]
    const at = (ms: number, run: () => void) => time.after(ms, undefined, () => this.#isOver || run())
    const cut = (player: Player, ways: readonly ('up' | 'down')[], isCut: boolean) => {
      for (const way of ways) player.cables[way].isCut = isCut
    }
    at(EPISODE_MS + dice.random() * 2_000, () => {
      this.#deps.note(what, 0)
      if (what === 'standby-then-holder') {
        cut(standby, ['up', 'down'], true)
        at(4_000, () => cut(standby, ['up', 'down'], false))
      }
      at(what === 'standby-then-holder' ? 1_800 + dice.random() * 1_700 : 0, () => {
        cut(holder, ['up'], true)
        if (what === 'standby-dark') {
          standby.cutPower()
          relay.crash(true)
          at(500, () => relay.start())
          at(1_000, () => standby.start())
        }
      })
      at(13_000, () => cut(holder, ['up'], false))
      // Refused until everything is in step again; nothing is done once it is at home.
      for (const ms of [17_000, 20_000, 23_000, 26_000]) at(ms, () => standby.soon(0, (node) => people.handOver(node)))
      at(27_000, () => this.#episode(what))
    })
  }

  #backUp(): void {
    const { time, players, relay } = this.#deps
    time.after(BACKUP_EVERY_MS, undefined, () => {
      if (this.#isOver) return
      for (const player of players) keep(player.backups, player.image.copy())
      keep(this.#relayBackups, relay.snapshot())
      this.#backUp()
    })
  }

  #crash(player: Player, power: boolean): void {
    const { time, dice, parameters, checks } = this.#deps
    this.counts.crashes += 1
    this.#deps.note(power ? 'power' : 'kill', player.name.length)
    if (power) player.cutPower()
    else player.kill()
    const isPutBack =
      power && player.backups.length > 0 && dice.random() < parameters.rollback && this.#isUnlucky(player)
    if (isPutBack) {
      this.counts.rollbacks += 1
      player.image = dice.one(player.backups).copy()
      player.wasPutBack = true
      checks.putBack(player)
    }
    time.after(200 + dice.random() * (power ? 20_000 : 12_000), undefined, () => player.start())
  }

  #stop(player: Player): void {
    const { time, dice } = this.#deps
    this.counts.stops += 1
    const again = () => time.after(200 + dice.random() * 12_000, undefined, () => player.start())
    player.stop(again)
  }

  #isUnlucky(player: Player): boolean {
    this.#unlucky ??= player
    return this.#unlucky === player
  }

  #still(player: Player, forMs: number, sleeps: boolean): void {
    const { time } = this.#deps
    const { machine } = player
    if (machine.isStill) return
    this.counts.pauses += 1
    machine.stop()
    // With its power cut meanwhile it is another run of the machine that goes on.
    time.after(forMs, undefined, () => machine.isStill && machine.goOn(sleeps))
  }

  #cut(player: Player, ways: readonly ('up' | 'down')[]): void {
    const { time, dice } = this.#deps
    this.counts.partitions += 1
    for (const way of ways) player.cables[way].isCut = true
    time.after(500 + dice.random() * 30_000, undefined, () => {
      for (const way of ways) player.cables[way].isCut = false
    })
  }

  #fill(player: Player): void {
    const { time, dice } = this.#deps
    const { image } = player
    image.full = true
    time.after(500 + dice.random() * 15_000, undefined, () => void (image.full = false))
  }

  #clone(player: Player): void {
    const { time, dice, cloneOf } = this.#deps
    this.counts.clones += 1
    const clone = cloneOf(player)
    this.#deps.checks.copied.add(player.identity.self.id)
    // What the one receipts the other does not have.
    player.wasPutBack = true
    clone.wasPutBack = true
    this.clones.push(clone)
    clone.start()
    time.after(3_000 + dice.random() * 25_000, undefined, () => this.#end(clone))
  }

  #end(clone: Player): void {
    clone.kill()
    this.#deps.checks.putBack(clone)
  }

  #crashRelay(then: 'keep' | 'restore' | 'wipe'): void {
    const { time, dice, relay } = this.#deps
    if (!relay.isUp) return
    this.counts.relayCrashes += 1
    relay.crash(dice.pick(2) === 0)
    if (then !== 'keep') this.#deps.checks.relayForgot()
    if (then === 'wipe') relay.wipe()
    if (then === 'restore' && this.#relayBackups.length > 0) relay.restore(dice.one(this.#relayBackups))
    time.after(100 + dice.random() * 8_000, undefined, () => relay.start())
  }

  #revoke(): void {
    const { players: all, people, checks } = this.#deps
    const [admin, , last] = all
    if (admin === undefined || last === undefined || this.revoked !== undefined) return
    const removed = last.identity.self.id
    this.revoked = removed
    admin.soon(0, (node) => {
      checks.removed.add(removed)
      people.revoke(node, removed)
    })
  }
}

function keep<T>(all: T[], one: T): void {
  all.push(one)
  if (all.length > BACKUPS_MAX) all.shift()
}
