import { unitPath, unitWords } from './unit-words.ts'

/** What a unit says of one installation; everything else in it is the same on every machine. */
export interface Installation {
  /** In the owner's own systemd, without root, or in that of the machine. */
  readonly scope: 'system' | 'user'
  /** Absolute: Node, and the program that it runs. */
  readonly node: string
  readonly program: string
  /** Absolute; undefined for the place that systemd itself makes and owns. */
  readonly data: string | undefined
  readonly port: number | undefined
  /** A certificate from an authority, readable for root alone: systemd hands both files on. */
  readonly tls: { readonly cert: string; readonly key: string } | undefined
  /** More options of `up`. */
  readonly options: readonly string[]
}

export const SERVICE_NAME = 'sealmesh-relay'
/** A user without shell or password, whom nothing else runs as. */
export const SERVICE_USER = 'sealmesh-relay'
const PRIVILEGED_BELOW = 1024

/** The unit's file. */
export function renderUnit(installation: Installation): string {
  const system = installation.scope === 'system'
  return `# Written by \`sealmesh-relay service install\`. Changes of your own: systemctl ${system ? '' : '--user '}edit ${SERVICE_NAME}
[Unit]
Description=Sealmesh relay
${system ? 'After=network-online.target\nWants=network-online.target\n' : ''}# A relay that fails is tried again for ever: its nodes wait for it.
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart=${commandLine(installation)}
# Limits and the log's level are read again. The shell's own kill: a small Debian has no other.
ExecReload=/bin/sh -c "kill -HUP $MAINPID"
${system ? place(installation) : ''}UMask=0077
Restart=on-failure
RestartSec=2
# The command line or the configuration is wrong: trying again does not help.
RestartPreventExitStatus=2
# Longer than it takes to answer what is in flight and to close the store.
TimeoutStopSec=30
# One descriptor for each node, and those of the store.
LimitNOFILE=65536
# Memory holds keys.
LimitCORE=0
TasksMax=64
MemoryMax=80%

${system ? systemSandbox(installation) : userSandbox}# Not MemoryDenyWriteExecute: Node compiles JavaScript to machine code.

[Install]
WantedBy=${system ? 'multi-user' : 'default'}.target
`
}

/** What the unit starts, as systemd reads it. */
export function commandLine(installation: Installation): string {
  const { scope, node, program, data, port, tls, options } = installation
  const place = scope === 'system' ? `%S/${SERVICE_NAME}` : `%h/.local/share/${SERVICE_NAME}`
  return [
    unitWords([node, program, 'up', '--data']),
    data === undefined ? place : unitWords([data]),
    ...(port === undefined ? [] : [`--port ${port}`]),
    ...(tls === undefined ? [] : ['--cert %d/tls.crt --key %d/tls.key']),
    ...(options.length === 0 ? [] : [unitWords(options)]),
  ].join(' ')
}

function place({ data, tls }: Installation): string {
  const lines = [`User=${SERVICE_USER}`]
  if (data === undefined) lines.push(`StateDirectory=${SERVICE_NAME}`, 'StateDirectoryMode=0700')
  else lines.push(`ReadWritePaths=${unitPath(data)}`)
  if (tls !== undefined)
    lines.push(`LoadCredential=tls.crt:${unitPath(tls.cert)}`, `LoadCredential=tls.key:${unitPath(tls.key)}`)
  return `${lines.join('\n')}\n`
}

function systemSandbox({ port }: Installation): string {
  const privileged = port !== undefined && port > 0 && port < PRIVILEGED_BELOW
  // In a user namespace of its own the capability would count for nothing.
  const rights = privileged
    ? 'AmbientCapabilities=CAP_NET_BIND_SERVICE\nCapabilityBoundingSet=CAP_NET_BIND_SERVICE\n'
    : 'CapabilityBoundingSet=\nPrivateUsers=yes\n'
  return `${rights}NoNewPrivileges=yes
DevicePolicy=closed
KeyringMode=private
PrivateDevices=yes
PrivateMounts=yes
PrivateTmp=yes
ProcSubset=pid
ProtectClock=yes
ProtectControlGroups=yes
ProtectHome=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProtectSystem=strict
RemoveIPC=yes
${restrictions}SystemCallFilter=~@privileged @resources
`
}

const restrictions = `# Netlink is how a program asks for this machine's addresses, one of which nodes are told.
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
# Node's compiler asks for keys that keep its code from being overwritten.
SystemCallFilter=@system-service @pkey
`

/** Only what works without root. */
const userSandbox = `NoNewPrivileges=yes
${restrictions}`
