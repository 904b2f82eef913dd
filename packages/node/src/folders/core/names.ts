import { COMPONENT_BYTES_MAX, PATH_BYTES_MAX, PATH_DEPTH_MAX } from './limits.ts'

/**
 * What a file may be called, on every system alike: a name that one machine cannot have is refused on all, or the
 * folder would differ. Paths are relative, with `/`, in Unicode NFC; what a disk calls a file may differ in form.
 */

export type NameFault =
  | 'escapes the folder'
  | 'a control character or a lone surrogate'
  | 'a name that Windows cannot have'
  | 'too long or too deep'
  | "one of Sealmesh's own names"

const RESERVED = /^(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(?:\..*)?$/i
const NOT_ON_WINDOWS = /[<>:"|?*\\]|[. ]$/
// oxlint-disable-next-line no-control-regex -- these are what it looks for
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/
/** Zero width and direction marks make two names look alike, or a name look like another. */
const INVISIBLE = /[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/

/** Our own files beside those of the folder; never mirrored. */
export const OWN_PREFIX = '.sealmesh-'
export const IGNORE_FILE = '.sealmeshignore'

export const keyOf = (diskPath: string): string => diskPath.normalize('NFC')

/** Names that one directory of a system that ignores case could not hold beside one another. */
export const foldOf = (key: string): string => key.toLowerCase().normalize('NFKC').toLowerCase()

/** Undefined for a path that any machine may have. Peers choose paths: nothing is written before this has been asked. */
export function faultInPath(path: string): NameFault | undefined {
  if (!path.isWellFormed() || CONTROL.test(path) || INVISIBLE.test(path))
    return 'a control character or a lone surrogate'
  if (path === '' || path.startsWith('/') || /^[a-z]:/i.test(path) || path !== keyOf(path)) return 'escapes the folder'
  const components = path.split('/')
  if (components.some((each) => each === '' || each === '.' || each === '..')) return 'escapes the folder'
  if (bytes(path) > PATH_BYTES_MAX || components.length > PATH_DEPTH_MAX) return 'too long or too deep'
  for (const component of components) {
    if (bytes(component) > COMPONENT_BYTES_MAX) return 'too long or too deep'
    if (RESERVED.test(component) || NOT_ON_WINDOWS.test(component)) return 'a name that Windows cannot have'
    if (foldOf(component).startsWith(OWN_PREFIX)) return "one of Sealmesh's own names"
  }
  return undefined
}

export const isOwnName = (name: string): boolean => name.startsWith(OWN_PREFIX)

export const parentOf = (path: string): string => (path.includes('/') ? path.slice(0, path.lastIndexOf('/')) : '')
export const nameOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1)

/** `logo (3fa2b1).png`: beside the one that keeps the name. The same on every machine. */
export function besideName(path: string, id: string): string {
  const [parent, name] = [parentOf(path), nameOf(path)]
  const dot = name.lastIndexOf('.')
  const [stem, ending] = dot > 0 ? [name.slice(0, dot), name.slice(dot)] : [name, '']
  let short = stem
  while (bytes(`${short} (${id})${ending}`) > COMPONENT_BYTES_MAX && short.length > 1)
    short = Array.from(short).slice(0, -1).join('')
  return `${parent === '' ? '' : `${parent}/`}${short} (${id})${ending}`
}

const encoder = new TextEncoder()
const bytes = (text: string): number => encoder.encode(text).length
