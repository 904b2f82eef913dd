import { nkeys } from '@nats-io/transport-node'

/** An operator with one account, and a user of it with a credentials file: what `nsc` makes, made here. */
export interface Operated {
  /** For the server's file. */
  readonly blocks: string
  /** The credentials file's text. */
  readonly credentials: string
}

const NO_LIMIT = -1
const LIMITS = { subs: NO_LIMIT, data: NO_LIMIT, payload: NO_LIMIT }
const ACCOUNT_LIMITS = {
  ...LIMITS,
  ...{ imports: NO_LIMIT, exports: NO_LIMIT, conn: NO_LIMIT, leaf: NO_LIMIT, wildcards: true },
}
const JETSTREAM_LIMITS = { mem_storage: NO_LIMIT, disk_storage: NO_LIMIT, streams: NO_LIMIT, consumer: NO_LIMIT }

export function operated(publish: readonly string[], subscribe: readonly string[]): Operated {
  const [operator, system, account, user] = [
    nkeys.createOperator(),
    nkeys.createAccount(),
    nkeys.createAccount(),
    nkeys.createUser(),
  ]
  const operatorToken = tokenOf(operator, operator, { type: 'operator' })
  const systemToken = tokenOf(system, operator, { type: 'account', limits: ACCOUNT_LIMITS })
  const accountToken = tokenOf(account, operator, {
    type: 'account',
    limits: { ...ACCOUNT_LIMITS, ...JETSTREAM_LIMITS },
  })
  const userToken = tokenOf(user, account, {
    type: 'user',
    pub: { allow: publish },
    sub: { allow: subscribe },
    ...LIMITS,
  })
  const seed = new TextDecoder().decode(user.getSeed())
  return {
    blocks: [
      `operator: ${operatorToken}`,
      `system_account: ${system.getPublicKey()}`,
      'resolver: MEMORY',
      `resolver_preload: { ${system.getPublicKey()}: ${systemToken}, ${account.getPublicKey()}: ${accountToken} }`,
    ].join('\n'),
    credentials: [
      `-----BEGIN NATS USER JWT-----\n${userToken}\n------END NATS USER JWT------\n`,
      `-----BEGIN USER NKEY SEED-----\n${seed}\n------END USER NKEY SEED------\n`,
    ].join('\n'),
  }
}

/** A token of NATS (version 2) about one key, signed by another. */
function tokenOf(about: nkeys.KeyPair, issuer: nkeys.KeyPair, claims: Readonly<Record<string, unknown>>): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const head = part({ typ: 'JWT', alg: 'ed25519-nkey' })
  const body = part({
    jti: about.getPublicKey(),
    iat: Math.floor(Date.now() / 1_000),
    iss: issuer.getPublicKey(),
    sub: about.getPublicKey(),
    name: String(claims['type']),
    nats: { ...claims, version: 2 },
  })
  const signature = issuer.sign(Buffer.from(`${head}.${body}`))
  return `${head}.${body}.${Buffer.from(signature).toString('base64url')}`
}
