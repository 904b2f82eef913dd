import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import { Failure } from '@sealmesh/protocol/errors'
import { isName, type NodeId } from '@sealmesh/protocol/ids'
import type { MethodResult } from '@sealmesh/protocol/ipc/methods'
import { readersOf } from '@sealmesh/protocol/membership/access'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import { besideName, keyOf } from '../folders/core/names.ts'
import type { Refusal } from '../folders/core/refusals.ts'
import type { Folders, FolderSetup, MirroredFolder } from '../folders/folders.ts'
import type { Arrival } from '../folders/ports.ts'
import type { Issue } from '../folders/state.ts'
import type { Handlers } from '../ipc/door.ts'
import { shellWord } from '../keys/modes.ts'
import { agentName, agentNamed, DIARY_LAYER, iso, nodeName, type ServiceContext } from './context.ts'

type Context = Pick<ServiceContext, 'log' | 'layers' | 'node'> & { readonly folders: Folders }
type View = MethodResult<'folder.add'>
type Verbs = Extract<keyof Handlers, `folder.${string}`>

/** Folders that this node mirrors. */
export function folderHandlers(context: Context): Pick<Handlers, Verbs> {
  const { folders } = context
  return {
    'folder.add': async ({ agent: name, layer: said, path, allow, newLayer }) => {
      const agent = agentNamed(context.log.mesh, name)
      const layer = context.layers.meant(agent.name, said)
      if (layer === DIARY_LAYER)
        throw new Failure('DIARY_PRIVATE', 'The diary cannot be a folder: its content has a store of its own.')
      if (!isName(layer)) throw new Failure('NAME_INVALID', 'That cannot be the name of a layer.')
      context.layers.refuseSlip(agent, layer, newLayer === true)
      const document: DocumentName = { agent: agent.id, layer }
      return viewOf(context, await folders.add(document, path, allow))
    },
    'folder.ls': () => ({ folders: folders.list().map((each) => viewOf(context, each)) }),
    'folder.status': ({ folder, limit }) => ({
      folders: (folder === undefined ? folders.list() : [named(context, folder)]).map((each) => ({
        ...viewOf(context, each),
        ...detailsOf(context, each, limit),
      })),
    }),
    'folder.rm': async ({ folder }) => {
      const chosen = named(context, folder)
      const view = viewOf(context, chosen)
      await folders.remove(chosen)
      return view
    },
    'folder.confirm': async ({ folder, keep }) => ({
      files: await named(context, folder).folder.confirm(keep),
      kept: keep,
    }),
    'folder.log': ({ folder, path }) => {
      const { base, happenings } = named(context, folder).folder.mirror.state
      const key = path === undefined ? undefined : keyOf(path)
      if (key !== undefined && !base.has(key))
        throw new Failure('FILE_NOT_FOUND', 'The folder mirrors no such file.', { next: 'sealmesh folder status' })
      return {
        arrivals: (key === undefined ? [] : (base.get(key)?.arrivals ?? [])).map((arrival) =>
          arrivalOf(context, key ?? '', arrival),
        ),
        happenings: happenings
          .filter((each) => key === undefined || each.path === key)
          .map((each) => ({ path: each.path, at: iso(each.atMs), what: each.what })),
      }
    },
    'folder.trash.ls': async ({ folder }) => ({
      items: (await named(context, folder).trash.list()).map(({ item, path, bytes, atMs, by }) => ({
        item,
        path,
        bytes,
        at: iso(atMs),
        nodeName: by === undefined ? null : nodeName(context.log.mesh, by),
      })),
    }),
    'folder.trash.restore': async ({ folder, item }) => {
      const { trash, disk, folder: running } = named(context, folder)
      const { bytes, item: found } = await trash.read(item)
      for (const path of [found.path, besideName(found.path, 'restored'), besideName(found.path, item.slice(-6))]) {
        const outcome = await disk.replace(path, bytes, { expected: undefined, executable: false })
        if (outcome.type === 'changed') continue
        if (outcome.type === 'blocked') throw new Failure('DISK_FAILED', `It was not restored: ${outcome.because}.`)
        await trash.drop(item)
        running.lookAgain()
        return { path }
      }
      throw new Failure('FOLDER_UNUSABLE', 'Other files have its name and those beside it.', { next: 'move them away' })
    },
  }
}

function named({ log, folders }: Context, name: string): MirroredFolder {
  const [agent, layer] = name.split('.')
  const all = folders.list()
  const byPath = all.filter(({ setup }) => setup.path === name)
  const matching =
    byPath.length > 0
      ? byPath
      : all.filter(
          ({ setup }) => agentName(log.mesh, setup.agent) === agent && (layer === undefined || setup.layer === layer),
        )
  const [chosen] = matching
  if (chosen === undefined) throw new Failure('FOLDER_UNKNOWN', 'No such folder is mirrored on this machine.')
  if (matching.length > 1)
    throw new Failure('FOLDER_UNKNOWN', 'Several folders of this agent are mirrored: name one by AGENT.LAYER.')
  return chosen
}

