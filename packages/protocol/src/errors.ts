/**
 * Every expected failure that a person or another process may see. Codes reach the wire, the CLI and logs: add, never
 * rename. Each has exactly one reaction, and a code without a row does not compile. docs/errors.md is checked
 * against this table.
 *
 * - `exit`: the CLI's exit code. 2 usage, 3 not running or not reachable, 4 refused, 5 not found, 6 this machine
 *   (disk, port, file modes), 7 damaged data, 8 version, 9 conflict with another process or with what is there, 10
 *   waited in vain.
 * - `retry`: whether the same call may succeed later without anyone doing anything.
 * - `next`: the next command or step, shown to the person.
 */
export interface Reaction {
  readonly exit: 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10
  readonly retry: boolean
  readonly next: string
}

export const reactions = {
  USAGE: { exit: 2, retry: false, next: 'sealmesh help' },
  UMR_INVALID: { exit: 2, retry: false, next: 'write it as agent.layer.id, for example claude.semantic.deploy-day' },
  NAME_INVALID: { exit: 2, retry: false, next: 'use lower-case letters, digits, - and _ (at most 64)' },
  VALUE_INVALID: { exit: 2, retry: false, next: 'pass valid JSON, or plain text without --raw-json' },
  VALUE_TOO_LARGE: { exit: 2, retry: false, next: 'keep it as a text: sealmesh text edit UMR --file FILE' },

  LAYER_UNKNOWN: {
    exit: 2,
    retry: false,
    next: 'write the name that is meant, or add --new-layer to make a new layer',
  },
  CONFIG_INVALID: { exit: 2, retry: false, next: 'sealmesh config check' },

  NODE_NOT_RUNNING: { exit: 3, retry: true, next: 'sealmesh up' },
  NODE_NOT_SET_UP: { exit: 3, retry: false, next: 'sealmesh up --relay ADDRESS --claim CODE, or sealmesh join LINK' },
  RELAY_UNREACHABLE: { exit: 3, retry: true, next: 'check the address and that sealmesh-relay is up' },
  RELAY_CLOSED: { exit: 3, retry: true, next: 'nothing: the node dials again by itself' },
  RELAY_RESTARTING: { exit: 3, retry: true, next: 'nothing: the node dials again by itself' },
  HELLO_TIMEOUT: { exit: 3, retry: true, next: 'check that the address is a Sealmesh relay' },
  PROXY_REFUSED: {
    exit: 3,
    retry: true,
    next: 'check HTTPS_PROXY, or network.proxy in the config: sealmesh netcheck says what the proxy answers',
  },

  RELAY_WRONG_KEY: {
    exit: 4,
    retry: false,
    next: 'ask the owner of the relay for its address: this one has another key',
  },
  RELAY_WRONG_PIN: {
    exit: 4,
    retry: false,
    next: 'sealmesh netcheck says whose certificate it is; ask the owner of the relay for its address',
  },
  PEER_WRONG_KEY: {
    exit: 4,
    retry: true,
    next: 'compare the id behind #node= with what sealmesh status shows on that machine; until then relays carry everything',
  },
  CLAIM_REQUIRED: {
    exit: 4,
    retry: false,
    next: 'sealmesh up --relay ADDRESS --claim CODE, with the code that the relay printed',
  },
  CLAIM_INVALID: { exit: 4, retry: false, next: 'sealmesh-relay claim prints a new code' },
  MESH_NOT_ADMITTED: { exit: 4, retry: false, next: 'ask the owner of the relay to admit this mesh' },
  TOKEN_INVALID: {
    exit: 4,
    retry: false,
    next: 'pair this node again: sealmesh pair on the other, sealmesh join LINK here',
  },
  TOKEN_EXPIRED: {
    exit: 4,
    retry: false,
    next: 'pair this node again: sealmesh pair on the other, sealmesh join LINK here',
  },
  LOGIN_SIGNATURE: { exit: 4, retry: false, next: 'sealmesh status --json, and compare the relay key with its owner' },
  NODE_REVOKED: { exit: 4, retry: false, next: 'an admin removed this node: pair it again under a new identity' },
  DUPLICATE_LOGIN: { exit: 4, retry: true, next: 'stop the other process that uses this home, or its copy' },
  NOT_ADMIN: { exit: 4, retry: false, next: 'run it on an admin node: sealmesh status shows which' },
  NOT_A_WRITER: { exit: 4, retry: false, next: 'sealmesh share ls shows who may write this layer' },
  NOT_THE_HOLDER: { exit: 4, retry: false, next: 'sealmesh takeover AGENT moves the term here' },
  FENCED: {
    exit: 4,
    retry: true,
    next: 'sealmesh failover status AGENT says what is missing; once this node may act again it writes again',
  },
  WITNESS_NEEDED: { exit: 4, retry: false, next: 'sealmesh witness set, on an admin node' },
  LEASE_RUNS: {
    exit: 9,
    retry: true,
    next: 'wait until its lease has run out, or on its holder: sealmesh handover AGENT; --force does not wait',
  },
  LEASE_UNKNOWN: {
    exit: 9,
    retry: true,
    next: 'wait until the nodes have spoken with each other, or look at the old machine and add --force',
  },
  TAKEOVER_BLOCKED: {
    exit: 4,
    retry: true,
    next: 'bring back a node that has it, or accept the loss: --accept-data-loss REASON',
  },
  HANDOVER_FAILED: { exit: 10, retry: true, next: 'sealmesh failover status AGENT, and try again: nothing was moved' },
  NOT_A_HOST: { exit: 4, retry: false, next: 'name this node on the holder: sealmesh agents add AGENT --standby NODE' },
  DIARY_PRIVATE: { exit: 4, retry: false, next: 'read it on the node that wrote it: only metadata is shared' },

  LINK_INVALID: { exit: 4, retry: false, next: 'sealmesh pair prints a new link' },
  LINK_EXPIRED: { exit: 4, retry: false, next: 'sealmesh pair prints a new link' },
  LINK_USED: { exit: 4, retry: false, next: 'sealmesh pair prints a new link' },
  CODE_WRONG: { exit: 4, retry: false, next: 'sealmesh pair --code prints a new code' },
  PAIRING_REFUSED: { exit: 4, retry: false, next: 'sealmesh pair prints a new link' },
  PAIRING_TIMEOUT: { exit: 3, retry: true, next: 'sealmesh pair prints a new link' },
  PAIRING_WORDS_DIFFER: {
    exit: 4,
    retry: false,
    next: 'stop: somebody may be in between. sealmesh pair prints a new link',
  },
  NAME_TAKEN: { exit: 9, retry: false, next: 'choose another name' },

  KIT_MISSING: { exit: 5, retry: false, next: 'sealmesh key backup FILE, and keep the file off this machine' },
  KIT_INVALID: { exit: 7, retry: false, next: 'use another copy of the kit' },
  SNAPSHOT_INVALID: { exit: 7, retry: false, next: 'use another one: sealmesh snapshot ls' },
  SNAPSHOT_SEALED: {
    exit: 4,
    retry: false,
    next: 'open it with the recovery kit of its mesh: --kit KIT, or in the home that made it',
  },
  KEYS_LOCKED: { exit: 4, retry: false, next: 'give the passphrase at a terminal, or with --passphrase-file FILE' },
  PASSPHRASE_WRONG: { exit: 4, retry: false, next: 'try again: nothing was changed' },
  ROOT_ELSEWHERE: {
    exit: 4,
    retry: false,
    next: 'run it on the machine that founded the mesh, or that sealmesh recover brought back',
  },
  CLIENT_CONFIG_INVALID: { exit: 4, retry: false, next: 'put the file right, or remove what is in the place by hand' },
  CLIENT_CONFIG_CHANGED: { exit: 9, retry: true, next: 'try again' },
  FILE_EXISTS: { exit: 9, retry: false, next: 'name another file' },
  ALREADY_JOINED: { exit: 9, retry: false, next: 'use another home: sealmesh join LINK --home DIR' },

  AGENT_UNKNOWN: { exit: 5, retry: false, next: 'sealmesh agents ls' },
  AGENT_TOKEN_INVALID: {
    exit: 4,
    retry: false,
    next: 'ask the owner of the node for a new one: sealmesh agents token AGENT --rotate',
  },
  AGENT_TOKEN_EXISTS: {
    exit: 9,
    retry: false,
    next: 'sealmesh agents token AGENT --rotate makes a new one, and ends the old',
  },
  AGENT_ATTACHED: {
    exit: 9,
    retry: true,
    next: 'stop the other program, or wait until it has left: sealmesh agents ls',
  },
  NOT_ATTACHED: {
    exit: 4,
    retry: false,
    next: 'attach first, and use the handle that it gives',
  },
  RIGHT_MISSING: {
    exit: 4,
    retry: false,
    next: 'the owner of the node may allow it: sealmesh agents token AGENT --rotate --rights ...',
  },
  AGENT_TOO_FAST: {
    exit: 10,
    retry: true,
    next: 'send it again a little later, or raise messages.rate in the config',
  },
  AGENT_LIMIT: {
    exit: 4,
    retry: false,
    next: 'give up something first: a handle, a topic or a watch',
  },
  INBOX_FULL: {
    exit: 10,
    retry: true,
    next: 'send it again when the recipient is attached and has caught up',
  },
  UNDELIVERED: { exit: 10, retry: false, next: 'sealmesh trace ID says where it ended' },
  NODE_UNKNOWN: { exit: 5, retry: false, next: 'sealmesh status' },
  ITEM_NOT_FOUND: { exit: 5, retry: false, next: 'sealmesh ls' },
  CONFLICT_NOT_FOUND: { exit: 5, retry: false, next: 'sealmesh conflicts ls' },
  CONFLICT_CHANGED: { exit: 9, retry: false, next: 'sealmesh conflicts show UMR, and choose again' },
  BLOCK_NOT_FOUND: { exit: 5, retry: false, next: 'sealmesh late ls' },
  MESH_DIFFERS: {
    exit: 7,
    retry: false,
    next: 'run one version of Sealmesh on all machines; if they do, do not trust the machine that is named',
  },
  LEFT_OUT_FULL: {
    exit: 6,
    retry: true,
    next: 'merge or drop what sealmesh late ls shows: the node goes on within the hour',
  },
  HISTORY_ENDED: { exit: 5, retry: false, next: 'sealmesh history UMR shows how far back it goes' },
  LEVEL_UNREACHABLE: { exit: 4, retry: false, next: 'sealmesh share set AGENT LAYER=standby' },
  NOT_SHARED: { exit: 4, retry: false, next: 'sealmesh share set AGENT LAYER=standby' },
  WAIT_TIMEOUT: { exit: 10, retry: true, next: 'sealmesh why AGENT says what is missing where' },
  NO_OUTCOME: {
    exit: 10,
    retry: false,
    next: 'sealmesh task, vote or auction show ID says how it went',
  },
  FILE_NOT_FOUND: { exit: 5, retry: false, next: 'check the path' },
  FOLDER_UNKNOWN: { exit: 5, retry: false, next: 'sealmesh folder ls' },
  FOLDER_UNUSABLE: { exit: 4, retry: false, next: 'choose another folder' },
  IMPORT_NOTHING: {
    exit: 5,
    retry: false,
    next: 'point it at a folder with MEMORY.md or *.md, or at a .json or .jsonl graph',
  },
  IMPORT_INVALID: { exit: 2, retry: false, next: 'correct the line, or leave it out with --skip-invalid' },

  DISK_FULL: { exit: 6, retry: true, next: 'free some space: the node goes on by itself' },
  DISK_FAILED: { exit: 6, retry: false, next: 'look at the disk: sealmesh status names the error' },
  CHECKS_FAILED: { exit: 6, retry: false, next: 'do what doctor says below each check' },
  PORT_IN_USE: { exit: 6, retry: false, next: 'choose another: --port N' },
  ADDRESS_UNAVAILABLE: { exit: 6, retry: false, next: 'choose an address of this machine: --host' },
  MODES_TOO_WIDE: { exit: 6, retry: false, next: 'chmod go= the file that is named' },
  SOCKET_PATH_TOO_LONG: { exit: 6, retry: false, next: 'use a shorter home: --home DIR' },
  HOME_UNUSABLE: { exit: 6, retry: false, next: 'use another: --home DIR' },
  SERVICE_UNUSABLE: { exit: 6, retry: false, next: 'sealmesh-relay up runs it without systemd' },
  HOME_ROLLED_BACK: {
    exit: 9,
    retry: false,
    next: 'nothing for the data: it is fetched again. If a copy of this home runs elsewhere, stop it',
  },
  PACKETS_NOT_USED: { exit: 4, retry: false, next: 'sealmesh quarantine ls' },
  HOME_COPIED: { exit: 9, retry: false, next: 'stop one of the two, and pair it again under a home of its own' },
  WITHHELD: {
    exit: 3,
    retry: true,
    next: 'nothing, if it passes by itself; else another relay: sealmesh up --relay ADDRESS --claim CODE',
  },
  BLOCKS_FORKED: {
    exit: 9,
    retry: false,
    next: 'look whether that machine runs twice from one home; if it is not yours any more: sealmesh revoke NODE',
  },
  HOME_IN_USE: { exit: 9, retry: true, next: 'sealmesh down, or use another: --home DIR' },
  SOCKET_IN_USE: { exit: 9, retry: true, next: 'sealmesh down' },

  KEY_MISMATCH: { exit: 7, retry: false, next: 'put back the keys of this home, or join with another: --home DIR' },
  KEY_DAMAGED: { exit: 7, retry: false, next: 'restore the file that is named from a backup' },
  STORE_DAMAGED: {
    exit: 7,
    retry: true,
    next: 'sealmesh scrub asks other machines for what is missing, and says what nobody has',
  },
  NOT_REPAIRED: { exit: 10, retry: true, next: 'restore what is named from a backup: no other machine has it' },
  CLUSTER_UNFIT: { exit: 8, retry: false, next: 'docs/relay/cluster.md says which NATS server and settings it takes' },
  STORE_VERSION: { exit: 8, retry: false, next: 'run the version of Sealmesh that wrote it' },
  VERSION_MISMATCH: { exit: 8, retry: false, next: 'bring both sides to one version: sealmesh version' },

  FRAME_SIZE: { exit: 4, retry: false, next: 'report it: the other side broke the protocol' },
  FRAME_MALFORMED: { exit: 4, retry: false, next: 'report it: the other side broke the protocol' },
  FRAME_UNEXPECTED: { exit: 4, retry: false, next: 'report it: the other side broke the protocol' },
  QUOTA_BYTES: { exit: 4, retry: true, next: 'bring the node that is away back, or ask for a larger mailbox' },
  QUOTA_PACKETS: { exit: 4, retry: true, next: 'bring the node that is away back, or ask for a larger mailbox' },
  PACKET_EXPIRED: { exit: 4, retry: true, next: 'nothing: it is sealed anew' },
  QUOTA_SLOTS: { exit: 4, retry: true, next: 'wait a moment; if it stays, ask the owner of the relay for more slots' },
  QUOTA_VAULT: {
    exit: 4,
    retry: true,
    next: 'ask the owner of the relay for a larger vault; a local one: sealmesh snapshot create FILE',
  },
  VAULT_INCOMPLETE: { exit: 3, retry: true, next: 'nothing: the snapshot is left again by itself' },
  QUOTA_MAILBOXES: { exit: 4, retry: true, next: 'bring the nodes that are away back, or ask for more mailboxes' },
  RECIPIENT_FORBIDDEN: {
    exit: 4,
    retry: false,
    next: 'finish the pairing first: until then a new machine may write to its inviter only',
  },
  QUOTA_NODES: { exit: 4, retry: false, next: 'remove nodes that are gone, or ask the owner of the relay for more' },
  READER_STALLED: { exit: 3, retry: true, next: 'nothing: the node dials again by itself, and nothing is lost' },
  SLOWED: { exit: 3, retry: true, next: 'nothing: all of it arrives; send less at once, or run a relay of your own' },
  TOO_MANY_LOGINS: { exit: 3, retry: true, next: 'nothing: the node dials again by itself, more slowly' },
  TERM_NOT_HIGHER: { exit: 9, retry: true, next: 'sealmesh takeover AGENT again: somebody else was faster' },
  ALREADY_HOLDER: { exit: 9, retry: false, next: 'nothing: this node holds the agent' },
  BASIS_TOO_LARGE: { exit: 9, retry: false, next: 'report it: the agent has been written by thousands of runs' },
  DRILL_REFUSED: { exit: 4, retry: true, next: 'see to what is named first: sealmesh status' },
  DRILL_FAILED: { exit: 7, retry: false, next: 'sealmesh drill report says which check failed' },
  DRILL_OVERDUE: { exit: 10, retry: true, next: 'sealmesh drill run AGENT, on a standby of the agent' },
  REPORT_INVALID: {
    exit: 7,
    retry: false,
    next: 'give the .json of drills/ as it was written, or the one of the other node',
  },
  CORE_BUSY: { exit: 3, retry: true, next: 'try again' },
  INTERNAL: { exit: 7, retry: false, next: 'report it with the log: sealmesh status names the file' },
} as const satisfies Record<string, Reaction>

export type FailureCode = keyof typeof reactions

/**
 * An expected failure on its way to a person: what happened and why, in words of ours (never a key, a plaintext or
 * a name that a peer chose). Thrown between our own layers; every edge turns it into its code and reaction.
 */
export class Failure extends Error {
  readonly code: FailureCode
  /** Overrides the table's next step when a better one is known. */
  readonly next: string

  constructor(code: FailureCode, message: string, options: { cause?: unknown; next?: string } = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : {})
    this.name = 'Failure'
    this.code = code
    this.next = options.next ?? reactions[code].next
  }
}
