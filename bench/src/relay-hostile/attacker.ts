import { Attack, type AttackKind } from '@sealmesh/test/hostile/attack'

/** A process of hostile connections: KIND PORT CONNECTIONS. */
const [kind, port, connections] = process.argv.slice(2)
const attack = new Attack(kind as AttackKind, { port: Number(port), connections: Number(connections) })
process.on('message', () => process.send?.(attack.opened))
process.on('disconnect', () => process.exit(0))
process.send?.('ready')
