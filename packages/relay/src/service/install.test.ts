import { describe, expect, test } from 'vitest'
import { installService, serviceState, uninstallService } from './install.ts'
import type { Machine, Outcome } from './machine.ts'
import type { Installation } from './unit.ts'

const INSTALLATION: Installation = {
  scope: 'system',
  node: '/usr/bin/node',
  program: '/opt/sealmesh/bin/sealmesh-relay.js',
  data: undefined,
  port: undefined,
  tls: undefined,
  options: [],
}
const UNIT = '/etc/systemd/system/sealmesh-relay.service'

interface Fake extends Machine {
  readonly files: Map<string, string>
  readonly ran: string[]
}

function machine(over: Partial<Machine> & { answers?: Record<string, Partial<Outcome>> } = {}): Fake {
  const { answers = {}, ...given } = over
  const files = new Map<string, string>()
  const ran: string[] = []
  return {
    uid: 0,
    configHome: '/home/ada/.config',
    booted: true,
    read: (path) => Promise.resolve(files.get(path)),
    write: (path, text) => Promise.resolve(void files.set(path, text)),
    remove: (path) => Promise.resolve(void files.delete(path)),
    run: (command, args) => {
      const line = [command, ...args].join(' ')
      ran.push(line)
      return { status: 0, stdout: '', stderr: '', ...answers[line] }
    },
    ...given,
    files,
    ran,
  }
}

describe('installing', () => {
  test('writes the unit, makes its user where there is none, and starts it', async () => {
    const here = machine({ answers: { 'id -u sealmesh-relay': { status: 1 } } })
    const done = await installService(INSTALLATION, { start: true }, here)
    expect(done).toMatchObject({ unit: UNIT, changed: true, running: true, next: 'sealmesh-relay service status' })
    expect(here.files.get(UNIT)).toContain('ExecStart=/usr/bin/node /opt/sealmesh/bin/sealmesh-relay.js up --data %S/')
    expect(here.ran.map((line) => line.split(' ').slice(0, 2).join(' '))).toEqual([
      'id -u',
      'useradd --system',
      'systemctl enable',
      'systemctl daemon-reload',
      'systemctl restart',
    ])
  })

  test('a second time changes nothing and interrupts nothing', async () => {
    const here = machine()
    await installService(INSTALLATION, { start: true }, here)
    const before = here.files.get(UNIT)
    here.ran.length = 0
    expect(await installService(INSTALLATION, { start: true }, here)).toMatchObject({ changed: false, running: true })
    expect(here.files.get(UNIT)).toBe(before)
    expect(here.ran.filter((line) => /useradd|restart|daemon-reload/.test(line))).toEqual([])
  })

  test('with other options it is started anew', async () => {
    const here = machine()
    await installService(INSTALLATION, { start: true }, here)
    await installService({ ...INSTALLATION, port: 443 }, { start: true }, here)
    expect(here.ran.at(-1)).toBe('systemctl restart sealmesh-relay')
    expect(here.files.get(UNIT)).toContain('--port 443\n')
  })

  test('where systemd does not run, it says what would be started', async () => {
    const here = machine({ booted: false })
    const done = await installService(INSTALLATION, { start: true }, here)
    expect(done).toMatchObject({ changed: true, running: false })
    expect(done.next).toContain('/usr/bin/node /opt/sealmesh/bin/sealmesh-relay.js up')
    expect(here.ran.filter((line) => /start|reload/.test(line))).toEqual([])
  })

  test('where systemctl refuses, its first line is the reason', async () => {
    const answers = { 'systemctl restart sealmesh-relay': { status: 1, stderr: 'Unit is masked.\nmore' } }
    const trying = installService(INSTALLATION, { start: true }, machine({ answers }))
    await expect(trying).rejects.toMatchObject({
      code: 'SERVICE_UNUSABLE',
      message: 'systemctl start failed: Unit is masked.',
    })
  })

  test('only root installs for the machine, and only others for themselves', async () => {
    const user = { ...INSTALLATION, scope: 'user' as const }
    for (const [installation, uid] of [
      [INSTALLATION, 1000],
      [user, 0],
    ] as const) {
      const here = machine({ uid })
      const trying = installService(installation, { start: true }, here)
      await expect(trying).rejects.toMatchObject({ code: 'SERVICE_UNUSABLE' })
      expect([here.files.size, here.ran]).toEqual([0, []])
    }
  })

  test('a program in somebody’s home is refused, since the service could not see it', async () => {
    const program = '/root/.npm/bin/sealmesh-relay'
    const here = machine()
    const trying = installService({ ...INSTALLATION, program }, { start: true }, here)
    await expect(trying).rejects.toMatchObject({ code: 'SERVICE_UNUSABLE', message: expect.stringContaining(program) })
    expect(here.files.size).toBe(0)
  })

  test('a place of the owner’s is given to its user, and is all that it may write', async () => {
    const here = machine()
    await installService({ ...INSTALLATION, data: '/srv/relay' }, { start: true }, here)
    expect(here.ran).toContain('install -d -m 0700 -o sealmesh-relay -g sealmesh-relay /srv/relay')
    expect(here.files.get(UNIT)).toContain('\nReadWritePaths=/srv/relay\n')
    expect(here.files.get(UNIT)).not.toContain('StateDirectory')
    expect((await uninstallService('system', here)).next).toContain('/srv/relay')
  })

  test('for one user it is theirs alone', async () => {
    const here = machine({ uid: 1000 })
    const done = await installService({ ...INSTALLATION, scope: 'user' }, { start: true }, here)
    expect(done.unit).toBe('/home/ada/.config/systemd/user/sealmesh-relay.service')
    expect(here.ran.every((line) => line.startsWith('systemctl --user '))).toBe(true)
    const unit = here.files.get(done.unit) ?? ''
    expect(unit).toContain('--data %h/.local/share/sealmesh-relay\n')
    expect(unit).toContain('WantedBy=default.target')
    expect(unit).not.toMatch(/^(User|ProtectSystem|PrivateTmp)=/m)
  })
})

