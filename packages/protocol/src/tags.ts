import { utf8 } from './bytes.ts'

/**
 * Every signed or hashed thing begins with a tag of its own kind, so that words said in one place mean nothing in
 * another (`08_dom_tagged` in the symbolic models). All end in a zero byte, so that none is a prefix of another.
 */
const tag = (kind: string): Uint8Array => utf8(`sealmesh ${kind} v1\0`)

export const TAGS = {
  nodeId: tag('node id'),
  documentId: tag('document id'),
  mailboxId: tag('mailbox id'),
  mailboxSecret: tag('mailbox secret'),
  record: tag('record'),
  incarnation: tag('incarnation'),
  block: tag('block'),
  blockHash: tag('block hash'),
  writeLeaf: tag('write leaf'),
  writeNode: tag('write node'),
  textRun: tag('text run'),
  packet: tag('packet'),
  packetHeader: tag('packet header'),
  packetInside: tag('packet inside'),
  contentKeyCommitment: tag('content key commitment'),
  vectorDigest: tag('vector digest'),
  closedSet: tag('closed set'),
  documentDigest: tag('document digest'),
  headsRoot: tag('heads root'),
  headsBucket: tag('heads bucket'),
  epoch: tag('epoch'),
  checkpoint: tag('checkpoint'),
  relayChallenge: tag('relay challenge'),
  relayLogin: tag('relay login'),
  relayAccept: tag('relay accept'),
  relayClaim: tag('relay claim'),
  relayToken: tag('relay token'),
  relayRevoke: tag('relay revoke'),
  relaySlot: tag('relay slot'),
  relayKeyName: tag('relay key name'),
  recoveryLogin: tag('recovery login'),
  recoverySeal: tag('recovery seal'),
  recoveryMailbox: tag('recovery mailbox'),
  logCopy: tag('log copy'),
  pairingLink: tag('pairing link'),
  pairingKey: tag('pairing key'),
  pairingLogin: tag('pairing login'),
  pairingCommit: tag('pairing commit'),
  pairingTranscript: tag('pairing transcript'),
  pairingWords: tag('pairing words'),
  pairingCode: tag('pairing code'),
  joinCanary: tag('join canary'),
} as const
