import { chmod, mkdir, readFile, stat, symlink, writeFile } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { prepareHome, resolveHome } from '@sealmesh/node/keys/home'
import { claimSocketPath, findSocket } from '@sealmesh/node/keys/socket-path'
import { SOCKET_PATH_BYTES_MAX } from '@sealmesh/protocol/limits'
import { describe, expect, test } from 'vitest'
import { temporaryFolder, temporaryHome } from './temporary-home.ts'

const modeOf = async (path: string): Promise<string> => ((await stat(path)).mode & 0o777).toString(8)

describe('choosing a home', () => {
  test('the flag wins over SEALMESH_HOME, and that over the folder of the user', () => {
    expect(resolveHome('/a', { SEALMESH_HOME: '/b' }).path).toBe('/a')
    expect(resolveHome(undefined, { SEALMESH_HOME: '/b' }).path).toBe('/b')
    expect(resolveHome(undefined, {}).path).toBe(join(homedir(), '.sealmesh'))
  })
  test('a relative home is the same home from whichever folder it is named later', () => {
    expect(resolveHome('x', {}).path).toBe(join(process.cwd(), 'x'))
  })
  test('an empty name is refused instead of meaning the current folder', () => {
    expect(() => resolveHome('', {})).toThrow(expect.objectContaining({ code: 'HOME_UNUSABLE' }))
    expect(() => resolveHome(undefined, { SEALMESH_HOME: '' })).toThrow(
      expect.objectContaining({ code: 'HOME_UNUSABLE' }),
    )
  })
})

describe('preparing a home', () => {
  test('all folders are made private, and a second time changes nothing', async () => {
    const home = await temporaryHome()
    await prepareHome(home)
    for (const folder of [home.path, home.db, home.diary, home.run]) expect(await modeOf(folder)).toBe('700')
  })
  test('a home that others may read is taken, since what lies in it is private', async () => {
    const home = await temporaryHome()
    await chmod(home.path, 0o755)
    await expect(prepareHome(home)).resolves.toBeUndefined()
  })
  test('a home that others may change is refused with the chmod that mends it', async () => {
    const home = await temporaryHome()
    await chmod(home.path, 0o777)
    await expect(prepareHome(home)).rejects.toMatchObject({
      code: 'MODES_TOO_WIDE',
      message: expect.stringContaining(home.path),
      next: `chmod go-w ${home.path}`,
    })
  })
  test('a wider folder inside is refused by name', async () => {
    const home = await temporaryHome()
    await chmod(home.db, 0o750)
    await expect(prepareHome(home)).rejects.toMatchObject({
      code: 'MODES_TOO_WIDE',
      message: expect.stringContaining('0750'),
      next: `chmod 700 ${home.db}`,
    })
  })
  test('a file in the way is said to be no folder', async () => {
    const folder = await temporaryFolder()
    await writeFile(join(folder, 'file'), '')
    await expect(prepareHome(resolveHome(join(folder, 'file'), {}))).rejects.toMatchObject({ code: 'HOME_UNUSABLE' })
    await expect(prepareHome(resolveHome(join(folder, 'file', 'home'), {}))).rejects.toMatchObject({
      code: 'HOME_UNUSABLE',
    })
  })
  test('the home may be a link to another disk, and its folders may not', async () => {
    const folder = await temporaryFolder()
    await mkdir(join(folder, 'disk'), { mode: 0o700 })
    await symlink(join(folder, 'disk'), join(folder, 'link'))
    const home = resolveHome(join(folder, 'link'), {})
    await prepareHome(home)
    const other = resolveHome(join(folder, 'other'), {})
    await mkdir(other.path, { mode: 0o700 })
    await symlink(home.db, other.db)
    await expect(prepareHome(other)).rejects.toMatchObject({ code: 'HOME_UNUSABLE' })
  })
})

describe("the socket's path", () => {
  const deep = async () => {
    const home = resolveHome(join(await temporaryFolder(), 'deep'.repeat(12), 'deep'.repeat(12)), {})
    await prepareHome(home)
    return home
  }

  test('a short home has its socket in run, where clients look', async () => {
    const home = await temporaryHome()
    expect(await claimSocketPath(home, {})).toBe(join(home.run, 'sealmesh.sock'))
    expect(await findSocket(home)).toBe(join(home.run, 'sealmesh.sock'))
  })
  test('a deep home has a short private one, and a client with another environment finds it', async () => {
    const home = await deep()
    const runtime = await temporaryFolder()
    const path = await claimSocketPath(home, { XDG_RUNTIME_DIR: runtime })
    expect(path.startsWith(runtime)).toBe(true)
    expect(Buffer.byteLength(path)).toBeLessThanOrEqual(SOCKET_PATH_BYTES_MAX)
    expect(await modeOf(join(path, '..'))).toBe('700')
    expect(await findSocket(home)).toBe(path)
    expect(await readFile(home.socketPointer, 'utf8')).toBe(`${path}\n`)
  })
  test('the door of agents is in a folder of its own, in a short home and in a deep one', async () => {
    const home = await temporaryHome()
    const agents = await claimSocketPath(home, {}, 'agents')
    expect(agents).toBe(join(home.run, 'agents', 'sealmesh-agents.sock'))
    expect(await modeOf(join(agents, '..'))).toBe('700')
    const below = await deep()
    const env = { XDG_RUNTIME_DIR: await temporaryFolder() }
    const [owner, short] = [await claimSocketPath(below, env), await claimSocketPath(below, env, 'agents')]
    expect(join(short, '..', '..')).toBe(join(owner, '..'))
    expect(await modeOf(join(short, '..'))).toBe('700')
    expect(Buffer.byteLength(short)).toBeLessThanOrEqual(SOCKET_PATH_BYTES_MAX)
    expect(await readFile(join(below.run, 'agents-socket-path'), 'utf8')).toBe(`${short}\n`)
  })
  test('two deep homes never share one', async () => {
    const [a, b] = [await deep(), await deep()]
    expect(await claimSocketPath(a, {})).not.toBe(await claimSocketPath(b, {}))
  })
  test('a runtime folder that is too deep is passed over', async () => {
    const home = await deep()
    const path = await claimSocketPath(home, { XDG_RUNTIME_DIR: join(tmpdir(), 'x'.repeat(100)) })
    expect(Buffer.byteLength(path)).toBeLessThanOrEqual(SOCKET_PATH_BYTES_MAX)
  })
  test('a client of a deep home that never ran hears that no node runs', async () => {
    await expect(findSocket(await deep())).rejects.toMatchObject({ code: 'NODE_NOT_RUNNING' })
  })
  test('neither node nor client uses a short folder that others may enter', async () => {
    const home = await deep()
    const path = await claimSocketPath(home, { XDG_RUNTIME_DIR: await temporaryFolder() })
    await chmod(join(path, '..'), 0o755)
    await expect(findSocket(home)).rejects.toMatchObject({ code: 'MODES_TOO_WIDE' })
    await expect(claimSocketPath(home, { XDG_RUNTIME_DIR: join(path, '..', '..') })).rejects.toMatchObject({
      code: 'MODES_TOO_WIDE',
    })
  })
  test('a home that moves back to a short path forgets the long one', async () => {
    const home = await temporaryHome()
    await writeFile(home.socketPointer, '/somewhere/else.sock\n')
    await claimSocketPath(home, {})
    expect(await findSocket(home)).toBe(join(home.run, 'sealmesh.sock'))
  })
})