describe('removing', () => {
  test('stops it, and a second time says that nothing is there', async () => {
    const here = machine()
    await installService(INSTALLATION, { start: true }, here)
    here.ran.length = 0
    expect(await uninstallService('system', here)).toMatchObject({ unit: UNIT, changed: true, running: false })
    expect(here.ran).toEqual(['systemctl disable --now sealmesh-relay', 'systemctl daemon-reload'])
    expect(here.files.size).toBe(0)
    here.ran.length = 0
    expect(await uninstallService('system', here)).toMatchObject({ changed: false })
    expect(here.ran).toEqual([])
  })
})

describe('asking', () => {
  const SHOW =
    'systemctl show sealmesh-relay --property=LoadState,ActiveState,SubState,UnitFileState,MainPID,NRestarts,MemoryCurrent,ActiveEnterTimestamp'
  const saying = (stdout: string) => machine({ answers: { [SHOW]: { stdout } } })

  test('reads what systemctl shows', () => {
    const stdout =
      'MainPID=17\nNRestarts=2\nMemoryCurrent=52428800\nLoadState=loaded\nActiveState=active\nSubState=running\nUnitFileState=enabled\nActiveEnterTimestamp=Tue 2026-03-17 10:00:00 UTC\n'
    expect(serviceState('system', saying(stdout))).toEqual({
      active: 'active',
      sub: 'running',
      enabled: 'enabled',
      pid: 17,
      restarts: 2,
      memoryBytes: 52_428_800,
      since: 'Tue 2026-03-17 10:00:00 UTC',
    })
  })

  test('memory that systemd does not count is not made up', () => {
    const stdout = 'LoadState=loaded\nActiveState=failed\nMainPID=0\nNRestarts=0\nMemoryCurrent=[not set]\n'
    expect(serviceState('system', saying(stdout))).toMatchObject({ active: 'failed', pid: 0, memoryBytes: undefined })
  })

  test('a unit that is not there, and a machine without systemd, are told apart', () => {
    expect(() => serviceState('system', saying('LoadState=not-found\n'))).toThrow('no such service')
    expect(() => serviceState('system', machine({ booted: false }))).toThrow('No systemd runs here')
  })
})