function viewOf({ log, node }: Context, { setup, folder }: MirroredFolder): View {
  const { state, present, inStep } = folder.mirror
  const issues = [...state.issues.values()]
  const held = { here: state.heldOut.size, elsewhere: state.heldIn.size }
  const { failure } = folder
  const holder = log.mesh.agents.get(setup.agent)?.term?.holder
  let bytes = 0
  for (const { size } of state.base.values()) bytes += size
  return {
    agent: agentName(log.mesh, setup.agent),
    layer: setup.layer,
    path: setup.path,
    state: !present
      ? 'missing'
      : failure !== undefined
        ? 'failing'
        : held.here + held.elsewhere > 0
          ? 'held'
          : inStep
            ? 'in step'
            : 'working',
    failure: failure === undefined ? null : { code: failure.code, message: failure.message, next: failure.next },
    watched: folder.watched,
    files: state.base.size,
    bytes,
    held,
    refused: issues.filter(({ type }) => type === 'refused').length + state.tree.refused.length,
    pending: issues.filter(({ type }) => type === 'pending').length,
    allowed: [...setup.allowed],
    sharedWith: otherReaders(log.mesh, node, setup).map((each) => nodeName(log.mesh, each)),
    holder: holder === undefined || holder === node ? null : nodeName(log.mesh, holder),
  }
}

/** The holder reads every layer of its agent; of another machine it gets one only if that machine may read it too. */
function otherReaders(mesh: Mesh, node: NodeId, { agent, layer }: FolderSetup): NodeId[] {
  const readers = readersOf(mesh, agent, layer)
  return readers.includes(node) ? readers.filter((reader) => reader !== node) : []
}

function detailsOf(context: Context, { folder, setup }: MirroredFolder, limit: number) {
  const { state } = folder.mirror
  const layer = setup.layer === 'files' ? '' : ` --layer ${setup.layer}`
  const add = `folder add ${agentName(context.log.mesh, setup.agent)} ${shellWord(setup.path)}${layer}`
  const named = (issue: Issue): Issue =>
    ALLOWABLE.has(issue.code) ? { ...issue, next: `sealmesh ${add} --allow ${shellWord(issue.path)}` } : issue
  const heldBecause = 'so many deletions at once may be an accident'
  const next = 'sealmesh folder confirm FOLDER, or with --keep to have them back'
  const held = (keys: ReadonlySet<string>, direction: 'out' | 'in') =>
    [...keys].map((path) => ({ path, type: 'held' as const, direction, code: 'HELD', because: heldBecause, next }))
  const issues = [
    ...held(state.heldOut, 'out'),
    ...held(state.heldIn, 'in'),
    ...[...state.issues.values()].map(named),
    ...state.tree.refused.map(({ path, fault }) => ({
      path,
      type: 'refused' as const,
      direction: 'in' as const,
      code: 'NAME',
      because: fault,
      next: 'rename it where it was made',
    })),
  ]
  const arrivals = [...state.base]
    .flatMap(
      ([
        path,
        {
          arrivals: [newest],
        },
      ]) => (newest === undefined ? [] : [{ path, newest }]),
    )
    .sort((a, b) => b.newest.atMs - a.newest.atMs)
  return {
    issues: issues.slice(0, limit),
    arrivals: arrivals.slice(0, limit).map(({ path, newest }) => arrivalOf(context, path, newest)),
  }
}

/** What naming the file lets through. */
const ALLOWABLE: ReadonlySet<string> = new Set<Refusal>(['EXECUTABLE', 'HOOK', 'SETTINGS', 'SECRET'])

const arrivalOf = ({ log }: Context, path: string, { node, atMs }: Arrival) => ({
  path,
  nodeName: nodeName(log.mesh, node),
  at: iso(atMs),
})

/** What a person should look at. */
export function folderWarnings({ folders }: Pick<Context, 'folders'>): { code: string; message: string }[] {
  return folders.list().flatMap(({ folder, setup }) => {
    const { present, state } = folder.mirror
    const held = state.heldIn.size + state.heldOut.size
    if (!present) return [{ code: 'FOLDER_MISSING', message: `the mirrored folder ${setup.path} is not there` }]
    if (held === 0) return []
    return [
      {
        code: 'FOLDER_HELD',
        message: `${held} deletions in ${setup.path} wait for your word; sealmesh folder status`,
      },
    ]
  })
}
